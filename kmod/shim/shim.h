/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What C gives to Rust and Rust to C. bindgen reads this header inside Kbuild, so
 * that both sides have the same types. Policy, format and state are Rust's; C has
 * the VFS, the kernel's inlines and the exported interface, and decides nothing.
 */
#ifndef LU_SHIM_H
#define LU_SHIM_H

#include <linux/types.h>
#include <asm/page.h>
#include "../uapi/liveupdate_lab.h"
#include "../include/liveupdate_lab.h"

struct file;
struct folio;
struct inode;
struct seq_file;
struct super_block;

/* bindgen does not expand _IO(); an enumerator it can read. */
enum lu_cmd {
	LU_CMD_FD_PRESERVE = LIVEUPDATE_LAB_FD_PRESERVE,
	LU_CMD_FD_UNPRESERVE = LIVEUPDATE_LAB_FD_UNPRESERVE,
	LU_CMD_FD_RESTORE = LIVEUPDATE_LAB_FD_RESTORE,
	LU_CMD_GET_STATE = LIVEUPDATE_LAB_GET_STATE,
	LU_CMD_PREPARE = LIVEUPDATE_LAB_PREPARE,
	LU_CMD_FREEZE = LIVEUPDATE_LAB_FREEZE,
	LU_CMD_CANCEL = LIVEUPDATE_LAB_CANCEL,
	LU_CMD_FINISH = LIVEUPDATE_LAB_FINISH,
	LU_CMD_SESSION_CREATE = LIVEUPDATE_LAB_SESSION_CREATE,
	LU_CMD_SESSION_RETRIEVE = LIVEUPDATE_LAB_SESSION_RETRIEVE,
	LU_CMD_DEPEND = LIVEUPDATE_LAB_DEPEND,
	LU_CMD_FD_INFO = LIVEUPDATE_LAB_FD_INFO,
	LU_CMD_REASON = LIVEUPDATE_LAB_REASON,
	LU_CMD_STATUS = LIVEUPDATE_LAB_STATUS,
	LU_CMD_MEM_CREATE = LIVEUPDATE_LAB_MEM_CREATE,
};

enum { LU_PAGE_SHIFT = PAGE_SHIFT };

/*
 * file.c: regular files of kexecfs, memory files among them (unlinked, on the
 * module's own mount). Their inodes alone are passed to these functions.
 */

/* What may still be done to a file. Each level includes the one before. */
enum lu_fixed {
	LU_FIXED_NOT = 0,
	LU_FIXED_LAYOUT = 1,	/* size, holes and attributes: EBUSY; a fault in a hole: SIGBUS */
	LU_FIXED_CONTENT = 2,	/* write(2) too: EBUSY; what is mapped already stays writable */
};

/* A folio in a file. */
struct lu_place {
	u64 page;		/* the first of the file's pages that it is */
	u64 pfn;
	u32 order;
	u32 reserved;
};

/* Folios of one order, next to one another in memory and in a file. */
struct lu_run {
	u64 page;
	u64 pfn;
	u32 folios;
	u32 order;
};

struct file *lu_mem_new(u64 bytes);			/* no pages yet; ERR_PTR */
void lu_mem_release(void);				/* nobody is there who could ask for one */
int lu_mem_fill(struct file *file, u32 flags);		/* LIVEUPDATE_LAB_MEM_*; all pages, zeroed */
struct inode *lu_data_inode(const struct file *file);	/* NULL if it is no such file */
bool lu_inode_in_instance(const struct inode *inode);	/* not on the module's own mount */
u64 lu_inode_size(const struct inode *inode);		/* bytes */
void lu_inode_fix(struct inode *inode, enum lu_fixed level);
/* The next folios from page *@index on, and *@index behind them; how many, fewer than @max at the end. */
u32 lu_inode_places(const struct inode *inode, u64 *index, struct lu_place *places, u32 max);
/* Makes folios the file's pages, and their references its own; what it has not come to stays in @run. */
int lu_inode_attach(struct inode *inode, struct lu_run *run);
/* Gives up a reference of each. */
void lu_run_put(const struct lu_run *run);

/* kexecfs.c: the file system: instances, their names, the files in them. */

/* What fsconfig said. Strings are not terminated; ids are of the initial namespace. */
struct lu_params {
	const char *name;	/* "default" if not given */
	u32 name_len;
	u32 owner;		/* uid of who made the context: names are its own */
	bool admin;		/* who made the context has CAP_SYS_ADMIN */
	bool must_retrieve;	/* option `retrieve`: ENOENT if there is none to retrieve */
	bool must_be_fresh;	/* option `fresh`: EEXIST if there is one to retrieve */
	bool has_key;
	u8 key[16];		/* option `key=` in 32 hexadecimal digits */
	u64 limit;		/* option `size=`, bytes; 0: half of the memory */
	bool limit_given;
	u32 huge;		/* option `huge=`: 0 never, 1 always (2 MiB where it fits) */
	u32 mode, uid, gid;	/* of the root directory */
};

