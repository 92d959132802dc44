// SPDX-License-Identifier: GPL-2.0
/* What can be done with an open data file. */

#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include "compat.h"
#include "fs.h"

/*
 * A hole is read as zeros and stays a hole: generic_file_read_iter() would put a
 * page there, which after PREPARE nobody would preserve.
 */
static ssize_t lu_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct address_space *mapping = inode->i_mapping;
	ssize_t done = 0;
	int err = 0;

	while (iov_iter_count(to)) {
		struct folio *folio = filemap_get_folio(mapping, iocb->ki_pos >> PAGE_SHIFT);
		loff_t left = i_size_read(inode) - iocb->ki_pos;
		size_t offset, want, got;

		if (!IS_ERR(folio) && !folio_test_uptodate(folio)) {
			/* A write is about to fill it, or it counts as a hole. */
			folio_lock(folio);
			folio_unlock(folio);
			if (!folio_test_uptodate(folio)) {
				folio_put(folio);
				folio = ERR_PTR(-ENOENT);
			}
		}
		if (left <= 0) {
			want = got = 0;
		} else if (IS_ERR(folio)) {
			want = min(left, PAGE_SIZE - offset_in_page(iocb->ki_pos));
			want = min(want, iov_iter_count(to));
			got = iov_iter_zero(want, to);
		} else if (folio_contain_hwpoisoned_page(folio)) {
			want = got = 0;
			err = -EIO;
		} else {
			offset = offset_in_folio(folio, iocb->ki_pos);
			want = min(left, folio_size(folio) - offset);
			want = min(want, iov_iter_count(to));
			got = copy_folio_to_iter(folio, offset, want, to);
		}
		if (!IS_ERR(folio))
			folio_put(folio);
		iocb->ki_pos += got;
		done += got;
		if (got < want)
			err = -EFAULT;
		if (!want || err)
			break;
		cond_resched();
	}
	file_accessed(iocb->ki_filp);
	return done ?: err;
}

static ssize_t lu_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	enum lu_fixed level;
	loff_t size;
	ssize_t ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto out;
	size = i_size_read(inode);
	level = LU_I(inode)->level;
	if (level) {
		ret = -EBUSY;
		if (level >= LU_FIXED_CONTENT || iocb->ki_pos >= size)
			goto out;
		iov_iter_truncate(from, size - iocb->ki_pos);
	}
	ret = file_remove_privs(file);
	if (!ret)
		ret = file_update_time(file);
	if (ret)
		goto out;

	if (iocb->ki_pos + iov_iter_count(from) > size)
		lu_pages_zero_tail(inode, size);
	ret = generic_perform_write(iocb, from);
	if (iov_iter_count(from))
		lu_pages_trim(inode);
out:
	inode_unlock(inode);
	return ret;
}

static loff_t lu_seek_data(struct inode *inode, loff_t pos, bool data)
{
	loff_t size = i_size_read(inode);

	if (pos < 0 || pos >= size)
		return -ENXIO;
	while (pos < size) {
		u64 index = pos >> PAGE_SHIFT;
		struct folio *folio = lu_inode_next(inode, &index);
		loff_t begin = folio ? index << PAGE_SHIFT : LLONG_MAX;

		if (data)
			return begin < size ? max(begin, pos) : -ENXIO;
		if (begin > pos)
			return pos;
		pos = begin + folio_size(folio);
	}
	return size;
}

static loff_t lu_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	inode_lock_shared(inode);
	offset = lu_seek_data(inode, offset, whence == SEEK_DATA);
	if (offset >= 0)
		offset = vfs_setpos(file, offset, inode->i_sb->s_maxbytes);
	inode_unlock_shared(inode);
	return offset;
}

static int lu_punch(struct inode *inode, loff_t offset, loff_t end)
{
	filemap_invalidate_lock(inode->i_mapping);
	truncate_pagecache_range(inode, offset, end - 1);
	lu_pages_settle(inode);
	filemap_invalidate_unlock(inode->i_mapping);
	return 0;
}

static int lu_allocate(struct inode *inode, loff_t offset, loff_t end)
{
	u64 first = offset >> PAGE_SHIFT, last = DIV_ROUND_UP_ULL(end, PAGE_SIZE);
	loff_t size = i_size_read(inode);
	int err;

	err = inode_newsize_ok(inode, max(end, size));
	if (err)
		return err;
	/* All at once, so that it is refused before there is something to undo. */
	if (!lu_pages_charge(inode, lu_pages_missing(inode, first, last)))
		return -ENOSPC;
	if (end > size)
		lu_pages_zero_tail(inode, size);
	err = lu_pages_fill(inode, first, last);
	if (!err && end > size)
		i_size_write(inode, end);
	/* Settles what was charged for pages that a fault has brought meanwhile, too. */
	lu_pages_trim(inode);
	return err;
}

static long lu_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	int err;

	if (mode && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	inode_lock(inode);
	err = LU_I(inode)->level ? -EBUSY : file_modified(file);
	if (!err)
		err = mode ? lu_punch(inode, offset, offset + len) :
			     lu_allocate(inode, offset, offset + len);
	inode_unlock(inode);
	return err;
}

static int lu_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* No new way to write once the contents are fixed; mprotect(2) opens none either. */
	if (vma->vm_flags & VM_SHARED &&
	    READ_ONCE(LU_I(file_inode(file))->level) >= LU_FIXED_CONTENT) {
		if (vma->vm_flags & VM_WRITE)
			return -EBUSY;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	file_accessed(file);
	vma->vm_ops = &lu_vm_ops;
	return 0;
}

const struct file_operations lu_file_fops = {
	.owner = THIS_MODULE,
	.llseek = lu_llseek,
	.read_iter = lu_read_iter,
	.write_iter = lu_write_iter,
	/* By copy: the page cache's own would fill holes. */
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = lu_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync = noop_fsync,
	.fallocate = lu_fallocate,
};

struct inode *lu_data_inode(const struct file *file)
{
	return file->f_op == &lu_file_fops ? file_inode(file) : NULL;
}
