// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the options do; the argument is a file that nobody may execute. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>
#include <mayexec.h>

static struct mayexec_answer answer;

/* Whether a call has failed like this, and said so in an answer that was garbage before. */
static int failed(int ret, int error, enum mayexec_why why, const char *text)
{
	int right = ret == -error && answer.guarantee == MAYEXEC_GUARANTEE_PLAIN &&
		    answer.why == why && memchr(answer.message, 0, sizeof(answer.message)) &&
		    strstr(answer.message, text);

	memset(&answer, 0xff, sizeof(answer));
	return right;
}

int main(int argc, char **argv)
{
	struct mayexec_options options = { 0 };
	int held = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	int fd;

	assert(held >= 0);
	for (options.require = 0; options.require <= 2; options.require++) {
		fd = mayexec_openat(AT_FDCWD, argv[1], &options, &answer);
		if (options.require <= (unsigned int)mayexec_best()) {
			assert(fd >= 0 && close(fd) == 0);
			/* Where no policy asks for a check, none is made that nobody demands. */
			assert(answer.guarantee == MAYEXEC_GUARANTEE_KERNEL ||
			       answer.guarantee == options.require);
			assert(answer.why == MAYEXEC_WHY_OPENED);
		} else {
			assert(fd == -EOPNOTSUPP);
			assert(answer.why == MAYEXEC_WHY_IMPOSSIBLE);
			assert(strlen(answer.message) > 0);
		}
	}
	memset(&answer, 0xff, sizeof(answer));
	assert(failed(mayexec_openat(AT_FDCWD, argv[1], &options, &answer), EINVAL,
		      MAYEXEC_WHY_IMPOSSIBLE, "no such guarantee"));

	options = (struct mayexec_options){ .flags = 2 };
	assert(failed(mayexec_reopen(held, &options, &answer), EINVAL, MAYEXEC_WHY_IMPOSSIBLE,
		      "unknown flags"));
	options.flags = MAYEXEC_CHECK_ALWAYS;
	fd = mayexec_reopen(held, &options, &answer);
	assert(fd == (mayexec_best() ? -EACCES : -EOPNOTSUPP));
	assert(strlen(answer.message) > 0);

	memset(&answer, 0xff, sizeof(answer));
	assert(failed(mayexec_open(NULL, &answer), EFAULT, MAYEXEC_WHY_OPEN, "Bad address"));
	assert(failed(mayexec_openat(-1, "x", NULL, &answer), EBADF, MAYEXEC_WHY_OPEN,
		      "Bad file descriptor"));
	assert(failed(mayexec_openat(1 << 20, "x", NULL, &answer), EBADF, MAYEXEC_WHY_OPEN,
		      "Bad file descriptor"));
	assert(failed(mayexec_reopen(-1, NULL, &answer), EBADF, MAYEXEC_WHY_OPEN,
		      "Bad file descriptor"));
	assert(mayexec_open(NULL, NULL) == -EFAULT);

	options = (struct mayexec_options){ .resolve = RESOLVE_BENEATH };
	assert(mayexec_openat(AT_FDCWD, argv[1], &options, NULL) == -EXDEV);
	options.resolve = 1ULL << 63;
	assert(failed(mayexec_openat(AT_FDCWD, argv[1], &options, &answer), EINVAL,
		      MAYEXEC_WHY_OPEN, "Invalid argument"));
	return 0;
}
