/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MAYEXEC_H
#define _LINUX_MAYEXEC_H

#include <uapi/linux/mayexec.h>

struct mnt_idmap;
struct path;

/* Fixed if CONFIG_OPEN_MAYEXEC_STATIC, else written by the sysctl alone. */
extern int sysctl_open_mayexec_enforce;

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
