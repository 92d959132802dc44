// SPDX-License-Identifier: GPL-2.0
/* The root directory of an instance, the only one, and the list of its files. */

#include <linux/module.h>
#include <linux/slab.h>
#include "compat.h"
#include "fs.h"

/* With the directory's i_rwsem held. The dentry keeps the inode, and the name it. */
static void lu_link(struct lu_instance *instance, struct dentry *dentry, struct inode *inode)
{
	LU_I(inode)->dentry = dentry;
	list_add_tail(&LU_I(inode)->link, &instance->files);
	instance->count++;
	d_make_persistent(dentry, inode);
}

static void lu_unlink_inode(struct lu_instance *instance, struct inode *inode)
{
	list_del_init(&LU_I(inode)->link);
	LU_I(inode)->dentry = NULL;
	instance->count--;
}

static int lu_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		     umode_t mode LU_CREATE_EXCL)
{
	struct lu_instance *instance = lu_instance_of(dir->i_sb);
	struct inode *inode;

	if (instance->level)
		return -EBUSY;
	inode = lu_inode_new(dir->i_sb, idmap, dir, mode);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	lu_link(instance, dentry, inode);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	return 0;
}

static int lu_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct inode *inode = ERR_PTR(-EBUSY);

	if (!lu_instance_of(dir->i_sb)->level)
		inode = lu_inode_new(dir->i_sb, idmap, dir, mode);
	if (!IS_ERR(inode))
		d_tmpfile(file, inode);
	return finish_open_simple(file, PTR_ERR_OR_ZERO(inode));
}

static int lu_unlink(struct inode *dir, struct dentry *dentry)
{
	struct lu_instance *instance = lu_instance_of(dir->i_sb);
	struct inode *inode = d_inode(dentry);

	if (lu_control_is(inode))
		return -EPERM;
	if (instance->level)
		return -EBUSY;
	lu_unlink_inode(instance, inode);
	return simple_unlink(dir, dentry);
}

/* A file keeps its place in the list; the order is that of their making. */
static int lu_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old,
		     struct inode *new_dir, struct dentry *new, unsigned int flags)
{
	struct lu_instance *instance = lu_instance_of(old_dir->i_sb);
	struct inode *target = d_inode(new);

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (lu_control_is(d_inode(old)) || (target && lu_control_is(target)))
		return -EPERM;
	if (instance->level)
		return -EBUSY;
	if (target && !(flags & RENAME_EXCHANGE))
		lu_unlink_inode(instance, target);
	return simple_rename(idmap, old_dir, old, new_dir, new, flags);
}

static int lu_dir_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *dir = d_inode(dentry);
	struct lu_instance *instance = lu_instance_of(dir->i_sb);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (instance->level)
		return -EBUSY;
	setattr_copy(idmap, dir, attr);
	lu_control_chown(instance, dir);
	return 0;
}

/* No mkdir, link, symlink and mknod: the VFS answers EPERM. */
const struct inode_operations lu_dir_iops = {
	.lookup = simple_lookup,
	.create = lu_create,
	.tmpfile = lu_tmpfile,
	.unlink = lu_unlink,
	.rename = lu_rename,
	.setattr = lu_dir_setattr,
};

void lu_instance_fix(struct lu_instance *instance, enum lu_fixed level)
{
	struct inode *dir = d_inode(instance->sb->s_root);
	struct lu_inode *file;

	inode_lock_nested(dir, I_MUTEX_PARENT);
	instance->level = level;
	list_for_each_entry(file, &instance->files, link) {
		lu_inode_fix(&file->vfs, level);
		cond_resched();
	}
	inode_unlock(dir);
}

/* Without a lock: the list is stable while the instance is fixed. */
struct inode *lu_instance_next(struct lu_instance *instance, struct inode *after)
{
	struct list_head *next = after ? LU_I(after)->link.next : instance->files.next;

	return next == &instance->files ? NULL : &list_entry(next, struct lu_inode, link)->vfs;
}

u64 lu_instance_files(const struct lu_instance *instance)
{
	return instance->count;
}

void lu_inode_attr(const struct inode *inode, struct lu_attr *attr)
{
	const struct dentry *dentry = LU_I(inode)->dentry;

	*attr = (struct lu_attr) {
		.name = dentry ? dentry->d_name.name : NULL,
		.name_len = dentry ? dentry->d_name.len : 0,
		.mode = inode->i_mode & S_IALLUGO,
		.uid = from_kuid(&init_user_ns, inode->i_uid),
		.gid = from_kgid(&init_user_ns, inode->i_gid),
		.atime = inode_get_atime_sec(inode),
		.mtime = inode_get_mtime_sec(inode),
		.ctime = inode_get_ctime_sec(inode),
		.atime_nsec = inode_get_atime_nsec(inode),
		.mtime_nsec = inode_get_mtime_nsec(inode),
		.ctime_nsec = inode_get_ctime_nsec(inode),
		.size = i_size_read(inode),
	};
}

static int lu_inode_set_attr(struct inode *inode, const struct lu_attr *attr)
{
	kuid_t uid = make_kuid(&init_user_ns, attr->uid);
	kgid_t gid = make_kgid(&init_user_ns, attr->gid);

	if (!uid_valid(uid) || !gid_valid(gid) || attr->mode & ~S_IALLUGO ||
	    attr->atime_nsec >= NSEC_PER_SEC || attr->mtime_nsec >= NSEC_PER_SEC ||
	    attr->ctime_nsec >= NSEC_PER_SEC)
		return -EINVAL;
	inode->i_mode = S_IFREG | attr->mode;
	inode->i_uid = uid;
	inode->i_gid = gid;
	inode_set_atime(inode, attr->atime, attr->atime_nsec);
	inode_set_mtime(inode, attr->mtime, attr->mtime_nsec);
	inode_set_ctime(inode, attr->ctime, attr->ctime_nsec);
	i_size_write(inode, attr->size);
	return 0;
}

/**
 * lu_instance_add - a new file with these attributes and no pages
 *
 * EINVAL if the name or another attribute cannot be, EEXIST, EFBIG.
 */
struct inode *lu_instance_add(struct lu_instance *instance, const struct lu_attr *attr)
{
	struct super_block *sb = instance->sb;
	struct dentry *dentry;
	struct inode *inode;
	char *name;
	int err;

	if (!attr->name_len || attr->name_len > NAME_MAX ||
	    memchr(attr->name, '/', attr->name_len) || memchr(attr->name, 0, attr->name_len) ||
	    (attr->name[0] == '.' && (attr->name_len == 1 ||
				      (attr->name_len == 2 && attr->name[1] == '.'))))
		return ERR_PTR(-EINVAL);
	if (attr->size > LU_MAX_BYTES)
		return ERR_PTR(-EFBIG);
	name = kmemdup_nul(attr->name, attr->name_len, GFP_KERNEL);
	if (!name)
		return ERR_PTR(-ENOMEM);
	dentry = simple_start_creating(sb->s_root, name);
	kfree(name);
	if (IS_ERR(dentry))
		return ERR_CAST(dentry);

	inode = lu_inode_new(sb, &nop_mnt_idmap, NULL, 0);
	if (!IS_ERR(inode)) {
		err = lu_inode_set_attr(inode, attr);
		if (err) {
			iput(inode);
			inode = ERR_PTR(err);
		} else {
			lu_link(instance, dentry, inode);
		}
	}
	simple_done_creating(dentry);
	return inode;
}
