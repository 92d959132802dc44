// SPDX-License-Identifier: GPL-2.0
/* Kernel inlines and a notifier that Rust cannot reach by itself. */

#include <linux/capability.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include "shim.h"

/*
 * Fault injection: with N written here, the Nth fallible step from then on fails
 * once, with ENOMEM. Failure paths are what a live update must get right, and no
 * other means reaches all of them on a kernel without CONFIG_FAULT_INJECTION.
 */
static atomic_t lu_fail_step = ATOMIC_INIT(0);

static int lu_fail_set(const char *val, const struct kernel_param *kp)
{
	unsigned int n;
	int err = kstrtouint(val, 0, &n);

	if (err)
		return err;
	if (n > INT_MAX)
		return -ERANGE;
	atomic_set(&lu_fail_step, n);
	return 0;
}

static int lu_fail_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&lu_fail_step));
}

static const struct kernel_param_ops lu_fail_ops = {
	.set = lu_fail_set,
	.get = lu_fail_get,
};
module_param_cb(fail_step, &lu_fail_ops, NULL, 0600);
MODULE_PARM_DESC(fail_step, "make the Nth fallible step from now fail once (0: none)");

bool lu_fault(void)
{
	return atomic_dec_if_positive(&lu_fail_step) == 0;
}

bool lu_interrupted(void)
{
	return fatal_signal_pending(current);
}

bool lu_capable(void)
{
	return capable(CAP_SYS_ADMIN);
}

bool lu_module_get(void)
{
	return try_module_get(THIS_MODULE);
}

void lu_module_put(void)
{
	module_put(THIS_MODULE);
}

/*
 * The size-first convention. @ksize is both what this kernel knows and the first
 * published size, as there is one version of each structure so far.
 */
int lu_args_in(void *dst, size_t ksize, unsigned long arg)
{
	void __user *src = (void __user *)arg;
	u32 size;

	if (get_user(size, (u32 __user *)src))
		return -EFAULT;
	if (size < ksize)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(dst, ksize, src, size);
}

/* The caller's structure has at least @ksize bytes: lu_args_in() saw to it. */
int lu_args_out(unsigned long arg, const void *src, size_t ksize)
{
	return copy_to_user((void __user *)arg, src, ksize) ? -EFAULT : 0;
}

static int lu_reboot(struct notifier_block *nb, unsigned long event, void *cmd)
{
	if (event == SYS_RESTART)
		lu_on_restart();
	return NOTIFY_DONE;
}

static struct notifier_block lu_reboot_nb = { .notifier_call = lu_reboot };

int lu_reboot_register(void)
{
	return register_reboot_notifier(&lu_reboot_nb);
}

void lu_reboot_unregister(void)
{
	unregister_reboot_notifier(&lu_reboot_nb);
}