/* An instance in C's keeping; Rust knows it by this pointer, C knows Rust's session by its number. */
struct lu_instance;

/* Attributes of a file; ids of the initial namespace, times in seconds and nanoseconds. */
struct lu_attr {
	const char *name;	/* not terminated; valid while the instance is fixed */
	u32 name_len;
	u32 mode, uid, gid;
	s64 atime, mtime, ctime;
	u32 atime_nsec, mtime_nsec, ctime_nsec;
	u64 size;
};

int lu_kexecfs_register(void);
void lu_kexecfs_unregister(void);
/* Fixes the directory and then every file. The order of the files is that of their making. */
void lu_instance_fix(struct lu_instance *instance, enum lu_fixed level);
/* The files with names, one after another; stable while fixed. NULL begins, NULL ends. */
struct inode *lu_instance_next(struct lu_instance *instance, struct inode *after);
u64 lu_instance_files(const struct lu_instance *instance);	/* how many these are */
void lu_inode_attr(const struct inode *inode, struct lu_attr *attr);
/* A new file with these attributes and no pages; ERR_PTR. The instance keeps it. */
struct inode *lu_instance_add(struct lu_instance *instance, const struct lu_attr *attr);
void lu_instance_params(const struct lu_instance *instance, struct lu_params *params);
/* Takes over limit, huge, mode, uid and gid, but for those that the mount's options gave. */
int lu_instance_adopt(struct lu_instance *instance, const struct lu_params *params);
/* Keeps the instance alive without a mount; false if its end has begun. */
bool lu_instance_get(struct lu_instance *instance);
void lu_instance_put(struct lu_instance *instance);
/* Ends those whose last reference was put so; never under the machine's lock. */
void lu_instances_end(void);

/* kho.c: Kexec HandOver. */
bool lu_kho_enabled(void);
bool lu_kho_preserves_late(void);	/* what is preserved in a reboot notifier is handed over too */
/*
 * Has every folio of a run preserved, with a reference to keep it in place, or none.
 * Pages of a run are preserved in blocks, as large as they come: each is one bit here
 * and one reservation when the next kernel boots.
 */
int lu_kho_preserve(const struct lu_run *run);
void lu_kho_unpreserve(const struct lu_run *run);
void *lu_kho_alloc(size_t size);
void lu_kho_free(void *mem);
int lu_kho_publish(void *blob, size_t size);
void lu_kho_unpublish(void);
int lu_kho_find(void **blob, size_t *size);
void lu_kho_release_found(void *blob);
/*
 * What the previous kernel preserved at the beginning of a run, a folio or a block of pages,
 * is this kernel's, with a reference of each folio. How many folios that is; ESTALE if
 * there is nothing of this order, or more than the run.
 */
int lu_kho_take(u64 pfn, u32 order, u32 folios);
/* Preserves the same once more as it is, restored or not. How many folios that was. */
int lu_kho_pass(u64 pfn, u32 order, u32 folios);
/* The description in pieces that need not lie together, seen as one. */
u64 lu_virt_pfn(const void *mem);
bool lu_kho_is_there(u64 pfn, unsigned int order);
void *lu_map_pieces(const u64 *pfns, const u32 *orders, size_t count);	/* NULL: no memory */
void lu_unmap_pieces(void *mem);

/* memfd.c: shmem files that memfd_create() made, in place. */
struct lu_memfd {
	u64 size;		/* bytes */
	u64 pos;		/* file position */
	u32 seals;		/* F_SEAL_* */
	u32 flags;		/* O_ACCMODE, O_APPEND, O_NONBLOCK of the open file */
	u32 mode;		/* of the inode, with its type; 0: not told, as a new one has it */
	u32 reserved;
};
bool lu_memfd_is(const struct file *file);
/* Every hole filled, no folio beyond the last page, every one pinned once, layout fixed (EPERM). */
int lu_memfd_prepare(struct file *file);
void lu_memfd_cancel(struct file *file);
void lu_memfd_describe(const struct file *file, struct lu_memfd *memfd);
u32 lu_memfd_places(const struct file *file, u64 *index, struct lu_place *places, u32 max);
struct file *lu_memfd_new(u64 size);		/* no pages yet; ERR_PTR */
int lu_memfd_attach(struct file *file, struct lu_run *run);	/* as lu_inode_attach() */
int lu_memfd_complete(struct file *file, const struct lu_memfd *memfd);	/* position, flags, seals last */

