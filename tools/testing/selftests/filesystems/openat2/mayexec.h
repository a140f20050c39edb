/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the tests of O_MAYEXEC: the policy in force and its restoration,
 * the callers whose rights differ, and the place where a test makes its files.
 */

#ifndef __MAYEXEC_H__
#define __MAYEXEC_H__

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define __SANE_USERSPACE_TYPES__
#include <endian.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "../wrappers.h"
#include "helpers.h"

#ifndef OPENAT2_MAYEXEC
#define OPENAT2_MAYEXEC		((__u64)1 << 33)
#endif
#ifndef O_MAYEXEC
#define O_MAYEXEC		OPENAT2_MAYEXEC
#endif

#ifndef OPENAT2_REGULAR
#define OPENAT2_REGULAR		((__u64)1 << 32)
#endif

#ifndef O_EMPTYPATH
#define O_EMPTYPATH		0x4000000
#endif

#ifndef EFTYPE
#define EFTYPE			134
#endif

#ifndef OPEN_MAYEXEC_ENFORCE_MOUNT
#define OPEN_MAYEXEC_ENFORCE_MOUNT	1
#endif
#ifndef OPEN_MAYEXEC_ENFORCE_FILE
#define OPEN_MAYEXEC_ENFORCE_FILE	2
#endif
#define OPEN_MAYEXEC_ENFORCE_BOTH \
	(OPEN_MAYEXEC_ENFORCE_MOUNT | OPEN_MAYEXEC_ENFORCE_FILE)

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK		0x10000
#endif

#define SYSCTL_DIR	"/proc/sys/fs"
#define SYSCTL_FILE	SYSCTL_DIR "/open_mayexec_enforce"

/* Neither the caller nor root: only the "other" class of the mode applies. */
#define OWNER_ID	60002
/* The caller of the tests that need an unprivileged one. */
#define USER_ID		60001

/* Results of system calls are compared as "0 or a negative error". */
static inline int sys_result(long ret)
{
	return ret < 0 ? -errno : 0;
}

static inline int write_string(const char *path, const char *value)
{
	int fd, ret;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = sys_result(write(fd, value, strlen(value)));
	close(fd);
	return ret;
}

/* The value of the sysctl, or a negative error. */
static inline int read_policy(void)
{
	char value[16] = "";
	int fd, ret;

	fd = open(SYSCTL_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = sys_result(read(fd, value, sizeof(value) - 1));
	close(fd);
	return ret ? ret : atoi(value);
}

static inline int write_policy(int policy)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", policy);
	return write_string(SYSCTL_FILE, value);
}

/* CONFIG_OPEN_MAYEXEC_STATIC shows the value but takes no other. */
static inline bool policy_is_static(void)
{
	struct stat st;

	return stat(SYSCTL_FILE, &st) || !(st.st_mode & 0222);
}

/* What was found before the first test: see mayexec_start(). */
static int start_policy;
static bool flag_accepted;
static char workdir[32];
static pid_t start_pid;

static void mayexec_stop(void)
{
	if (start_policy >= 0 && !policy_is_static())
		write_policy(start_policy);
	if (*workdir)
		rmdir(workdir);
}

static void mayexec_interrupted(int sig)
{
	if (getpid() == start_pid)
		mayexec_stop();
	signal(sig, SIG_DFL);
	raise(sig);
}

/*
 * The harness kills a test that takes too long together with the process that
 * would run its teardown, so the last word on the system-wide policy belongs to
 * the process that outlives the tests.  The tests themselves leave with
 * _exit(2), which runs no destructor.
 */
__attribute__((destructor))
static void mayexec_end(void)
{
	if (getpid() == start_pid)
		mayexec_stop();
}

