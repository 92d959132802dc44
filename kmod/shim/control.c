// SPDX-License-Identifier: GPL-2.0
/* The files of an instance that are not data: control, state, preserve_fd, reason. */

#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "fs.h"
#include "observe.h"

static u64 lu_session(const struct file *file)
{
	return lu_instance_of(file_inode(file)->i_sb)->session;
}

/* One word, spaces and newlines around it taken off; its length or an errno. */
static ssize_t lu_get_word(char *word, size_t size, const char __user *buf, size_t len)
{
	char *text;

	if (len >= size)
		return -EINVAL;
	if (copy_from_user(word, buf, len))
		return -EFAULT;
	word[len] = 0;
	if (strlen(word) != len)
		return -EINVAL;
	text = strim(word);
	memmove(word, text, strlen(text) + 1);
	return strlen(word);
}

static long lu_control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return lu_on_ioctl(lu_session(file), lu_file_capable(file), file, cmd, arg);
}

static const struct file_operations lu_control_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = lu_control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* state: in private_data, the number of the change that was read last. */

static int lu_state_open(struct inode *inode, struct file *file)
{
	file->private_data = (void *)~0UL;	/* not read yet */
	return 0;
}

static ssize_t lu_state_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	u64 seen = lu_state_seq();	/* before the state: then no change is missed */
	char text[16];
	ssize_t ret;

	snprintf(text, sizeof(text), "%s\n", lu_state_word(lu_on_state()));
	ret = simple_read_from_buffer(buf, len, pos, text, strlen(text));
	if (ret > 0)
		WRITE_ONCE(file->private_data, (void *)seen);
	return ret;
}

static __poll_t lu_state_poll(struct file *file, poll_table *wait)
{
	lu_state_wait(file, wait);
	if (READ_ONCE(file->private_data) == (void *)lu_state_seq())
		return EPOLLOUT | EPOLLWRNORM;
	return EPOLLOUT | EPOLLWRNORM | EPOLLIN | EPOLLRDNORM | EPOLLPRI;
}

static ssize_t lu_state_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	char word[32];
	ssize_t ret;

	if (!lu_file_capable(file))
		return -EPERM;
	ret = lu_get_word(word, sizeof(word), buf, len);
	if (ret >= 0)
		ret = lu_on_state_write(lu_session(file), word, ret);
	return ret < 0 ? ret : len;
}

static const struct file_operations lu_state_fops = {
	.owner = THIS_MODULE,
	.open = lu_state_open,
	.llseek = default_llseek,
	.read = lu_state_read,
	.write = lu_state_write,
	.poll = lu_state_poll,
};

/* preserve_fd: the tokens that this open file was given, to be read as one text. */
struct lu_tokens {
	struct mutex lock;
	size_t count, room;
	u64 *token;
};

#define LU_TOKEN_LEN	19	/* 0x, 16 digits, newline */

static int lu_tokens_open(struct inode *inode, struct file *file)
{
	struct lu_tokens *tokens = kzalloc(sizeof(*tokens), GFP_KERNEL_ACCOUNT);

	if (!tokens)
		return -ENOMEM;
	mutex_init(&tokens->lock);
	file->private_data = tokens;
	return 0;
}

static int lu_tokens_release(struct inode *inode, struct file *file)
{
	struct lu_tokens *tokens = file->private_data;

	kvfree(tokens->token);
	kfree(tokens);
	return 0;
}

/* Room first: a registration whose token nobody learnt could not be taken back. */
static int lu_tokens_reserve(struct lu_tokens *tokens)
{
	size_t room = max(16, 2 * tokens->room);
	u64 *token;

	if (tokens->count < tokens->room)
		return 0;
	token = lu_fault() ? NULL : kvrealloc(tokens->token, array_size(room, sizeof(*token)),
					      GFP_KERNEL_ACCOUNT);
	if (!token)
		return -ENOMEM;
	tokens->token = token;
	tokens->room = room;
	return 0;
}

static ssize_t lu_tokens_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct lu_tokens *tokens = file->private_data;
	char word[16];
	ssize_t ret;
	int fd;

	/* The number means a file of the caller: it must not be tricked into naming one. */
	if (!lu_same_creds(file))
		return -EPERM;
	ret = lu_get_word(word, sizeof(word), buf, len);
	if (ret < 0)
		return ret;
	ret = kstrtoint(word, 10, &fd);
	if (ret)
		return ret;
	ret = mutex_lock_interruptible(&tokens->lock);
	if (ret)
		return ret;
	ret = lu_tokens_reserve(tokens);
	if (!ret)
		ret = lu_on_preserve_fd(lu_session(file), fd, &tokens->token[tokens->count]);
	if (!ret)
		tokens->count++;
	mutex_unlock(&tokens->lock);
	return ret ?: len;
}

