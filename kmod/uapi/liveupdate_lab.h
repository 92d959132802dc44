/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Interface of /dev/liveupdate_lab, the ioctl face of Liveupdate Lab's orchestrator.
 *
 * Each structure begins with its own size: a longer one from a newer caller is
 * taken if the part that this kernel does not know is zero (E2BIG otherwise), a
 * shorter one is filled up with zeros down to the first published size (EINVAL
 * below that). Reserved fields must be zero (EINVAL).
 */
#ifndef _UAPI_LIVEUPDATE_LAB_H
#define _UAPI_LIVEUPDATE_LAB_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* 0xBA is the in-tree orchestrator's, whose numbers mean other things. */
#define LIVEUPDATE_LAB_IOCTL_TYPE	0xBB

enum liveupdate_lab_state {
	LIVEUPDATE_LAB_NORMAL = 0,
	LIVEUPDATE_LAB_PREPARED = 1,
	LIVEUPDATE_LAB_FROZEN = 2,
	LIVEUPDATE_LAB_UPDATED = 3,
};

/*
 * FD_PRESERVE: register the memory file @fd; @token is filled in.
 * EBADF, ENOENT (no handler for such a file), EEXIST (registered already),
 * EBUSY unless NORMAL or UPDATED.
 */
struct liveupdate_lab_fd_preserve {
	__u32 size;
	__s32 fd;
	__aligned_u64 token;
};
#define LIVEUPDATE_LAB_FD_PRESERVE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x00)

/* FD_UNPRESERVE: take a registration of this open device back. EBUSY, ENOENT. */
struct liveupdate_lab_fd_unpreserve {
	__u32 size;
	__u32 reserved;
	__aligned_u64 token;
};
#define LIVEUPDATE_LAB_FD_UNPRESERVE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x01)

/*
 * FD_RESTORE: open what the previous kernel preserved under @token; @fd is
 * filled in, close-on-exec. EBUSY unless UPDATED, ENOENT (no such token, or
 * reclaimed already), EIO (its memory is not there); a failed restore may be
 * tried again.
 */
struct liveupdate_lab_fd_restore {
	__u32 size;
	__s32 fd;
	__aligned_u64 token;
};
#define LIVEUPDATE_LAB_FD_RESTORE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x02)

struct liveupdate_lab_get_state {
	__u32 size;
	__u32 state; /* out: enum liveupdate_lab_state */
};
#define LIVEUPDATE_LAB_GET_STATE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x03)

/*
 * The events of the state machine, all with this argument:
 *   PREPARE  NORMAL -> PREPARED           EEXIST in PREPARED and FROZEN, EINVAL in UPDATED
 *   FREEZE   PREPARED -> FROZEN           EINVAL otherwise
 *   CANCEL   PREPARED, FROZEN -> NORMAL   ENOENT otherwise
 *   FINISH   UPDATED -> NORMAL            EINVAL otherwise; what was not restored is freed
 * EOPNOTSUPP for PREPARE and CANCEL when Kexec HandOver is off.
 */
struct liveupdate_lab_event {
	__u32 size;
	__u32 reserved;
};
#define LIVEUPDATE_LAB_PREPARE		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x04)
#define LIVEUPDATE_LAB_FREEZE		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x05)
#define LIVEUPDATE_LAB_CANCEL		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x06)
#define LIVEUPDATE_LAB_FINISH		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x07)

/*
 * MEM_CREATE: a memory file of @bytes bytes, zeroed, its pages allocated at
 * once; @fd is filled in, close-on-exec. read, write, llseek, fstat and shared
 * mmap work on it; its size is fixed. ENOMEM, EFBIG.
 */
struct liveupdate_lab_mem_create {
	__u32 size;
	__s32 fd;
	__aligned_u64 bytes;
};
#define LIVEUPDATE_LAB_MEM_CREATE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x10)

#endif /* _UAPI_LIVEUPDATE_LAB_H */
