/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernels, and every fact about a kernel's inside that
 * no header exports, stands here and nowhere else. Kbuild probes the headers and
 * defines LU_HAVE_*: a backport moves a function without moving the version.
 */
#ifndef LU_COMPAT_H
#define LU_COMPAT_H

#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/memory_hotplug.h>

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

#endif /* LU_COMPAT_H */
