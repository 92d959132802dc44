/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernels, and every fact about a kernel's inside that
 * no header exports, stands here and nowhere else. Kbuild probes the headers and
 * defines LU_HAVE_*: a backport moves a function without moving the version.
 */
#ifndef LU_COMPAT_H
#define LU_COMPAT_H

#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/libfdt.h>
#include <linux/mm.h>
#include <linux/memory_hotplug.h>
#include <linux/shmem_fs.h>
#include <linux/wait_bit.h>
#if __has_include(<linux/folio_batch.h>)
#include <linux/folio_batch.h>
#else
#include <linux/pagevec.h>
#endif

#ifndef LU_HAVE_ALLOC_PRESERVE
#error "no kho_alloc_preserve(): Kexec HandOver of before 6.19 keeps memory by other calls"
#endif

/*
 * What kexec_handover.c leaves in page->private of the head page of a preserved
 * block until it is restored. Looking first keeps a wrong or repeated restore
 * from being a WARN, which is a panic where panic_on_warn is set. A kernel that
 * changed this would make every object look gone, which is reported, not fatal.
 */
#define LU_KHO_PAGE_MAGIC	0x4b484f50U

/* The order of the preserved and not yet restored block at @phys, or -ENOENT. */
static inline int lu_kho_order_at(phys_addr_t phys)
{
	struct page *page = pfn_to_online_page(PHYS_PFN(phys));
	unsigned long private;

	BUILD_BUG_ON(sizeof(private) != 8);
	if (!page)
		return -ENOENT;
	private = page_private(page);
	if (upper_32_bits(private) != LU_KHO_PAGE_MAGIC || lower_32_bits(private) > MAX_PAGE_ORDER)
		return -ENOENT;
	return lower_32_bits(private);
}

/*
 * How a blob gets into the tree that the next kernel is given. What lu_subtree_add()
 * returns (ERR_PTR) is what lu_subtree_remove() takes; there, lu_subtree_release() gives
 * back what the blob came with, once it is itself released.
 */
#ifdef LU_HAVE_SUBTREE_SIZE

static inline void *lu_subtree_add(const char *name, void *blob, size_t size)
{
	int err = kho_add_subtree(name, blob, size);

	return err ? ERR_PTR(err) : blob;
}

static inline void lu_subtree_remove(void *subtree)
{
	kho_remove_subtree(subtree);
}

static inline int lu_subtree_find(const char *name, phys_addr_t *blob, size_t *size)
{
	return kho_retrieve_subtree(name, blob, size);
}

static inline void lu_subtree_release(const char *name)
{
}

#else

/*
 * Before 7.1 it has to be a flattened device tree: no size is handed over, and debugfs
 * shows as many bytes as the header tells. So a device tree with an empty root goes
 * there, and the blob is the memory that it reserves.
 */
struct lu_subtree {
	struct fdt_header header;
	struct fdt_reserve_entry blob, end;
	fdt32_t nodes[4];
};

static inline void *lu_subtree_add(const char *name, void *blob, size_t size)
{
	struct lu_subtree *tree = kho_alloc_preserve(sizeof(*tree));
	int err;

	if (IS_ERR(tree))
		return tree;
	*tree = (struct lu_subtree) {
		.header = {
			.magic = cpu_to_fdt32(FDT_MAGIC),
			.totalsize = cpu_to_fdt32(sizeof(*tree)),
			.off_dt_struct = cpu_to_fdt32(offsetof(struct lu_subtree, nodes)),
			.off_dt_strings = cpu_to_fdt32(sizeof(*tree)),
			.off_mem_rsvmap = cpu_to_fdt32(offsetof(struct lu_subtree, blob)),
			.version = cpu_to_fdt32(17),
			.last_comp_version = cpu_to_fdt32(16),
			.size_dt_struct = cpu_to_fdt32(sizeof(tree->nodes)),
		},
		.blob = { cpu_to_fdt64(virt_to_phys(blob)), cpu_to_fdt64(size) },
		/* The root, whose name is empty. */
		.nodes = { cpu_to_fdt32(FDT_BEGIN_NODE), 0, cpu_to_fdt32(FDT_END_NODE), cpu_to_fdt32(FDT_END) },
	};
	err = kho_add_subtree(name, tree);
	if (!err)
		return tree;
	kho_unpreserve_free(tree);
	return ERR_PTR(err);
}

