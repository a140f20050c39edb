// SPDX-License-Identifier: 0BSD
/*
 * Tests of open_code.h.  They need root, run on any kernel, and skip what the
 * kernel does not have.  Where it has no sysctl, they put a file in its place.  Each test is a
 * process of its own, so that its filters, securebits and cached probe are its own, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The header's system calls pass through the test, which counts them and plays other kernels. */
long fake_syscall(long number, ...);
#define syscall fake_syscall
#include "open_code.h"
#undef syscall

#ifdef OPEN_CODE_STRICT
/* The second half of the program: the header as OPEN_CODE_STRICT makes it. */
int strict_open_code(const char *path, int flags);
int strict_open_code_fd(int fd);
int strict_open_code_interactive(void);

int strict_open_code(const char *path, int flags)
{
	return open_code(path, flags);
}

int strict_open_code_fd(int fd)
{
	return open_code_fd(fd);
}

int strict_open_code_interactive(void)
{
	return open_code_interactive();
}
#else
int strict_open_code(const char *path, int flags);
int strict_open_code_fd(int fd);
int strict_open_code_interactive(void);

#define SYSCTL "/proc/sys/fs/open_mayexec_enforce"
#define RESTRICT_FILE (1 << 8)
#define DENY_INTERACTIVE (1 << 10)
#define HIGH 0xfffffffe00000000ull
#define SKIP 4
#define EMPTYPATH 0x4000000u

/* What openat2(2) does. */
static enum {
	REAL,
	FLAG, /* A kernel with the flag that refuses with `refusal`, 0: nothing. */
	DROPS, /* An emulator that ignores the flags that it does not know. */
} kernel;
static int refusal;
static int no_memory; /* So many probes end with ENOMEM. */

static int probes, opens, checks;
static int real_sysctl, real_flag, real_check;

long fake_syscall(long number, ...)
{
	struct { uint64_t flags, mode, resolve; } how;
	char link[32];
	va_list list;
	long a[5];
	int i, probe;

	va_start(list, number);
	for (i = 0; i < 5; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_execveat)
		checks++;
	if (number != SYS_openat2)
		return syscall(number, (int)a[0], a[1], a[2], a[3], (int)a[4]);
	memcpy(&how, (void *)a[2], sizeof(how));
	probe = !*(char *)a[1] && !(how.flags & EMPTYPATH);
	probes += probe;
	opens += !probe;
	if (probe && no_memory) {
		no_memory--;
		errno = ENOMEM;
		return -1;
	}
	if (kernel == FLAG) {
		if (how.flags & HIGH & ~OPEN_CODE_MAYEXEC) {
			errno = EINVAL;
			return -1;
		}
		if (probe) { /* A descriptor is taken before the path is looked at. */
			i = dup(2);
			if (i < 0)
				return -1;
			close(i);
		}
		if (how.flags & OPEN_CODE_MAYEXEC && !probe && refusal) {
			errno = refusal;
			return -1;
		}
		if (how.flags & EMPTYPATH) {
			snprintf(link, sizeof(link), "/proc/self/fd/%d", (int)a[0]);
			return open(link, (int)(how.flags & ~(HIGH | EMPTYPATH)));
		}
	}
	if (kernel != REAL)
		how.flags &= ~HIGH;
	return syscall(number, (int)a[0], a[1], &how, sizeof(how));
}