__attribute__((constructor))
static void mayexec_start(void)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_MAYEXEC };

	start_policy = read_policy();
	/* The flags are checked before the path; about none, nobody is asked. */
	flag_accepted = sys_openat2(AT_FDCWD, "", &how) == -ENOENT;
	if (!flag_accepted || geteuid())
		return;

	start_pid = getpid();
	strcpy(workdir, "/tmp/mayexec.XXXXXX");
	if (!mkdtemp(workdir))
		*workdir = '\0';
	signal(SIGHUP, mayexec_interrupted);
	signal(SIGINT, mayexec_interrupted);
	signal(SIGTERM, mayexec_interrupted);
}

/*
 * Skips where there is no O_MAYEXEC at all, and where no sysctl tells the policy.
 * One half of the feature without the other is a defect and fails.
 */
static inline bool mayexec_available(struct __test_metadata *_metadata)
{
	if (!flag_accepted && start_policy < 0)
		SKIP(return false, "O_MAYEXEC is not supported");
	if (geteuid())
		SKIP(return false, "needs root");

	ASSERT_TRUE(flag_accepted) {
		TH_LOG("%s is there, openat2(2) rejects O_MAYEXEC", SYSCTL_FILE);
	}
	if (access(SYSCTL_DIR, F_OK))
		SKIP(return false, "needs CONFIG_SYSCTL");
	ASSERT_LE(0, start_policy) {
		TH_LOG("openat2(2) takes O_MAYEXEC, %s: %s", SYSCTL_FILE,
		       strerror(-start_policy));
	}
	return true;
}

/* A tmpfs of the test's own, seen by nobody else, as the working directory. */
static inline bool mayexec_setup(struct __test_metadata *_metadata)
{
	if (!mayexec_available(_metadata))
		return false;

	umask(0);
	ASSERT_NE('\0', *workdir) {
		TH_LOG("cannot make a directory in /tmp");
	}
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, sys_mount("mayexec", workdir, "tmpfs", 0, "mode=0755"));
	ASSERT_EQ(0, chdir(workdir));
	return true;
}

/* For FIXTURE_TEARDOWN_PARENT(): the process that kept its privileges. */
static inline void mayexec_teardown(struct __test_metadata *_metadata)
{
	if (start_policy < 0 || read_policy() == start_policy)
		return;
	EXPECT_EQ(0, write_policy(start_policy));
}

#define STATIC_POLICY	"needs another value of a read-only " SYSCTL_FILE

/*
 * False where the policy is a constant and another one.  A loop over the values
 * goes on then, as SKIP() would forget what has failed with the ones before.
 */
static inline bool set_policy(struct __test_metadata *_metadata, int policy)
{
	if (read_policy() == policy)
		return true;
	if (policy_is_static())
		return false;

	ASSERT_EQ(0, write_policy(policy));
	ASSERT_EQ(policy, read_policy());
	return true;
}

static inline void set_securebits(struct __test_metadata *_metadata, int bits)
{
	int old = prctl(PR_GET_SECUREBITS);

	ASSERT_LE(0, old);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, old | bits)) {
		TH_LOG("prctl(PR_SET_SECUREBITS, %#x): %s", old | bits,
		       strerror(errno));
	}
}

/* An open without effect but its result: 0 or a negative error. */
static inline int try_openat2(int dfd, const char *path, __u64 flags,
			      __u64 resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = resolve,
	};
	int fd = sys_openat2(dfd, path, &how);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static inline int try_open(const char *path, __u64 flags)
{
	return try_openat2(AT_FDCWD, path, O_RDONLY | flags, 0);
}

static inline int try_execve_check(int dfd, const char *path, int flags)
{
	char *const argv[] = { "", NULL };
	char *const envp[] = { NULL };

	return sys_result(syscall(__NR_execveat, dfd, path, argv, envp,
				  flags | AT_EXECVE_CHECK));
}

static inline void make_file(struct __test_metadata *_metadata,
			     const char *path, mode_t mode)
{
	ASSERT_EQ(0, mknod(path, S_IFREG | mode, 0)) {
		TH_LOG("mknod %s: %s", path, strerror(errno));
	}
}

