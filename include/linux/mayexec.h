/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MAYEXEC_H
#define _LINUX_MAYEXEC_H

#include <uapi/linux/mayexec.h>

struct mnt_idmap;
struct path;

/* Fixed if CONFIG_OPEN_MAYEXEC_STATIC, else written by the sysctl alone. */
extern int sysctl_open_mayexec_enforce;

/**
 * mayexec_permission - Apply the execution policy to an O_MAYEXEC open
 * @idmap: idmap of the mount that @path is on
 * @path: positive path that the open has found
 *
 * May sleep. Written in Rust: fs/mayexec/mayexec.rs.
 *
 * Return: 0 if the policy in force lets the caller execute the file, -EACCES
 * or the error of the permission check if it does not.
 */
#ifdef CONFIG_OPEN_MAYEXEC
int mayexec_permission(struct mnt_idmap *idmap, const struct path *path);
#else
static inline int mayexec_permission(struct mnt_idmap *idmap,
				     const struct path *path)
{
	return 0;
}
#endif

#endif /* _LINUX_MAYEXEC_H */
