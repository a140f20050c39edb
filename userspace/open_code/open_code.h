/* SPDX-License-Identifier: 0BSD */
/*
 * Opens files that the caller is about to execute as code.  The kernel applies its policy to an open
 * with O_MAYEXEC.  A seccomp filter or an emulator can hide that flag: then the program itself makes
 * the checks that the sysctl asks for.  Who controls the filter can also fake the sysctl and
 * AT_EXECVE_CHECK: the checks in the program narrow that hole and do not close it.
 *
 * OPEN_CODE_STRICT, if defined, refuses where the policy cannot be known (no /proc, no prctl(2)).
 * Nothing here allocates, locks or uses stdio.  README.md says what to open with it.
 */
#ifndef OPEN_CODE_H
#define OPEN_CODE_H

#include <fcntl.h>

#ifdef __linux__
#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef __cplusplus
extern long syscall(long, ...); /* <unistd.h> hides it from strict C. */
#endif

#define OPEN_CODE_MAYEXEC ((uint64_t)1 << 33) /* O_MAYEXEC of <linux/openat2.h> */
#define OPEN_CODE_MOUNT 1 /* The sysctl's bits. */
#define OPEN_CODE_FILE 2
#define OPEN_CODE_LOG_ONLY 4
#ifdef O_CLOEXEC
#define OPEN_CODE_CLOEXEC O_CLOEXEC
#else
#define OPEN_CODE_CLOEXEC 0 /* Strict C89 hides it, and its value differs between architectures. */
#endif
#ifdef OPEN_CODE_STRICT /* What a policy that cannot be read asks for: */
#define OPEN_CODE_UNKNOWN 8 /* no file passes. */
#else
#define OPEN_CODE_UNKNOWN 0 /* nothing, as on a kernel without a policy. */
#endif

static __inline__ int open_code_openat2(int dir, const char *path, uint64_t flags)
{
#ifdef SYS_openat2
	struct { uint64_t flags, mode, resolve; } how;

	how.flags = flags;
#ifdef O_LARGEFILE
	how.flags |= O_LARGEFILE; /* As 64-bit kernels have it. */
#endif
	how.mode = how.resolve = 0;
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
#else
	(void)dir, (void)path, (void)flags;
	errno = ENOSYS; /* The number differs between architectures, so it is not guessed. */
	return -1;
#endif
}

/*
 * Whether openat2(2) knows the flag.  The path is empty, so that no file system has a say.  An
 * emulator that ignores what it does not know takes the impossible bit 62, too.  A filter that fakes
 * success returns a descriptor that is not ours: it is neither used nor closed.
 */
static __inline__ int open_code_probe(void)
{
	return open_code_openat2(-100 /* AT_FDCWD */, "", OPEN_CODE_MAYEXEC) == -1 &&
	       errno == ENOENT &&
	       open_code_openat2(-100, "", (uint64_t)1 << 62) == -1 && errno == EINVAL;
}

/* Asks once.  Threads that ask at the same time store the same, so that relaxed accesses suffice. */
static __inline__ int open_code_known(void)
{
	static int known; /* 0: not asked yet, 1: no, 2: yes */
	int found = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!found) {
		found = 1 + open_code_probe();
		__atomic_store_n(&known, found, __ATOMIC_RELAXED);
	}
	return found == 2;
}

/* The securebits of `mask` that are set.  They can change at any time: nothing is kept. */
static __inline__ int open_code_securebits(int mask)
{
	int bits = prctl(PR_GET_SECUREBITS, 0L, 0L, 0L, 0L);

	return bits < 0 ? OPEN_CODE_UNKNOWN : bits & mask;
}

