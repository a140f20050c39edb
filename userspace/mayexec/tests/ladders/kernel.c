// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Plays another kernel for a program that makes openat2(2) by syscall(3), if it is preloaded.  KERNEL is
 *	old	a kernel without the flag
 *	drops	an emulator that drops the flags that it does not know
 *	a number	a kernel with the flag that refuses each file with this errno, or allows it (0)
 *	interrupted	one that allows each file, where a signal interrupts the first open
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HIGH 0xfffffffe00000000ull
#define MAYEXEC (1ull << 33)
#define EMPTYPATH 0x4000000u

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	static int interrupted;
	const char *kernel = getenv("KERNEL");
	struct { uint64_t flags, mode, resolve; } how;
	char link[32];
	va_list list;
	long a[6];
	int i, probe;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number != SYS_openat2 || !kernel || !a[2])
		return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	memcpy(&how, (void *)a[2], sizeof(how));
	if (!strcmp(kernel, "old")) {
		if (how.flags & (HIGH | EMPTYPATH)) {
			errno = EINVAL;
			return -1;
		}
	} else if (strcmp(kernel, "drops")) {
		probe = !*(char *)a[1] && !(how.flags & EMPTYPATH);
		if (how.flags & HIGH & ~MAYEXEC) {
			errno = EINVAL;
			return -1;
		}
		if (!strcmp(kernel, "interrupted") && *(char *)a[1] && !interrupted++) {
			errno = EINTR;
			return -1;
		}
		if (how.flags & MAYEXEC && !probe && atoi(kernel)) {
			errno = atoi(kernel);
			return -1;
		}
		if (how.flags & EMPTYPATH && (int)a[0] >= 0) {
			snprintf(link, sizeof(link), "/proc/self/fd/%d", (int)a[0]);
			return open(link, (int)(how.flags & ~(HIGH | EMPTYPATH)));
		}
	}
	how.flags &= ~(HIGH | EMPTYPATH);
	return real(number, a[0], a[1], &how, sizeof(how), 0L, 0L);
}
