/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What mayexec_bpf_test and its BPF programs agree on. */

#ifndef __MAYEXEC_BPF_H__
#define __MAYEXEC_BPF_H__

/* From <linux/fs.h>, which BTF does not carry: macros. */
#define MAY_EXEC	0x00000001
#define MAY_OPENEXEC	0x8000

#define DENIED_OWNER	60003
#define UNCHECKED_OWNER	60004
#define DENIED_NAME	"denied"

#endif /* __MAYEXEC_BPF_H__ */
