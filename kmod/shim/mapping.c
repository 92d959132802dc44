// SPDX-License-Identifier: GPL-2.0
/* How write(2) and the fault of a mapping come to the pages of a file. */

#include <linux/highmem.h>
#include <linux/mm.h>
#include "fs.h"

static int lu_write_begin(const struct kiocb *iocb, struct address_space *mapping, loff_t pos,
			  unsigned int len, struct folio **foliop, void **fsdata)
{
	u64 whole = offset_in_page(pos) ? 0 : len >> PAGE_SHIFT;
	struct folio *folio;
	size_t from, to;

	folio = lu_folio_get_locked(mapping->host, pos >> PAGE_SHIFT, max(whole, 1), 0);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (!folio_test_uptodate(folio)) {
		from = offset_in_folio(folio, pos);
		to = min(from + len, folio_size(folio));
		folio_zero_segments(folio, 0, from, to, folio_size(folio));
	}
	*foliop = folio;
	return 0;
}

/* As ram_aops has it, but that one moves the end of the file though nothing was copied. */
static int lu_write_end(const struct kiocb *iocb, struct address_space *mapping, loff_t pos,
			unsigned int len, unsigned int copied, struct folio *folio, void *fsdata)
{
	if (!folio_test_uptodate(folio))
		folio_zero_range(folio, offset_in_folio(folio, pos) + copied, len - copied);
	lu_folio_ready(folio);
	if (copied && pos + copied > i_size_read(mapping->host))
		i_size_write(mapping->host, pos + copied);
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}

/* Neither read(2) nor a fault comes here; what else reads page cache must fill no hole. */
static int lu_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	int err = -EIO;

	if (!LU_I(inode)->level && lu_pages_charge(inode, folio_nr_pages(folio))) {
		folio_zero_range(folio, 0, folio_size(folio));
		lu_folio_ready(folio);
		err = 0;
	}
	folio_unlock(folio);
	return err;
}

const struct address_space_operations lu_aops = {
	.read_folio = lu_read_folio,
	.write_begin = lu_write_begin,
	.write_end = lu_write_end,
	.dirty_folio = noop_dirty_folio,
};

/* finish_fault() maps a folio of 2 MiB by one entry where the mapping's place allows it. */
static vm_fault_t lu_vm_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio = ERR_PTR(-EFAULT);
	struct page *page;

	filemap_invalidate_lock_shared(mapping);
	if (vmf->pgoff < DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE))
		folio = lu_folio_get_locked(inode, vmf->pgoff, 1, __GFP_ZERO);
	filemap_invalidate_unlock_shared(mapping);
	/* ENOMEM too: VM_FAULT_OOM would try for ever what has failed already. */
	if (IS_ERR(folio))
		return VM_FAULT_SIGBUS;

	page = folio_file_page(folio, vmf->pgoff);
	if (PageHWPoison(page)) {
		folio_unlock(folio);
		folio_put(folio);
		return VM_FAULT_HWPOISON;
	}
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

/* No page_mkwrite: a write notification would split the huge mapping of a 2 MiB folio. */
const struct vm_operations_struct lu_vm_ops = {
	.fault = lu_vm_fault,
	.map_pages = filemap_map_pages,
};