static inline void make_mount(struct __test_metadata *_metadata,
			      const char *path, unsigned long flags)
{
	ASSERT_EQ(0, mkdir(path, 0755));
	ASSERT_EQ(0, sys_mount("mayexec", path, "tmpfs", flags, "mode=0755"));
}

static inline int remount_bind(const char *path, unsigned long flags)
{
	return sys_result(sys_mount(NULL, path, NULL,
				    MS_REMOUNT | MS_BIND | flags, NULL));
}

static inline void make_bind(struct __test_metadata *_metadata,
			     const char *from, const char *to,
			     unsigned long flags)
{
	ASSERT_EQ(0, mkdir(to, 0755));
	ASSERT_EQ(0, sys_mount(from, to, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, remount_bind(to, flags));
}

/*
 * Gives root's and the test user's fsuid the rights @perm, whatever the classes
 * of @mode say.  The group class of @mode is the mask.
 */
static inline int set_acl(const char *path, mode_t mode, int perm)
{
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[6];
	} acl = {
		.header.a_version = htole32(POSIX_ACL_XATTR_VERSION),
	};
	const struct {
		int tag;
		int perm;
		unsigned int id;
	} entries[] = {
		{ ACL_USER_OBJ, mode >> 6 & 7, ACL_UNDEFINED_ID },
		{ ACL_USER, perm, 0 },
		{ ACL_USER, perm, USER_ID },
		{ ACL_GROUP_OBJ, 0, ACL_UNDEFINED_ID },
		{ ACL_MASK, mode >> 3 & 7, ACL_UNDEFINED_ID },
		{ ACL_OTHER, mode & 7, ACL_UNDEFINED_ID },
	};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		acl.entries[i].e_tag = htole16(entries[i].tag);
		acl.entries[i].e_perm = htole16(entries[i].perm);
		acl.entries[i].e_id = htole32(entries[i].id);
	}
	return sys_result(setxattr(path, "system.posix_acl_access", &acl,
				   sizeof(acl), 0));
}

/* Those whose rights over the same file differ. */
enum caller {
	CALLER_ROOT,		/* uid 0 with every capability */
	CALLER_USER,		/* an unprivileged user */
	CALLER_NOCAP,		/* uid 0 without capabilities */
	CALLER_USERNS_ROOT,	/* the same user, as root of a user namespace */
	NR_CALLERS,
};

#define NO_USERNS	"needs user namespaces"

/* False where CONFIG_USER_NS or user.max_user_namespaces forbids them. */
static inline bool have_userns(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(unshare(CLONE_NEWUSER) ? 1 : 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static inline bool have_caller(enum caller caller)
{
	return caller != CALLER_USERNS_ROOT || have_userns();
}

/* Drops all capabilities but those of @mask, which become effective. */
static inline void keep_capabilities(struct __test_metadata *_metadata,
				     __u64 mask)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	ASSERT_EQ(0, syscall(__NR_capget, &header, data));
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= mask >> 32 * i;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	ASSERT_EQ(0, syscall(__NR_capset, &header, data));
}

static inline void become_user(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresgid(USER_ID, USER_ID, USER_ID));
	ASSERT_EQ(0, setresuid(USER_ID, USER_ID, USER_ID));
}

/* Maps @outside of the initial user namespace to @inside of that of @pid. */
static inline void map_id(struct __test_metadata *_metadata, pid_t pid,
			  unsigned int inside, unsigned int outside)
{
	char path[64], map[64];

	snprintf(map, sizeof(map), "%u %u 1", inside, outside);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	ASSERT_EQ(0, write_string(path, map));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	ASSERT_EQ(0, write_string(path, map));
}

