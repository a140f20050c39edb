// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into programs that know nothing of O_MAYEXEC: biases what a fuzzer passes
 * to openat2(2) to the flag and, where BIAS_OPENS is in the environment, gives it to
 * a program's own opens for reading. The file BIAS_COUNTS has what came of it.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bias.h"

/* What open(2) has in common with an openat2(2) to which the flag can be given. */
#define KEPT	(O_CLOEXEC | O_DIRECT | O_DSYNC | O_NOATIME | O_NOCTTY | O_NOFOLLOW | \
		 O_NONBLOCK)
#define EXCLUDED (O_ACCMODE | O_APPEND | O_CREAT | O_DIRECTORY | O_PATH | O_TRUNC)

static long (*real_syscall)(long number, ...);
static struct counts *counts;
static bool opens;

__attribute__((constructor))
static void start(void)
{
	const char *path = getenv("BIAS_COUNTS");
	int fd;

	real_syscall = dlsym(RTLD_NEXT, "syscall");
	if (!path)
		return;
	opens = getenv("BIAS_OPENS");
	fd = real_syscall(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (counts == MAP_FAILED)
		abort();
}

static long counted(long ret)
{
	int *const counter = ret >= 0 ? &counts->opened :
			     errno == EACCES ? &counts->denied : &counts->failed;

	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
	return ret;
}

int open(const char *path, int flags, ...)
{
	struct open_how how = { .flags = O_MAYEXEC | (flags & KEPT) };
	va_list list;
	int mode;

	va_start(list, flags);
	mode = va_arg(list, int);
	va_end(list);
	if (!opens || flags & EXCLUDED)
		return real_syscall(__NR_openat, AT_FDCWD, path, flags, mode);
	return counted(real_syscall(__NR_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int __open_2(const char *path, int flags) __attribute__((alias("open")));
int __open64_2(const char *path, int flags) __attribute__((alias("open")));

/* Mostly what the kernel must decide on, some noise, and the fuzzer's own words. */
long syscall(long number, ...)
{
	static const __u64 noise[] = {
		O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDWR, O_TRUNC,
		(__u64)1 << 32, (__u64)1 << 34,
	};
	struct open_how how = { .flags = O_MAYEXEC | O_NONBLOCK };
	long args[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number != __NR_openat2 || !counts || random() % 8 == 0)
		return real_syscall(number, args[0], args[1], args[2], args[3],
				    args[4], args[5]);
	if (random() % 4 == 0)
		how.flags |= noise[random() % (sizeof(noise) / sizeof(noise[0]))];
	if (random() % 8 == 0)
		how.resolve = random() % 64;
	return counted(real_syscall(number, args[0], args[1], &how, sizeof(how)));
}
