// SPDX-License-Identifier: GPL-2.0
/*
 * Memory files: fixed-size files on an internal mount, all their pages in the
 * page cache from the first moment. Each folio carries one reference more than
 * the cache's, the pin: nothing can migrate, split or drop it, so the physical
 * address that a live update records stays true while the file lives.
 */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include "compat.h"
#include "shim.h"

#define LU_MEM_MAGIC	0x4c554d45	/* "LUME" */
#define LU_MEM_MAX	(1ULL << 40)

static u64 lu_mem_pages(const struct inode *inode)
{
	return DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE);
}

static struct folio *lu_folio_at(struct address_space *mapping, pgoff_t index)
{
	void *entry = xa_load(&mapping->i_pages, index);

	return !entry || xa_is_value(entry) ? NULL : entry;
}

/* A shorter or longer file would no longer be the one that was registered. */
static int lu_mem_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	if (attr->ia_valid & ATTR_SIZE)
		return -EPERM;
	return simple_setattr(idmap, dentry, attr);
}

static const struct inode_operations lu_mem_iops = {
	.getattr = simple_getattr,
	.setattr = lu_mem_setattr,
};

static ssize_t lu_mem_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	loff_t size = i_size_read(file_inode(iocb->ki_filp));

	if (!iov_iter_count(from))
		return 0;
	if (iocb->ki_flags & IOCB_APPEND || iocb->ki_pos >= size)
		return -ENOSPC;
	iov_iter_truncate(from, size - iocb->ki_pos);
	return generic_file_write_iter(iocb, from);
}

/*
 * No page_mkwrite, unlike generic_file_mmap(): every folio is dirty for good, and
 * a write notification would split the huge mapping of a 2 MiB folio.
 */
static const struct vm_operations_struct lu_mem_vm_ops = {
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
};

static int lu_mem_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	vma->vm_ops = &lu_mem_vm_ops;
	return 0;
}

static const struct file_operations lu_mem_fops = {
	.owner = THIS_MODULE,
	.llseek = generic_file_llseek,
	.read_iter = generic_file_read_iter,
	.write_iter = lu_mem_write_iter,
	.splice_read = filemap_splice_read,
	.mmap = lu_mem_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync = noop_fsync,
};

static void lu_mem_evict(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long index;
	void *entry;

	xa_for_each(&mapping->i_pages, index, entry) {
		if (!xa_is_value(entry))
			folio_put(entry);
		cond_resched();
	}
	truncate_inode_pages_final(mapping);
	clear_inode(inode);
}

static const struct super_operations lu_mem_sops = {
	.statfs = simple_statfs,
	.evict_inode = lu_mem_evict,
};

static int lu_mem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, LU_MEM_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &lu_mem_sops;
	return 0;
}

static struct file_system_type lu_mem_fs = {
	.owner = THIS_MODULE,
	.name = "liveupdate_lab_mem",
	.init_fs_context = lu_mem_init_fs_context,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *lu_mem_mnt;
static int lu_mem_pins;

/* An inode is evicted after its last file let the module go: the superblock holds it too. */
static struct inode *lu_mem_inode(struct super_block *sb, u64 bytes)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0600;
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	simple_inode_init_ts(inode);
	inode->i_op = &lu_mem_iops;
	inode->i_fop = &lu_mem_fops;
	inode->i_mapping->a_ops = &ram_aops;
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_unevictable(inode->i_mapping);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		mapping_set_large_folios(inode->i_mapping);
	i_size_write(inode, bytes);
	clear_nlink(inode);
	return inode;
}

/**
 * lu_mem_new - a memory file that has no pages yet
 * @bytes: its size
 *
 * The mount is pinned for the moment only; the file holds it from then on, so
 * that with the last file the superblock goes, and with it its hold on the module.
 */
struct file *lu_mem_new(u64 bytes)
{
	struct inode *inode;
	struct file *file;
	int err;

