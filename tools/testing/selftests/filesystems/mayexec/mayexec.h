/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of O_MAYEXEC share: the policy, the callers, and the files. */

#ifndef __MAYEXEC_H__
#define __MAYEXEC_H__

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define __SANE_USERSPACE_TYPES__
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../wrappers.h"
#include "kselftest_harness.h"

#ifndef O_EMPTYPATH
#define O_EMPTYPATH		0x4000000
#endif
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK		0x10000
#endif

#define SYSCTL_FILE		"/proc/sys/fs/open_mayexec_enforce"
#define ENFORCE_MOUNT		1
#define ENFORCE_FILE		2
#define ENFORCE_BOTH		(ENFORCE_MOUNT | ENFORCE_FILE)
#define LOG_ONLY		4
#define MAX_POLICY		(ENFORCE_BOTH | LOG_ONLY)

#define NEEDS_SYSCTL		"needs another value of a read-only " SYSCTL_FILE

static inline int sys_result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static inline int sys_openat2(int dfd, const char *path, __u64 flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? 0700 : 0,
	};

	return sys_result(syscall(__NR_openat2, dfd, path, &how, sizeof(how)));
}

static inline int try_openat2(int dfd, const char *path, __u64 flags)
{
	int fd = sys_openat2(dfd, path, flags);

	return fd < 0 ? fd : close(fd);
}

static inline int try_open(const char *path, __u64 flags)
{
	return try_openat2(AT_FDCWD, path, flags);
}

static inline int try_execve_check(int dfd, const char *path, int flags)
{
	char *const argv[] = { "", NULL };

	return sys_result(syscall(__NR_execveat, dfd, path, argv, argv + 1,
				  flags | AT_EXECVE_CHECK));
}

static inline int write_string(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = sys_result(write(fd, value, strlen(value)));
	close(fd);
	return ret < 0 ? ret : 0;
}

static inline int read_policy(void)
{
	FILE *file = fopen(SYSCTL_FILE, "re");
	int policy;

	if (!file)
		return -errno;
	if (fscanf(file, "%d", &policy) != 1)
		policy = -EIO;
	fclose(file);
	return policy;
}

static inline int write_policy(int policy)
{
	return write_string(SYSCTL_FILE, (char []){ '0' + policy, '\0' });
}

/*
 * False where CONFIG_OPEN_MAYEXEC_STATIC or a read-only /proc/sys forbids it. A
 * loop over all policies continues then: SKIP() would forget the failures of
 * those before.
 */
static inline bool set_policy(struct __test_metadata *_metadata, int policy)
{
	if (read_policy() == policy)
		return true;
	if (access(SYSCTL_FILE, W_OK))
		return false;
	ASSERT_EQ(0, write_policy(policy));
	ASSERT_EQ(policy, read_policy());
	return true;
}

static int start_policy;
static pid_t start_pid;
static pid_t *test_group;	/* shared with the test, if one runs */

/*
 * Where the harness kills a test and the process that would tear it down, the
 * process that outlives them does this. The others leave with _exit(2).
 */
__attribute__((destructor))
static void restore_policy(void)
{
	if (getpid() == start_pid && start_policy >= 0)
		write_policy(start_policy);
}

static void exit_on_signal(int sig)
{
	/* The test is in a process group of its own, and would go on. */
	if (*test_group)
		kill(-*test_group, SIGKILL);
	restore_policy();
	_exit(128 + sig);
}

__attribute__((constructor))
static void save_policy(void)
{
	start_policy = read_policy();
	start_pid = getpid();
	test_group = mmap(NULL, sizeof(*test_group), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (test_group == MAP_FAILED)
		exit(KSFT_FAIL);
	signal(SIGHUP, exit_on_signal);
	signal(SIGINT, exit_on_signal);
	signal(SIGTERM, exit_on_signal);
}

static inline void make_file(struct __test_metadata *_metadata,
			     const char *path, mode_t mode)
{
	ASSERT_EQ(0, mknod(path, S_IFREG | mode, 0));
}

#define USER_ID		60001	/* the unprivileged caller */
#define OWNER_ID	60002	/* somebody else */

static inline void become_user(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresgid(USER_ID, USER_ID, USER_ID));
	ASSERT_EQ(0, setresuid(USER_ID, USER_ID, USER_ID));
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1)); /* for its files in /proc */
}

/* Whether the user, and so root, can make user namespaces. */
static bool have_userns;

static inline void try_userns(struct __test_metadata *_metadata)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		become_user(_metadata);
		_exit(unshare(CLONE_NEWUSER) ||
		      write_string("/proc/self/setgroups", "deny"));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	have_userns = !status;
}

/*
 * Gives the test mounts of its own below its working directory, with the files
 * that tell the policies from each other. Returns false if it skips the test.
 */
