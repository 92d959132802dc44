// SPDX-License-Identifier: GPL-2.0
/*
 * Files of memfd_create(): which they are, and how they and their pages are kept as
 * and where they are. memfd_new.c makes them again.
 */

#include <linux/err.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include "compat.h"
#include "fs.h"
#include "memfd.h"

#define LU_MEMFD_BATCH	(PAGE_SIZE / sizeof(struct folio *))

/*
 * The kernel's own mount of shmem, where memfds are, and nothing that a process has
 * a name, a quota or a limit for. It is never unmounted: the address stays good.
 */
static struct super_block *lu_shmem_sb(void)
{
	static struct super_block *sb;

	if (!READ_ONCE(sb)) {
		struct file *file = shmem_file_setup("memfd:", 0, LU_SHMEM_NORESERVE);

		if (IS_ERR(file))
			return NULL;
		WRITE_ONCE(sb, file_inode(file)->i_sb);
		fput(file);
	}
	return READ_ONCE(sb);
}

/*
 * A shmem file, unlinked, on that mount, of the name that memfd_create() gives; the
 * in-tree handler restores them without one. What drivers and System V keep on the
 * same mount has other names or is private. Files of a tmpfs, O_TMPFILE too, belong
 * to a mount with a size and an owner, which would not come back: they are refused.
 * Hugetlb files are no shmem.
 */
bool lu_memfd_is(const struct file *file)
{
	const struct inode *inode = file_inode(file);
	const char *name = file->f_path.dentry->d_name.name;

	return IS_ENABLED(CONFIG_SHMEM) && shmem_mapping(file->f_mapping) &&
	       file->f_mapping->host == inode && S_ISREG(inode->i_mode) &&
	       !inode->i_nlink && !IS_PRIVATE(inode) &&
	       (!*name || strstarts(name, "memfd:")) && inode->i_sb == lu_shmem_sb();
}

/* As lu_inode_next(). */
static struct folio *lu_memfd_next(const struct file *file, u64 *index)
{
	unsigned long at = *index;
	pgoff_t pages = lu_memfd_pages(file);
	void *entry;

	if (at >= pages)
		return NULL;
	entry = xa_find(&file->f_mapping->i_pages, &at, pages - 1, XA_PRESENT);
	while (xa_is_value(entry))	/* swapped out: only in a file that is not prepared */
		entry = xa_find_after(&file->f_mapping->i_pages, &at, pages - 1, XA_PRESENT);
	if (!entry)
		return NULL;
	*index = ((struct folio *)entry)->index;
	return entry;
}

/* Gives back the pins of the folios before page @end. The pins kept them where they are. */
static void lu_memfd_unpin(struct file *file, pgoff_t end)
{
	u64 index = 0;
	struct folio *folio;

	while (index < end && (folio = lu_memfd_next(file, &index)) && index < end) {
		index = folio_next_index(folio);
		unpin_folio(folio);
		cond_resched();
	}
}

/*
 * Contents of its own for every page, and dirty: clean ones may be dropped, now or by
 * the next kernel, and a hole that fallocate() filled is not zeroed before it is used.
 */
