/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MAYEXEC_H
#define _LINUX_MAYEXEC_H

#include <linux/types.h>
#include <uapi/linux/mayexec.h>

struct inode;
struct mnt_idmap;
struct path;

/*
 * The system's policy at boot, and for good if CONFIG_OPEN_MAYEXEC_STATIC. Rust
 * cannot use the symbol itself: bindings are not made anew when one changes
 * that no header names.
 */
#define MAYEXEC_BOOT_POLICY	CONFIG_OPEN_MAYEXEC_ENFORCE

/* Fixed if CONFIG_OPEN_MAYEXEC_STATIC, else written by the sysctl alone. */
extern int sysctl_open_mayexec_enforce;

int mayexec_generic_permission(struct mnt_idmap *idmap, struct inode *inode);

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

/**
 * mayexec_asks_file - Tell whether permission to execute the file matters
 *
 * For security modules that have a say in this permission but no
 * inode_permission hook: they can take part in file_post_open.
 *
 * Return: true if the policy in force for the caller has the FILE check.
 */
#ifdef CONFIG_OPEN_MAYEXEC
bool mayexec_asks_file(void);
#endif

#endif /* _LINUX_MAYEXEC_H */
