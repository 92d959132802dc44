// SPDX-License-Identifier: GPL-2.0
/*
 * Event counters. The kernel exports no way to make one, and none to see its count but
 * by taking it: the first is left to the caller of FD_RESTORE, for the second there
 * is what /proc shows of it.
 */

#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "shim.h"

#ifdef CONFIG_EVENTFD

bool lu_eventfd_is(const struct file *file)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget((struct file *)file);

	if (IS_ERR(ctx))
		return false;
	eventfd_ctx_put(ctx);
	return true;
}

static void lu_eventfd_signal(struct file *file)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);

	if (IS_ERR(ctx))
		return;
	eventfd_signal(ctx);
	eventfd_ctx_put(ctx);
}

#else

bool lu_eventfd_is(const struct file *file)
{
	return false;
}

static void lu_eventfd_signal(struct file *file)
{
}

#endif

/*
 * EOPNOTSUPP on a kernel that shows nothing (CONFIG_PROC_FS is off) or shows it in
 * words that are not known here.
 */
int lu_eventfd_describe(struct file *file, struct lu_eventfd *eventfd)
{
	char text[128];
	struct seq_file seq = { .buf = text, .size = sizeof(text) - 1 };
	const char *count, *semaphore;
	int is_semaphore;

	if (!file->f_op->show_fdinfo)
		return -EOPNOTSUPP;
	file->f_op->show_fdinfo(&seq, file);
	if (seq_has_overflowed(&seq))
		return -EOPNOTSUPP;
	text[seq.count] = '\0';
	count = strstr(text, "eventfd-count:");
	semaphore = strstr(text, "eventfd-semaphore:");
	if (!count || !semaphore ||
	    sscanf(count, "eventfd-count: %llx", &eventfd->count) != 1 ||
	    sscanf(semaphore, "eventfd-semaphore: %d", &is_semaphore) != 1)
		return -EOPNOTSUPP;
	eventfd->flags = (is_semaphore ? EFD_SEMAPHORE : 0) |
			 (READ_ONCE(file->f_flags) & O_NONBLOCK);
	eventfd->reserved = 0;
	return 0;
}

static void lu_eventfd_set_nonblock(struct file *file, bool nonblock)
{
	spin_lock(&file->f_lock);
	if (nonblock)
		file->f_flags |= O_NONBLOCK;
	else
		file->f_flags &= ~O_NONBLOCK;
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

/* As write(2) does it, but for a file that must not block: EAGAIN if that is too much. */
static int lu_eventfd_add(struct file *file, u64 count, unsigned long scratch)
{
	u64 __user *buf = (u64 __user *)scratch;
	loff_t pos = 0;
	ssize_t done;

	if (put_user(count, buf))
		return -EFAULT;
	done = file->f_op->write(file, (const char __user *)buf, sizeof(count), &pos);
	return done < 0 ? done : done == sizeof(count) ? 0 : -EIO;
}

/**
 * lu_eventfd_adopt - let the caller's new eventfd take over what was described
 * @file: an eventfd, counter 0, semaphore or not as described (EINVAL)
 * @eventfd: what was described
 * @scratch: 8 writable bytes in the caller's memory, which are not kept
 *
 * Who waits in read(2) or poll(2) already is woken. Touches the caller's memory twice,
 * and may thus wait for whoever provides it: not to be called under a lock that others
 * need. A reader that comes while this runs may get EAGAIN, as the file is O_NONBLOCK for
 * the moment: counting must not wait for room that a second writer has taken.
 */
int lu_eventfd_adopt(struct file *file, const struct lu_eventfd *eventfd, unsigned long scratch)
{
	struct lu_eventfd now;
	int err;

	if (!lu_eventfd_is(file) || eventfd->flags & ~(EFD_SEMAPHORE | O_NONBLOCK))
		return -EINVAL;
	err = lu_eventfd_describe(file, &now);
	if (err)
		return err;
	if (now.count || (now.flags ^ eventfd->flags) & EFD_SEMAPHORE)
		return -EINVAL;
	if (lu_fault())
		return -ENOMEM;
	if (eventfd->count) {
		/* The last one, which means an overflow, is the kernel's: a process gets EINVAL. */
		bool overflown = eventfd->count == U64_MAX;

		lu_eventfd_set_nonblock(file, true);
		err = lu_eventfd_add(file, eventfd->count - overflown, scratch);
		if (!err && overflown)
			lu_eventfd_signal(file);
		if (err) {
			lu_eventfd_set_nonblock(file, now.flags & O_NONBLOCK);
			return err == -EAGAIN ? -EINVAL : err;
		}
	}
	lu_eventfd_set_nonblock(file, eventfd->flags & O_NONBLOCK);
	return 0;
}
