// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A policy for O_MAYEXEC that the kernel does not have built in: it refuses what
 * is opened to be executed by the owner of the file.
 */

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf_test.h"

/* As much of the kernel's types as is needed here; libbpf finds the offsets. */
#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

struct inode {
	struct {
		unsigned int val;
	} i_uid;
};

struct file {
	unsigned int f_mode;
	struct inode *f_inode;
};

#pragma clang attribute pop

char _license[] SEC("license") = "GPL";

SEC("lsm/inode_permission")
int BPF_PROG(inode_permission, struct inode *inode, int mask, int ret)
{
	if (ret)
		return ret;
	if (mask & MAY_OPENEXEC && inode->i_uid.val == DENIED_OWNER)
		return -EPERM;
	if (mask & MAY_EXEC && inode->i_uid.val == UNCHECKED_OWNER)
		return -ENOMEM;
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *file, int ret)
{
	if (ret)
		return ret;
	if (file->f_mode & FMODE_EXEC &&
	    file->f_inode->i_uid.val == EXECUTED_OWNER)
		return -ENXIO;
	return 0;
}

SEC("lsm/file_post_open")
int BPF_PROG(file_post_open, struct file *file, int mask, int ret)
{
	if (ret)
		return ret;
	if (mask & MAY_OPENEXEC && file->f_inode->i_uid.val == POST_OWNER)
		return -EBUSY;
	return 0;
}
