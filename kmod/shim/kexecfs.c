// SPDX-License-Identifier: GPL-2.0
/*
 * The file system type kexecfs: its superblocks and instances. An instance has one
 * superblock; its owner and name say which one of the previous kernel it is.
 */

#include <linux/fs_context.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "compat.h"
#include "fs.h"

/*
 * A mount by another name for the same: the superblock's active references are counted.
 * False if the last one is gone: then it is on its way to tell so, and nothing stops it.
 */
bool lu_instance_get(struct lu_instance *instance)
{
	return atomic_inc_not_zero(&instance->sb->s_active);
}

static LLIST_HEAD(lu_ended);

/*
 * The last reference ends the superblock, which asks for the machine's lock; who
 * puts one has it. So the last one only goes on a list.
 */
void lu_instance_put(struct lu_instance *instance)
{
	if (atomic_add_unless(&instance->sb->s_active, -1, 1))
		return;
	if (atomic_inc_return(&instance->puts) == 1)
		llist_add(&instance->ended, &lu_ended);
}

void lu_instances_end(void)
{
	struct lu_instance *instance, *next;
	struct llist_node *list = llist_del_all(&lu_ended);

	llist_for_each_entry_safe(instance, next, list, ended) {
		struct super_block *sb = instance->sb;

		/* From here on another put may list it again, and has a reference for that. */
		for (int puts = atomic_xchg(&instance->puts, 0); puts; puts--)
			deactivate_super(sb);
	}
}

static int lu_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct lu_instance *instance = lu_instance_of(sb);
	struct inode *root;

	sb->s_maxbytes = LU_MAX_BYTES;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = LU_KEXECFS_MAGIC;
	sb->s_time_gran = 1;
	sb->s_op = &lu_super_ops;

	root = lu_fault() ? NULL : new_inode(sb);
	if (!root)
		return -ENOMEM;
	root->i_ino = get_next_ino();
	root->i_mode = S_IFDIR | instance->mode;
	root->i_uid = instance->uid;
	root->i_gid = instance->gid;
	root->i_op = &lu_dir_iops;
	root->i_fop = &simple_dir_operations;
	set_nlink(root, 2);
	simple_inode_init_ts(root);
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	instance->sb = sb;
	lu_set_limit(instance, instance->limit);
	return lu_control_fill(instance);
}

static const char *lu_why(s64 err)
{
	switch (err) {
	case -EBUSY:
		return "mounted already, or an update is under way";
	case -ENOENT:
		return "nothing to retrieve under this name";
	case -EEXIST:
		return "one waits to be retrieved";
	case -EACCES:
		return "the key does not fit";
	case -EINVAL:
		return "a name is of visible ASCII characters";
	default:
		return "failed";
	}
}

static int lu_get_tree(struct fs_context *fc)
{
	struct lu_instance *instance = fc->fs_private;
	struct super_block *sb;
	struct lu_params params;
	s64 session;
	int err;

	lu_instance_params(instance, &params);
	if (params.must_retrieve && params.must_be_fresh)
		return invalfc(fc, "retrieve and fresh exclude each other");
	session = lu_on_instance_claim(&params, &instance);
	if (session < 0) {
		errorfc(fc, "instance '%s' of uid %u: %s (%lld)", params.name, params.owner,
			lu_why(session), session);
		return session;
	}

	/* A superblock kept from a failed attempt is found by its instance, and is complete. */
	err = get_tree_keyed(fc, lu_fill_super, instance);
	if (instance == fc->fs_private && !fc->s_fs_info)
		fc->fs_private = NULL;	/* the superblock's, even if it is gone again */
	if (err)
		goto abort;

	sb = fc->root->d_sb;
	err = lu_on_instance_fill(session, instance);
	if (!err) {
		instance->session = session;
		return 0;
	}
	errorfc(fc, "instance '%s' of uid %u: not retrieved, error %d", instance->name,
		from_kuid(&init_user_ns, instance->owner), err);
	dput(fc->root);
	fc->root = NULL;
	/* It may be kept for another attempt, which waits for this flag. */
	lu_super_born(sb);
	deactivate_locked_super(sb);
abort:
	lu_on_instance_abort(session);
	return err;
}

static void lu_free_fc(struct fs_context *fc)
{
	kfree_sensitive(fc->fs_private);
}

static const struct fs_context_operations lu_context_ops = {
	.free = lu_free_fc,
	.parse_param = lu_parse_param,
	.get_tree = lu_get_tree,
	.reconfigure = lu_reconfigure,
};

static int lu_init_fs_context(struct fs_context *fc)
{
	struct lu_instance *instance = lu_fault() ? NULL : kzalloc(sizeof(*instance), GFP_KERNEL_ACCOUNT);

	if (!instance)
		return -ENOMEM;
	strscpy(instance->name, "default");
	instance->owner = fc->cred->euid;
	instance->admin = lu_capable();
	instance->limit = round_up(((u64)totalram_pages() << PAGE_SHIFT) / 2, PAGE_SIZE);
	instance->mode = 0700;
	instance->uid = fc->cred->fsuid;
	instance->gid = fc->cred->fsgid;
	INIT_LIST_HEAD(&instance->files);
	fc->fs_private = instance;
	fc->ops = &lu_context_ops;
	return 0;
}

static void lu_kill_sb(struct super_block *sb)
{
	struct lu_instance *instance = lu_instance_of(sb);

	if (instance->session)
		lu_on_instance_gone(instance->session);
	kill_anon_super(sb);
	kfree_sensitive(instance);
}

int lu_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct lu_instance *instance = lu_instance_of(dentry->d_sb);
	long max, used;
	int err = simple_statfs(dentry, buf);

	if (err || !instance)
		return err;
	max = atomic_long_read(&instance->max_pages);
	used = min(max, atomic_long_read(&instance->pages));
	buf->f_blocks = max;
	buf->f_bfree = max - used;
	buf->f_bavail = max - used;
	buf->f_files = max;
	buf->f_ffree = max(0, max - atomic_long_read(&instance->inodes));
	return 0;
}

static struct file_system_type lu_kexecfs = {
	.owner = THIS_MODULE,
	.name = "kexecfs",
	.init_fs_context = lu_init_fs_context,
	.parameters = lu_parameters,
	.kill_sb = lu_kill_sb,
	.fs_flags = FS_USERNS_MOUNT | FS_ALLOW_IDMAP,
};

int lu_kexecfs_register(void)
{
	int err = lu_inodes_init();

	if (err)
		return err;
	err = register_filesystem(&lu_kexecfs);
	if (err)
		lu_inodes_exit();
	return err;
}

void lu_kexecfs_unregister(void)
{
	unregister_filesystem(&lu_kexecfs);
	lu_inodes_exit();
}
