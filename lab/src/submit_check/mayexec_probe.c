// SPDX-License-Identifier: GPL-2.0-only
#include <linux/slab.h>
#include <linux/uaccess.h>

/**
 * mayexec_probe - a function that does not describe its parameters
 */
int mayexec_probe(int __user *from, void *memory)
{
	if (memory)
		kfree(memory);
	return *from;
}
