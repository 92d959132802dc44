// SPDX-License-Identifier: GPL-2.0
/* Subsystems made on request, and the log of what the orchestrator calls. */

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "../include/liveupdate_lab.h"
#include "selftest.h"

struct lu_selftest_subsystem {
	struct list_head link;
	struct liveupdate_lab_subsystem subsystem;
	const char *depends_on[LIVEUPDATE_LAB_SELFTEST_DEPENDS + 1];
	struct liveupdate_lab_selftest_register args;	/* its names are in here */
};

static LIST_HEAD(lu_subsystems);
/* Taken before the orchestrator's lock: no callback may take it. */
static DEFINE_MUTEX(lu_subsystems_lock);

static char lu_log[16384];
static size_t lu_log_len;
static bool lu_log_lost;
/* Taken in the callbacks. */
static DEFINE_MUTEX(lu_log_lock);

static void lu_log_call(const char *what, const char *name, bool unexpected)
{
	static const char lost[] = "lost\n";
	size_t room, len;

	mutex_lock(&lu_log_lock);
	room = sizeof(lu_log) - sizeof(lost) - lu_log_len;
	if (lu_log_lost)
		goto out;
	len = snprintf(lu_log + lu_log_len, room, "%s %s%s\n", what, name,
		       unexpected ? " ?" : "");
	if (len >= room) {
		lu_log_lost = true;
		len = strscpy(lu_log + lu_log_len, lost, sizeof(lost));
	}
	lu_log_len += len;
out:
	mutex_unlock(&lu_log_lock);
}

/* As many whole lines as @count has room for; EINVAL if not even one. */
ssize_t lu_selftest_read_log(char __user *buf, size_t count)
{
	char *text = kmalloc(sizeof(lu_log), GFP_KERNEL);
	size_t len;

	if (!text)
		return -ENOMEM;
	mutex_lock(&lu_log_lock);
	len = min(count, lu_log_len);
	while (len && lu_log[len - 1] != '\n')
		len--;
	if (!len && lu_log_len && count) {
		mutex_unlock(&lu_log_lock);
		kfree(text);
		return -EINVAL;
	}
	memcpy(text, lu_log, len);
	lu_log_len -= len;
	memmove(lu_log, lu_log + len, lu_log_len);
	if (!lu_log_len)
		lu_log_lost = false;
	mutex_unlock(&lu_log_lock);

	if (copy_to_user(buf, text, len))
		len = -EFAULT;
	kfree(text);
	return len;
}

static u64 lu_fnv1a(const char *name)
{
	u64 hash = 0xcbf29ce484222325ULL;

	while (*name)
		hash = (hash ^ (u8)*name++) * 0x100000001b3ULL;
	return hash;
}

static const char *lu_name(const struct lu_selftest_subsystem *self)
{
	return self->subsystem.name;
}

static int lu_fail(const struct lu_selftest_subsystem *self, u32 where)
{
	return self->args.fail == where ? -(int)self->args.error : 0;
}

static int lu_prepare(void *arg, u64 *data)
{
	struct lu_selftest_subsystem *self = arg;

	lu_log_call("prepare", lu_name(self), false);
	*data = lu_fnv1a(lu_name(self));
	return lu_fail(self, LIVEUPDATE_LAB_SELFTEST_FAIL_PREPARE);
}

static int lu_freeze(void *arg, u64 *data)
{
	struct lu_selftest_subsystem *self = arg;
	int err = lu_fail(self, LIVEUPDATE_LAB_SELFTEST_FAIL_FREEZE);

	lu_log_call("freeze", lu_name(self), *data != lu_fnv1a(lu_name(self)));
	if (!err)
		(*data)++;
	return err;
}

static void lu_cancel(void *arg, u64 data)
{
	struct lu_selftest_subsystem *self = arg;
	u64 hash = lu_fnv1a(lu_name(self));

	lu_log_call("cancel", lu_name(self), data != hash && data != hash + 1);
}

static void lu_finish(void *arg, u64 data)
{
	struct lu_selftest_subsystem *self = arg;

	lu_log_call("finish", lu_name(self), data != lu_fnv1a(lu_name(self)) + 1);
}

static const struct liveupdate_lab_subsystem_ops lu_ops = {
	.prepare = lu_prepare,
	.freeze = lu_freeze,
	.cancel = lu_cancel,
	.finish = lu_finish,
	.owner = THIS_MODULE,
};

static struct lu_selftest_subsystem *lu_find(const char *name)
{
	struct lu_selftest_subsystem *self;

	list_for_each_entry(self, &lu_subsystems, link)
		if (!strcmp(lu_name(self), name))
			return self;
	return NULL;
}

int lu_selftest_register(const struct liveupdate_lab_selftest_register *args)
{
	struct lu_selftest_subsystem *self;
	size_t count = 0;
	int err;

	if (args->fail > LIVEUPDATE_LAB_SELFTEST_FAIL_FREEZE || args->error > MAX_ERRNO ||
	    !args->fail != !args->error)
		return -EINVAL;
	self = kzalloc(sizeof(*self), GFP_KERNEL);
	if (!self)
		return -ENOMEM;
	self->args = *args;
	for (int i = 0; i < LIVEUPDATE_LAB_SELFTEST_DEPENDS; i++)
		if (self->args.depends[i][0])
			self->depends_on[count++] = (const char *)self->args.depends[i];
	self->subsystem = (struct liveupdate_lab_subsystem) {
		.ops = &lu_ops,
		.arg = self,
		.name = (const char *)self->args.name,
		.depends_on = count ? self->depends_on : NULL,
	};

	mutex_lock(&lu_subsystems_lock);
	err = lu_find(lu_name(self)) ? -EEXIST :
	      liveupdate_lab_register_subsystem(&self->subsystem);
	if (!err)
		list_add_tail(&self->link, &lu_subsystems);
	mutex_unlock(&lu_subsystems_lock);
	if (err)
		kfree(self);
	return err;
}

int lu_selftest_unregister(const char *name)
{
	struct lu_selftest_subsystem *self;
	int err = -ENOENT;

	mutex_lock(&lu_subsystems_lock);
	self = lu_find(name);
	if (self)
		err = liveupdate_lab_unregister_subsystem(&self->subsystem);
	if (!err)
		list_del(&self->link);
	mutex_unlock(&lu_subsystems_lock);
	if (!err)
		kfree(self);
	return err;
}

int lu_selftest_data(const char *name, u64 *data)
{
	struct lu_selftest_subsystem *self;
	int err = -ENOENT;

	mutex_lock(&lu_subsystems_lock);
	self = lu_find(name);
	if (self)
		err = liveupdate_lab_subsystem_data(&self->subsystem, data);
	mutex_unlock(&lu_subsystems_lock);
	return err;
}

/*
 * At unload, last in first out. While the orchestrator needs our subsystems it holds this
 * module, so that EBUSY is of somebody else's live update, which ends; and a live
 * update that begins now finds this module on its way out.
 */
void lu_selftest_unregister_all(void)
{
	struct lu_selftest_subsystem *self, *next;

	list_for_each_entry_safe_reverse(self, next, &lu_subsystems, link) {
		while (liveupdate_lab_unregister_subsystem(&self->subsystem) == -EBUSY)
			msleep(20);
		list_del(&self->link);
		kfree(self);
	}
}