static inline void lu_subtree_remove(void *subtree)
{
	kho_remove_subtree(subtree);
	kho_unpreserve_free(subtree);
}

/* The tree that the previous kernel left under this name, if it is still preserved. */
static inline struct lu_subtree *lu_subtree_at(const char *name)
{
	phys_addr_t phys;
	int err = kho_retrieve_subtree(name, &phys);

	if (err)
		return ERR_PTR(err);
	if (lu_kho_order_at(phys) < 0)
		return ERR_PTR(-ESTALE);
	return PAGE_ALIGNED(phys) ? phys_to_virt(phys) : ERR_PTR(-EINVAL);
}

static inline int lu_subtree_find(const char *name, phys_addr_t *blob, size_t *size)
{
	struct lu_subtree *tree = lu_subtree_at(name);

	if (IS_ERR(tree))
		return PTR_ERR(tree);
	if (tree->header.magic != cpu_to_fdt32(FDT_MAGIC) ||
	    tree->header.totalsize != cpu_to_fdt32(sizeof(*tree)))
		return -EINVAL;
	*blob = fdt64_to_cpu(tree->blob.address);
	*size = fdt64_to_cpu(tree->blob.size);
	return 0;
}

static inline void lu_subtree_release(const char *name)
{
	struct lu_subtree *tree = lu_subtree_at(name);

	if (!IS_ERR(tree))
		kho_restore_free(tree);
}

#endif

/*
 * Whether what is preserved as late as in a reboot notifier still reaches the next kernel.
 * It does where that reads the radix tree as it is; before there was one, liveupdate_reboot()
 * has written the list of what is preserved by then.
 */
#if __has_include(<linux/kho_radix_tree.h>)
#define LU_KHO_PRESERVES_LATE	true
#else
#define LU_KHO_PRESERVES_LATE	false
#endif

/* What page_rmappable_folio(), private to mm/, does to a folio for the page cache. */
static inline void lu_folio_prep_large(struct folio *folio)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	if (folio_test_large(folio))
		folio_set_large_rmappable(folio);
#endif
}

/*
 * Whether somebody has fixed the layout of this shmem file. Kernels from 6.19 on can;
 * the flag has no accessor of its own.
 */
static inline bool lu_shmem_is_frozen(struct inode *inode)
{
	return SHMEM_I(inode)->flags & SHMEM_F_MAPPING_FROZEN;
}

/* With what shmem_file_setup() leaves the accounting of pages to each page, and to the whole. */
#ifdef LU_HAVE_VMA_FLAGS
#define LU_SHMEM_NORESERVE	mk_vma_flags(VMA_NORESERVE_BIT)
#define LU_SHMEM_RESERVE	EMPTY_VMA_FLAGS
#else
#define LU_SHMEM_NORESERVE	VM_NORESERVE
#define LU_SHMEM_RESERVE	0
#endif

/* Until 7.2 inode_operations.create() is told whether O_EXCL was given. */
#ifdef LU_HAVE_CREATE_EXCL
#define LU_CREATE_EXCL	, bool excl
#else
#define LU_CREATE_EXCL
#endif

/*
 * super_wake(sb, SB_BORN), private to fs/super.c: what vfs_get_tree() does after a
 * successful get_tree(). A superblock that is kept although its mount failed needs
 * it too, or the next mount would wait for it for ever.
 */
static inline void lu_super_born(struct super_block *sb)
{
	smp_store_release(&sb->s_flags, sb->s_flags | SB_BORN);
	smp_mb();	/* pairs with the one in prepare_to_wait_event() */
	wake_up_var(&sb->s_flags);
}

#endif /* LU_COMPAT_H */
