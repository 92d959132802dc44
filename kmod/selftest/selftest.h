/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LU_SELFTEST_H
#define LU_SELFTEST_H

#include <linux/types.h>
#include "uapi/liveupdate_lab_selftest.h"

/* subsystem.c: the subsystems, and the log of what is called. */
int lu_selftest_register(const struct liveupdate_lab_selftest_register *args);
int lu_selftest_unregister(const char *name);
int lu_selftest_data(const char *name, u64 *data);
void lu_selftest_unregister_all(void);
ssize_t lu_selftest_read_log(char __user *buf, size_t count);

/* race.c */
int lu_selftest_race(struct liveupdate_lab_selftest_race *args);

#endif /* LU_SELFTEST_H */
