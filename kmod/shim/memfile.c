// SPDX-License-Identifier: GPL-2.0
/* Memory files: data files without a name, on a mount of the module's own. */

#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include "fs.h"

static int lu_mem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, LU_KEXECFS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &lu_super_ops;
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
static unsigned long lu_mem_kept;	/* bit 0 */

/**
 * lu_mem_new - a memory file that has no pages yet
 * @bytes: its size
 *
 * The first one pins the mount, so that all share it, until lu_mem_release(). Each file
 * holds it too, so that with the last one of them the superblock goes, and with it its
 * hold on the module. It needs that one: an inode is evicted after its last file let the
 * module go.
 */
struct file *lu_mem_new(u64 bytes)
{
	struct inode *inode;
	struct file *file;
	int err;

	if (bytes > LU_MAX_BYTES)
		return ERR_PTR(-EFBIG);
	if (lu_fault())
		return ERR_PTR(-ENOMEM);
	err = simple_pin_fs(&lu_mem_fs, &lu_mem_mnt, &lu_mem_pins);
	if (err)
		return ERR_PTR(err);
	lu_mem_mnt->mnt_sb->s_maxbytes = LU_MAX_BYTES;

	inode = lu_inode_new(lu_mem_mnt->mnt_sb, &nop_mnt_idmap, NULL, 0600);
	file = ERR_CAST(inode);
	if (IS_ERR(inode))
		goto out;
	i_size_write(inode, bytes);
	clear_nlink(inode);
	__module_get(THIS_MODULE);	/* for f_op; a caller is in an open file of ours */
	file = alloc_file_pseudo(inode, lu_mem_mnt, lu_mem_fs.name, O_RDWR | O_LARGEFILE,
				 &lu_file_fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		goto out;
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
out:
	if (test_and_set_bit(0, &lu_mem_kept))
		simple_release_fs(&lu_mem_mnt, &lu_mem_pins);
	return file;
}

/* Or a mount that nobody uses would hold the module for ever. */
void lu_mem_release(void)
{
	if (test_and_clear_bit(0, &lu_mem_kept))
		simple_release_fs(&lu_mem_mnt, &lu_mem_pins);
}

/**
 * lu_mem_fill - give a new file all its pages, zeroed
 * @flags: LIVEUPDATE_LAB_MEM_*
 */
int lu_mem_fill(struct file *file, u32 flags)
{
	struct inode *inode = file_inode(file);
	u64 bytes = i_size_read(inode);
	u64 pages = DIV_ROUND_UP_ULL(bytes, PAGE_SIZE);
	int err;

	switch (flags) {
	case 0:
		break;
	case LIVEUPDATE_LAB_MEM_SMALL:
		LU_I(inode)->orders = LU_ORDERS_SMALL;
		break;
	case LIVEUPDATE_LAB_MEM_HUGE:
		if (bytes & (PMD_SIZE - 1))
			return -EINVAL;
		LU_I(inode)->orders = LU_ORDERS_HUGE;
		break;
	default:
		return -EINVAL;
	}
	if (pages > si_mem_available())
		return -ENOMEM;
	inode_lock(inode);
	err = lu_pages_charge(inode, pages) ? lu_pages_fill(inode, 0, pages) : -ENOSPC;
	lu_pages_trim(inode);
	inode_unlock(inode);
	return err;
}
