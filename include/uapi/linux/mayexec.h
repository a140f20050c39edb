/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_MAYEXEC_H
#define _UAPI_LINUX_MAYEXEC_H

/*
 * Bits of the sysctl fs.open_mayexec_enforce: what openat2(2) with O_MAYEXEC
 * refuses. See Documentation/userspace-api/mayexec.rst.
 */
#define OPEN_MAYEXEC_ENFORCE_MOUNT	0x1 /* files on noexec mounts */
#define OPEN_MAYEXEC_ENFORCE_FILE	0x2 /* files the caller may not execute */

#endif /* _UAPI_LINUX_MAYEXEC_H */
