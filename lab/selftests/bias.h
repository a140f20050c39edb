/* SPDX-License-Identifier: GPL-2.0-or-later */

#ifndef __MAYEXEC_BIAS_H__
#define __MAYEXEC_BIAS_H__

/* What came of the opens with the flag that bias.so made. */
struct counts {
	int opened, denied, failed;
};

#endif /* __MAYEXEC_BIAS_H__ */
