// SPDX-License-Identifier: GPL-2.0
/* Session files: anonymous, for a holder that has nothing but the descriptor. */

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/module.h>
#include "shim.h"

static u64 lu_session_number(const struct file *file)
{
	return (unsigned long)file->private_data;
}

static long lu_session_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return lu_on_ioctl(lu_session_number(file), false, file, cmd, arg);
}

static int lu_session_release(struct inode *inode, struct file *file)
{
	lu_on_session_close(lu_session_number(file));
	return 0;
}

static const struct file_operations lu_session_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = lu_session_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = lu_session_release,
	.llseek = noop_llseek,
};

/**
 * lu_session_file - an open session file
 * @session: which session; its close is told once the file goes, not if this fails
 */
struct file *lu_session_file(u64 session)
{
	/* The number itself is what the file keeps: there is nothing to free. */
	BUILD_BUG_ON(sizeof(void *) < sizeof(session));
	if (lu_fault())
		return ERR_PTR(-ENOMEM);
	return anon_inode_getfile("[liveupdate_lab_session]", &lu_session_fops,
				  (void *)(unsigned long)session, O_RDWR);
}

u64 lu_session_of(const struct file *file)
{
	return file->f_op == &lu_session_fops ? lu_session_number(file) : 0;
}
