/* SPDX-License-Identifier: 0BSD */
/*
 * Opens files that the caller is about to execute as code.  The kernel applies its policy to an open
 * with O_MAYEXEC.  Where a filter or an emulator hides that flag, the program makes the checks that
 * the sysctl asks for.  Who starts the program can fake the sysctl, prctl(2) and AT_EXECVE_CHECK, too:
 * these checks narrow the hole and do not close it.  OPEN_CODE_STRICT, if defined, refuses where the
 * policy cannot be known.  Nothing here allocates, locks or uses stdio: a loader can use it, and a
 * child of vfork(2).  README.md says what to open with it.
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
#if !defined(__cplusplus) && !defined(__USE_MISC) && !defined(_GNU_SOURCE) && !defined(_BSD_SOURCE)
extern long syscall(long, ...); /* <unistd.h> hides it from strict C. */
#endif

#define OPEN_CODE_MAYEXEC ((uint64_t)1 << 33) /* O_MAYEXEC of <linux/openat2.h> */
enum { OPEN_CODE_MOUNT = 1, OPEN_CODE_FILE = 2, OPEN_CODE_LOG_ONLY = 4 }; /* The sysctl's bits. */
enum { OPEN_CODE_UNKNOWN = 8 }; /* The policy cannot be known. */
#ifdef OPEN_CODE_STRICT
#define OPEN_CODE_HEEDED 15 /* That refuses every file. */
#else
#define OPEN_CODE_HEEDED 7 /* It refuses none, as a kernel that has no policy. */
#endif
#ifdef O_CLOEXEC
#define OPEN_CODE_CLOEXEC O_CLOEXEC
#else
#define OPEN_CODE_CLOEXEC 0 /* Strict C hides it, and its value differs between architectures. */
#endif

#ifndef OPEN_CODE_PER_THREAD
#define OPEN_CODE_PER_THREAD /* A program whose threads have filters of their own may say __thread. */
#endif

static __inline__ int open_code_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
#ifdef __NR_openat2
	struct { uint64_t flags, mode, resolve; } how;

	how.flags = flags;
#ifdef O_LARGEFILE /* 64-bit kernels add it, 32-bit kernels do not. */
#ifdef O_PATH
	if (!(flags & O_PATH)) /* The kernel takes nothing beside it that means nothing. */
#endif
		how.flags |= O_LARGEFILE;
#endif
	how.mode = 0;
	how.resolve = resolve;
	return (int)syscall(__NR_openat2, dir, path, &how, sizeof(how));
#else /* Headers before Linux 5.6.  The number differs between architectures. */
	(void)dir, (void)path, (void)flags, (void)resolve;
	errno = ENOSYS;
	return -1;
#endif
}

/*
 * Whether the kernel knows the flag.  The path is empty, so that no file system has a say: a kernel
 * that knows all flags goes on to ENOENT, or finds that no descriptor is free.  The impossible bit
 * 62 finds emulators that drop what they do not know.  A filter that fakes success returns a
 * descriptor that is not ours: nobody closes it.  A lack of memory tells nothing, and what was known
 * before holds.  Threads that ask at the same time store answers that are all right, so that relaxed
 * accesses suffice.
 */
static __inline__ int open_code_known(int again)
{
	static OPEN_CODE_PER_THREAD int known; /* 0: not asked yet, 1: no, 2: yes.  Each object file asks for itself. */
	int found = __atomic_load_n(&known, __ATOMIC_RELAXED), before = found;

	if (again || !found) {
		found = 1 + (open_code_openat2(-100, "", OPEN_CODE_MAYEXEC, 0) == -1 &&
			     (errno == ENOENT || errno == EMFILE || errno == ENFILE) &&
			     open_code_openat2(-100, "", (uint64_t)1 << 62, 0) == -1 && errno == EINVAL);
		if (found == 1 && errno == ENOMEM)
			return before == 2;
		__atomic_store_n(&known, found, __ATOMIC_RELAXED);
	}
	return found == 2;
}

