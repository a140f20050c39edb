// SPDX-License-Identifier: GPL-2.0
/* What the options do; the argument is a file that nobody may execute. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>
#include <mayexec.h>

int main(int argc, char **argv)
{
	struct mayexec_options options = { 0 };
	struct mayexec_answer answer;
	int held = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	int fd;

	assert(held >= 0);
	for (options.require = 0; options.require <= 2; options.require++) {
		fd = mayexec_openat(AT_FDCWD, argv[1], &options, &answer);
		if (options.require <= (unsigned int)mayexec_best()) {
			assert(fd >= 0 && close(fd) == 0);
			assert(answer.guarantee == mayexec_best());
			assert(answer.why == MAYEXEC_WHY_OPENED);
		} else {
			assert(fd == -EOPNOTSUPP);
			assert(answer.why == MAYEXEC_WHY_IMPOSSIBLE);
			assert(strlen(answer.message) > 0);
		}
	}
	assert(mayexec_openat(AT_FDCWD, argv[1], &options, &answer) == -EINVAL);

	options = (struct mayexec_options){ .flags = 2 };
	assert(mayexec_reopen(held, &options, &answer) == -EINVAL);
	options.flags = MAYEXEC_CHECK_ALWAYS;
	fd = mayexec_reopen(held, &options, &answer);
	assert(fd == (mayexec_best() ? -EACCES : -EOPNOTSUPP));
	assert(strlen(answer.message) > 0);

	options = (struct mayexec_options){ .resolve = RESOLVE_BENEATH };
	assert(mayexec_openat(AT_FDCWD, argv[1], &options, NULL) == -EXDEV);
	return 0;
}
