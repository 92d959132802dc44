/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For other modules: a subsystem takes part in every live update with one number,
 * through which it finds in the next kernel what it left in this one.
 */
#ifndef _LIVEUPDATE_LAB_H
#define _LIVEUPDATE_LAB_H

#include <linux/types.h>

struct module;

/*
 * All are optional, and called in a context that may sleep, under the orchestrator's
 * lock: none may call back into it. @data is the subsystem's own; cancel undoes
 * prepare, and freeze too if that succeeded; finish ends what the previous kernel
 * handed over, and is called only if it did hand something over.
 */
struct liveupdate_lab_subsystem_ops {
	int (*prepare)(void *arg, u64 *data);
	int (*freeze)(void *arg, u64 *data);
	void (*cancel)(void *arg, u64 data);
	void (*finish)(void *arg, u64 data);
	struct module *owner;
};

struct liveupdate_lab_subsystem {
	const struct liveupdate_lab_subsystem_ops *ops;
	void *arg;
	const char *name;			/* unique, 1 to 63 bytes, no '/' */
	const char *const *depends_on;		/* names of subsystems, NULL at the end; may be NULL */
};

/* EINVAL, EEXIST, ENOMEM, ELOOP; EBUSY unless NORMAL or UPDATED. */
int liveupdate_lab_register_subsystem(const struct liveupdate_lab_subsystem *subsystem);
/* ENOENT; EBUSY unless NORMAL or UPDATED, as its module cannot go then either. */
int liveupdate_lab_unregister_subsystem(const struct liveupdate_lab_subsystem *subsystem);
/* What the subsystem of this name left in the previous kernel. ENOENT; EBUSY unless UPDATED. */
int liveupdate_lab_subsystem_data(const struct liveupdate_lab_subsystem *subsystem, u64 *data);

#endif /* _LIVEUPDATE_LAB_H */
