/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What only the tests of this directory need: more mounts and rights of files
 * than the tests of the series have.
 */

#ifndef __MAYEXEC_MORE_H__
#define __MAYEXEC_MORE_H__

#include "../mayexec/mayexec.h"

#include <endian.h>
#include <libgen.h>
#include <limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#ifndef OPENAT2_REGULAR
#define OPENAT2_REGULAR		((__u64)1 << 32)
#endif
#ifndef EFTYPE
#define EFTYPE			134
#endif

#define NEEDS_USERNS		"needs user namespaces"

/* Without the O_CLOEXEC of sys_openat2(). */
static inline int raw_openat2(int dfd, const char *path, struct open_how *how)
{
	return sys_result(syscall(__NR_openat2, dfd, path, how, sizeof(*how)));
}

static inline int try_resolve(int dfd, const char *path, __u64 flags,
			      __u64 resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = resolve,
	};
	int fd = raw_openat2(dfd, path, &how);

	return fd < 0 ? fd : close(fd);
}

/* Sets @path to that of the file @name beside the program of the test. */
static inline void find_beside(struct __test_metadata *_metadata,
			       const char *name, char path[PATH_MAX])
{
	char program[PATH_MAX] = "";

	ASSERT_LT(0, readlink("/proc/self/exe", program, PATH_MAX - 1));
	ASSERT_GT(PATH_MAX, snprintf(path, PATH_MAX, "%s/%s",
				     dirname(program), name));
}

static inline bool enforces_file(int policy)
{
	return (policy & (ENFORCE_FILE | LOG_ONLY)) == ENFORCE_FILE;
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

/* Starts a program that ends with the test, with what it prints in a pipe. */
static inline FILE *start_program(struct __test_metadata *_metadata,
				  char *const argv[], pid_t *pid)
{
	int fds[2];
	FILE *output;

	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	*pid = fork();
	ASSERT_LE(0, *pid);
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	output = fdopen(fds[0], "r");
	ASSERT_NE(NULL, output);
	return output;
}

/* <sys/mount.h> and <linux/mount.h> do not go together. */
static inline int try_umount(const char *path)
{
	return sys_result(syscall(__NR_umount2, path, 0));
}

/*
 * Gives root's and the test user's fsuid the rights @perm, whatever the classes
 * of @mode say. The group class of @mode is the mask.
 */
static inline int set_acl(const char *path, mode_t mode, int perm)
{
	const struct {
		int tag, perm;
		unsigned int id;
	} entries[] = {
		{ ACL_USER_OBJ, mode >> 6 & 7, ACL_UNDEFINED_ID },
		{ ACL_USER, perm, 0 },
		{ ACL_USER, perm, USER_ID },
		{ ACL_GROUP_OBJ, 0, ACL_UNDEFINED_ID },
		{ ACL_MASK, mode >> 3 & 7, ACL_UNDEFINED_ID },
		{ ACL_OTHER, mode & 7, ACL_UNDEFINED_ID },
	};
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[ARRAY_SIZE(entries)];
	} acl = {
		.header.a_version = htole32(POSIX_ACL_XATTR_VERSION),
	};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		acl.entries[i].e_tag = htole16(entries[i].tag);
		acl.entries[i].e_perm = htole16(entries[i].perm);
		acl.entries[i].e_id = htole32(entries[i].id);
	}
	return sys_result(setxattr(path, "system.posix_acl_access", &acl,
				   sizeof(acl), 0));
}

static inline int set_mount_attr(int dfd, const char *path,
				 struct mount_attr *attr)
{
	return sys_result(syscall(__NR_mount_setattr, dfd, path, AT_EMPTY_PATH,
				  attr, sizeof(*attr)));
}

/* A user namespace that maps @from to @to, of a process that is no more. */
static inline int make_userns(struct __test_metadata *_metadata, int from,
			      int to)
{
	char path[32], map[32];
	pid_t pid = fork();
	int fd;

	ASSERT_LE(0, pid);
	if (!pid) {
		ASSERT_EQ(0, unshare(CLONE_NEWUSER));
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, WUNTRACED));
	snprintf(map, sizeof(map), "%d %d 1", from, to);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	ASSERT_EQ(0, write_string(path, map));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	ASSERT_EQ(0, write_string(path, map));
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	return fd;
}

/*
 * Mounts @from once more, at @to, where the files of @owner are those of
 * @caller. Returns a negative error if the filesystem cannot be idmapped.
 */
static inline int make_idmapped(struct __test_metadata *_metadata,
				const char *from, const char *to, int owner,
				int caller)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP,
		.userns_fd = make_userns(_metadata, owner, caller),
	};
	int tree, err;

	tree = sys_open_tree(AT_FDCWD, from,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	ASSERT_LE(0, tree);
	err = set_mount_attr(tree, "", &attr);
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
 * The status with which a copy of this program exits when an unprivileged user
 * executes it and the environment variable @variable is @value: the program itself
 * may be its owner's alone. A constructor is to see to it that the tests do not run.
 */
static inline int execute_self(struct __test_metadata *_metadata,
			       const char *variable, const char *value)
{
	char *const argv[] = { "mayexec_program", NULL };
	const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const int to = open(argv[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	struct stat st;
	int status;
	pid_t pid;

	ASSERT_EQ(0, fstat(from, &st));
	ASSERT_EQ(st.st_size, sendfile(to, from, NULL, st.st_size));
	close(from);
	close(to);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		become_user(_metadata);
		ASSERT_EQ(0, setenv(variable, value, 1));
		execv(argv[0], argv);
		TH_LOG("execv: %s", strerror(errno));
		_exit(255);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#endif /* __MAYEXEC_MORE_H__ */
