// SPDX-License-Identifier: GPL-2.0
/* The device: arguments in and out. */

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "selftest.h"

union lu_selftest_args {
	u32 size;
	struct liveupdate_lab_selftest_register reg;
	struct liveupdate_lab_selftest_unregister unreg;
	struct liveupdate_lab_selftest_data data;
	struct liveupdate_lab_selftest_race race;
};

static bool lu_selftest_terminated(const u8 *name)
{
	return strnlen((const char *)name, LIVEUPDATE_LAB_SELFTEST_NAME_LEN) <
	       LIVEUPDATE_LAB_SELFTEST_NAME_LEN;
}

static size_t lu_selftest_size(unsigned int cmd)
{
	switch (cmd) {
	case LIVEUPDATE_LAB_SELFTEST_REGISTER:
		return sizeof(struct liveupdate_lab_selftest_register);
	case LIVEUPDATE_LAB_SELFTEST_UNREGISTER:
		return sizeof(struct liveupdate_lab_selftest_unregister);
	case LIVEUPDATE_LAB_SELFTEST_DATA:
		return sizeof(struct liveupdate_lab_selftest_data);
	case LIVEUPDATE_LAB_SELFTEST_RACE:
		return sizeof(struct liveupdate_lab_selftest_race);
	default:
		return 0;
	}
}

static int lu_selftest_do_register(const struct liveupdate_lab_selftest_register *reg)
{
	if (reg->reserved || !lu_selftest_terminated(reg->name))
		return -EINVAL;
	for (int i = 0; i < LIVEUPDATE_LAB_SELFTEST_DEPENDS; i++)
		if (!lu_selftest_terminated(reg->depends[i]))
			return -EINVAL;
	return lu_selftest_register(reg);
}

static int lu_selftest_do(unsigned int cmd, union lu_selftest_args *args)
{
	switch (cmd) {
	case LIVEUPDATE_LAB_SELFTEST_REGISTER:
		return lu_selftest_do_register(&args->reg);
	case LIVEUPDATE_LAB_SELFTEST_UNREGISTER:
		if (args->unreg.reserved || !lu_selftest_terminated(args->unreg.name))
			return -EINVAL;
		return lu_selftest_unregister((const char *)args->unreg.name);
	case LIVEUPDATE_LAB_SELFTEST_DATA:
		if (args->data.reserved || !lu_selftest_terminated(args->data.name))
			return -EINVAL;
		return lu_selftest_data((const char *)args->data.name, &args->data.data);
	case LIVEUPDATE_LAB_SELFTEST_RACE:
		return args->race.reserved ? -EINVAL : lu_selftest_race(&args->race);
	default:
		return -ENOTTY;
	}
}

static long lu_selftest_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	size_t ksize = lu_selftest_size(cmd);
	union lu_selftest_args args = {};
	u32 size;
	int err;

	if (!ksize)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < ksize)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&args, ksize, user, size);
	if (err)
		return err;
	err = lu_selftest_do(cmd, &args);
	if (err)
		return err;
	return copy_to_user(user, &args, ksize) ? -EFAULT : 0;
}

static int lu_selftest_open(struct inode *inode, struct file *file)
{
	return capable(CAP_SYS_ADMIN) ? 0 : -EACCES;
}

static ssize_t lu_selftest_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	return lu_selftest_read_log(buf, count);
}

static const struct file_operations lu_selftest_fops = {
	.owner = THIS_MODULE,
	.open = lu_selftest_open,
	.read = lu_selftest_read,
	.unlocked_ioctl = lu_selftest_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice lu_selftest_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "liveupdate_lab_selftest",
	.fops = &lu_selftest_fops,
	.mode = 0600,
};

static int __init lu_selftest_init(void)
{
	return misc_register(&lu_selftest_device);
}

static void __exit lu_selftest_exit(void)
{
	misc_deregister(&lu_selftest_device);
	lu_selftest_unregister_all();
}

module_init(lu_selftest_init);
module_exit(lu_selftest_exit);
MODULE_AUTHOR("The Liveupdate Lab developers");
MODULE_DESCRIPTION("Subsystems to test the live update orchestrator with");
MODULE_LICENSE("GPL");
