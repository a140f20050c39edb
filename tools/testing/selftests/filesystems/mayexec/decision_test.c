// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: what openat2(2) decides, for every policy, caller, mount, mode and
 * type of file, and that AT_EXECVE_CHECK decides the same.
 */

#include "mayexec.h"

#include <linux/memfd.h>
#include <sys/sysmacros.h>

/*
 * Results have one letter for each policy: none, MOUNT, FILE, both. The open
 * succeeds (+), or fails with EACCES (-), ENXIO (N, from ->open()) or ELOOP (L).
 */
static const struct {
	const char *path;
	const char *results[NR_CALLERS];	/* of root, the user, nocap, userns */
	mode_t mode;				/* to make the file, if any */
	uid_t owner;
	int open_flags;
} rows[] = {
	/* Where only root's results are given, the others are the same. */
	{ "exec/0755", { "++++" } },
	{ "exec/0644", { "++--" } },
	{ "noexec/0755", { "+-+-" } },
	{ "noexec/0644", { "+---" } },
	/* The superblock of procfs is noexec, its mount is not. */
	{ "proc/version", { "+---" } },

	/* Execute permission depends on the caller, who must also read. */
	{ "exec/0111", { "++++", "----", "----", "----" }, 0111, OWNER_ID },
	{ "exec/0600", { "++--", "----", "----", "----" }, 0600, OWNER_ID },
	{ "exec/0744", { "++++", "++--", "++--", "++--" }, 0744, OWNER_ID },
	{ "exec/0655", { "++++", "++--", "++++", "++++" }, 0655, USER_ID },
	{ "noexec/0744", { "+-+-", "+---", "+---", "+---" }, 0744, OWNER_ID },

	/* The mount that the path leads through counts. */
	{ "bind-noexec/0755", { "+-+-" } },
	{ "bind-exec/0755", { "++++" } },
	/* An overlay's own mount counts, those of its layers do not. */
	{ "overlay/0755", { "++++" } },
	{ "overlay/0644", { "++--" } },
	{ "overlay-noexec/0755", { "+-+-" } },
	/* In the idmapped mount, the user owns the files of OWNER_ID. */
	{ "idmapped/0744", { "++++", "++++", "++--", "++++" } },
	{ "idmapped/0655", { "++++", "++++", "++++", "++++" } },

	/* A symbolic link is judged where it ends. */
	{ "noexec/to-0755", { "++++" }, S_IFLNK },
	{ "exec/to-0644", { "++--" }, S_IFLNK },
	{ "exec/nofollow-0755", { "LLLL" }, S_IFLNK, .open_flags = O_NOFOLLOW },

	/* Only regular files are executed. */
	{ "exec/directory", { "+---" } },
	{ "exec/fifo", { "+---" }, .open_flags = O_NONBLOCK },
	{ "exec/socket", { "N---" }, S_IFSOCK | 0755 },
	{ "exec/null", { "+---" }, S_IFCHR | 0755 },

	/* Magic links lead to what make_descriptors() opens. */
	{ "/proc/self/fd/200", { "++++" } },
	{ "/proc/self/fd/201", { "++--" } },
	{ "/proc/self/fd/202", { "+---" }, .open_flags = O_NONBLOCK },
	{ "/proc/self/fd/203", { "+---", "----", "+---", "----" } },
};

static void make_descriptors(struct __test_metadata *_metadata)
{
	int pipes[2], fd;

	/* Memfds are regular files. vm.memfd_noexec may forbid the first. */
	fd = syscall(__NR_memfd_create, "mayexec", MFD_EXEC);
	ASSERT_EQ(fd < 0 ? -1 : 200, dup2(fd, 200));
	fd = syscall(__NR_memfd_create, "mayexec", MFD_NOEXEC_SEAL);
	ASSERT_EQ(201, dup2(fd, 201));
	ASSERT_EQ(0, fchmod(201, 0644));
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(202, dup2(pipes[0], 202));
	ASSERT_EQ(0, fchmod(202, 0755));
	ASSERT_EQ(203, dup2(syscall(__NR_pidfd_open, getpid(), 0), 203));
}