static inline bool setup_test(struct __test_metadata *_metadata)
{
	/* The kernel checks the flags before it looks at the path. */
	const bool accepted = try_open("", O_MAYEXEC) == -ENOENT;
	struct stat st;

	*test_group = getpgrp();
	if (!accepted && start_policy < 0)
		SKIP(return false, "O_MAYEXEC is not supported");
	if (geteuid() || access("/proc/sys/fs", F_OK) || unshare(CLONE_NEWNS) ||
	    (!stat("/proc/self/ns/user", &st) && st.st_ino != USER_NS_INIT_INO))
		SKIP(return false, "needs the host's root and CONFIG_SYSCTL");
	/* The flag and the sysctl come together. */
	ASSERT_TRUE(accepted && start_policy >= 0);

	umask(0);
	ASSERT_EQ(0, sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, sys_mount("mayexec", "/tmp", "tmpfs", 0, "mode=0755"));
	ASSERT_EQ(0, chdir("/tmp"));
	ASSERT_EQ(0, mkdir("exec", 0755));
	ASSERT_EQ(0, sys_mount("mayexec", "exec", "tmpfs", 0, "mode=0755"));
	make_file(_metadata, "exec/0755", 0755);
	make_file(_metadata, "exec/0644", 0644);
	ASSERT_EQ(0, mkfifo("exec/fifo", 0755));
	ASSERT_EQ(0, mkdir("exec/directory", 0755));
	ASSERT_EQ(0, mkdir("noexec", 0755));
	ASSERT_EQ(0, sys_mount("mayexec", "noexec", "tmpfs", MS_NOEXEC,
			       "mode=0755"));
	make_file(_metadata, "noexec/0755", 0755);
	make_file(_metadata, "noexec/0644", 0644);
	try_userns(_metadata);
	return true;
}

/* Mounts an overlay, where the kernel has such a filesystem. */
static inline void make_overlay(struct __test_metadata *_metadata,
				const char *path, unsigned long flags,
				const char *layers)
{
	ASSERT_EQ(0, mkdir(path, 0755));
	if (sys_mount("mayexec", path, "overlay", flags, layers)) {
		ASSERT_EQ(ENODEV, errno);
		TH_LOG("without an overlay: %s is left out", path);
	}
}

static inline void teardown_test(struct __test_metadata *_metadata)
{
	if (read_policy() != start_policy)
		EXPECT_EQ(0, write_policy(start_policy));
}

#ifndef OWN_FIXTURE	/* for tests that need more than this one */
FIXTURE(mayexec) {};
FIXTURE_SETUP(mayexec) { setup_test(_metadata); }
FIXTURE_TEARDOWN_PARENT(mayexec) { teardown_test(_metadata); }
#endif

enum caller {
	CALLER_ROOT,		/* UID 0 with every capability */
	CALLER_USER,
	CALLER_NOCAP,		/* UID 0 without capabilities */
	CALLER_USERNS_ROOT,	/* the user as root of a user namespace */
	NR_CALLERS,
};

static inline void set_capabilities(struct __test_metadata *_metadata,
				    __u64 permitted, __u64 effective)
{
	struct __user_cap_header_struct header = {
		_LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	ASSERT_EQ(0, syscall(__NR_capget, &header, data));
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= permitted >> 32 * i;
		data[i].effective = data[i].permitted & (effective >> 32 * i);
		data[i].inheritable = 0;
	}
	ASSERT_EQ(0, syscall(__NR_capset, &header, data));
}

static inline void enter_userns(struct __test_metadata *_metadata)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %d 1", geteuid());
	ASSERT_EQ(0, unshare(CLONE_NEWUSER));
	ASSERT_EQ(0, write_string("/proc/self/setgroups", "deny"));
	ASSERT_EQ(0, write_string("/proc/self/uid_map", map));
	ASSERT_EQ(0, write_string("/proc/self/gid_map", map));
}

/*
 * Returns true in a child, which must leave with _exit(_metadata->exit_code), and
 * false when it has left, or without one if there cannot be such a caller.
 */
static inline bool in_child_as(struct __test_metadata *_metadata,
			       enum caller caller)
{
	int status;
	pid_t pid;

	if (caller == CALLER_USERNS_ROOT && !have_userns)
		return false;
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid) {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		return false;
	}
	if (caller == CALLER_NOCAP)
		set_capabilities(_metadata, 0, 0);
	if (caller == CALLER_USER || caller == CALLER_USERNS_ROOT)
		become_user(_metadata);
	if (caller == CALLER_USERNS_ROOT)
		enter_userns(_metadata);
	return true;
}

static inline void set_no_new_privs(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static inline void set_securebits(struct __test_metadata *_metadata, int bits)
{
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS) | bits));
}

#endif /* __MAYEXEC_H__ */
