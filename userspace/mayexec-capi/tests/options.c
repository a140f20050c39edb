// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the options do; the argument is a file that nobody may execute. */
#define _GNU_SOURCE
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <mayexec.h>

#define READ (O_RDONLY | O_CLOEXEC)
#define UNTOUCHED 4711 /* No error. */

static struct mayexec_answer answer = MAYEXEC_ANSWER_INIT;

/* Fills the answer with garbage, so that it shows what is written. */
static void garble(void)
{
	memset(&answer, 0xff, sizeof(answer));
	answer.size = sizeof(answer);
	errno = UNTOUCHED;
}

/* Whether a call has failed like this, and said so. */
static int failed(int ret, int error, enum mayexec_why why, const char *text)
{
	int right = ret == -1 && errno == error && answer.guarantee == MAYEXEC_GUARANTEE_PLAIN &&
		    answer.why == why && memchr(answer.message, 0, sizeof(answer.message)) &&
		    strstr(answer.message, text);

	if (!right)
		fprintf(stderr, "returned %d, errno %d, why %u: %.60s\n", ret, errno, answer.why,
			answer.message);
	garble();
	return right;
}

/* Whether a call has opened something and left errno alone. */
static int opened(int fd)
{
	int right = fd >= 0 && errno == UNTOUCHED;

	if (fd >= 0)
		close(fd);
	errno = UNTOUCHED;
	return right;
}

/* A thread that has descriptors of its own. */
static void *apart(void *path)
{
	int held;

	assert(!unshare(CLONE_FILES));
	held = open(path, O_RDONLY);
	errno = UNTOUCHED;
	assert(held >= 0 && opened(mayexec_reopen(held, READ, NULL, NULL)));
	return NULL;
}

static void sizes(const char *path)
{
	struct {
		struct mayexec_options options;
		uint64_t more;
	} larger = { MAYEXEC_OPTIONS_INIT, 0 };
	static union {
		struct mayexec_answer answer;
		unsigned char bytes[4200];
	} large;

	larger.options.size = sizeof(larger);
	assert(opened(mayexec_openat(AT_FDCWD, path, READ, &larger.options, NULL)));
	larger.more = 1;
	assert(failed(mayexec_openat(AT_FDCWD, path, READ, &larger.options, &answer), E2BIG,
		      MAYEXEC_WHY_IMPOSSIBLE, "size"));
	larger.options.size = MAYEXEC_OPTIONS_SIZE_0 - 1;
	assert(failed(mayexec_openat(AT_FDCWD, path, READ, &larger.options, &answer), EINVAL,
		      MAYEXEC_WHY_IMPOSSIBLE, "size"));
	/* Nobody reads that far. */
	larger.options.size = 1 << 30;
	assert(failed(mayexec_openat(AT_FDCWD, path, READ, &larger.options, &answer), E2BIG,
		      MAYEXEC_WHY_IMPOSSIBLE, "size"));

	memset(&large, 0xff, sizeof(large));
	large.answer.size = sizeof(answer) + 8;
	assert(opened(mayexec_open(path, READ, &large.answer)));
	assert(large.answer.size == sizeof(answer) + 8);
	assert(large.bytes[sizeof(answer)] == 0 && large.bytes[sizeof(answer) + 7] == 0);
	assert(large.bytes[sizeof(answer) + 8] == 0xff);
	large.answer.size = MAYEXEC_ANSWER_SIZE_0 - 1;
	assert(mayexec_open(path, READ, &large.answer) == -1 && errno == EINVAL);
	large.answer.size = 4097;
	assert(mayexec_open(path, READ, &large.answer) == -1 && errno == E2BIG);
	assert(large.bytes[sizeof(answer) + 8] == 0xff);
	errno = UNTOUCHED;
}

