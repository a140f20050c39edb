// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A policy for O_MAYEXEC that the kernel does not have built in: it refuses what
 * is opened to be executed by the owner of the file and by its name.
 */

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "mayexec_bpf.h"

/* As much of the kernel's types as is needed here; libbpf finds the offsets. */
#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

struct inode {
	struct {
		unsigned int val;
	} i_uid;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct path f_path;
};

#pragma clang attribute pop

char _license[] SEC("license") = "GPL";

SEC("lsm/inode_permission")
int BPF_PROG(deny_owner, struct inode *inode, int mask, int ret)
{
	if (ret)
		return ret;
	if (mask & MAY_OPENEXEC && inode->i_uid.val == DENIED_OWNER)
		return -EPERM;
	/* Whether it may be executed cannot be found out. */
	if (mask & MAY_EXEC && inode->i_uid.val == UNCHECKED_OWNER)
		return -ENOMEM;
	return 0;
}

SEC("lsm/file_post_open")
int BPF_PROG(deny_name, struct file *file, int mask, int ret)
{
	/* One more, so that a longer name does not become equal to this one. */
	char name[sizeof(DENIED_NAME) + 1];

	if (ret)
		return ret;
	if (!(mask & MAY_OPENEXEC))
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  file->f_path.dentry->d_name.name);
	if (!bpf_strncmp(name, sizeof(name), DENIED_NAME))
		return -EBUSY;
	return 0;
}
