// SPDX-License-Identifier: GPL-2.0
/* The machine's state for who looks on: sysfs, debugfs, poll and a tracepoint. */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include "observe.h"
#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static DECLARE_WAIT_QUEUE_HEAD(lu_state_wq);
static atomic64_t lu_state_changes = ATOMIC64_INIT(0);
static atomic_t lu_state_seen;
static struct kobject *lu_kobj;
static struct dentry *lu_debug_dir;

const char *lu_state_word(u32 state)
{
	static const char *const words[] = {
		[LIVEUPDATE_LAB_NORMAL] = "normal",
		[LIVEUPDATE_LAB_PREPARED] = "prepared",
		[LIVEUPDATE_LAB_FROZEN] = "frozen",
		[LIVEUPDATE_LAB_UPDATED] = "updated",
	};

	return state < ARRAY_SIZE(words) ? words[state] : "unknown";
}

void lu_state_wait(struct file *file, struct poll_table_struct *wait)
{
	poll_wait(file, &lu_state_wq, wait);
}

u64 lu_state_seq(void)
{
	return atomic64_read(&lu_state_changes);
}

/* Read only on purpose: sysfs is no place to drive the machine from. */
static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", lu_state_word(lu_on_state()));
}

static struct kobj_attribute lu_state_attr = __ATTR_RO(state);

static int lu_machine_show(struct seq_file *seq, void *unused)
{
	lu_on_debug(seq);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(lu_machine);

void lu_seq_line(struct seq_file *seq, const char *text, size_t len)
{
	seq_write(seq, text, len);
	seq_putc(seq, '\n');
}

int lu_observe_register(void)
{
	int err;

	atomic_set(&lu_state_seen, lu_on_state());
	lu_kobj = lu_fault() ? NULL : kobject_create_and_add("liveupdate_lab", kernel_kobj);
	if (!lu_kobj)
		return -ENOMEM;
	err = sysfs_create_file(lu_kobj, &lu_state_attr.attr);
	if (err) {
		kobject_put(lu_kobj);
		lu_kobj = NULL;
		return err;
	}
	/* An aid, not a service: without it everything works. */
	lu_debug_dir = debugfs_create_dir("liveupdate_lab", NULL);
	debugfs_create_file("machine", 0400, lu_debug_dir, NULL, &lu_machine_fops);
	return 0;
}

/* Both wait for who is reading. Nobody may be in lu_observe_notify(). */
void lu_observe_unregister(void)
{
	debugfs_remove(lu_debug_dir);
	sysfs_remove_file(lu_kobj, &lu_state_attr.attr);
	kobject_put(lu_kobj);
	lu_kobj = NULL;
}

/* This and the next line are for who asks for them: one that goes to no console costs time as well. */
void lu_observe_prepared(u64 generation, u64 participants, size_t bytes)
{
	pr_debug("liveupdate_lab: generation %llu: %llu participants prepared, described in %zu bytes\n",
		 generation, participants, bytes);
}

/* Before the registration and after its end there is nobody to tell. */
void lu_observe_notify(void)
{
	u32 now = lu_on_state();
	u32 old = atomic_xchg(&lu_state_seen, now);

	trace_state(lu_state_word(old), lu_state_word(now));
	pr_debug("liveupdate_lab: %s -> %s\n", lu_state_word(old), lu_state_word(now));
	/* The state is there before the number, so that who sees the number sees it. */
	smp_mb__before_atomic();
	atomic64_inc(&lu_state_changes);
	wake_up_interruptible_all(&lu_state_wq);
	if (lu_kobj)
		sysfs_notify(lu_kobj, NULL, "state");
}
