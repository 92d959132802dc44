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

static const char lu_subtree[] = "liveupdate-lab";

/* Ask first: with kho=off the other calls would follow a null pointer. */
bool lu_kho_enabled(void)
{
	return kho_is_enabled();
}

int lu_kho_preserve(struct folio *folio)
{
	return lu_fault() ? -ENOMEM : kho_preserve_folio(folio);
}

void lu_kho_unpreserve(struct folio *folio)
{
	kho_unpreserve_folio(folio);
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
	return lu_fault() ? -ENOMEM : kho_add_subtree(lu_subtree, blob, size);
}

void lu_kho_unpublish(void *blob)
{
	kho_remove_subtree(blob);
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
	err = kho_retrieve_subtree(lu_subtree, &phys, size);
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
	vunmap(mem);
}

/*
 * Preserves a block for the next kernel that this one may not have restored: in
 * pages, as there is no folio yet. Its order comes out the same, since the block
 * is aligned to it.
 */
int lu_kho_pass(u64 pfn, unsigned int order)
{
	if (pfn > PHYS_PFN(PHYS_ADDR_MAX) || !pfn_to_online_page(pfn) || pfn & ((1UL << order) - 1))
		return -ESTALE;
	return lu_fault() ? -ENOMEM : kho_preserve_pages(pfn_to_page(pfn), 1UL << order);
}

/*
 * The preserved block at @pfn as a folio of this kernel, the caller's now.
 * ESTALE unless it is still there and of exactly this order.
 */
struct folio *lu_kho_take(u64 pfn, unsigned int order)
{
	struct folio *folio;
	int found;

	if (pfn > PHYS_PFN(PHYS_ADDR_MAX))
		return ERR_PTR(-ESTALE);
	found = lu_kho_order_at(PFN_PHYS(pfn));
	if (found < 0 || found != order)
		return ERR_PTR(-ESTALE);
	folio = kho_restore_folio(PFN_PHYS(pfn));
	if (!folio)
		return ERR_PTR(-ESTALE);
	lu_folio_prep_large(folio);
	return folio;
}
