// SPDX-License-Identifier: GPL-2.0
/* The options of a mount: parsed, shown, changed, handed to the machine and taken from it. */

#include <linux/fs_context.h>
#include <linux/hex.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include "fs.h"

static const struct constant_table lu_huge_values[] = {
	{ "never", 0 },
	{ "always", 1 },
	{}
};

const struct fs_parameter_spec lu_parameters[] = {
	fsparam_string("name", LU_OPT_NAME),
	fsparam_string("size", LU_OPT_SIZE),
	fsparam_enum("huge", LU_OPT_HUGE, lu_huge_values),
	fsparam_u32oct("mode", LU_OPT_MODE),
	fsparam_uid("uid", LU_OPT_UID),
	fsparam_gid("gid", LU_OPT_GID),
	fsparam_string("key", LU_OPT_KEY),
	fsparam_flag("retrieve", LU_OPT_RETRIEVE),
	fsparam_flag("fresh", LU_OPT_FRESH),
	{}
};

static int lu_parse_size(struct fs_context *fc, struct lu_instance *instance, const char *text)
{
	u64 total = (u64)totalram_pages() << PAGE_SHIFT;
	char *rest;
	u64 size = memparse(text, &rest);

	if (*rest == '%' && size <= 100) {
		size = total / 100 * size;
		rest++;
	}
	if (rest == text || *rest || !size || size > LLONG_MAX - PAGE_SIZE)
		return invalfc(fc, "size: not a number of bytes (k, m, g) or N%%: '%s'", text);
	instance->limit = round_up(size, PAGE_SIZE);
	return 0;
}

int lu_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct lu_instance *instance = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, lu_parameters, param, &result);
	int err = 0;

	if (opt < 0)
		return opt;
	switch (opt) {
	case LU_OPT_NAME:
		if (!param->size || param->size >= sizeof(instance->name) ||
		    strchr(param->string, '/'))
			return invalfc(fc, "name: 1 to %zu bytes, no '/'",
				       sizeof(instance->name) - 1);
		strscpy_pad(instance->name, param->string);
		break;
	case LU_OPT_SIZE:
		err = lu_parse_size(fc, instance, param->string);
		break;
	case LU_OPT_HUGE:
		if (result.uint_32 && !IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
			return invalfc(fc, "huge: this kernel has no large folios");
		instance->huge = result.uint_32;
		break;
	case LU_OPT_MODE:
		if (result.uint_32 & ~S_IALLUGO)
			return invalfc(fc, "mode: not of a directory: %o", result.uint_32);
		instance->mode = result.uint_32;
		break;
	case LU_OPT_UID:
		if (!kuid_has_mapping(fc->user_ns, result.uid))
			return invalfc(fc, "uid: not in this user namespace");
		instance->uid = result.uid;
		break;
	case LU_OPT_GID:
		if (!kgid_has_mapping(fc->user_ns, result.gid))
			return invalfc(fc, "gid: not in this user namespace");
		instance->gid = result.gid;
		break;
	case LU_OPT_KEY:
		/* Not quoted: the log of a context is no place for a secret. */
		if (param->size != 2 * sizeof(instance->key) ||
		    hex2bin(instance->key, param->string, sizeof(instance->key)))
			return invalfc(fc, "key: not %zu hexadecimal digits",
				       2 * sizeof(instance->key));
		break;
	}
	if (!err)
		__set_bit(opt, &instance->given);
	return err;
}

void lu_instance_params(const struct lu_instance *instance, struct lu_params *params)
{
	const struct inode *root = instance->sb ? d_inode(instance->sb->s_root) : NULL;

	*params = (struct lu_params) {
		.name = instance->name,
		.name_len = strlen(instance->name),
		.owner = from_kuid(&init_user_ns, instance->owner),
		.admin = instance->admin,
		.must_retrieve = test_bit(LU_OPT_RETRIEVE, &instance->given),
		.must_be_fresh = test_bit(LU_OPT_FRESH, &instance->given),
		.has_key = test_bit(LU_OPT_KEY, &instance->given),
		.limit = instance->limit,
		.limit_given = test_bit(LU_OPT_SIZE, &instance->given),
		.huge = instance->huge,
		.mode = root ? root->i_mode & S_IALLUGO : instance->mode,
		.uid = from_kuid(&init_user_ns, root ? root->i_uid : instance->uid),
		.gid = from_kgid(&init_user_ns, root ? root->i_gid : instance->gid),
	};
	memcpy(params->key, instance->key, sizeof(params->key));
}

