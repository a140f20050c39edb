/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What bpf_test and its BPF programs agree on. */

#ifndef __BPF_TEST_H__
#define __BPF_TEST_H__

/* From <linux/fs.h>, which BTF does not carry: macros. */
#define MAY_EXEC	0x00000001
#define MAY_OPENEXEC	0x00008000
#define FMODE_EXEC	0x20

#define DENIED_OWNER	60030	/* inode_permission refuses: intent */
#define UNCHECKED_OWNER	60031	/* inode_permission fails to check */
#define POST_OWNER	60032	/* file_post_open refuses: intent */
#define EXECUTED_OWNER	60033	/* file_open refuses: execution */

#endif /* __BPF_TEST_H__ */