/* A child in a user namespace whose root is @id of the initial one. */
static inline pid_t fork_userns_root(struct __test_metadata *_metadata,
				     unsigned int id)
{
	int unshared[2], mapped[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(unshared, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(mapped, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(unshared[0]);
		close(mapped[1]);
		ASSERT_EQ(0, setgroups(0, NULL));
		ASSERT_EQ(0, unshare(CLONE_NEWUSER)) {
			TH_LOG("unshare(CLONE_NEWUSER): %s", strerror(errno));
		}
		ASSERT_EQ(1, write(unshared[1], "", 1));
		ASSERT_EQ(1, read(mapped[0], &c, 1));
		ASSERT_EQ(0, setresgid(0, 0, 0));
		ASSERT_EQ(0, setresuid(0, 0, 0));
		close(unshared[1]);
		close(mapped[0]);
		return 0;
	}
	close(unshared[1]);
	close(mapped[0]);
	ASSERT_EQ(1, read(unshared[0], &c, 1));
	map_id(_metadata, pid, 0, id);
	ASSERT_EQ(1, write(mapped[1], "", 1));
	close(unshared[0]);
	close(mapped[1]);
	return pid;
}

/* A descriptor of a user namespace that maps @owner to @caller. */
static inline int make_idmap(struct __test_metadata *_metadata,
			     unsigned int owner, unsigned int caller)
{
	char path[64];
	int ready[2], fd;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ASSERT_EQ(0, unshare(CLONE_NEWUSER));
		ASSERT_EQ(1, write(ready[1], "", 1));
		pause();
		_exit(0);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);

	map_id(_metadata, pid, owner, caller);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	return fd;
}

/*
 * Mounts @from once more, at @to, where the files of @owner are those of
 * @caller.  Returns 0 or a negative error, if the filesystem cannot be idmapped.
 */
static inline int make_idmapped(struct __test_metadata *_metadata,
				const char *from, const char *to,
				unsigned int owner, unsigned int caller)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree, err;

	tree = sys_open_tree(AT_FDCWD, from,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	ASSERT_LE(0, tree);
	attr.userns_fd = make_idmap(_metadata, owner, caller);
	err = sys_result(syscall(__NR_mount_setattr, tree, "", AT_EMPTY_PATH,
				 &attr, sizeof(attr)));
	close(attr.userns_fd);
	if (!err) {
		ASSERT_EQ(0, mkdir(to, 0755));
		ASSERT_EQ(0, sys_move_mount(tree, "", AT_FDCWD, to,
					    MOVE_MOUNT_F_EMPTY_PATH));
	}
	close(tree);
	return err;
}

/*
 * Forks.  The child returns as @caller and must leave with
 * _exit(_metadata->exit_code): what it expects in vain fails the test, since
 * the metadata is shared.
 */
static inline pid_t fork_as(struct __test_metadata *_metadata,
			    enum caller caller)
{
	pid_t pid;

	if (caller == CALLER_USERNS_ROOT)
		return fork_userns_root(_metadata, USER_ID);

	pid = fork();
	ASSERT_LE(0, pid);
	if (pid)
		return pid;
	if (caller == CALLER_USER)
		become_user(_metadata);
	if (caller == CALLER_NOCAP) {
		ASSERT_EQ(0, setgroups(0, NULL));
		keep_capabilities(_metadata, 0);
	}
	return 0;
}

static inline void join(struct __test_metadata *_metadata, pid_t pid)
{
	int status;

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/*
 * The status with which this program exits when an unprivileged user with
 * @securebits executes it and the environment variable @variable is @value.  A
 * constructor is to see to it that the tests do not run.
 */
static inline int execute_self(struct __test_metadata *_metadata,
			       const char *variable, const char *value,
			       int securebits)
{
	char *const argv[] = { "mayexec_program", NULL };
	int program, status;
	pid_t pid;

	program = open("/proc/self/exe", O_PATH);
	ASSERT_LE(0, program);
	pid = fork_as(_metadata, CALLER_USER);
	if (!pid) {
		if (securebits)
			set_securebits(_metadata, securebits);
		ASSERT_EQ(0, setenv(variable, value, 1));
		syscall(__NR_execveat, program, "", argv, environ,
			AT_EMPTY_PATH);
		TH_LOG("execveat: %s", strerror(errno));
		_exit(255);
	}
	close(program);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#endif /* __MAYEXEC_H__ */
