/* SPDX-License-Identifier: GPL-2.0 */
/* Waiting for the machine's state to change, for whoever has a file to poll. */
#ifndef LU_OBSERVE_H
#define LU_OBSERVE_H

#include <linux/types.h>

struct file;
struct poll_table_struct;

void lu_state_wait(struct file *file, struct poll_table_struct *wait);
u64 lu_state_seq(void);			/* differs after each change */
const char *lu_state_word(u32 state);	/* as all files show it */

#endif /* LU_OBSERVE_H */
