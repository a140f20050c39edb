// SPDX-License-Identifier: GPL-2.0-only
/*
 * Apply the policy to an O_MAYEXEC open and tell the tracepoint.
 */

#include <linux/dcache.h>
#include <linux/mayexec.h>
#include <linux/path.h>

#define CREATE_TRACE_POINTS
#include <trace/events/mayexec.h>

static noinline void trace_verdict(const struct path *path, unsigned int policy,
				   struct mayexec_verdict verdict)
{
	struct name_snapshot name;

	/* A rename must not change the name while it is copied. */
	take_dentry_name_snapshot(&name, path->dentry);
	trace_open_mayexec(path, name.name.name, policy, verdict);
	release_dentry_name_snapshot(&name);
}

/**
 * mayexec_permission - Apply a policy to an O_MAYEXEC open
 * @path: path that the open has found, positive and with references held
 * @policy: value of mayexec_policy() for this open
 *
 * This function may sleep.
 *
 * Return: 0 if @policy lets the caller open the file to execute it. Otherwise
 * -EACCES, or the error of the check for execute permission.
 */
int mayexec_permission(const struct path *path, unsigned int policy)
{
	const struct mayexec_verdict verdict = mayexec_decide(path, policy);

	if (trace_open_mayexec_enabled())
		trace_verdict(path, policy, verdict);
	/* Checks that are only logged refuse nothing. */
	return policy & MAYEXEC_ENFORCED_MASK ? verdict.error : 0;
}
