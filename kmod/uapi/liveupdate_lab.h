/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Interface of Liveupdate Lab's orchestrator. Both faces take these ioctls:
 * /dev/liveupdate_lab with the session files that it hands out, and the file
 * `control` of a kexecfs instance.
 *
 * Each structure begins with its own size: a longer one from a newer caller is
 * taken if the part that this kernel does not know is zero (E2BIG otherwise), a
 * shorter one is filled up with zeros down to the first published size (EINVAL
 * below that). Reserved fields must be zero (EINVAL). Unknown command: ENOTTY.
 *
 * An open device is a session, unnamed. A session file is a named one, and may be
 * handed to a holder without privileges: it can do everything but drive the
 * machine (EPERM). A kexecfs instance is a session too. A token belongs to its
 * session: any other one gets ENOENT.
 */
#ifndef _UAPI_LIVEUPDATE_LAB_H
#define _UAPI_LIVEUPDATE_LAB_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* 0xBA is the in-tree orchestrator's, whose numbers mean other things. */
#define LIVEUPDATE_LAB_IOCTL_TYPE	0xBB

/* Names of sessions, instances and subsystems: terminated, not empty, without '/'. */
#define LIVEUPDATE_LAB_NAME_LEN		64
#define LIVEUPDATE_LAB_REASON_LEN	240

enum liveupdate_lab_state {
	LIVEUPDATE_LAB_NORMAL = 0,
	LIVEUPDATE_LAB_PREPARED = 1,
	LIVEUPDATE_LAB_FROZEN = 2,
	LIVEUPDATE_LAB_UPDATED = 3,
};

/* What sort of file a token stands for. */
enum liveupdate_lab_kind {
	LIVEUPDATE_LAB_KIND_MEMORY = 1,
	LIVEUPDATE_LAB_KIND_MEMFD = 2,
	LIVEUPDATE_LAB_KIND_EVENTFD = 3,
};

/*
 * A memfd keeps its pages in place, its holes filled, but the file that comes back has
 * another name (memfd:liveupdate_lab), whoever restores it as owner and security label,
 * and no room beyond its end: the caller must say that it knows. Without the flag
 * FD_PRESERVE of a memfd is EOPNOTSUPP. While prepared, its size cannot change (EPERM).
 */
#define LIVEUPDATE_LAB_PRESERVE_MEMFD	(1U << 0)

/*
 * FD_PRESERVE: register the file @fd; @token is filled in.
 * EBADF, ENOENT (no handler for such a file), EEXIST (registered already, or a file
 * in a kexecfs instance, which preserves it), EOPNOTSUPP, EBUSY unless NORMAL or UPDATED.
 */
struct liveupdate_lab_fd_preserve {
	__u32 size;
	__s32 fd;
	__aligned_u64 token;
	__u32 flags;
	__u32 reserved;
};
#define LIVEUPDATE_LAB_FD_PRESERVE_SIZE_1	16
#define LIVEUPDATE_LAB_FD_PRESERVE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x00)

/* FD_UNPRESERVE: take a registration of this session back. EBUSY, ENOENT. */
struct liveupdate_lab_fd_unpreserve {
	__u32 size;
	__u32 reserved;
	__aligned_u64 token;
};
#define LIVEUPDATE_LAB_FD_UNPRESERVE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x01)

/*
 * FD_RESTORE: open what the previous kernel preserved under @token in this session;
 * @fd is filled in, close-on-exec. For an eventfd @fd is the caller's: a new one,
 * counter 0, EFD_SEMAPHORE as FD_INFO tells, which takes the counter over (EINVAL if
 * it is not such a one). EBUSY unless UPDATED, ENOENT (no such token, or reclaimed
 * already), EIO (its memory is not there), EPROTO (preserved by a newer kernel in a
 * way that this one cannot restore); a failed restore may be tried again.
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
 * A PREPARE or FREEZE that fails leaves NORMAL, everything undone; REASON tells why.
 * EOPNOTSUPP for PREPARE and CANCEL when Kexec HandOver is off. EPERM through a
 * session file, and through a `control` that was opened without CAP_SYS_ADMIN.
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
 * SESSION_CREATE: a session file; @fd is filled in, close-on-exec. EEXIST (the name
 * is in use, or handed over and not retrieved), EINVAL (name), EBUSY unless NORMAL or
 * UPDATED, EPERM through a session file.
 * SESSION_RETRIEVE: the session file of a session that the previous kernel had. EBUSY
 * unless UPDATED or while somebody holds it, ENOENT. Closing it loses nothing: what was
 * not restored can be retrieved again until FINISH.
 */
