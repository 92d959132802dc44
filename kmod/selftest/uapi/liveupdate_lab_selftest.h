/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/liveupdate_lab_selftest: subsystems made on request, to test how the
 * orchestrator treats them. For CAP_SYS_ADMIN (EACCES), in a test system.
 *
 * Each structure begins with its own size, as those of liveupdate_lab.h do. Names
 * are terminated. What a subsystem called NAME leaves to the next kernel is the
 * 64-bit FNV-1a hash of NAME's bytes (offset basis 0xcbf29ce484222325, prime
 * 0x100000001b3) from its prepare, and one more from its freeze on.
 *
 * read() gives and takes away the lines that are there, whole ones, each a callback in
 * the order of the calls: "prepare NAME", "freeze NAME", "cancel NAME", "finish NAME". A
 * callback that was told to fail is there too; one that got another number than the
 * subsystem gave has " ?" behind it. What no longer fits is lost, and a line "lost"
 * says so. 0 bytes: there is nothing.
 */
#ifndef _UAPI_LIVEUPDATE_LAB_SELFTEST_H
#define _UAPI_LIVEUPDATE_LAB_SELFTEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LIVEUPDATE_LAB_SELFTEST_IOCTL_TYPE	0xBC

#define LIVEUPDATE_LAB_SELFTEST_NAME_LEN	64
#define LIVEUPDATE_LAB_SELFTEST_DEPENDS		4

enum liveupdate_lab_selftest_fail {
	LIVEUPDATE_LAB_SELFTEST_FAIL_NONE = 0,
	LIVEUPDATE_LAB_SELFTEST_FAIL_PREPARE = 1,
	LIVEUPDATE_LAB_SELFTEST_FAIL_FREEZE = 2,
};

/*
 * REGISTER: a subsystem @name that needs those of @depends which are not empty, and
 * fails in @fail, if asked to, with @error (1 to 4095, 0 if not asked). EEXIST if
 * this module has one of that name; what the orchestrator says otherwise.
 */
struct liveupdate_lab_selftest_register {
	__u32 size;
	__u32 fail;		/* enum liveupdate_lab_selftest_fail */
	__u32 error;
	__u32 reserved;
	__u8 name[LIVEUPDATE_LAB_SELFTEST_NAME_LEN];
	__u8 depends[LIVEUPDATE_LAB_SELFTEST_DEPENDS][LIVEUPDATE_LAB_SELFTEST_NAME_LEN];
};
#define LIVEUPDATE_LAB_SELFTEST_REGISTER	_IO(LIVEUPDATE_LAB_SELFTEST_IOCTL_TYPE, 0x00)

/* UNREGISTER: ENOENT unless this module has it; what the orchestrator says otherwise. */
struct liveupdate_lab_selftest_unregister {
	__u32 size;
	__u32 reserved;
	__u8 name[LIVEUPDATE_LAB_SELFTEST_NAME_LEN];
};
#define LIVEUPDATE_LAB_SELFTEST_UNREGISTER	_IO(LIVEUPDATE_LAB_SELFTEST_IOCTL_TYPE, 0x01)

/* DATA: what @name left in the previous kernel. It must be registered here (ENOENT). */
struct liveupdate_lab_selftest_data {
	__u32 size;
	__u32 reserved;
	__aligned_u64 data;	/* out */
	__u8 name[LIVEUPDATE_LAB_SELFTEST_NAME_LEN];
};
#define LIVEUPDATE_LAB_SELFTEST_DATA		_IO(LIVEUPDATE_LAB_SELFTEST_IOCTL_TYPE, 0x02)

/*
 * RACE: @threads threads (1 to 16), two by two with one name between them ("race-0" and
 * so on), register and unregister it @rounds times (1 to 10000) each. Nothing is left
 * registered. The figures are of all threads together; a kill ends it early, EINTR.
 */
struct liveupdate_lab_selftest_race {
	__u32 size;
	__u32 threads;
	__u32 rounds;
	__u32 reserved;
	__aligned_u64 registered;	/* out: both calls succeeded */
	__aligned_u64 exist;		/* out: EEXIST, the other one had it */
	__aligned_u64 busy;		/* out: EBUSY, the state did not permit it */
	__aligned_u64 other;		/* out: any other error */
};
#define LIVEUPDATE_LAB_SELFTEST_RACE		_IO(LIVEUPDATE_LAB_SELFTEST_IOCTL_TYPE, 0x03)

#endif /* _UAPI_LIVEUPDATE_LAB_SELFTEST_H */