/* A test ends at the first thing that is not as it should be. */
#define IS(what, wanted)                                                              \
	do {                                                                          \
		long is_ = (what), wanted_ = (wanted);                                \
		if (is_ != wanted_) {                                                 \
			printf("# line %d: %s is %ld, not %ld\n", __LINE__, #what,    \
			       is_, wanted_);                                         \
			fflush(stdout);                                               \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

static const char **reason; /* Why a test is skipped; tests share it. */

static void skip(const char *why)
{
	*reason = why;
	_exit(SKIP);
}

static void must(int result, const char *what)
{
	if (result < 0) {
		printf("# %s: %s\n", what, strerror(errno));
		fflush(stdout);
		_exit(2);
	}
}

/* 0, or the error of an open; that it leaves no descriptor behind is checked as well. */
static int result_of(int (*open_it)(const char *, int), const char *path)
{
	int before = dup(2), after, fd, error;

	close(before);
	fd = open_it(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	error = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	after = dup(2);
	close(after);
	IS(after, before);
	return error;
}

static int try(const char *path)
{
	return result_of(open_code, path);
}

static int try_strict(const char *path)
{
	return result_of(strict_open_code, path);
}

/* The same for a descriptor, whose offset must stay. */
static int try_fd(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK), error, before, after;
	off_t offset;

	must(fd, path);
	offset = lseek(fd, 1, SEEK_SET);
	before = dup(2);
	close(before);
	error = open_code_fd(fd) ? errno : 0;
	after = dup(2);
	close(after);
	IS(after, before);
	IS(lseek(fd, 0, SEEK_CUR), offset);
	close(fd);
	return error;
}

/* Makes the kernel answer so for one system call. */
static void filter(long number, unsigned int answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		skip("no seccomp filters");
}

#define ERROR(e) (SECCOMP_RET_ERRNO | (e))

static void hide(void)
{
	filter(SYS_openat2, ERROR(ENOSYS));
}

static void securebits(int bits)
{
	/* no_new_privs first: else the kernel does not enforce what a stranger sets. */
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	if (!real_check || prctl(PR_SET_SECUREBITS, bits, 0, 0, 0))
		skip("no SECBIT_EXEC_*");
}

/* Writes the sysctl; a directory of ours takes its place where the kernel has none. */
static void sysctl(const char *value)
{
	int fd;

	if (!real_sysctl) {
		if (access(SYSCTL, F_OK))
			must(mount("none", "/proc/sys/fs", "tmpfs", 0, NULL), "a sysctl of ours");
		fd = open(SYSCTL, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	} else {
		fd = open(SYSCTL, O_WRONLY);
		if (fd < 0)
			skip("the sysctl cannot be written");
	}
	must(fd, SYSCTL);
	must((int)write(fd, value, strlen(value)), SYSCTL);
	close(fd);
}

/* Files, by what they lack. */
#define GOOD "exec/x"
#define NO_X "exec/plain"
#define NOEXEC "noexec/x"
#define NEITHER "noexec/plain"

/* Set where the checks are made in the program. */
static int in_program;

/* The decision under a value of the sysctl. */
static void decide(const char *value, int (*attempt)(const char *))
{
	int set = atoi(value), mount = 0, file = 0;

	if (!(set & 4)) {
		mount = set & 1 ? EACCES : 0;
		file = set & 2 ? EACCES : 0;
	}
	/* Without AT_EXECVE_CHECK, the program can let no file pass. */
	IS(attempt(GOOD), in_program && !real_check ? file : 0);
	IS(attempt(NO_X), file);
	IS(attempt(NEITHER), mount | file);
	/* AT_EXECVE_CHECK cannot be asked for the permission alone. */
	IS(attempt(NOEXEC), in_program ? mount | file : mount);
	IS(attempt("/dev/null"), mount | file);
	IS(attempt("fifo"), mount | file);
	/* A filesystem that is noexec by itself. */
	IS(attempt("/proc/version"), mount | file);
}

static const char *const values[] = { "0\n", "1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n" };

static void all_values(int (*attempt)(const char *))
{
	int i;

	for (i = 0; i < 8; i++) {
		sysctl(values[i]);
		decide(values[i], attempt);
	}
}

/* Row 1: the kernel has the flag. */

static void kernel_decides(void)
{
	if (!real_flag)
		skip("no O_MAYEXEC");
	all_values(try);
	IS(checks, 0);
}

static void kernel_decides_for_descriptors(void)
{
	if (!real_flag)
		skip("no O_MAYEXEC");
	all_values(try_fd);
	IS(checks, 0);
}

static void kernel_is_probed_once(void)
{
	/* What this kernel allows is allowed: nobody reads the sysctl. */
	sysctl("3\n");
	kernel = FLAG;
	IS(try(GOOD), 0);
	IS(try(NO_X), 0);
	IS(try_fd(NO_X), 0);
	IS(probes, 2);
	IS(opens, 3);
	IS(checks, 0);
}

/* Leaves no descriptor free; returns the limit that there was. */
static struct rlimit fill_table(void)
{
	struct rlimit limit, none;
	int next = dup(2);

	close(next);
	must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	none = limit;
	none.rlim_cur = (rlim_t)next;
	must(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
	return limit;
}

static void kernel_is_probed_without_a_free_descriptor(void)
{
	struct rlimit limit;

	/* What the program checks itself, it refuses; the kernel refuses nothing. */
	sysctl("3\n");
	kernel = FLAG;
	limit = fill_table();
	IS(open_code(NO_X, O_RDONLY), -1);
	IS(errno, EMFILE);
	must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	IS(try(NO_X), 0);
	IS(probes, 2);
}

static void lack_of_memory_is_no_answer(void)
{
	/* What the program checks itself, it refuses; the kernel refuses nothing. */
	sysctl("3\n");
	kernel = FLAG;
	no_memory = 1;
	IS(try(NO_X), EACCES);
	IS(try(NO_X), 0);
	/* Then it says nothing of filters, either. */
	no_memory = 1;
	refusal = EPERM;
	IS(try(NO_X), EPERM);
}

/* The kernel cannot be asked, and the sysctl cannot be read. */
static void descriptor_without_a_free_one(void)
{
	int fd = open(NO_X, O_RDONLY);

	must(fd, NO_X);
	sysctl("3\n");
	if (!real_flag)
		kernel = FLAG;
	fill_table();
	IS(open_code_fd(fd), -1);
	IS(errno, EACCES);
}

/* What a pipe may do under this policy, which nobody can read. */
static int pipe_under(const char *value)
{
	int ends[2];

	must(pipe(ends), "pipe");
	sysctl(value);
	if (!real_flag)
		kernel = FLAG;
	must(mount("none", "/proc", "tmpfs", 0, NULL), "no /proc");
	return open_code_fd(ends[0]);
}

static void pipe_without_proc(void)
{
	refusal = EACCES;
	IS(pipe_under("1\n"), -1);
	IS(errno, EACCES);
}

static void pipe_without_proc_or_policy(void)
{
	IS(pipe_under("0\n"), 0);
	IS(result_of(open_code, GOOD), 0);
}

static void errors_are_final(void)
{
	static const int errors[] = { EPERM, ENOSYS, EINVAL, EACCES, EIO };
	unsigned int i;

	/* A plain open would pass, as the sysctl asks for nothing. */
	sysctl("0\n");
	kernel = FLAG;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		refusal = errors[i];
		IS(try(GOOD), errors[i]);
		IS(try_fd(GOOD), errors[i]);
	}
}

static void flags_of_the_caller_arrive(void)
{
	int fd;

	kernel = FLAG;
	fd = open_code(GOOD, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	IS(fcntl(fd, F_GETFD), FD_CLOEXEC);
	IS(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	IS(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	fd = open_code(GOOD, O_RDONLY);
	IS(fcntl(fd, F_GETFD), 0);
	IS(open_code("none", O_RDONLY), -1);
	IS(errno, ENOENT);
	IS(open_code(GOOD, O_RDWR), -1);
	IS(errno, EINVAL);
	IS(open_code("new", O_RDONLY | O_CREAT), -1);
	IS(errno, EINVAL);
	IS(access("new", F_OK), -1);
}

static void flags_that_no_code_needs(void)
{
	static const int flags[] = { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_PATH, O_DIRECTORY };
	unsigned int i;

	for (kernel = REAL; kernel <= DROPS; kernel++) {
		open_code_known(1);
		for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
			IS(open_code("exec", flags[i]), -1);
			IS(errno, EINVAL);
		}
	}
}

/* Questions fail: those of the first open, and all that an old kernel is asked. */
static void success_leaves_errno_alone(void)
{
	for (kernel = REAL; kernel <= DROPS; kernel++) {
		if (kernel != REAL)
			open_code_known(1);
		errno = ERANGE;
		IS(open_code(GOOD, O_RDONLY) >= 0, 1);
		IS(errno, ERANGE);
	}
}

/* A descriptor that may not be opened again is no reason to refuse where no policy is. */
static void descriptor_that_cannot_be_opened_again(void)
{
	int fd = open("exec/secret", O_RDONLY);

	must(fd, "exec/secret");
	sysctl("0\n");
	if (!real_flag)
		kernel = FLAG;
	must(setresgid(65534, 65534, 65534), "setresgid");
	must(setresuid(65534, 65534, 65534), "setresuid");
	IS(open("exec/secret", O_RDONLY), -1);
	IS(errno, EACCES);
	IS(open_code_fd(fd), 0);
}

static void descriptor_that_cannot_be_opened_again_refused(void)
{
	int fd = open("exec/secret", O_RDONLY);

	must(fd, "exec/secret");
	sysctl("2\n");
	if (!real_flag)
		kernel = FLAG;
	must(setresgid(65534, 65534, 65534), "setresgid");
	must(setresuid(65534, 65534, 65534), "setresuid");
	IS(open_code_fd(fd), -1);
	IS(errno, EACCES);
}

/* Row 2: an old kernel. */

static void old_kernel(void)
{
	hide();
	/* Another directory of procfs covers the sysctl, where the kernel has one. */
	if (real_sysctl)
		must(mount("/proc/sys/vm", "/proc/sys/fs", NULL, MS_BIND, NULL), "bind");
	IS(access(SYSCTL, F_OK), -1);
	IS(try(NEITHER), 0);
	IS(try("/dev/null"), 0);
	IS(try_fd(NEITHER), 0);
	IS(try_strict(NEITHER), 0);
	IS(checks, 0);
}

/* Rows 3 and 4: the flag is hidden, the sysctl decides. */

static void hidden(unsigned int answer, int (*attempt)(const char *))
{
	in_program = 1;
	/* Root may still mount the sysctl in the test's name. */
	filter(SYS_openat2, answer);
	all_values(attempt);
}

static void hidden_by_enosys(void)
{
	hidden(ERROR(ENOSYS), try);
}

static void hidden_by_eperm(void)
{
	hidden(ERROR(EPERM), try);
}

static void hidden_by_einval(void)
{
	hidden(ERROR(EINVAL), try);
}

static void hidden_by_fake_success(void)
{
	int fd;

	/* Standard input has something that must neither be read nor closed. */
	close(0);
	IS(open(GOOD, O_RDONLY), 0);
	hidden(ERROR(0), try);
	IS(lseek(0, 0, SEEK_CUR), 0);
	sysctl("0\n");
	fd = open_code(NO_X, O_RDONLY);
	IS(fd > 0, 1);
}

static void hidden_from_descriptors(void)
{
	hidden(ERROR(ENOSYS), try_fd);
}

static void emulator(void)
{
	in_program = 1;
	kernel = DROPS;
	all_values(try);
	IS(opens, 0);
	IS(probes, 2);
}

static void hidden_is_probed_once(void)
{
	hide();
	sysctl("0\n");
	IS(try(GOOD), 0);
	IS(try(GOOD), 0);
	IS(probes, 1);
}

static void sysctl_is_read_each_time(void)
{
	hide();
	sysctl("0\n");
	IS(try(NO_X), 0);
	sysctl("2\n");
	IS(try(NO_X), EACCES);
	sysctl("1\n");
	IS(try(NO_X), 0);
	IS(try(NOEXEC), EACCES);
}

static void filter_that_comes_later(void)
{
	if (!real_flag)
		kernel = FLAG;
	sysctl("0\n");
	IS(try(GOOD), 0);
	hide();
	kernel = REAL;
	IS(try(NO_X), 0);
	sysctl("2\n");
	IS(try(NO_X), EACCES);
	IS(try_fd(NO_X), EACCES);
	IS(try(GOOD), real_check ? 0 : EACCES);
}

static void missing_file_is_missing(void)
{
	hide();
	sysctl("3\n");
	IS(try("none"), ENOENT);
}

static void pipes_and_sockets(void)
{
	int ends[2], pair[2];

	must(pipe(ends), "pipe");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	sysctl("0\n");
	if (!real_flag)
		kernel = FLAG;
	IS(open_code_fd(ends[0]), 0);
	IS(open_code_fd(pair[0]), 0);
	sysctl("1\n");
	IS(open_code_fd(ends[0]), -1);
	IS(errno, EACCES);
	IS(open_code_fd(pair[0]), -1);
	IS(errno, EACCES);
	IS(open_code_fd(99), -1);
	IS(errno, EBADF);
}

/* execveat(2) in row 4 and under the securebit. */

static void killed_where_no_policy_asks(void)
{
	sysctl("0\n");
	filter(SYS_execveat, SECCOMP_RET_KILL_PROCESS);
	IS(try(NEITHER), 0);
	IS(try_fd(NEITHER), 0);
	hide();
	IS(try(NEITHER), 0);
	sysctl("1\n");
	IS(try(NO_X), 0);
	IS(try(NOEXEC), EACCES);
	sysctl("7\n");
	IS(try(NEITHER), 0);
}

static void killed_where_the_kernel_decides(void)
{
	if (!real_flag)
		skip("no O_MAYEXEC");
	filter(SYS_execveat, SECCOMP_RET_KILL_PROCESS);
	all_values(try);
}

static void check_is_filtered(int error)
{
	sysctl("2\n");
	hide();
	filter(SYS_execveat, ERROR(error));
	IS(try(GOOD), EACCES);
	IS(try_fd(GOOD), EACCES);
	sysctl("1\n");
	IS(try(GOOD), 0);
	sysctl("0\n");
	IS(try(GOOD), 0);
	securebits(RESTRICT_FILE);
	IS(try(GOOD), EACCES);
}

static void check_answers_enosys(void)
{
	check_is_filtered(ENOSYS);
}

static void check_answers_eperm(void)
{
	check_is_filtered(EPERM);
}

static void check_is_unknown(void)
{
	check_is_filtered(EINVAL);
}

static void sudo_noexec(void)
{
	check_is_filtered(EACCES);
}

static void busy_file(void)
{
	int writer = open("exec/busy", O_WRONLY);

	must(writer, "exec/busy");
	if (!real_check)
		skip("no AT_EXECVE_CHECK");
	sysctl("2\n");
	hide();
	IS(try("exec/busy"), ETXTBSY);
}

/* Fakes cannot be noticed in the program; the kernel does not ask them. */
static void faked_check(void)
{
	sysctl("2\n");
	filter(SYS_execveat, ERROR(0));
	filter(SYS_prctl, ERROR(0));
	IS(try(NO_X), real_flag ? EACCES : 0);
}

/* Row 5: nothing can be known. */

static void no_proc(void)
{
	hide();
	must(mount("none", "/proc", "tmpfs", 0, NULL), "no /proc");
	IS(try(NEITHER), 0);
	IS(try_fd(NEITHER), 0);
	IS(try_strict(GOOD), EACCES);
	IS(try_strict("none"), ENOENT);
}

/* systemd's ProcSubset=pid: a procfs without the directory of the sysctl. */
static void proc_without_sysctls(void)
{
	hide();
	if (mount("none", "/proc", "proc", 0, "subset=pid"))
		skip("no subset=pid");
	IS(try(NEITHER), 0);
	IS(try_strict(GOOD), EACCES);
}

static void sysctl_without_a_number(void)
{
	int was_real = real_sysctl;

	hide();
	real_sysctl = 0;
	if (was_real)
		must(mount("none", "/proc/sys/fs", "tmpfs", 0, NULL), "a sysctl of ours");
	sysctl("x\n");
	IS(try(NEITHER), 0);
	IS(try_strict(GOOD), EACCES);
	sysctl("");
	IS(try(NEITHER), 0);
	IS(try_strict(GOOD), EACCES);
	/* A later kernel may have more bits. */
	sysctl("10\n");
	IS(try(NO_X), EACCES);
	IS(try_strict(GOOD), real_check ? 0 : EACCES);
	must(unlink(SYSCTL), "unlink");
	IS(try(NEITHER), 0);
	IS(try_strict(GOOD), EACCES);
	must(mkdir(SYSCTL, 0755), "mkdir");
	IS(try(NEITHER), 0);
	IS(try_strict(GOOD), EACCES);
}

static void filtered_prctl(void)
{
	sysctl("0\n");
	filter(SYS_prctl, ERROR(EPERM));
	IS(try(NEITHER), 0);
	IS(open_code_interactive(), 1);
	IS(try_strict(NO_X), EACCES);
	IS(strict_open_code_fd(open(NO_X, O_RDONLY)), -1);
	IS(strict_open_code_interactive(), 0);
}

static void strict_is_no_stricter_where_all_is_known(void)
{
	int i;

	in_program = 1;
	hide();
	for (i = 0; i < 8; i++) {
		sysctl(values[i]);
		decide(values[i], try_strict);
	}
	IS(strict_open_code_interactive(), 1);
}

/* The securebits, in all rows. */

static void securebit(int (*attempt)(const char *))
{
	securebits(RESTRICT_FILE);
	IS(attempt(GOOD), 0);
	IS(attempt(NO_X), EACCES);
	IS(attempt(NOEXEC), EACCES);
	IS(attempt("/dev/null"), EACCES);
}

static void securebit_and_the_flag(void)
{
	if (!real_flag)
		kernel = FLAG;
	sysctl("0\n");
	securebit(try);
	securebit(try_fd);
}

/* The kernel does not enforce what a stranger has set without no_new_privs. */
static void securebit_of_a_stranger(void)
{
	sysctl("0\n");
	must(setresgid(65534, 65534, 65534), "setresgid");
	must(setresuid(65534, 65534, 65534), "setresuid");
	if (!real_check || prctl(PR_SET_SECUREBITS, RESTRICT_FILE, 0, 0, 0))
		skip("no SECBIT_EXEC_*");
	IS(try(GOOD), 0);
	IS(try(NO_X), EACCES);
}

static void securebit_of_the_kernel(void)
{
	if (!real_flag)
		skip("no O_MAYEXEC");
	sysctl("0\n");
	securebits(RESTRICT_FILE);
	filter(SYS_execveat, ERROR(0));
	filter(SYS_prctl, ERROR(0));
	IS(try(NO_X), EACCES);
	IS(try(GOOD), 0);
}

static void securebit_and_an_old_kernel(void)
{
	hide();
	if (real_sysctl)
		must(mount("/proc/sys/vm", "/proc/sys/fs", NULL, MS_BIND, NULL), "bind");
	securebit(try);
	securebit(try_fd);
}

static void securebit_and_log_only(void)
{
	hide();
	sysctl("7\n");
	securebit(try);
	securebit(try_fd);
}

static void securebit_and_mount(void)
{
	hide();
	sysctl("1\n");
	securebit(try);
	securebit(try_fd);
}

static void securebit_without_proc(void)
{
	hide();
	must(mount("none", "/proc", "tmpfs", 0, NULL), "no /proc");
	securebit(try);
}

static void interactive(void)
{
	int fd = open(NO_X, O_RDONLY);

	sysctl("0\n");
	IS(open_code_interactive(), 1);
	securebits(RESTRICT_FILE);
	IS(open_code_interactive(), 1);
	securebits(RESTRICT_FILE | DENY_INTERACTIVE);
	IS(open_code_interactive(), 0);
	/* Alone, it asks for code that comes by a descriptor and for no script. */
	securebits(DENY_INTERACTIVE);
	IS(open_code_interactive(), 0);
	IS(try(NO_X), 0);
	IS(open_code_fd(fd), -1);
	IS(errno, EACCES);
	IS(try_fd(GOOD), 0);
	/* A name can lead to what is no file. */
	IS(try("fifo"), EACCES);
	IS(try("/dev/null"), EACCES);
	securebits(0);
	IS(try("fifo"), 0);
}

/* A child of vfork(2) has the memory of its parent, and its own descriptors. */
static int vforked(void)
{
	pid_t child = vfork();
	int status;

	if (child == 0) {
		int fd = open_code(GOOD, O_RDONLY);
		_exit(fd < 0 || close(fd) || open_code(NOEXEC, O_RDONLY) >= 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return status;
}

static void after_vfork(void)
{
	sysctl("1\n");
	hide();
	IS(vforked(), 0);
	IS(try(GOOD), 0);
	IS(probes, 1);
}

#define TEST(function) { #function, function }

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	TEST(kernel_decides),
	TEST(kernel_decides_for_descriptors),
	TEST(kernel_is_probed_once),
	TEST(kernel_is_probed_without_a_free_descriptor),
	TEST(lack_of_memory_is_no_answer),
	TEST(descriptor_without_a_free_one),
	TEST(pipe_without_proc),
	TEST(pipe_without_proc_or_policy),
	TEST(errors_are_final),
	TEST(flags_of_the_caller_arrive),
	TEST(flags_that_no_code_needs),
	TEST(success_leaves_errno_alone),
	TEST(descriptor_that_cannot_be_opened_again),
	TEST(descriptor_that_cannot_be_opened_again_refused),
	TEST(old_kernel),
	TEST(hidden_by_enosys),
	TEST(hidden_by_eperm),
	TEST(hidden_by_einval),
	TEST(hidden_by_fake_success),
	TEST(hidden_from_descriptors),
	TEST(emulator),
	TEST(hidden_is_probed_once),
	TEST(sysctl_is_read_each_time),
	TEST(filter_that_comes_later),
	TEST(missing_file_is_missing),
	TEST(pipes_and_sockets),
	TEST(killed_where_no_policy_asks),
	TEST(killed_where_the_kernel_decides),
	TEST(check_answers_enosys),
	TEST(check_answers_eperm),
	TEST(check_is_unknown),
	TEST(sudo_noexec),
	TEST(busy_file),
	TEST(faked_check),
	TEST(no_proc),
	TEST(proc_without_sysctls),
	TEST(sysctl_without_a_number),
	TEST(filtered_prctl),
	TEST(strict_is_no_stricter_where_all_is_known),
	TEST(securebit_and_the_flag),
	TEST(securebit_of_a_stranger),
	TEST(securebit_of_the_kernel),
	TEST(securebit_and_an_old_kernel),
	TEST(securebit_and_log_only),
	TEST(securebit_and_mount),
	TEST(securebit_without_proc),
	TEST(interactive),
	TEST(after_vfork),
};

static void put(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0700);

	must(fd, path);
	must((int)write(fd, "code\n", 5), path);
	must(fchmod(fd, mode), path);
	close(fd);
}

static void files(char *directory)
{
	must(mkdtemp(directory) ? 0 : -1, directory);
	must(mount("none", directory, "tmpfs", 0, NULL), directory);
	must(chmod(directory, 0755), directory);
	must(chdir(directory), directory);
	must(mkdir("exec", 0755), "exec");
	must(mkdir("noexec", 0755), "noexec");
	must(mount("none", "noexec", "tmpfs", MS_NOEXEC, "mode=755"), "noexec");
	put(GOOD, 0755);
	put(NO_X, 0644);
	put("exec/busy", 0755);
	put("exec/secret", 0600);
	put(NOEXEC, 0755);
	put(NEITHER, 0644);
	must(mkfifo("fifo", 0644), "fifo");
}

/* Runs one test in a process and mounts of its own. */
static int run(void (*test)(void))
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		must(unshare(CLONE_NEWNS), "unshare");
		alarm(20);
		test();
		fflush(stdout);
		_exit(0);
	}
	must(waitpid(child, &status, 0), "waitpid");
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(void)
{
	char directory[] = "/tmp/open_code.XXXXXX", was[16] = "";
	const unsigned int count = sizeof(tests) / sizeof(*tests);
	struct { uint64_t flags, mode, resolve; } how = { OPEN_CODE_MAYEXEC, 0, 0 };
	char name[] = "x", *const argv[] = { name, NULL };
	unsigned int i;
	int failed = 0, fd;

	printf("TAP version 13\n");
	if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		printf("1..0 # SKIP not root\n");
		return SKIP;
	}
	reason = mmap(NULL, sizeof(*reason), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(reason == MAP_FAILED ? -1 : 0, "mmap");
	umask(022);
	files(directory);
	fd = open(SYSCTL, O_RDONLY);
	real_sysctl = fd >= 0;
	if (fd >= 0) {
		must((int)read(fd, was, sizeof(was) - 1), SYSCTL);
		close(fd);
	}
	real_flag = syscall(SYS_openat2, AT_FDCWD, "", &how, sizeof(how)) < 0 && errno == ENOENT;
	real_check = !syscall(SYS_execveat, AT_FDCWD, GOOD, argv, argv + 1, 0x10000);
	printf("1..%u\n", count);
	for (i = 0; i < count; i++) {
		int result = run(tests[i].run);

		printf("%s %u - %s%s%s\n", result && result != SKIP ? "not ok" : "ok", i + 1,
		       tests[i].name, result == SKIP ? " # SKIP " : "",
		       result == SKIP ? *reason : "");
		failed |= result && result != SKIP;
		if (real_sysctl)
			sysctl(was);
	}
	must(chdir("/"), "/");
	umount2(directory, MNT_DETACH);
	rmdir(directory);
	return failed;
}
#endif
