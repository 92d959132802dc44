// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of a file: they are page cache and nothing else, zeroed when they
 * come, always dirty, so that nothing drops them, and never movable: the next
 * kernel's scratch memory lies under movable pages. There is no migrate_folio for
 * the same reason: a page would move to a movable block, and without it the
 * kernel refuses as the page is dirty. For that too khugepaged leaves them alone.
 *
 * A page that is absent is a hole, and only write(2), a fault and fallocate(2)
 * fill one: what was a hole when the layout was fixed stays one.
 *
 * Pages are charged to the instance when they come. When some have gone, by
 * truncation, by the split of a folio that drops what lies beyond the end, or by a
 * memory failure, the charge is settled with what is there: a_ops->free_folio is
 * not told of all of these, nor to which file the folio belonged.
 */

#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "fs.h"

bool lu_pages_charge(struct inode *inode, long pages)
{
	struct lu_instance *instance = lu_instance_of(inode->i_sb);

	if (instance) {
		long used = atomic_long_read(&instance->pages);

		do {
			if (pages > atomic_long_read(&instance->max_pages) - used)
				return false;
		} while (!atomic_long_try_cmpxchg(&instance->pages, &used, used + pages));
	}
	atomic_long_add(pages, &LU_I(inode)->charged);
	return true;
}

static void lu_pages_uncharge(struct inode *inode, long pages)
{
	struct lu_instance *instance = lu_instance_of(inode->i_sb);

	atomic_long_sub(pages, &LU_I(inode)->charged);
	if (instance)
		atomic_long_sub(pages, &instance->pages);
}

/* With i_rwsem and invalidate_lock held, as no page may be on its way in. */
void lu_pages_settle(struct inode *inode)
{
	lu_pages_uncharge(inode, atomic_long_read(&LU_I(inode)->charged) -
				 (long)inode->i_mapping->nrpages);
}

/* The largest folio that fits at @index and in @left pages. */
static struct folio *lu_folio_new(enum lu_orders which, u64 index, u64 left, gfp_t flags)
{
	static const unsigned int orders[] = { PMD_SHIFT - PAGE_SHIFT, 4, 0 };

	if (lu_fault())
		return NULL;
	for (size_t i = which == LU_ORDERS_SMALL ? 2 : 0; i < ARRAY_SIZE(orders); i++) {
		unsigned int order = orders[i];
		/* Rather ENOMEM than a process killed for a page of ours. */
		gfp_t gfp = GFP_HIGHUSER | __GFP_NOWARN | flags |
			    (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
		struct folio *folio;

		if (which == LU_ORDERS_HUGE) {
			if (i)
				break;
			gfp = (gfp & ~__GFP_NORETRY) | __GFP_RETRY_MAYFAIL;
		}
		if (order && (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) || left >> order == 0 ||
			      index & ((1UL << order) - 1)))
			continue;
		folio = folio_alloc(gfp, order);
		if (folio)
			return folio;
	}
	return NULL;
}

void lu_folio_ready(struct folio *folio)
{
	folio_mark_uptodate(folio);
	folio_mark_dirty(folio);
}

/*
 * read_folio() failed on it once, as it was a hole in a fixed layout: it still is
 * one. NULL means that the folio, locked, is as good as any.
 */
static struct folio *lu_folio_revive(struct inode *inode, struct folio *folio)
{
	if (likely(folio_test_uptodate(folio)))
		return folio;
	if (LU_I(inode)->level) {
		folio_unlock(folio);
		folio_put(folio);
		return ERR_PTR(-EBUSY);
	}
	folio_zero_range(folio, 0, folio_size(folio));
	lu_folio_ready(folio);
	return folio;
}

/*
 * The folio at @index, locked; a new one of up to @left pages if there is none,
 * uptodate only if @flags ask for zeros.
 */
struct folio *lu_folio_get_locked(struct inode *inode, u64 index, u64 left, gfp_t flags)
{
	enum lu_orders orders = LU_I(inode)->orders;

	for (;;) {
		struct folio *folio = filemap_lock_folio(inode->i_mapping, index);
		int err;

		if (!IS_ERR(folio))
			return lu_folio_revive(inode, folio);
		if (LU_I(inode)->level)
			return ERR_PTR(-EBUSY);
		if (left == 1 && orders == LU_ORDERS_HUGE)
			orders = LU_ORDERS_SMALL;
		folio = lu_folio_new(orders, index, left, flags);
		if (!folio)
			return ERR_PTR(-ENOMEM);

		err = -ENOSPC;
		if (lu_pages_charge(inode, folio_nr_pages(folio))) {
			err = filemap_add_folio(inode->i_mapping, folio, index, GFP_KERNEL);
			if (!err) {
				if (flags & __GFP_ZERO)
					lu_folio_ready(folio);
				return folio;
			}
			lu_pages_uncharge(inode, folio_nr_pages(folio));
		}
		folio_put(folio);
		/* A large one does not fit between others, or not into the limit: a small one may. */
		if (left > 1)
			left = 1;
		else if (err != -EEXIST)
			return ERR_PTR(err);
	}
}

/**
 * lu_mapping_places - the folios from page *@index to page @last
 *
 * Without references: they stay while the layout is fixed.
 */