struct liveupdate_lab_session {
	__u32 size;
	__s32 fd;
	__u8 name[LIVEUPDATE_LAB_NAME_LEN];
};
#define LIVEUPDATE_LAB_SESSION_CREATE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x08)
#define LIVEUPDATE_LAB_SESSION_RETRIEVE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x09)

/*
 * DEPEND: the file @token (0: this kexecfs instance as a whole) needs the file @on or,
 * if @on is 0, the subsystem @name. What is needed is prepared and frozen first and
 * undone last. Both tokens must be this session's. ELOOP (REASON names the path), ENOENT,
 * EINVAL, EBUSY unless NORMAL or UPDATED. A subsystem need not be registered yet; if it, or
 * a file, is missing at PREPARE, that fails with ENOENT and REASON names it.
 */
struct liveupdate_lab_depend {
	__u32 size;
	__u32 reserved;
	__aligned_u64 token;
	__aligned_u64 on;
	__u8 name[LIVEUPDATE_LAB_NAME_LEN];
};
#define LIVEUPDATE_LAB_DEPEND		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x0a)

/*
 * FD_INFO: what a token of the previous kernel stands for. @flags: EFD_SEMAPHORE and
 * O_NONBLOCK of an eventfd. EBUSY unless UPDATED, ENOENT.
 */
struct liveupdate_lab_fd_info {
	__u32 size;
	__u32 kind;		/* out: enum liveupdate_lab_kind */
	__aligned_u64 token;
	__aligned_u64 bytes;	/* out: length of the file */
	__u32 flags;		/* out */
	__u32 restored;		/* out: 1 if FD_RESTORE has given it out */
};
#define LIVEUPDATE_LAB_FD_INFO		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x0b)

/*
 * REASON: in words, why the last call on this session failed; empty if it did not, or if
 * there is no more to say than the errno. GET_STATE changes nothing in that.
 */
struct liveupdate_lab_reason {
	__u32 size;
	__u32 len;		/* out: bytes in @text, which is not terminated */
	__u8 text[LIVEUPDATE_LAB_REASON_LEN];
};
#define LIVEUPDATE_LAB_REASON		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x0c)

/* STATUS: figures of the machine. EPERM through a session file. */
struct liveupdate_lab_status {
	__u32 size;
	__u32 state;			/* enum liveupdate_lab_state */
	__aligned_u64 generation;	/* that this kernel writes, from 1 */
	__aligned_u64 participants;	/* registered: files, instances, subsystems */
	__aligned_u64 inherited;	/* files that the previous kernel handed over */
	__aligned_u64 unclaimed;	/* of these, not restored */
	__aligned_u64 freed_pages;	/* that the last FINISH gave back */
};
#define LIVEUPDATE_LAB_STATUS		_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x0d)

/*
 * MEM_CREATE: a memory file of @bytes bytes, zeroed, its pages allocated at once;
 * @fd is filled in, close-on-exec. It behaves as a file of kexecfs without a name.
 * ENOMEM, EFBIG.
 */
#define LIVEUPDATE_LAB_MEM_SMALL	(1U << 0)	/* 4 KiB pages alone */
#define LIVEUPDATE_LAB_MEM_HUGE		(1U << 1)	/* 2 MiB pages or ENOMEM; @bytes a multiple */
struct liveupdate_lab_mem_create {
	__u32 size;
	__s32 fd;
	__aligned_u64 bytes;
	__u32 flags;
	__u32 reserved;
};
#define LIVEUPDATE_LAB_MEM_CREATE_SIZE_1	16
#define LIVEUPDATE_LAB_MEM_CREATE	_IO(LIVEUPDATE_LAB_IOCTL_TYPE, 0x10)

#endif /* _UAPI_LIVEUPDATE_LAB_H */
