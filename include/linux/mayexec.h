/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MAYEXEC_H
#define _LINUX_MAYEXEC_H

#include <linux/compiler.h>
#include <linux/kconfig.h>
#include <linux/tracepoint-defs.h>
#include <linux/types.h>

struct path;

/* The bits of fs.open_mayexec_enforce: the checks of an O_MAYEXEC open. */
#define OPEN_MAYEXEC_ENFORCE_MOUNT	0x1 /* The mount is not noexec. */
#define OPEN_MAYEXEC_ENFORCE_FILE	0x2 /* The caller may execute the file. */
#define OPEN_MAYEXEC_LOG_ONLY		0x4 /* Make the checks, refuse nothing. */

/*
 * The policy of one open has the enforced checks in the lowest byte and the
 * logged ones in the next. At least one of the two is 0.
 */
#define MAYEXEC_ENFORCED_CHECKS \
	(OPEN_MAYEXEC_ENFORCE_MOUNT | OPEN_MAYEXEC_ENFORCE_FILE)
#define MAYEXEC_LOGGED_SHIFT		8
#define MAYEXEC_CHECKS \
	(MAYEXEC_ENFORCED_CHECKS | MAYEXEC_ENFORCED_CHECKS << MAYEXEC_LOGGED_SHIFT)

/* This is no check: the open is one of execve(2), which has its own checks. */
#define MAYEXEC_EXECVE			0x10000

/* What the tracepoint shows beside the checks: the file is no regular file. */
#define MAYEXEC_DENIED_TYPE		0x4

#ifdef CONFIG_OPEN_MAYEXEC

DECLARE_TRACEPOINT(open_mayexec);

extern int sysctl_open_mayexec_enforce;

/**
 * mayexec_system_policy - Get the system's policy for O_MAYEXEC opens
 *
 * The policy can change at any time, so an open calls this function once.
 *
 * Return: The value of fs.open_mayexec_enforce.
 */
static inline unsigned int mayexec_system_policy(void)
{
	if (IS_ENABLED(CONFIG_OPEN_MAYEXEC_STATIC))
		return CONFIG_OPEN_MAYEXEC_ENFORCE;
	return READ_ONCE(sysctl_open_mayexec_enforce);
}

/**
 * mayexec_policy - Get the checks that are in force for an O_MAYEXEC open
 * @system: value of mayexec_system_policy()
 * @restricted: whether the kernel enforces the caller's
 *		SECBIT_EXEC_RESTRICT_FILE
 *
 * Return: OPEN_MAYEXEC_ENFORCE_* bits, shifted by MAYEXEC_LOGGED_SHIFT if the
 * checks are only logged. The securebit enforces all checks, so there is
 * nothing left to log then.
 */
static inline unsigned int mayexec_policy(unsigned int system, bool restricted)
{
	if (unlikely(restricted))
		return MAYEXEC_ENFORCED_CHECKS;
	if (unlikely(system & OPEN_MAYEXEC_LOG_ONLY))
		return (system & MAYEXEC_ENFORCED_CHECKS) << MAYEXEC_LOGGED_SHIFT;
	return system;
}

/**
 * mayexec_permission - Apply a policy to an O_MAYEXEC open
 * @path: path that the open has found, positive and with references held
 * @policy: value of mayexec_policy() for this open
 *
 * This function may sleep. It is written in Rust: fs/mayexec/mayexec.rs.
 *
 * Return: 0 if @policy lets the caller open the file to execute it. Otherwise
 * -EACCES, or the error of the check for execute permission.
 */
int mayexec_permission(const struct path *path, unsigned int policy);

void mayexec_trace(const struct path *path, unsigned int policy,
		   unsigned int denied, int error);

#else /* !CONFIG_OPEN_MAYEXEC */

static inline unsigned int mayexec_system_policy(void)
{
	return 0;
}

static inline unsigned int mayexec_policy(unsigned int system, bool restricted)
{
	return 0;
}

static inline int mayexec_permission(const struct path *path,
				     unsigned int policy)
{
	return 0;
}

#endif /* CONFIG_OPEN_MAYEXEC */

#endif /* _LINUX_MAYEXEC_H */
