/* SPDX-License-Identifier: GPL-2.0 */
/* What the two halves of memfds, memfd.c and memfd_new.c, agree on. */
#ifndef LU_MEMFD_H
#define LU_MEMFD_H

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include "shim.h"

#define LU_MEMFD_SEALS	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | \
			 F_SEAL_FUTURE_WRITE | F_SEAL_EXEC)
#define LU_MEMFD_FLAGS	(O_ACCMODE | O_APPEND | O_NONBLOCK)

static inline pgoff_t lu_memfd_pages(const struct file *file)
{
	return DIV_ROUND_UP_ULL(i_size_read(file_inode(file)), PAGE_SIZE);
}

#endif /* LU_MEMFD_H */
