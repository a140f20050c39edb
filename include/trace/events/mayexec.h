/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mayexec

#if !defined(_TRACE_MAYEXEC_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MAYEXEC_H

#include <linux/fs.h>
#include <linux/mayexec.h>
#include <linux/tracepoint.h>

#define show_mayexec_checks(checks)				\
	__print_flags(checks, "|",				\
		{ OPEN_MAYEXEC_ENFORCE_MOUNT,	"MOUNT" },	\
		{ OPEN_MAYEXEC_ENFORCE_FILE,	"FILE" },	\
		{ MAYEXEC_DENIED_TYPE,		"TYPE" })

/**
 * open_mayexec - A policy was applied to an O_MAYEXEC open
 * @path: what is to be opened, with a positive dentry
 * @name: name of the dentry, which nobody changes meanwhile
 * @policy: value of mayexec_policy() for this open
 * @denied: checks that deny: OPEN_MAYEXEC_ENFORCE_* bits, or MAYEXEC_DENIED_TYPE
 * @error: error of the first check that denies, or 0
 */
TRACE_EVENT(open_mayexec,
	TP_PROTO(const struct path *path, const char *name, unsigned int policy,
		 unsigned int denied, int error),

	TP_ARGS(path, name, policy, denied, error),

	TP_STRUCT__entry(
		__field(u64,	ino)
		__field(dev_t,	dev)
		__field(umode_t, mode)
		__field(u8,	checks)
		__field(u8,	denied)
		__field(int,	ret)
		__field(u8,	enforced)
		__string(name,	name)
	),

	TP_fast_assign(
		__entry->ino		= d_inode(path->dentry)->i_ino;
		__entry->dev		= path->dentry->d_sb->s_dev;
		__entry->mode		= d_inode(path->dentry)->i_mode;
		__entry->checks		= policy | policy >> MAYEXEC_LOGGED_SHIFT;
		__entry->denied		= denied;
		__entry->ret		= error;
		__entry->enforced	= !!(policy & MAYEXEC_ENFORCED_CHECKS);
		__assign_str(name);
	),

	TP_printk("dev=%d:%d ino=%llu mode=0%o checks=%s denied=%s ret=%d enforced=%u name=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->mode, show_mayexec_checks(__entry->checks),
		  show_mayexec_checks(__entry->denied), __entry->ret,
		  __entry->enforced, __get_str(name))
);

#endif /* _TRACE_MAYEXEC_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