static void lu_memfd_settle(struct folio *folio)
{
	folio_lock(folio);
	if (!folio_test_uptodate(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	}
	folio_mark_dirty(folio);
	folio_unlock(folio);
}

/*
 * No folio may reach beyond the last page, as a huge one at the end does: what is handed
 * over is the file's, no more. The last page comes first, so that none is made that does
 * when holes are filled.
 */
static int lu_memfd_trim(struct inode *inode, pgoff_t pages)
{
	struct folio *last;
	pgoff_t end;

	if (!pages)
		return 0;
	last = lu_fault() ? ERR_PTR(-ENOMEM) : shmem_read_folio(inode->i_mapping, pages - 1);
	if (IS_ERR(last))
		return PTR_ERR(last);
	end = folio_next_index(last);
	folio_put(last);
	if (end > pages)
		shmem_truncate_range(inode, (loff_t)pages << PAGE_SHIFT,
				     ((loff_t)end << PAGE_SHIFT) - 1);
	return 0;
}

/*
 * Pins what lies from page *@at on, as much as @folios has room for. This allocates
 * what is missing, reads back what is swapped out, and moves what lies under the
 * next kernel's scratch memory.
 */
static int lu_memfd_pin_batch(struct file *file, pgoff_t *at, struct folio **folios)
{
	pgoff_t offset;
	long got = lu_fault() ? -ENOMEM :
		   memfd_pin_folios(file, (loff_t)*at << PAGE_SHIFT,
				    i_size_read(file_inode(file)) - 1, folios,
				    LU_MEMFD_BATCH, &offset);

	if (got <= 0)
		return got ?: -EIO;
	for (long i = 0; i < got; i++) {
		/* What the last batch ended with is never cut, as it is pinned; once is enough. */
		if (folios[i]->index < *at) {
			unpin_folio(folios[i]);
			continue;
		}
		lu_memfd_settle(folios[i]);
		*at = folio_next_index(folios[i]);
	}
	/* Somebody else's reference has kept the last one from being split. */
	return *at > lu_memfd_pages(file) ? -EBUSY : 0;
}

/**
 * lu_memfd_prepare - fix a memfd's layout and keep its pages where they are
 *
 * From here to lu_memfd_cancel() its size and holes are fixed, EPERM, as by seals that
 * do not show. EBUSY if somebody else, the in-tree orchestrator, has fixed it.
 */
int lu_memfd_prepare(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct folio **folios;
	pgoff_t at = 0, pages;
	int err = 0;

	folios = lu_fault() ? NULL : kmalloc_array(LU_MEMFD_BATCH, sizeof(*folios), GFP_KERNEL);
	if (!folios)
		return -ENOMEM;

	inode_lock(inode);
	if (lu_shmem_is_frozen(inode)) {
		err = -EBUSY;
		goto out;
	}
	if (SHMEM_I(inode)->seals & ~LU_MEMFD_SEALS) {
		err = -EOPNOTSUPP;
		goto out;
	}
	pages = lu_memfd_pages(file);
	/* A sparse file of a size that cannot be filled: rather this than a process killed. */
	if (pages > inode->i_mapping->nrpages &&
	    pages - inode->i_mapping->nrpages > si_mem_available()) {
		err = -ENOMEM;
		goto out;
	}
	shmem_freeze(inode, true);
	err = lu_memfd_trim(inode, pages);
	while (at < pages && !err) {
		err = fatal_signal_pending(current) ? -EINTR :
		      lu_memfd_pin_batch(file, &at, folios);
		cond_resched();
	}
	if (err) {
		lu_memfd_unpin(file, at);
		shmem_freeze(inode, false);
	}
out:
	inode_unlock(inode);
	kfree(folios);
	return err;
}

/* Undoes lu_memfd_prepare(). What it filled stays filled. */
void lu_memfd_cancel(struct file *file)
{
	struct inode *inode = file_inode(file);

	inode_lock(inode);
	lu_memfd_unpin(file, lu_memfd_pages(file));
	shmem_freeze(inode, false);
	inode_unlock(inode);
}

/* Seals can be added and the position moved at any time: true of this moment. */
void lu_memfd_describe(const struct file *file, struct lu_memfd *memfd)
{
	struct inode *inode = file_inode(file);

	*memfd = (struct lu_memfd) {
		.size = i_size_read(inode),
		.pos = READ_ONCE(file->f_pos),
		.seals = READ_ONCE(SHMEM_I(inode)->seals),
		.flags = READ_ONCE(file->f_flags) & LU_MEMFD_FLAGS,
		.mode = inode->i_mode,
	};
}

u32 lu_memfd_places(const struct file *file, u64 *index, struct lu_place *places, u32 max)
{
	pgoff_t pages = lu_memfd_pages(file);

	return *index < pages ? lu_mapping_places(file->f_mapping, index, pages - 1, places, max) : 0;
}