void lu_set_limit(struct lu_instance *instance, u64 limit)
{
	instance->limit = limit;
	atomic_long_set(&instance->max_pages, limit >> PAGE_SHIFT);
}

/**
 * lu_instance_adopt - what an instance was in the previous kernel, but for what the mount's
 * options say otherwise: limit, huge and the root directory's attributes
 *
 * Before its files are added.
 */
int lu_instance_adopt(struct lu_instance *instance, const struct lu_params *params)
{
	struct inode *root = d_inode(instance->sb->s_root);
	kuid_t uid = make_kuid(&init_user_ns, params->uid);
	kgid_t gid = make_kgid(&init_user_ns, params->gid);

	if (!uid_valid(uid) || !gid_valid(gid) || params->mode & ~S_IALLUGO ||
	    params->limit < PAGE_SIZE || params->limit > LLONG_MAX || params->huge > 1)
		return -EINVAL;
	inode_lock_nested(root, I_MUTEX_PARENT);
	if (!test_bit(LU_OPT_SIZE, &instance->given))
		lu_set_limit(instance, params->limit);
	if (!test_bit(LU_OPT_HUGE, &instance->given))
		instance->huge = params->huge && IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE);
	if (!test_bit(LU_OPT_MODE, &instance->given))
		root->i_mode = S_IFDIR | params->mode;
	if (!test_bit(LU_OPT_UID, &instance->given))
		root->i_uid = uid;
	if (!test_bit(LU_OPT_GID, &instance->given))
		root->i_gid = gid;
	lu_control_chown(instance, root);
	inode_unlock(root);
	return 0;
}

/* The limit may change; what else is said must be as it is (mount -o remount repeats it all). */
int lu_reconfigure(struct fs_context *fc)
{
	struct lu_instance *new = fc->fs_private;
	struct lu_instance *old = lu_instance_of(fc->root->d_sb);
	struct inode *root = d_inode(fc->root->d_sb->s_root);
	int err = 0;

#define LU_DIFFERS(opt, differs) (test_bit(opt, &new->given) && (differs))
	if (LU_DIFFERS(LU_OPT_NAME, strcmp(new->name, old->name)) ||
	    LU_DIFFERS(LU_OPT_HUGE, new->huge != old->huge) ||
	    LU_DIFFERS(LU_OPT_MODE, new->mode != old->mode) ||
	    LU_DIFFERS(LU_OPT_UID, !uid_eq(new->uid, old->uid)) ||
	    LU_DIFFERS(LU_OPT_GID, !gid_eq(new->gid, old->gid)) ||
	    LU_DIFFERS(LU_OPT_KEY, true) || LU_DIFFERS(LU_OPT_RETRIEVE, true) ||
	    LU_DIFFERS(LU_OPT_FRESH, true))
		return invalfc(fc, "only size can be changed");
#undef LU_DIFFERS
	if (!test_bit(LU_OPT_SIZE, &new->given))
		return 0;

	inode_lock_nested(root, I_MUTEX_PARENT);
	if (old->level)
		err = -EBUSY;
	else if (new->limit >> PAGE_SHIFT < atomic_long_read(&old->pages))
		err = invalfc(fc, "size: less than is in use");
	else
		lu_set_limit(old, new->limit);
	inode_unlock(root);
	return err;
}

int lu_show_options(struct seq_file *seq, struct dentry *root)
{
	struct lu_instance *instance = lu_instance_of(root->d_sb);
	struct user_namespace *ns = seq_user_ns(seq);

	if (!instance)
		return 0;
	seq_show_option(seq, "name", instance->name);
	seq_printf(seq, ",size=%lluk,huge=%s,mode=%o,uid=%u,gid=%u", instance->limit >> 10,
		   instance->huge ? "always" : "never", instance->mode,
		   from_kuid_munged(ns, instance->uid), from_kgid_munged(ns, instance->gid));
	return 0;
}
