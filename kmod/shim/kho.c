// SPDX-License-Identifier: GPL-2.0
/* Kexec HandOver, one call each: inlines and per-kernel signatures stay on this side. */

#include <linux/io.h>
#include <linux/kexec_handover.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "compat.h"
#include "shim.h"

static const char lu_subtree_name[] = "liveupdate-lab";

/* What the published blob goes by: there is one at a time. */
static void *lu_published;

/* Ask first: with kho=off the other calls would follow a null pointer. */
bool lu_kho_enabled(void)
{
	return kho_is_enabled();
}

bool lu_kho_preserves_late(void)
{
	return LU_KHO_PRESERVES_LATE;
}

/* The next block of a run, in folios: of large ones each is a block, as it must be restored as one. */
static u32 lu_block(const struct lu_run *run, u32 at)
{
	unsigned long first = run->pfn + at;
	unsigned int order;

	if (run->order || run->folios - at == 1)
		return 1;
	order = __ffs(first | MAX_ORDER_NR_PAGES);
	order = min(order, (unsigned int)ilog2(run->folios - at));
	/* KHO splits what lies in two nodes, and would not find all of it again. */
	while (order && pfn_to_nid(first) != pfn_to_nid(first + (1UL << order) - 1))
		order--;
	return 1U << order;
}

static struct folio *lu_run_folio(const struct lu_run *run, u32 at)
{
	return pfn_folio(run->pfn + ((unsigned long)at << run->order));
}

/* The blocks of the first so many folios. */
static void lu_unpreserve(const struct lu_run *run, u32 folios)
{
	u32 block;

	for (u32 at = 0; at < folios; at += block) {
		block = lu_block(run, at);
		if (block == 1)
			kho_unpreserve_folio(lu_run_folio(run, at));
		else
			kho_unpreserve_pages(pfn_to_page(run->pfn + at), block);
		cond_resched();
	}
}

int lu_kho_preserve(const struct lu_run *run)
{
	u32 block;
	int err;

	for (u32 at = 0; at < run->folios; at += block) {
		block = lu_block(run, at);
		if (lu_fault())
			err = -ENOMEM;
		else if (block == 1)
			err = kho_preserve_folio(lu_run_folio(run, at));
		else
			err = kho_preserve_pages(pfn_to_page(run->pfn + at), block);
		if (err) {
			lu_unpreserve(run, at);
			return err;
		}
		cond_resched();
	}
	for (u32 at = 0; at < run->folios; at++)
		folio_get(lu_run_folio(run, at));
	return 0;
}

void lu_kho_unpreserve(const struct lu_run *run)
{
	lu_unpreserve(run, run->folios);
	lu_run_put(run);
}

void lu_run_put(const struct lu_run *run)
{
	for (u32 at = 0; at < run->folios; at++)
		folio_put(lu_run_folio(run, at));
}

void *lu_kho_alloc(size_t size)
{
	return lu_fault() ? ERR_PTR(-ENOMEM) : kho_alloc_preserve(size);
}

void lu_kho_free(void *mem)
{
	kho_unpreserve_free(mem);
}

int lu_kho_publish(void *blob, size_t size)
{
	void *subtree = lu_fault() ? ERR_PTR(-ENOMEM) : lu_subtree_add(lu_subtree_name, blob, size);

	if (IS_ERR(subtree))
		return PTR_ERR(subtree);
	lu_published = subtree;
	return 0;
}

void lu_kho_unpublish(void)
{
	lu_subtree_remove(lu_published);
}

/*
 * The blob that the previous kernel published. It must still be a preserved
 * block, which after a FINISH and a reload of the module it is not, and lie
 * wholly in it: its address and size are another kernel's word.
 */
int lu_kho_find(void **blob, size_t *size)
{
	phys_addr_t phys;
	int err, order;

	if (!is_kho_boot())
		return -ENOENT;
	err = lu_subtree_find(lu_subtree_name, &phys, size);
	if (err)
		return err;
	order = lu_kho_order_at(phys);
	if (order < 0)
		return -ESTALE;
	if (!PAGE_ALIGNED(phys) || *size > PAGE_SIZE << order)
		return -EINVAL;
	*blob = phys_to_virt(phys);
	return 0;
}

/* Gives the memory of a blob that lu_kho_find() found back to the system. */
void lu_kho_release_found(void *blob)
{
	kho_restore_free(blob);
	lu_subtree_release(lu_subtree_name);
}

u64 lu_virt_pfn(const void *mem)
{
	return PHYS_PFN(virt_to_phys((void *)mem));
}

/* Whether a block of exactly this order waits to be restored at @pfn. */
bool lu_kho_is_there(u64 pfn, unsigned int order)
{
	return pfn <= PHYS_PFN(PHYS_ADDR_MAX) && lu_kho_order_at(PFN_PHYS(pfn)) == (int)order;
}

/* One contiguous view of blocks that lie anywhere; all must exist. */
void *lu_map_pieces(const u64 *pfns, const u32 *orders, size_t count)
{
	struct page **pages;
	size_t total = 0, at = 0;
	void *mem;

	/* Most often it is one, which the kernel sees anyway. */
	if (count == 1)
		return page_address(pfn_to_page(pfns[0]));
	for (size_t i = 0; i < count; i++)
		total += 1UL << orders[i];
	pages = kvmalloc_array(total, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;
	for (size_t i = 0; i < count; i++)
		for (size_t page = 0; page < 1UL << orders[i]; page++)
			pages[at++] = pfn_to_page(pfns[i] + page);
	mem = vmap(pages, total, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return mem;
}

void lu_unmap_pieces(void *mem)
{
	if (is_vmalloc_addr(mem))
		vunmap(mem);
}

/* How many pages the block at @pfn has that waits to be restored, if it is within so many. */
static int lu_waiting_pages(u64 pfn, u32 pages)
{
	int order = lu_kho_order_at(PFN_PHYS(pfn));

	return order < 0 || pages >> order == 0 ? -ESTALE : 1 << order;
}

/*
 * As pages, since what was not restored is no folio yet. Blocks come out as they were,
 * being aligned to their size; pages that are restored already, each by itself.
 */
int lu_kho_pass(u64 pfn, u32 order, u32 folios)
{
	int pages, err;

	if (pfn > PHYS_PFN(PHYS_ADDR_MAX) || !pfn_to_online_page(pfn) || pfn & ((1UL << order) - 1))
		return -ESTALE;
	pages = order ? 1 << order : max(lu_waiting_pages(pfn, folios), 1);
	err = lu_fault() ? -ENOMEM : kho_preserve_pages(pfn_to_page(pfn), pages);
	return err ?: pages >> order;
}

int lu_kho_take(u64 pfn, u32 order, u32 folios)
{
	struct folio *folio;
	int pages;

	if (pfn > PHYS_PFN(PHYS_ADDR_MAX))
		return -ESTALE;
	if (!order) {
		pages = lu_waiting_pages(pfn, folios);
		return pages > 0 && !kho_restore_pages(PFN_PHYS(pfn), pages) ? -ESTALE : pages;
	}
	if (lu_kho_order_at(PFN_PHYS(pfn)) != (int)order)
		return -ESTALE;
	folio = kho_restore_folio(PFN_PHYS(pfn));
	if (!folio)
		return -ESTALE;
	lu_folio_prep_large(folio);
	return 1;
}
