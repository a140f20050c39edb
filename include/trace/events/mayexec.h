/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Execution policy of openat2(2) with O_MAYEXEC: see
 * Documentation/admin-guide/mayexec.rst.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM mayexec

#if !defined(_TRACE_MAYEXEC_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MAYEXEC_H

#include <linux/fs.h>
#include <linux/tracepoint.h>

/**
 * open_mayexec - The policy has decided on an O_MAYEXEC open
 * @path: what is to be opened, with a positive dentry
 * @name: name of the dentry, which a rename cannot change meanwhile
 * @policy: policy in force, OPEN_MAYEXEC_ENFORCE_* bits
 * @ret: verdict, 0 or a negative errno
 * @strict: verdict with both bits, estimated if the caller was not asked for
 * @reason: check that accounts for @strict: none, type, mount or file
 */
TRACE_EVENT(open_mayexec,
	TP_PROTO(const struct path *path, const char *name,
		 unsigned int policy, int ret, int strict, const char *reason),

	TP_ARGS(path, name, policy, ret, strict, reason),

	TP_STRUCT__entry(
		__field(u64,		ino)
		__field(dev_t,		dev)
		__field(unsigned int,	policy)
		__field(int,		ret)
		__field(int,		strict)
		__string(reason,	reason)
		__string(name,		name)
	),

	TP_fast_assign(
		__entry->ino	= d_inode(path->dentry)->i_ino;
		__entry->dev	= path->dentry->d_sb->s_dev;
		__entry->policy	= policy;
		__entry->ret	= ret;
		__entry->strict	= strict;
		__assign_str(reason);
		__assign_str(name);
	),

	TP_printk("dev=%d:%d ino=%llu policy=%u ret=%d strict=%d reason=%s name=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->policy, __entry->ret, __entry->strict,
		  __get_str(reason), __get_str(name))
);

#endif /* _TRACE_MAYEXEC_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