/* The securebits of `mask` that are set now: a process can change them at any time. */
static __inline__ int open_code_securebits(int mask)
{
	int bits = prctl(PR_GET_SECUREBITS, 0L, 0L, 0L, 0L);

	return bits < 0 ? OPEN_CODE_UNKNOWN & OPEN_CODE_HEEDED : bits & mask;
}

/* The checks that the sysctl enforces now: the administrator can change it at any time. */
static __inline__ int open_code_sysctl(void)
{
	int fd = open("/proc/sys/fs/open_mayexec_enforce", O_RDONLY | OPEN_CODE_CLOEXEC);
	int i = 0, length, value = 0;
	struct statfs fs;
	char text[8];

	if (fd >= 0) {
		length = (int)read(fd, text, sizeof(text));
		close(fd);
		for (; i < length && text[i] >= '0' && text[i] <= '9'; i++)
			value = value * 10 + (text[i] - '0');
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
		return OPEN_CODE_MOUNT | OPEN_CODE_FILE; /* Nothing is free to ask with: both hold. */
	} else if (errno == ENOENT && !statfs("/proc/sys/fs", &fs) && fs.f_type == 0x9fa0) {
		return 0; /* An old kernel.  ProcSubset=pid hides the directory as well. */
	}
	if (i == 0)
		return OPEN_CODE_UNKNOWN;
	return value & OPEN_CODE_LOG_ONLY ? 0 : value & (OPEN_CODE_MOUNT | OPEN_CODE_FILE);
}

/* Whether execve(2) refuses all files there.  fstatvfs(3) of old libraries uses stdio. */
static __inline__ int open_code_noexec(int fd)
{
	struct statfs fs;

	/* ST_NOEXEC is 8, 0x20 says that it is valid. */
	if (fstatfs(fd, &fs) || (fs.f_flags & 0x28) != 0x20)
		return 1;
	/* procfs, sysfs and control groups never execute a file, and statfs(2) does not say so. */
	switch ((uint32_t)fs.f_type) {
	case 0x9fa0:
	case 0x62656572:
	case 0x27e0eb:
	case 0x63677270:
		return 1;
	}
	return 0;
}

/*
 * Whether securebits ask for the check of what a path has led to.  SECBIT_EXEC_RESTRICT_FILE counts here
 * whoever set it, as for all users of AT_EXECVE_CHECK.  SECBIT_EXEC_DENY_INTERACTIVE is for what is no file:
 * /dev/stdin and /dev/tty are names as well.
 */
static __inline__ int open_code_asked(int fd)
{
	int bits = open_code_securebits(1 << 8 | 1 << 10);
	struct stat st;

	return bits == 1 << 10 && !fstat(fd, &st) && S_ISREG(st.st_mode) ? 0 : bits;
}

/* Makes `checks` on an open file, and AT_EXECVE_CHECK if it is `asked` for. */
static __inline__ int open_code_check(int fd, int checks, int asked)
{
	static char empty[] = "";
	struct stat st;
	char *argv[2];

	checks &= OPEN_CODE_HEEDED;
	if (checks && (checks & OPEN_CODE_UNKNOWN || fstat(fd, &st) || !S_ISREG(st.st_mode)))
		goto refused;
	if (checks & OPEN_CODE_MOUNT && open_code_noexec(fd))
		goto refused;
	/* Some filters kill for execveat(2): only a policy that needs it may call it. */
	if (!(checks & OPEN_CODE_FILE) && !asked)
		return 0;
	argv[0] = empty; /* The kernel warns of an empty argument list. */
	argv[1] = 0;
	if (!syscall(SYS_execveat, fd, "", argv, argv + 1, 0x11000 /* AT_EXECVE_CHECK, AT_EMPTY_PATH */))
		return 0;
	/* A check that a filter or an old kernel makes impossible refuses as one that fails. */
	if (errno != ENOSYS && errno != EINVAL && errno != EPERM)
		return -1;
refused:
	errno = EACCES;
	return -1;
}