/* eventfd.c */
struct lu_eventfd {
	u64 count;
	u32 flags;		/* EFD_SEMAPHORE, O_NONBLOCK */
	u32 reserved;
};
bool lu_eventfd_is(const struct file *file);
int lu_eventfd_describe(struct file *file, struct lu_eventfd *eventfd);	/* undisturbed */
/* The caller's new eventfd takes this over; @scratch: 8 writable bytes in the caller's memory. */
int lu_eventfd_adopt(struct file *file, const struct lu_eventfd *eventfd, unsigned long scratch);

/* subsystem.c: calls of a subsystem's operations, each of which may be absent. */
int lu_subsystem_prepare(const struct liveupdate_lab_subsystem *subsystem, u64 *data);
int lu_subsystem_freeze(const struct liveupdate_lab_subsystem *subsystem, u64 *data);
void lu_subsystem_cancel(const struct liveupdate_lab_subsystem *subsystem, u64 data);
void lu_subsystem_finish(const struct liveupdate_lab_subsystem *subsystem, u64 data);
bool lu_subsystem_hold(const struct liveupdate_lab_subsystem *subsystem);	/* its module */
void lu_subsystem_release(const struct liveupdate_lab_subsystem *subsystem);

/* observe.c: /sys/kernel/liveupdate_lab/state, debugfs, and who waits for a change. */
int lu_observe_register(void);
void lu_observe_unregister(void);
void lu_observe_prepared(u64 generation, u64 participants, size_t bytes);
void lu_observe_notify(void);		/* the state has changed; may sleep */
void lu_seq_line(struct seq_file *seq, const char *text, size_t len);

/* reboot.c: the ways down. */
int lu_reboot_register(void);		/* notifier and last moment */
void lu_reboot_unregister(void);
void lu_reboot_seal(void *root, size_t len);	/* what to seal at the last moment; NULL: nothing */
void lu_reboot_want_veto(void);		/* lu_on_kexec() is asked, and heeded, where a kernel allows that */

/* misc.c: the rest. */
bool lu_capable(void);
bool lu_file_capable(const struct file *file);	/* who opened it had CAP_SYS_ADMIN */
bool lu_same_creds(const struct file *file);	/* the caller is who opened it */
bool lu_module_get(void);
void lu_module_put(void);
/* @min: the first published size, @ksize: what this kernel knows. */
int lu_args_in(void *dst, size_t min, size_t ksize, unsigned long arg);
int lu_args_out(unsigned long arg, const void *src, size_t ksize);
bool lu_fault(void);
unsigned int lu_fault_arm(unsigned int step);	/* as the parameter, for tests; what it was */
u64 lu_damage(void);		/* the parameter `damage` */
bool lu_interrupted(void);
u32 lu_crc32c(u32 seed, const void *bytes, size_t len);
bool lu_keep_unclaimed(void);	/* the parameter `unclaimed` */
/* An open session file, anonymous; the caller installs it. */
u64 lu_file_identity(const struct file *file);	/* the address of its inode */
struct file *lu_session_file(u64 session);
u64 lu_session_of(const struct file *file);	/* 0: not a session file */

/*
 * Rust gives to C.
 */

/* A mount begins: the session, and *@instance another one that is to be used instead of
 * the given one if an earlier attempt left it half retrieved. Negative: errno. */
s64 lu_on_instance_claim(const struct lu_params *params, struct lu_instance **instance);
/* Its root exists: retrieve what is in it. On failure the mount fails and may be tried again. */
int lu_on_instance_fill(u64 session, struct lu_instance *instance);
/* The mount failed between the two, or after them. */
void lu_on_instance_abort(u64 session);
/* Its last mount and file are gone. Called before its files are. */
void lu_on_instance_gone(u64 session);

long lu_on_ioctl(u64 session, bool admin, struct file *file, unsigned int cmd, unsigned long arg);
void lu_on_session_close(u64 session);
u32 lu_on_state(void);			/* any context that may not sleep too */
int lu_on_state_write(u64 session, const char *word, size_t len);	/* prepare|freeze|cancel|finish */
int lu_on_preserve_fd(u64 session, int fd, u64 *token);
int lu_on_reason(u64 session, char *text, size_t len);	/* how many bytes were written */
void lu_on_debug(struct seq_file *seq);

int lu_on_subsystem_register(const struct liveupdate_lab_subsystem *subsystem);
int lu_on_subsystem_unregister(const struct liveupdate_lab_subsystem *subsystem);
int lu_on_subsystem_data(const struct liveupdate_lab_subsystem *subsystem, u64 *data);

void lu_on_restart(void);		/* reboot notifier: cannot be refused */
int lu_on_kexec(void);			/* before the point of no return; negative: the kexec is called off */
void lu_on_kexec_aborted(void);		/* somebody else called it off after lu_on_kexec() agreed */
void lu_on_last_moment(void *root, size_t len);	/* one CPU, interrupts off: seals */

#endif /* LU_SHIM_H */