/* A user namespace that maps @from to @to, of a process that is no more. */
static int make_userns(struct __test_metadata *_metadata, int from, int to)
{
	char path[32], map[32];
	pid_t pid = fork();
	int fd;

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

static void make_bind(struct __test_metadata *_metadata, const char *from,
		      const char *to, unsigned long flags)
{
	ASSERT_EQ(0, mkdir(to, 0755));
	ASSERT_EQ(0, sys_mount(from, to, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, sys_mount(NULL, to, NULL, MS_REMOUNT | MS_BIND | flags,
			       NULL));
}

static void make_mounts(struct __test_metadata *_metadata)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree;

	ASSERT_EQ(0, mkdir("proc", 0755));
	ASSERT_EQ(0, sys_mount("mayexec", "proc", "proc", 0, NULL));
	make_bind(_metadata, "exec", "bind-noexec", MS_NOEXEC);
	make_bind(_metadata, "noexec", "bind-exec", 0);

	/* Where these cannot be mounted, rows are left out. */
	ASSERT_EQ(0, mkdir("empty", 0755));
	make_overlay(_metadata, "overlay", 0, "lowerdir=noexec:empty");
	make_overlay(_metadata, "overlay-noexec", MS_NOEXEC,
		     "lowerdir=exec:empty");
	if (!have_userns) {
		TH_LOG("without user namespaces: idmapped is left out");
		return;
	}
	attr.userns_fd = make_userns(_metadata, OWNER_ID, USER_ID);
	tree = sys_open_tree(AT_FDCWD, "exec", OPEN_TREE_CLONE);
	ASSERT_LE(0, tree);
	ASSERT_EQ(0, syscall(__NR_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
			     sizeof(attr)));
	ASSERT_EQ(0, mkdir("idmapped", 0755));
	ASSERT_EQ(0, sys_move_mount(tree, "", AT_FDCWD, "idmapped",
				    MOVE_MOUNT_F_EMPTY_PATH));
}

static void make_rows(struct __test_metadata *_metadata)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const mode_t mode = rows[i].mode;
		char target[16] = "../exec/";

		if (S_ISLNK(mode)) {
			strcat(target, strrchr(rows[i].path, '-') + 1);
			ASSERT_EQ(0, symlink(target, rows[i].path));
		} else if (mode) {
			ASSERT_EQ(0, mknod(rows[i].path, mode, makedev(1, 3)));
			ASSERT_EQ(0, chown(rows[i].path, rows[i].owner,
					   rows[i].owner));
			ASSERT_EQ(0, chmod(rows[i].path, mode & 07777));
		}
	}
	make_mounts(_metadata);
	make_descriptors(_metadata);
}

static const int errors[] = {
	['+'] = 0, ['-'] = -EACCES, ['N'] = -ENXIO, ['L'] = -ELOOP,
};

static void check_rows(struct __test_metadata *_metadata, enum caller caller,
		       int policy)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *results = rows[i].results[caller] ?: rows[i].results[0];
		const int plain = errors[(int)results[0]];
		const int result = errors[(int)results[policy]];
		const __u64 flags = rows[i].open_flags;
		const char *path = rows[i].path;
		int held = open(path, O_PATH | O_CLOEXEC | flags);

		if (held < 0 && errno == ENOENT)
			continue;
		ASSERT_LE(0, held);
		EXPECT_EQ(plain, try_open(path, flags)) {
			TH_LOG("%s without O_MAYEXEC, caller %d", path, caller);
		}
		EXPECT_EQ(result, try_open(path, flags | O_MAYEXEC)) {
			TH_LOG("%s, caller %d, policy %d", path, caller, policy);
		}
		/* A file that is held open is judged in the same way. */
		EXPECT_EQ(result, try_openat2(held, "", flags | O_MAYEXEC |
					      O_EMPTYPATH)) {
			TH_LOG("%s, held", path);
		}
		close(held);

		/* AT_EXECVE_CHECK does not look at the right to read. */
		if (policy != ENFORCE_BOTH || plain == -EACCES)
			continue;
		EXPECT_EQ(result, try_execve_check(AT_FDCWD, path,
						   flags & O_NOFOLLOW ?
						   AT_SYMLINK_NOFOLLOW : 0)) {
			TH_LOG("%s, AT_EXECVE_CHECK, caller %d", path, caller);
		}
	}
}

/* The securebit comes last. It is enforced under LOG_ONLY, too. */
/* A debug kernel on an emulated CPU takes more than the default 30 s. */
TEST_F_TIMEOUT(mayexec, decision, 240)
{
	make_rows(_metadata);
	for (int policy = 0; policy <= MAX_POLICY + 1; policy++) {
		const bool securebit = policy > MAX_POLICY;
		const int checks = securebit ? ENFORCE_BOTH :
				   policy & LOG_ONLY ? 0 : policy;

		if (!securebit && !set_policy(_metadata, policy))
			continue;
		for (int caller = 0; caller < NR_CALLERS; caller++) {
			if (!in_child_as(_metadata, caller))
				continue;
			if (securebit) {
				set_no_new_privs(_metadata);
				set_securebits(_metadata,
					       SECBIT_EXEC_RESTRICT_FILE);
			}
			check_rows(_metadata, caller, checks);
			_exit(_metadata->exit_code);
		}
	}
}

TEST_HARNESS_MAIN
