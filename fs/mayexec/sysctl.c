// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system's policy for O_MAYEXEC: fs.open_mayexec_enforce.
 */

#include <linux/capability.h>
#include <linux/init.h>
#include <linux/mayexec.h>
#include <linux/sysctl.h>

static const int all_bits = OPEN_MAYEXEC_ENFORCE_MOUNT |
			    OPEN_MAYEXEC_ENFORCE_FILE | OPEN_MAYEXEC_LOG_ONLY;

int sysctl_open_mayexec_enforce __read_mostly = CONFIG_OPEN_MAYEXEC_ENFORCE;

/*
 * The file mode admits every process with the UID of root. A process without
 * CAP_SYS_ADMIN, for instance in a user namespace, must not lift the policy.
 */
static int proc_open_mayexec_enforce(const struct ctl_table *table, int dir,
				     void *buffer, size_t *lenp, loff_t *ppos)
{
	if (SYSCTL_USER_TO_KERN(dir) && !capable(CAP_SYS_ADMIN))
		return -EPERM;

	return proc_dointvec_minmax(table, dir, buffer, lenp, ppos);
}

static const struct ctl_table mayexec_sysctls[] = {
	{
		.procname	= "open_mayexec_enforce",
		.data		= &sysctl_open_mayexec_enforce,
		.maxlen		= sizeof(int),
		.mode		= IS_ENABLED(CONFIG_OPEN_MAYEXEC_STATIC) ? 0444 : 0644,
		.proc_handler	= proc_open_mayexec_enforce,
		.extra1		= SYSCTL_ZERO,
		.extra2		= (void *)&all_bits,
	},
};

static int __init mayexec_sysctl_init(void)
{
	register_sysctl_init("fs", mayexec_sysctls);
	return 0;
}
fs_initcall(mayexec_sysctl_init);
