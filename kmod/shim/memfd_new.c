// SPDX-License-Identifier: GPL-2.0
/*
 * A memfd made again. Nothing that makes or fills one is exported, but its parts are:
 * the file is put together of them so that afterwards nothing tells it from another
 * memfd, to shmem least of all, whose figures must add up.
 */

#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include "compat.h"
#include "fs.h"
#include "memfd.h"

/**
 * lu_memfd_new - a memfd of this size that has no pages yet
 *
 * Its size is charged to the commit limit at once, as what charges page by page is not
 * exported; lu_memfd_complete() turns that into a memfd's accounting.
 */
struct file *lu_memfd_new(u64 size)
{
	struct file *file;

	if (size > MAX_LFS_FILESIZE)
		return ERR_PTR(-EFBIG);
	if (lu_fault())
		return ERR_PTR(-ENOMEM);
	file = shmem_file_setup("memfd:liveupdate_lab", size, LU_SHMEM_RESERVE);
	if (IS_ERR(file))
		return file;
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	file->f_flags |= O_LARGEFILE;
	/* Until it is complete: see lu_memfd_attach(). */
	mapping_set_unevictable(file->f_mapping);
	return file;
}

/*
 * The page cache takes @folio for one of a disk's; the rest of what makes it shmem's
 * is done afterwards. It sits on the unevictable list meanwhile, the one whose count
 * does not depend on which of the two it is.
 */
static int lu_memfd_add(struct file *file, u64 index, struct folio *folio)
{
	struct address_space *mapping = file->f_mapping;
	struct shmem_inode_info *info = SHMEM_I(mapping->host);
	long nr = folio_nr_pages(folio);
	int err = lu_fault() ? -ENOMEM : filemap_add_folio(mapping, folio, index, GFP_KERNEL);

	if (err)
		return err;
	folio_set_swapbacked(folio);
	lruvec_stat_mod_folio(folio, NR_SHMEM, nr);
	if (folio_test_pmd_mappable(folio)) {
		lruvec_stat_mod_folio(folio, NR_FILE_THPS, -nr);
		lruvec_stat_mod_folio(folio, NR_SHMEM_THPS, nr);
	}
	folio_mark_uptodate(folio);
	folio_mark_dirty(folio);
	folio_unlock(folio);

	spin_lock(&info->lock);
	info->alloced += nr;
	spin_unlock(&info->lock);
	inode_add_bytes(mapping->host, nr << PAGE_SHIFT);
	folio_put(folio);
	return 0;
}

int lu_memfd_attach(struct file *file, struct lu_run *run)
{
	u64 pages = lu_memfd_pages(file);
	u64 nr = 1ULL << run->order;

	if (run->page & (nr - 1))
		return -EINVAL;
	if (nr > 1 && !mapping_large_folio_support(file->f_mapping))
		return -EOPNOTSUPP;
	while (run->folios) {
		int err = -EINVAL;

		if (run->page < pages && nr <= pages - run->page)
			err = lu_memfd_add(file, run->page, pfn_folio(run->pfn));
		if (err)
			return err;
		lu_run_step(run);
	}
	return 0;
}

/* The pages become as evictable as a memfd's are. */
static void lu_memfd_release(struct address_space *mapping)
{
	struct folio_batch batch;
	pgoff_t index = 0;

	mapping_clear_unevictable(mapping);
	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &index, ULONG_MAX, &batch)) {
		check_move_unevictable_folios(&batch);
		folio_batch_release(&batch);
		cond_resched();
	}
}

/* The file is nobody's yet: its mode may be changed as only its opening does it. */
static void lu_memfd_open_as(struct file *file, u32 flags)
{
	u32 access = flags & O_ACCMODE;

	if (access == O_RDONLY) {
		file->f_mode &= ~(FMODE_WRITE | FMODE_CAN_WRITE);
		i_readcount_inc(file_inode(file));
	} else if (access == O_WRONLY) {
		file->f_mode &= ~(FMODE_READ | FMODE_CAN_READ);
	}
	file->f_flags = (file->f_flags & ~LU_MEMFD_FLAGS) | flags;
	file->f_iocb_flags = iocb_flags(file);
}

/*
 * A mode that was not told is that of a new memfd. A seal against changes of who may
 * execute it says which of the two that is, unless all others stand beside it, as they do
 * if it was put on something executable.
 */
static umode_t lu_memfd_mode(const struct lu_memfd *memfd)
{
	const u32 fixed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

	if (memfd->mode)
		return memfd->mode & 0777;
	return memfd->seals & F_SEAL_EXEC && (memfd->seals & fixed) != fixed ? 0666 : 0777;
}

/**
 * lu_memfd_complete - all pages are there: make it the file that was described
 *
 * EINVAL if the description cannot be one of this file. After an error nothing has
 * changed; after success doing it once more does nothing.
 */
int lu_memfd_complete(struct file *file, const struct lu_memfd *memfd)
{
	struct inode *inode = file_inode(file);
	struct shmem_inode_info *info = SHMEM_I(inode);
	int err = 0;

	if (memfd->size != i_size_read(inode) || memfd->pos > MAX_LFS_FILESIZE ||
	    memfd->seals & ~LU_MEMFD_SEALS || memfd->flags & ~LU_MEMFD_FLAGS ||
	    (memfd->flags & O_ACCMODE) == O_ACCMODE || (memfd->mode && !S_ISREG(memfd->mode)))
		return -EINVAL;
	if (!mapping_unevictable(file->f_mapping))
		return 0;

	inode_lock(inode);
	if (memfd->seals & F_SEAL_WRITE)
		err = mapping_deny_writable(file->f_mapping);
	if (!err) {
		lu_memfd_release(file->f_mapping);
		/* If every page is there, what was charged is what they will give back. */
		if (info->alloced == lu_memfd_pages(file))
			info->flags |= SHMEM_F_NORESERVE;
		inode->i_mode = S_IFREG | lu_memfd_mode(memfd);
		file->f_pos = memfd->pos;
		lu_memfd_open_as(file, memfd->flags);
		info->seals = memfd->seals;
	}
	inode_unlock(inode);
	return err;
}