	if (bytes > LU_MEM_MAX)
		return ERR_PTR(-EFBIG);
	if (lu_fault())
		return ERR_PTR(-ENOMEM);
	err = simple_pin_fs(&lu_mem_fs, &lu_mem_mnt, &lu_mem_pins);
	if (err)
		return ERR_PTR(err);

	file = ERR_PTR(-ENOMEM);
	inode = lu_mem_inode(lu_mem_mnt->mnt_sb, bytes);
	if (!inode)
		goto out;
	__module_get(THIS_MODULE);	/* for f_op; a caller is in an open file of ours */
	file = alloc_file_pseudo(inode, lu_mem_mnt, lu_mem_fs.name, O_RDWR | O_LARGEFILE,
				 &lu_mem_fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		goto out;
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
out:
	simple_release_fs(&lu_mem_mnt, &lu_mem_pins);
	return file;
}

/**
 * lu_mem_attach - make @folio the file's pages from @index on
 *
 * Takes over the caller's reference, as the pin, if it succeeds and only then.
 */
int lu_mem_attach(struct file *file, u64 index, struct folio *folio)
{
	struct address_space *mapping = file->f_mapping;
	u64 pages = lu_mem_pages(file_inode(file));
	int err;

	if (index >= pages || folio_nr_pages(folio) > pages - index ||
	    index & (folio_nr_pages(folio) - 1))
		return -EINVAL;
	if (folio_test_large(folio) && !mapping_large_folio_support(mapping))
		return -EOPNOTSUPP;
	if (lu_fault())
		return -ENOMEM;
	err = filemap_add_folio(mapping, folio, index, GFP_KERNEL);
	if (err)
		return err;
	folio_mark_uptodate(folio);
	folio_mark_dirty(folio);	/* or drop_caches could take it */
	folio_unlock(folio);
	return 0;
}

/* Never movable: the next kernel's scratch memory lies under movable pages. */
static struct folio *lu_mem_alloc(u64 index, u64 left)
{
	static const unsigned int orders[] = { PMD_SHIFT - PAGE_SHIFT, 4, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		unsigned int order = orders[i];
		/* Rather ENOMEM than a process killed for a page of ours. */
		gfp_t gfp = GFP_HIGHUSER | __GFP_ZERO | __GFP_NOWARN |
			    (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
		struct folio *folio;

		if (order && (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) || left >> order == 0 ||
			      index & ((1UL << order) - 1)))
			continue;
		folio = folio_alloc(gfp, order);
		if (folio)
			return folio;
	}
	return NULL;
}

/**
 * lu_mem_fill - give a new file all its pages, zeroed
 */
int lu_mem_fill(struct file *file)
{
	u64 pages = lu_mem_pages(file_inode(file));
	u64 index = 0;

	if (pages > si_mem_available())
		return -ENOMEM;
	while (index < pages) {
		struct folio *folio;
		u64 count;
		int err;

		if (fatal_signal_pending(current))
			return -EINTR;
		folio = lu_mem_alloc(index, pages - index);
		if (!folio)
			return -ENOMEM;
		count = folio_nr_pages(folio);
		err = lu_mem_attach(file, index, folio);
		if (err) {
			folio_put(folio);
			return err;
		}
		index += count;
		cond_resched();
	}
	return 0;
}

bool lu_mem_is(const struct file *file)
{
	return file->f_op == &lu_mem_fops;
}

u64 lu_mem_size(const struct file *file)
{
	return i_size_read(file_inode(file));
}

bool lu_mem_same(const struct file *a, const struct file *b)
{
	return file_inode(a) == file_inode(b);
}

/* The folio that begins at @index, or NULL. It stays while the file does. */
struct folio *lu_mem_folio(const struct file *file, u64 index)
{
	struct folio *folio = lu_folio_at(file->f_mapping, index);

	return folio && folio->index == index ? folio : NULL;
}

u64 lu_folio_pfn(const struct folio *folio)
{
	return folio_pfn(folio);
}

unsigned int lu_folio_order(const struct folio *folio)
{
	return folio_order(folio);
}

void lu_folio_put(struct folio *folio)
{
	folio_put(folio);
}