u32 lu_mapping_places(struct address_space *mapping, u64 *index, u64 last,
		      struct lu_place *places, u32 max)
{
	XA_STATE(xas, &mapping->i_pages, *index);
	struct folio *folio;
	u32 count = 0;

	rcu_read_lock();
	xas_for_each(&xas, folio, last) {
		if (xas_retry(&xas, folio) || xa_is_value(folio) || !folio_test_uptodate(folio))
			continue;
		places[count++] = (struct lu_place) {
			.page = folio->index,
			.pfn = folio_pfn(folio),
			.order = folio_order(folio),
		};
		*index = folio_next_index(folio);
		if (count == max)
			break;
	}
	rcu_read_unlock();
	return count;
}

u32 lu_inode_places(const struct inode *inode, u64 *index, struct lu_place *places, u32 max)
{
	return lu_mapping_places(inode->i_mapping, index, ULONG_MAX, places, max);
}

/* The first folio at page *@index or later, *@index set to where it begins. Without a reference. */
struct folio *lu_inode_next(const struct inode *inode, u64 *index)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long at = *index;
	void *entry;

	entry = xa_find(&mapping->i_pages, &at, ULONG_MAX, XA_PRESENT);
	while (entry && (xa_is_value(entry) || !folio_test_uptodate(entry)))
		entry = xa_find_after(&mapping->i_pages, &at, ULONG_MAX, XA_PRESENT);
	if (entry)
		*index = ((struct folio *)entry)->index;
	return entry;
}

/* How many pages of the range are holes. With i_rwsem held. */
u64 lu_pages_missing(struct inode *inode, u64 index, u64 end)
{
	u64 missing = 0;

	while (index < end) {
		u64 next = index;
		struct folio *folio = lu_inode_next(inode, &next);

		if (!folio || next >= end)
			return missing + end - index;
		if (next > index)
			missing += next - index;
		index = next + folio_nr_pages(folio);
	}
	return missing;
}

/* Fills the holes of the range, for which the pages are charged already. With i_rwsem held. */
int lu_pages_fill(struct inode *inode, u64 index, u64 end)
{
	enum lu_orders orders = LU_I(inode)->orders;

	while (index < end) {
		u64 next = index;
		struct folio *folio = lu_inode_next(inode, &next);
		int err;

		if (folio && next <= index) {
			index = next + folio_nr_pages(folio);
			continue;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		folio = lu_folio_new(orders, index, (folio ? min(next, end) : end) - index,
				     __GFP_ZERO);
		if (!folio)
			return -ENOMEM;
		err = filemap_add_folio(inode->i_mapping, folio, index, GFP_KERNEL);
		if (!err) {
			lu_folio_ready(folio);
			folio_unlock(folio);
			index += folio_nr_pages(folio);
		}
		folio_put(folio);
		if (err == -EEXIST) {
			/* A fault was faster, or left a page that revives when it is asked for. */
			folio = lu_folio_get_locked(inode, index, 1, __GFP_ZERO);
			if (IS_ERR(folio))
				return PTR_ERR(folio);
			folio_unlock(folio);
			folio_put(folio);
		} else if (err) {
			return err;
		}
		cond_resched();
	}
	return 0;
}

/**
 * lu_inode_attach - make folios the file's pages from @run->page on
 *
 * Takes over a reference of each that it has come to, and leaves the others in @run.
 * The limit is not asked: what an instance held in the previous kernel it may hold in
 * this one.
 */
int lu_inode_attach(struct inode *inode, struct lu_run *run)
{
	struct address_space *mapping = inode->i_mapping;
	struct lu_instance *instance = lu_instance_of(inode->i_sb);
	u64 end = DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE);
	u64 first = run->page;
	int err = 0;

	if (run->page & ((1UL << run->order) - 1))
		return -EINVAL;
	if (run->order && !mapping_large_folio_support(mapping))
		return -EOPNOTSUPP;
	while (run->folios) {
		struct folio *folio = pfn_folio(run->pfn);

		if (run->page >= end)
			err = -EINVAL;
		else
			err = lu_fault() ? -ENOMEM :
			      filemap_add_folio(mapping, folio, run->page, GFP_KERNEL);
		if (err)
			break;
		lu_folio_ready(folio);
		folio_unlock(folio);
		folio_put(folio);
		lu_run_step(run);
	}
	atomic_long_add(run->page - first, &LU_I(inode)->charged);
	if (instance)
		atomic_long_add(run->page - first, &instance->pages);
	return err;
}

/* What a mapping wrote beyond the end must not appear when the file grows. */
void lu_pages_zero_tail(struct inode *inode, loff_t size)
{
	struct folio *folio;

	if (!offset_in_page(size))
		return;
	folio = filemap_lock_folio(inode->i_mapping, size >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return;
	folio_zero_range(folio, offset_in_folio(folio, size), PAGE_SIZE - offset_in_page(size));
	folio_unlock(folio);
	folio_put(folio);
}

/* What came beyond the end for a write or an fallocate that failed. With i_rwsem held. */
void lu_pages_trim(struct inode *inode)
{
	filemap_invalidate_lock(inode->i_mapping);
	truncate_pagecache(inode, i_size_read(inode));
	lu_pages_settle(inode);
	filemap_invalidate_unlock(inode->i_mapping);
}