/*
 * Opens with the flag, or plainly where the kernel does not know it: `checks` is what the program has to
 * check then, with open_code_check().  It is 0 where the kernel has decided.
 */
static __inline__ int open_code_at(int dir, const char *path, int flags, uint64_t resolve, int *checks)
{
	int fd, e, invalid = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;

#ifdef O_DIRECTORY
	invalid |= O_DIRECTORY;
#endif
#ifdef O_PATH
	invalid |= O_PATH;
#endif
	*checks = 0;
	if (flags & invalid) {
		errno = EINVAL; /* As a kernel with the flag answers, so that no other one creates a file. */
		return -1;
	}
	if (open_code_known(0)) {
		fd = open_code_openat2(dir, path, OPEN_CODE_MAYEXEC | (unsigned)flags, resolve);
		e = errno;
		/* Errors are final, as file systems and fanotify choose them.  Only the question that
		   reaches no file can say that a filter has come since. */
		if (fd >= 0 || (e != ENOSYS && e != EPERM) || open_code_known(1)) {
			errno = e;
			return fd;
		}
	}
	*checks = open_code_sysctl();
	if (resolve)
		return open_code_openat2(dir, path, (unsigned)flags, resolve);
#ifdef O_LARGEFILE
	flags |= O_LARGEFILE;
#endif
	return (int)syscall(SYS_openat, dir, path, flags); /* Strict C hides openat(). */
}

/*
 * As open(2) without O_CREAT: a descriptor, or -1 and errno, EACCES if the policy refuses.  Success
 * leaves errno alone, which mksh and gawk look at later.
 */
static __inline__ int open_code(const char *path, int flags)
{
	int checks, e = errno, fd = open_code_at(-100 /* AT_FDCWD */, path, flags, 0, &checks);

	if (fd < 0)
		return -1;
	if (open_code_check(fd, checks, open_code_asked(fd))) {
		e = errno;
		close(fd);
		fd = -1;
	}
	errno = e;
	return fd;
}

/*
 * Whether the policy lets the caller execute what is open already: 0, or -1 and errno.  The kernel
 * answers to a second open of the file, whose close(2) drops the process's fcntl(2) locks on it.
 * That open needs the permission to read, so that a failure counts only if the file can be opened
 * without the flag; else the program makes the checks.
 */
static __inline__ int open_code_fd(int fd)
{
	const uint64_t again = 0x4000000 /* O_EMPTYPATH */ | OPEN_CODE_CLOEXEC;
	int copy = -1, checks = 0, e;
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	if (S_ISREG(st.st_mode) && open_code_known(0)) {
		copy = open_code_openat2(fd, "", OPEN_CODE_MAYEXEC | again, 0);
		e = errno;
		if (copy >= 0) {
			close(copy);
		} else if ((copy = open_code_openat2(fd, "", again, 0)) >= 0) {
			close(copy);
			errno = e;
			return -1;
		}
	}
	if (copy < 0)
		checks = open_code_sysctl();
	if (checks == OPEN_CODE_UNKNOWN && open_code_known(0)) {
		/* Without procfs, a directory tells: every policy refuses it. */
		copy = open_code_openat2(-100, "/", OPEN_CODE_MAYEXEC | OPEN_CODE_CLOEXEC, 0);
		if (copy >= 0)
			close(copy);
		checks = copy >= 0 ? 0 : OPEN_CODE_MOUNT | OPEN_CODE_FILE;
	}
	/* check_exec.rst: SECBIT_EXEC_DENY_INTERACTIVE, too, asks for the check of a descriptor. */
	return open_code_check(fd, checks, open_code_securebits(1 << 8 | 1 << 10));
}

/* Whether code may run that no file holds (-c, a terminal, a pipe): not under DENY_INTERACTIVE. */
static __inline__ int open_code_interactive(void)
{
	return !open_code_securebits(1 << 10);
}
#else /* Not Linux: a plain open. */
#define open_code(path, flags) open(path, flags)
#define open_code_fd(fd) ((void)(fd), 0)
#define open_code_interactive() 1
#endif
#endif
