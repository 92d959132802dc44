// SPDX-License-Identifier: GPL-2.0
/* The inodes of data files: made, fixed, changed, ended. */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "fs.h"

static struct kmem_cache *lu_inode_cache;

static int lu_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	loff_t old = i_size_read(inode);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (LU_I(inode)->level)
		return -EBUSY;
	if (attr->ia_valid & ATTR_SIZE) {
		filemap_invalidate_lock(inode->i_mapping);
		if (attr->ia_size > old)
			lu_pages_zero_tail(inode, old);
		truncate_setsize(inode, attr->ia_size);
		lu_pages_settle(inode);
		filemap_invalidate_unlock(inode->i_mapping);
		if (attr->ia_size != old)
			inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

static const struct inode_operations lu_file_iops = {
	.getattr = simple_getattr,
	.setattr = lu_setattr,
};

static bool lu_inode_count(struct lu_instance *instance)
{
	/* A file without pages costs memory too. */
	long max = max(atomic_long_read(&instance->max_pages), 16384);

	if (atomic_long_inc_return(&instance->inodes) <= max)
		return true;
	atomic_long_dec(&instance->inodes);
	return false;
}

/**
 * lu_inode_new - a data file's inode, link count 1
 * @dir: the directory that it is made in, or NULL
 */
struct inode *lu_inode_new(struct super_block *sb, struct mnt_idmap *idmap,
			   const struct inode *dir, umode_t mode)
{
	struct lu_instance *instance = lu_instance_of(sb);
	struct inode *inode;

	if (instance && !lu_inode_count(instance))
		return ERR_PTR(-ENOSPC);
	inode = lu_fault() ? NULL : new_inode(sb);
	if (!inode) {
		if (instance)
			atomic_long_dec(&instance->inodes);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = get_next_ino();
	inode_init_owner(idmap, inode, dir, S_IFREG | mode);
	simple_inode_init_ts(inode);
	inode->i_op = &lu_file_iops;
	inode->i_fop = &lu_file_fops;
	inode->i_mapping->a_ops = &lu_aops;
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_unevictable(inode->i_mapping);
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		mapping_set_large_folios(inode->i_mapping);
	if (!instance || instance->huge)
		LU_I(inode)->orders = LU_ORDERS_ANY;
	return inode;
}

bool lu_inode_in_instance(const struct inode *inode)
{
	return lu_instance_of(inode->i_sb);
}

u64 lu_inode_size(const struct inode *inode)
{
	return i_size_read(inode);
}

void lu_inode_fix(struct inode *inode, enum lu_fixed level)
{
	inode_lock(inode);
	filemap_invalidate_lock(inode->i_mapping);
	WRITE_ONCE(LU_I(inode)->level, level);
	/* Times are attributes too, and a fault in a mapping would change them. */
	inode_set_flags(inode, level ? S_NOCMTIME | S_NOATIME : 0, S_NOCMTIME | S_NOATIME);
	filemap_invalidate_unlock(inode->i_mapping);
	inode_unlock(inode);
}

static void lu_evict_inode(struct inode *inode)
{
	struct lu_instance *instance = lu_instance_of(inode->i_sb);

	truncate_inode_pages_final(inode->i_mapping);
	lu_pages_settle(inode);
	if (instance && inode->i_fop == &lu_file_fops)
		atomic_long_dec(&instance->inodes);
	clear_inode(inode);
}

static struct inode *lu_alloc_inode(struct super_block *sb)
{
	struct lu_inode *inode = alloc_inode_sb(sb, lu_inode_cache, GFP_KERNEL);

	if (!inode)
		return NULL;
	inode->level = LU_FIXED_NOT;
	inode->orders = LU_ORDERS_SMALL;
	atomic_long_set(&inode->charged, 0);
	INIT_LIST_HEAD(&inode->link);
	inode->dentry = NULL;
	return &inode->vfs;
}

static void lu_free_inode(struct inode *inode)
{
	kmem_cache_free(lu_inode_cache, LU_I(inode));
}

const struct super_operations lu_super_ops = {
	.alloc_inode = lu_alloc_inode,
	.free_inode = lu_free_inode,
	.drop_inode = inode_just_drop,
	.evict_inode = lu_evict_inode,
	.statfs = lu_statfs,
	.show_options = lu_show_options,
};

static void lu_inode_init_once(void *inode)
{
	inode_init_once(&((struct lu_inode *)inode)->vfs);
}

int lu_inodes_init(void)
{
	lu_inode_cache = kmem_cache_create("liveupdate_lab_inode", sizeof(struct lu_inode), 0,
					   SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, lu_inode_init_once);
	return lu_inode_cache ? 0 : -ENOMEM;
}

void lu_inodes_exit(void)
{
	rcu_barrier();	/* free_inode() runs after a grace period */
	kmem_cache_destroy(lu_inode_cache);
}