static ssize_t lu_tokens_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct lu_tokens *tokens = file->private_data;
	size_t done = 0;
	ssize_t ret;

	if (*pos < 0)
		return -EINVAL;
	ret = mutex_lock_interruptible(&tokens->lock);
	if (ret)
		return ret;
	while (done < len && *pos < tokens->count * LU_TOKEN_LEN) {
		char text[LU_TOKEN_LEN + 1];
		size_t offset = *pos % LU_TOKEN_LEN;
		size_t bytes = min(len - done, LU_TOKEN_LEN - offset);

		snprintf(text, sizeof(text), "0x%016llx\n", tokens->token[*pos / LU_TOKEN_LEN]);
		if (copy_to_user(buf + done, text + offset, bytes)) {
			ret = -EFAULT;
			break;
		}
		done += bytes;
		*pos += bytes;
	}
	mutex_unlock(&tokens->lock);
	return done ?: ret;
}

static const struct file_operations lu_tokens_fops = {
	.owner = THIS_MODULE,
	.open = lu_tokens_open,
	.release = lu_tokens_release,
	.llseek = default_llseek,
	.read = lu_tokens_read,
	.write = lu_tokens_write,
};

static ssize_t lu_reason_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	char text[LIVEUPDATE_LAB_REASON_LEN + 1];
	int bytes = lu_on_reason(lu_session(file), text, LIVEUPDATE_LAB_REASON_LEN);

	if (bytes < 0)
		return bytes;
	bytes = min(bytes, LIVEUPDATE_LAB_REASON_LEN);
	if (bytes)
		text[bytes++] = '\n';
	return simple_read_from_buffer(buf, len, pos, text, bytes);
}

static const struct file_operations lu_reason_fops = {
	.owner = THIS_MODULE,
	.llseek = default_llseek,
	.read = lu_reason_read,
};

/* A shell opens what it writes to with O_TRUNC. */
static int lu_control_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	attr->ia_valid &= ~ATTR_SIZE;
	return simple_setattr(idmap, dentry, attr);
}

static const struct inode_operations lu_control_iops = {
	.getattr = simple_getattr,
	.setattr = lu_control_setattr,
};

static const struct {
	const char *name;
	umode_t mode;
	const struct file_operations *fops;
} lu_control_files[LU_CONTROLS] = {
	[LU_CONTROL] = { "control", 0600, &lu_control_fops },
	[LU_STATE] = { "state", 0600, &lu_state_fops },
	[LU_PRESERVE_FD] = { "preserve_fd", 0600, &lu_tokens_fops },
	[LU_REASON] = { "reason", 0600, &lu_reason_fops },
};

bool lu_control_is(const struct inode *inode)
{
	return inode->i_op == &lu_control_iops;
}

/* Who owns the directory owns them. */
void lu_control_chown(struct lu_instance *instance, const struct inode *root)
{
	for (size_t i = 0; i < LU_CONTROLS; i++) {
		instance->controls[i]->i_uid = root->i_uid;
		instance->controls[i]->i_gid = root->i_gid;
	}
}

int lu_control_fill(struct lu_instance *instance)
{
	struct super_block *sb = instance->sb;

	for (size_t i = 0; i < LU_CONTROLS; i++) {
		struct dentry *dentry = d_alloc_name(sb->s_root, lu_control_files[i].name);
		struct inode *inode;

		if (!dentry)
			return -ENOMEM;
		inode = lu_fault() ? NULL : new_inode(sb);
		if (!inode) {
			dput(dentry);
			return -ENOMEM;
		}
		inode->i_ino = get_next_ino();
		inode->i_mode = S_IFREG | lu_control_files[i].mode;
		inode->i_uid = d_inode(sb->s_root)->i_uid;
		inode->i_gid = d_inode(sb->s_root)->i_gid;
		simple_inode_init_ts(inode);
		inode->i_op = &lu_control_iops;
		inode->i_fop = lu_control_files[i].fops;
		instance->controls[i] = inode;
		d_make_persistent(dentry, inode);
		dput(dentry);
	}
	return 0;
}