static void flags(const char *path)
{
	static const int refused[] = { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_PATH, O_DIRECTORY,
				       O_TMPFILE };
	char fifo[] = "/tmp/mayexec.XXXXXX";
	unsigned int i;
	int fd;

	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert(failed(mayexec_open(path, refused[i], &answer), EINVAL, MAYEXEC_WHY_OPEN,
			      "Invalid argument"));
	fd = mayexec_open(path, READ | O_NONBLOCK, NULL);
	assert(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert(opened(fd));
	fd = mayexec_open(path, O_RDONLY, NULL);
	assert(fcntl(fd, F_GETFD) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	assert(opened(fd));
	/* No writer: without O_NONBLOCK, this would not return. */
	assert(mkdtemp(fifo) && rmdir(fifo) == 0 && mkfifo(fifo, 0600) == 0);
	errno = UNTOUCHED;
	assert(opened(mayexec_open(fifo, READ | O_NONBLOCK, NULL)));
	assert(unlink(fifo) == 0);
}

static void interactive(int held)
{
	assert(mayexec_interactive() == 1 && errno == UNTOUCHED);
	assert(mayexec_check(held) == 0 && errno == UNTOUCHED);
	assert(mayexec_check(-1) == -1 && errno == EBADF);
	/* SECBIT_EXEC_DENY_INTERACTIVE; kernels before Linux 6.14 have none. */
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECUREBITS, 1 << 10, 0, 0, 0)) {
		errno = UNTOUCHED;
		assert(mayexec_interactive() == 0 && errno == UNTOUCHED);
		assert(mayexec_check(held) == -1 && errno == EACCES);
	}
}

int main(int argc, char **argv)
{
	struct mayexec_options options = MAYEXEC_OPTIONS_INIT;
	pthread_t thread;
	int held = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	assert(held >= 0);
	garble();
	assert(mayexec_version() == MAYEXEC_VERSION);
	for (options.require = 0; options.require <= 2; options.require++) {
		if (options.require <= (unsigned int)mayexec_best()) {
			assert(opened(mayexec_openat(AT_FDCWD, argv[1], READ, &options, &answer)));
			/* Where no policy asks for a check, none is made that nobody demands. */
			assert(answer.guarantee == MAYEXEC_GUARANTEE_KERNEL ||
			       answer.guarantee == options.require);
			assert(answer.why == MAYEXEC_WHY_OPENED && !*answer.message);
			garble();
		} else {
			assert(failed(mayexec_openat(AT_FDCWD, argv[1], READ, &options, &answer),
				      EOPNOTSUPP, MAYEXEC_WHY_IMPOSSIBLE, "demanded"));
		}
	}
	assert(failed(mayexec_openat(AT_FDCWD, argv[1], READ, &options, &answer), EINVAL,
		      MAYEXEC_WHY_IMPOSSIBLE, "no such guarantee"));

	options.require = 0;
	options.flags = 2;
	assert(failed(mayexec_reopen(held, READ, &options, &answer), EINVAL, MAYEXEC_WHY_IMPOSSIBLE,
		      "unknown flags"));
	assert(opened(mayexec_reopen(held, READ, NULL, NULL)));
	assert(opened(mayexec_reopen(held, READ | O_NOFOLLOW, NULL, NULL)));
	options.flags = MAYEXEC_CHECK_ALWAYS;
	if (mayexec_best() == MAYEXEC_GUARANTEE_PLAIN)
		assert(failed(mayexec_reopen(held, READ, &options, &answer), EOPNOTSUPP,
			      MAYEXEC_WHY_IMPOSSIBLE, "demanded"));
	else
		assert(failed(mayexec_reopen(held, READ, &options, &answer), EACCES,
			      MAYEXEC_WHY_NOT_EXECUTABLE, "no execute permission"));

	assert(failed(mayexec_open(NULL, READ, &answer), EFAULT, MAYEXEC_WHY_OPEN, "Bad address"));
	assert(failed(mayexec_openat(-1, "x", READ, NULL, &answer), EBADF, MAYEXEC_WHY_OPEN,
		      "Bad file descriptor"));
	assert(failed(mayexec_openat(1 << 20, "x", READ, NULL, &answer), EBADF, MAYEXEC_WHY_OPEN,
		      "Bad file descriptor"));
	assert(failed(mayexec_reopen(-1, READ, NULL, &answer), EBADF, MAYEXEC_WHY_OPEN,
		      "Bad file descriptor"));

	options.flags = 0;
	options.resolve = RESOLVE_BENEATH;
	assert(failed(mayexec_openat(AT_FDCWD, argv[1], READ, &options, &answer), EXDEV,
		      MAYEXEC_WHY_OPEN, "cross-device"));
	options.resolve = 1ULL << 63;
	assert(failed(mayexec_openat(AT_FDCWD, argv[1], READ, &options, &answer), EINVAL,
		      MAYEXEC_WHY_OPEN, "Invalid argument"));
	assert(!pthread_create(&thread, NULL, apart, argv[1]) && !pthread_join(thread, NULL));
	sizes(argv[1]);
	flags(argv[1]);
	interactive(held);
	return 0;
}
