// SPDX-License-Identifier: GPL-2.0
/* Kernel inlines that Rust cannot reach by itself, and the module's parameters. */

#include <linux/capability.h>
#include <linux/crc32.h>
#include <linux/fs.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "shim.h"

/*
 * Fault injection: with N written here, the Nth fallible step from then on fails
 * once, with ENOMEM. Failure paths are what a live update must get right, and no
 * other means reaches all of them on a kernel without CONFIG_FAULT_INJECTION.
 * With N,M the Mth after that fails too: some failures only lead to another way.
 */
static atomic_t lu_fail_step = ATOMIC_INIT(0);
static atomic_t lu_fail_next = ATOMIC_INIT(0);

static int lu_fail_set(const char *val, const struct kernel_param *kp)
{
	unsigned int step, next = 0;
	char text[32], *rest = text;
	int err;

	if (strscpy(text, val, sizeof(text)) < 0)
		return -EINVAL;
	err = kstrtouint(strsep(&rest, ","), 0, &step);
	if (!err && rest)
		err = kstrtouint(rest, 0, &next);
	if (err)
		return err;
	if (step > INT_MAX || next > INT_MAX)
		return -ERANGE;
	atomic_set(&lu_fail_next, next);
	atomic_set(&lu_fail_step, step);
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
MODULE_PARM_DESC(fail_step, "make the Nth fallible step from now fail once (0: none); N,M: and the Mth after it");

bool lu_fault(void)
{
	if (atomic_dec_if_positive(&lu_fail_step) != 0)
		return false;
	atomic_set(&lu_fail_step, atomic_xchg(&lu_fail_next, 0));
	return true;
}

#if IS_ENABLED(CONFIG_KUNIT)
unsigned int lu_fault_arm(unsigned int step)
{
	return atomic_xchg(&lu_fail_step, step);
}
#endif

/*
 * What the next kernel finds comes from another kernel, and may be wrong in any way: this
 * makes it so. The low four bits say what is wrong, see core/src/wire/damage.rs; the
 * others are a seed.
 */
static unsigned long long lu_damage_asked;
module_param_named(damage, lu_damage_asked, ullong, 0600);
MODULE_PARM_DESC(damage, "damage what the next kernel is left, to test it (0: not)");

u64 lu_damage(void)
{
	return READ_ONCE(lu_damage_asked);
}

/* Indexed by whether what nobody claimed is to be dropped. */
static const char *const lu_unclaimed_words[] = { "keep", "drop" };
static bool lu_unclaimed_drop;

static int lu_unclaimed_set(const char *val, const struct kernel_param *kp)
{
	int i = sysfs_match_string(lu_unclaimed_words, val);

	if (i < 0)
		return i;
	WRITE_ONCE(lu_unclaimed_drop, i);
	return 0;
}

static int lu_unclaimed_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", lu_unclaimed_words[READ_ONCE(lu_unclaimed_drop)]);
}

static const struct kernel_param_ops lu_unclaimed_ops = {
	.set = lu_unclaimed_set,
	.get = lu_unclaimed_get,
};
module_param_cb(unclaimed, &lu_unclaimed_ops, NULL, 0644);
MODULE_PARM_DESC(unclaimed, "what becomes of what nobody claimed at a kexec, and of another version at a load: keep (default) or drop");

bool lu_keep_unclaimed(void)
{
	return !READ_ONCE(lu_unclaimed_drop);
}

bool lu_interrupted(void)
{
	return fatal_signal_pending(current);
}

bool lu_capable(void)
{
	return capable(CAP_SYS_ADMIN);
}

bool lu_file_capable(const struct file *file)
{
	return file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
}

/*
 * For files whose write(2) acts on the caller's descriptors: a program with other
 * rights than the opener's must not be led to write there. Equal rights are enough,
 * as a child that inherited the file has credentials of its own.
 */
bool lu_same_creds(const struct file *file)
{
	const struct cred *opener = file->f_cred;
	const struct cred *caller = current_cred();

	if (opener == caller)
		return true;
	return uid_eq(opener->uid, caller->uid) && gid_eq(opener->gid, caller->gid) &&
	       uid_eq(opener->euid, caller->euid) && gid_eq(opener->egid, caller->egid) &&
	       cred_fscmp(opener, caller) == 0 && opener->user_ns == caller->user_ns &&
	       cap_issubset(opener->cap_effective, caller->cap_effective) &&
	       cap_issubset(caller->cap_effective, opener->cap_effective);
}

u32 lu_crc32c(u32 seed, const void *bytes, size_t len)
{
	return crc32c(seed, bytes, len);
}

u64 lu_file_identity(const struct file *file)
{
	return (unsigned long)file_inode(file);
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
 * The size-first convention: EINVAL below @min, what a shorter structure lacks is
 * zero, and what a longer one has beyond @ksize must be.
 */
int lu_args_in(void *dst, size_t min, size_t ksize, unsigned long arg)
{
	void __user *src = (void __user *)arg;
	u32 size;

	if (get_user(size, (u32 __user *)src))
		return -EFAULT;
	if (size < min)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(dst, ksize, src, size);
}

/* No more than the caller's structure holds: its size is asked again, not trusted. */
int lu_args_out(unsigned long arg, const void *src, size_t ksize)
{
	void __user *dst = (void __user *)arg;
	u32 size;

	if (get_user(size, (u32 __user *)dst))
		return -EFAULT;
	return copy_to_user(dst, src, min_t(size_t, size, ksize)) ? -EFAULT : 0;
}