/* The checks that the sysctl enforces.  The administrator can change it at any time, too. */
static __inline__ int open_code_sysctl(void)
{
	struct statfs fs;
	char text[8];
	int fd, i, n, value = 0;

	fd = open("/proc/sys/fs/open_mayexec_enforce", O_RDONLY | OPEN_CODE_CLOEXEC);
	/* An old kernel has the directory without the file; ProcSubset=pid hides both. */
	if (fd < 0 && errno == ENOENT && !statfs("/proc/sys/fs", &fs) && fs.f_type == 0x9fa0)
		return 0;
	n = fd < 0 ? -1 : (int)read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	for (i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		value = value * 10 + (text[i] - '0');
	if (i == 0)
		return OPEN_CODE_UNKNOWN;
	return value & OPEN_CODE_LOG_ONLY ? 0 : value & (OPEN_CODE_MOUNT | OPEN_CODE_FILE);
}

/* Makes `checks` on an open file, and AT_EXECVE_CHECK if one of the securebits `mask` is set. */
static __inline__ int open_code_check(int fd, int checks, int mask)
{
	static char arg[] = "";
	char *argv[2];
	struct stat st;
	struct statfs fs;

	if (checks && (checks & 8 || fstat(fd, &st) || !S_ISREG(st.st_mode)))
		goto refused;
	/* f_flags has ST_NOEXEC (8) where it is valid (0x20): fstatvfs(3) can end in stdio. */
	if (checks & OPEN_CODE_MOUNT && (fstatfs(fd, &fs) || (fs.f_flags & 0x28) != 0x20))
		goto refused;
	/* Some filters kill for execveat(2): it is called only where a policy asks for it. */
	if (!(checks & OPEN_CODE_FILE) && !open_code_securebits(mask))
		return 0;
	argv[0] = arg;
	argv[1] = 0;
	if (!syscall(SYS_execveat, fd, "", argv, argv + 1, 0x11000 /* AT_EMPTY_PATH | AT_EXECVE_CHECK */))
		return 0;
	/* A check that an old kernel or a filter makes impossible refuses, as a failed one does. */
	if (errno != ENOSYS && errno != EINVAL && errno != EPERM)
		return -1;
refused:
	errno = EACCES;
	return -1;
}

/* As open(2) for reading, if the policy lets the caller execute the file; else -1 and errno. */
static __inline__ int open_code(const char *path, int flags)
{
	int fd = -1, e, checks = 0;

	if (flags & (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)) { /* As the kernel has it. */
		errno = EINVAL;
		return -1;
	}
	if (open_code_known()) {
		fd = open_code_openat2(-100, path, OPEN_CODE_MAYEXEC | (unsigned)flags);
		/*
		 * The error is final, as file systems and fanotify (EPERM) choose it.  Only the
		 * probe, which no file answers, can say that a filter has come since it was asked.
		 */
		e = errno;
		if (fd < 0 && ((e != ENOSYS && e != EPERM) || open_code_probe())) {
			errno = e;
			return -1;
		}
	}
	if (fd < 0) {
		checks = open_code_sysctl();
		fd = open(path, flags);
	}
	/* The kernel enforces the securebit for those only who may set it: obey it always. */
	if (fd >= 0 && open_code_check(fd, checks, 1 << 8 /* SECBIT_EXEC_RESTRICT_FILE */)) {
		e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/*
 * Whether the policy lets the caller execute what is open already (/dev/fd/N): 0, or -1 and errno.
 * The descriptor and its offset stay.  The kernel is asked by opening the file again, which needs
 * the permission to read it: if the same open without the flag fails, the program makes the checks.
 */
static __inline__ int open_code_fd(int fd)
{
	const uint64_t again = 0x4000000 /* O_EMPTYPATH */ | OPEN_CODE_CLOEXEC;
	struct stat st;
	int copy = -1, e;

	if (fstat(fd, &st))
		return -1;
	if (S_ISREG(st.st_mode) && open_code_known()) {
		copy = open_code_openat2(fd, "", OPEN_CODE_MAYEXEC | again);
		e = errno;
		if (copy >= 0) {
			close(copy);
		} else if ((copy = open_code_openat2(fd, "", again)) >= 0) {
			close(copy);
			errno = e;
			return -1;
		}
	}
	/* SECBIT_EXEC_RESTRICT_FILE | SECBIT_EXEC_DENY_INTERACTIVE: check_exec.rst has both ask for it. */
	return open_code_check(fd, copy < 0 ? open_code_sysctl() : 0, 1 << 8 | 1 << 10);
}

/* Whether code that comes from no file (-c, a terminal, standard input) may run: 1 or 0. */
static __inline__ int open_code_interactive(void)
{
	return !open_code_securebits(1 << 10 /* SECBIT_EXEC_DENY_INTERACTIVE */);
}
#else
#define open_code(path, flags) open(path, flags)
#define open_code_fd(fd) ((void)(fd), 0)
#define open_code_interactive() 1
#endif
#endif
