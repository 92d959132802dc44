/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernels, and every fact about a kernel's inside that
 * no header exports, stands here and nowhere else. Kbuild probes the headers and
 * defines LU_HAVE_*: a backport moves a function without moving the version.
 */
#ifndef LU_COMPAT_H
#define LU_COMPAT_H

#include <linux/fs.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/memory_hotplug.h>
#include <linux/shmem_fs.h>
#include <linux/wait_bit.h>
#if __has_include(<linux/folio_batch.h>)
#include <linux/folio_batch.h>
#else
#include <linux/pagevec.h>
#endif

/* 7.1 and later hand the size of a subtree over; earlier ones are not supported. */
#ifndef LU_HAVE_SUBTREE_SIZE
#error "kho_add_subtree() without a size: this kernel is older than 7.1"
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
