// SPDX-License-Identifier: GPL-2.0
/* The interface for other modules, include/liveupdate_lab.h, and calls into them. */

#include <linux/export.h>
#include <linux/module.h>
#include <linux/string.h>
#include "shim.h"

static bool lu_name_is_valid(const char *name)
{
	size_t len;

	if (!name)
		return false;
	len = strnlen(name, LIVEUPDATE_LAB_NAME_LEN);
	return len > 0 && len < LIVEUPDATE_LAB_NAME_LEN && !memchr(name, '/', len);
}

/**
 * liveupdate_lab_register_subsystem - take part in live updates from now on
 * @subsystem: must stay as it is, and where it is, until it is unregistered
 *
 * Return: 0, -EINVAL (a name), -EEXIST, -ENOMEM, -ELOOP, -EBUSY unless NORMAL or UPDATED.
 */
int liveupdate_lab_register_subsystem(const struct liveupdate_lab_subsystem *subsystem)
{
	if (!subsystem || !subsystem->ops || !lu_name_is_valid(subsystem->name))
		return -EINVAL;
	for (const char *const *on = subsystem->depends_on; on && *on; on++)
		if (!lu_name_is_valid(*on))
			return -EINVAL;
	return lu_on_subsystem_register(subsystem);
}
EXPORT_SYMBOL_GPL(liveupdate_lab_register_subsystem);

/**
 * liveupdate_lab_unregister_subsystem - take part no more
 * @subsystem: what was registered
 *
 * Return: 0, -ENOENT, -EBUSY unless NORMAL or UPDATED.
 */
int liveupdate_lab_unregister_subsystem(const struct liveupdate_lab_subsystem *subsystem)
{
	return subsystem ? lu_on_subsystem_unregister(subsystem) : -ENOENT;
}
EXPORT_SYMBOL_GPL(liveupdate_lab_unregister_subsystem);

/**
 * liveupdate_lab_subsystem_data - what was left under this name by the previous kernel
 * @subsystem: whose name it is
 * @data: filled in
 *
 * Return: 0, -ENOENT, -EBUSY unless UPDATED.
 */
int liveupdate_lab_subsystem_data(const struct liveupdate_lab_subsystem *subsystem, u64 *data)
{
	if (!subsystem || !data || !lu_name_is_valid(subsystem->name))
		return -EINVAL;
	return lu_on_subsystem_data(subsystem, data);
}
EXPORT_SYMBOL_GPL(liveupdate_lab_subsystem_data);

/* A positive number is no errno: it would be taken for success here and an error there. */
static int lu_errno(int ret)
{
	return ret > 0 ? -EINVAL : ret;
}

int lu_subsystem_prepare(const struct liveupdate_lab_subsystem *subsystem, u64 *data)
{
	if (lu_fault())
		return -ENOMEM;
	return subsystem->ops->prepare ?
	       lu_errno(subsystem->ops->prepare(subsystem->arg, data)) : 0;
}

int lu_subsystem_freeze(const struct liveupdate_lab_subsystem *subsystem, u64 *data)
{
	if (lu_fault())
		return -ENOMEM;
	return subsystem->ops->freeze ?
	       lu_errno(subsystem->ops->freeze(subsystem->arg, data)) : 0;
}

void lu_subsystem_cancel(const struct liveupdate_lab_subsystem *subsystem, u64 data)
{
	if (subsystem->ops->cancel)
		subsystem->ops->cancel(subsystem->arg, data);
}

void lu_subsystem_finish(const struct liveupdate_lab_subsystem *subsystem, u64 data)
{
	if (subsystem->ops->finish)
		subsystem->ops->finish(subsystem->arg, data);
}

/* False: its module is on its way out already. What is built in has no owner. */
bool lu_subsystem_hold(const struct liveupdate_lab_subsystem *subsystem)
{
	return try_module_get(subsystem->ops->owner);
}

void lu_subsystem_release(const struct liveupdate_lab_subsystem *subsystem)
{
	module_put(subsystem->ops->owner);
}
