/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Compiled as strict C and as C++. */
#include <mayexec.h>

int use(const char *path);

int use(const char *path)
{
	struct mayexec_options options = MAYEXEC_OPTIONS_INIT;
	struct mayexec_answer answer = MAYEXEC_ANSWER_INIT;

	options.require = MAYEXEC_GUARANTEE_KERNEL;
	return mayexec_openat(-100, path, 0, &options, &answer);
}
