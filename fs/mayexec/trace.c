// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tell the tracepoint what the checks of an O_MAYEXEC open say.
 */

#include <linux/dcache.h>
#include <linux/mayexec.h>
#include <linux/path.h>

#define CREATE_TRACE_POINTS
#include <trace/events/mayexec.h>

/**
 * mayexec_trace - Tell the tracepoint what the checks of an O_MAYEXEC open say
 * @path: what mayexec_permission() got, with a positive dentry
 * @policy: the checks in force, as mayexec_permission() got them
 * @denied: the checks that deny
 * @error: the error of the first of them, or 0
 *
 * mayexec_permission() calls this if the tracepoint is enabled.
 */
void mayexec_trace(const struct path *path, unsigned int policy,
		   unsigned int denied, int error)
{
	struct name_snapshot name;

	/* A rename must not change the name while it is copied. */
	take_dentry_name_snapshot(&name, path->dentry);
	trace_open_mayexec(path, name.name.name, policy, denied, error);
	release_dentry_name_snapshot(&name);
}
