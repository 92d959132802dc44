/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the file system share. From below: pages.c, mapping.c, inode.c,
 * file.c, memfile.c; dir.c, control.c; options.c, kexecfs.c.
 *
 * Order of locks: s_umount, the machine's mutex, i_rwsem of the root directory,
 * i_rwsem of a file, its invalidate_lock. Nobody calls into the machine with one
 * of the last three held.
 */
#ifndef LU_FS_H
#define LU_FS_H

#include <linux/fs.h>
#include <linux/fs_parser.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/pagemap.h>
#include "shim.h"

#define LU_KEXECFS_MAGIC	0x4b584653	/* "KXFS" */
#define LU_MAX_BYTES		(1LL << 40)	/* of one file */

/* Which sizes of folios a file's pages may come in. */
enum lu_orders {
	LU_ORDERS_SMALL,	/* 4 KiB */
	LU_ORDERS_ANY,		/* 2 MiB where it fits, 64 KiB, 4 KiB */
	LU_ORDERS_HUGE,		/* 2 MiB and nothing else */
};

enum lu_control { LU_CONTROL, LU_STATE, LU_PRESERVE_FD, LU_REASON, LU_CONTROLS };

enum lu_option {
	LU_OPT_NAME, LU_OPT_SIZE, LU_OPT_HUGE, LU_OPT_MODE, LU_OPT_UID, LU_OPT_GID,
	LU_OPT_KEY, LU_OPT_RETRIEVE, LU_OPT_FRESH,
};

/* First the options that an fs_context gathers, then s_fs_info of the superblock. */
struct lu_instance {
	struct super_block *sb;		/* once there is one */
	u64 session;			/* 0: none, the mount is not complete */
	unsigned long given;		/* bit by enum lu_option */
	char name[LIVEUPDATE_LAB_NAME_LEN];
	kuid_t owner;
	bool admin;
	u8 key[16];
	u64 limit;			/* bytes */
	u32 huge;
	umode_t mode;			/* of the root directory, as its owner, until there is one */
	kuid_t uid;
	kgid_t gid;

	atomic_long_t max_pages;
	atomic_long_t pages;
	atomic_long_t inodes;		/* data files, those without a name too */

	struct llist_node ended;	/* put by who may not end it */
	atomic_t puts;

	/* Under the root directory's i_rwsem: */
	enum lu_fixed level;
	struct list_head files;		/* lu_inode.link, in the order of their making */
	u64 count;
	struct inode *controls[LU_CONTROLS];
};

struct lu_inode {
	enum lu_fixed level;		/* changes under i_rwsem and invalidate_lock */
	enum lu_orders orders;
	atomic_long_t charged;		/* pages; settled with nrpages when some have gone */
	struct list_head link;
	struct dentry *dentry;		/* the only one; pinned while it is linked */
	struct inode vfs;
};

static inline struct lu_inode *LU_I(const struct inode *inode)
{
	return container_of((struct inode *)inode, struct lu_inode, vfs);
}

/* NULL for memory files. */
static inline struct lu_instance *lu_instance_of(const struct super_block *sb)
{
	return sb->s_fs_info;
}

/* The first folio of a run has found its place. */
static inline void lu_run_step(struct lu_run *run)
{
	run->page += 1UL << run->order;
	run->pfn += 1UL << run->order;
	run->folios--;
}

struct fs_context;

/* pages.c */
void lu_folio_ready(struct folio *folio);
struct folio *lu_inode_next(const struct inode *inode, u64 *index);
u32 lu_mapping_places(struct address_space *mapping, u64 *index, u64 last,
		      struct lu_place *places, u32 max);
struct folio *lu_folio_get_locked(struct inode *inode, u64 index, u64 left, gfp_t flags);
bool lu_pages_charge(struct inode *inode, long pages);
void lu_pages_settle(struct inode *inode);
int lu_pages_fill(struct inode *inode, u64 index, u64 end);
u64 lu_pages_missing(struct inode *inode, u64 index, u64 end);
void lu_pages_zero_tail(struct inode *inode, loff_t size);
void lu_pages_trim(struct inode *inode);

/* mapping.c */
extern const struct address_space_operations lu_aops;
extern const struct vm_operations_struct lu_vm_ops;

/* file.c */
extern const struct file_operations lu_file_fops;

/* inode.c */
extern const struct super_operations lu_super_ops;
struct inode *lu_inode_new(struct super_block *sb, struct mnt_idmap *idmap,
			   const struct inode *dir, umode_t mode);
int lu_inodes_init(void);
void lu_inodes_exit(void);

/* dir.c */
extern const struct inode_operations lu_dir_iops;

/* control.c */
int lu_control_fill(struct lu_instance *instance);
void lu_control_chown(struct lu_instance *instance, const struct inode *root);
bool lu_control_is(const struct inode *inode);

/* options.c */
extern const struct fs_parameter_spec lu_parameters[];
int lu_parse_param(struct fs_context *fc, struct fs_parameter *param);
int lu_reconfigure(struct fs_context *fc);
void lu_set_limit(struct lu_instance *instance, u64 limit);
int lu_show_options(struct seq_file *seq, struct dentry *root);

/* kexecfs.c */
int lu_statfs(struct dentry *dentry, struct kstatfs *buf);

#endif /* LU_FS_H */
