// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC under attack: ways to get code executed without the permission to
 * execute it. Each test shows that its attack leads to the code where the flag
 * is not given, that the policy stops the open that has it, and where the
 * kernel's guarantee ends.
 *
 * The tests of single features hold more: rights_test the rights of each caller,
 * mounts_test what an administrator can mount, combinations_test O_EMPTYPATH, and
 * rings_test the rest of io_uring.
 */

#include "more.h"
#include "uring.h"

#include <linux/filter.h>
#include <linux/memfd.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Mount points for those who cannot make any. */
static void make_mount_points(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, mkdir("empty", 0755));
	ASSERT_EQ(0, mkdir("target", 0755));
}

static const int strictest = ENFORCE_BOTH;

/* The attack leads to the code, but not where the flag is given. */
static void check_stopped_at(struct __test_metadata *_metadata, int dfd,
			     const char *path, __u64 flags)
{
	EXPECT_EQ(0, try_openat2(dfd, path, flags)) {
		TH_LOG("the attack does not work: '%s'", path);
	}
	EXPECT_EQ(-EACCES, try_openat2(dfd, path, flags | O_MAYEXEC)) {
		TH_LOG("the attack is not stopped: '%s'", path);
	}
}

static void check_stopped(struct __test_metadata *_metadata, const char *path)
{
	check_stopped_at(_metadata, AT_FDCWD, path, O_RDONLY);
}

/* The same of the file behind a descriptor. */
static void check_upgrade_stopped(struct __test_metadata *_metadata, int fd)
{
	check_stopped_at(_metadata, fd, "", O_EMPTYPATH);
}

static int try_upgrade(int fd)
{
	return try_openat2(fd, "", O_EMPTYPATH | O_MAYEXEC);
}

/* The ways to a file that a process holds open lead through another mount. */
static void check_ways_through_proc(struct __test_metadata *_metadata,
				    const char *path, int flags, int result)
{
	char cwd[PATH_MAX], ways[5][2 * PATH_MAX];
	int fd = open(path, flags | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, getcwd(cwd, sizeof(cwd)));
	snprintf(ways[0], sizeof(ways[0]), "/proc/self/fd/%d", fd);
	snprintf(ways[1], sizeof(ways[1]), "/proc/thread-self/fd/%d", fd);
	snprintf(ways[2], sizeof(ways[2]), "/proc/%d/fd/%d", getpid(), fd);
	snprintf(ways[3], sizeof(ways[3]), "/proc/self/cwd/%s", path);
	snprintf(ways[4], sizeof(ways[4]), "/proc/self/root%s/%s", cwd, path);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		EXPECT_EQ(0, try_open(ways[i], 0));
		EXPECT_EQ(result, try_open(ways[i], O_MAYEXEC)) {
			TH_LOG("%s to %s", ways[i], path);
		}
	}
	close(fd);
}

/*
 * Attack: name the file by a magic link, which is on procfs, an exec mount.
 * Guaranteed: the mount and the file that the link leads to are judged.
 * Out of scope: what is read from the descriptor that is there already.
 */
TEST_F(mayexec, proc_link)
{
	static const int modes[] = { O_RDONLY, O_PATH };

	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		check_ways_through_proc(_metadata, "exec/0644", modes[i],
					-EACCES);
		check_ways_through_proc(_metadata, "noexec/0755", modes[i],
					-EACCES);
		check_ways_through_proc(_metadata, "exec/0755", modes[i], 0);
	}
}

/*
 * Attack: copy the code into a memfd, which is on no mount to be made noexec.
 * Guaranteed: one without execute permission is refused, its seal keeps it so.
 * Out of scope: one that is executable, which vm.memfd_noexec=2 prevents.
 */
TEST_F(mayexec, memfd)
{
	char link[64];
	int fd;

	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	fd = memfd_create("attack", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	ASSERT_LE(0, fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	check_stopped(_metadata, link);
	check_upgrade_stopped(_metadata, fd);
	EXPECT_EQ(-EPERM, sys_result(fchmod(fd, 0755)));
	check_stopped(_metadata, link);
	close(fd);

	/* vm.memfd_noexec may forbid it already. */
	fd = memfd_create("attack", MFD_CLOEXEC | MFD_EXEC);
	if (fd >= 0) {
		EXPECT_EQ(0, try_upgrade(fd));
		close(fd);
	}
}

#define MEMFD_NOEXEC	"/proc/sys/vm/memfd_noexec"

/*
 * The same with the remedy in force, a sysctl that each PID namespace has.
 * Guaranteed: no memfd is executable, nor made so.
 */
TEST_F(mayexec, memfd_sysctl)
{
	int fd;

	if (access(MEMFD_NOEXEC, F_OK))
		SKIP(return, "needs " MEMFD_NOEXEC);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	if (unshare(CLONE_NEWPID))
		SKIP(return, "needs PID namespaces");
	if (!in_child_as(_metadata, CALLER_ROOT))
		return;
	ASSERT_EQ(0, write_string(MEMFD_NOEXEC, "2"));
	become_user(_metadata);
	EXPECT_EQ(-EACCES, sys_result(memfd_create("attack", MFD_CLOEXEC |
						   MFD_EXEC)));
	fd = memfd_create("attack", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	check_upgrade_stopped(_metadata, fd);
	EXPECT_EQ(-EPERM, sys_result(fchmod(fd, 0755)));
	close(fd);
	_exit(_metadata->exit_code);
}

/* Binds a noexec mount to another place, to take the flag from it there. */
static void check_bind(struct __test_metadata *_metadata, int result)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_NOEXEC };

	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, sys_mount("noexec", "target", NULL, MS_BIND, NULL));
	check_stopped(_metadata, "target/0755");
	EXPECT_EQ(result, remount_bind("target", 0));
	EXPECT_EQ(result, set_mount_attr(AT_FDCWD, "target", &attr));
	EXPECT_EQ(0, try_open("target/0755", 0));
	EXPECT_EQ(result ? -EACCES : 0, try_open("target/0755", O_MAYEXEC));
	check_stopped(_metadata, "noexec/0755");
	/* What is under the noexec mount stays there. */
	EXPECT_EQ(result ? -EINVAL : 0, try_umount("noexec"));
}

/*
 * Attack: bind a noexec mount where it is not noexec, or use the place that is
 * under a noexec bind mount, as root of a user namespace.
 * Guaranteed: the mount of the path counts, and what a mount namespace has got
 * from a more privileged one stays noexec.
 * Out of scope: whoever may mount in the namespace that owns the mount.
 */
TEST_F(mayexec, bind_mount)
{
	static const struct {
		enum caller caller;
		int result;
	} callers[] = {
		{ CALLER_ROOT, 0 },
		{ CALLER_USERNS_ROOT, -EPERM },
	};

	make_mount_points(_metadata);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
		if (in_child_as(_metadata, callers[i].caller)) {
			check_bind(_metadata, callers[i].result);
			_exit(_metadata->exit_code);
		}
	}
}

/*
 * Attack: as root of a user namespace, lay an overlay over a noexec layer.
 * Guaranteed: what execve(2) guarantees. The layer itself stays noexec, an
 * overlay adds no execute permission, and a noexec overlay is one.
 * Out of scope: an exec overlay with a noexec layer. The remedy is to let
 * nobody have a mount namespace: see own_mount.
 */
TEST_F(mayexec, overlay)
{
	const char *const options = "lowerdir=noexec:empty";

	make_mount_points(_metadata);
	if (!have_userns)
		SKIP(return, NEEDS_USERNS);
	if (sys_mount("mayexec", "target", "overlay", 0, options))
		SKIP(return, "overlayfs: %s", strerror(errno));
	ASSERT_EQ(0, try_umount("target"));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	if (!in_child_as(_metadata, CALLER_USERNS_ROOT))
		return;
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, sys_mount("mayexec", "target", "overlay", 0, options));
	check_stopped(_metadata, "noexec/0755");
	check_stopped(_metadata, "target/0644");
	EXPECT_EQ(-EACCES, try_execve_check(AT_FDCWD, "target/0644", 0));

	EXPECT_EQ(0, try_open("target/0755", O_MAYEXEC));
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, "target/0755", 0));

	EXPECT_EQ(0, remount_bind("target", MS_NOEXEC));
	check_stopped(_metadata, "target/0755");
	_exit(_metadata->exit_code);
}

#define MAX_MNT_NAMESPACES	"/proc/sys/user/max_mnt_namespaces"

/*
 * Attack: as root of a user namespace, mount a tmpfs and copy the code there.
 * Guaranteed: nobody outside of the mount namespace sees the mount.
 * Out of scope: inside, it is an exec mount, as for execve(2). The remedy is
 * user.max_mnt_namespaces=0, or a security module's rules for user namespaces.
 */
TEST_F(mayexec, own_mount)
{
	make_mount_points(_metadata);
	if (access(MAX_MNT_NAMESPACES, F_OK))
		SKIP(return, "needs " MAX_MNT_NAMESPACES);
	if (!have_userns)
		SKIP(return, NEEDS_USERNS);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);

	if (in_child_as(_metadata, CALLER_USERNS_ROOT)) {
		ASSERT_EQ(0, unshare(CLONE_NEWNS));
		ASSERT_EQ(0, sys_mount("mayexec", "target", "tmpfs", 0, NULL));
		make_file(_metadata, "target/copy", 0755);
		EXPECT_EQ(0, try_open("target/copy", O_MAYEXEC));
		EXPECT_EQ(0, try_execve_check(AT_FDCWD, "target/copy", 0));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(-ENOENT, try_open("target/copy", O_MAYEXEC));

	/* The limit holds for a user namespace and those in it. */
	if (in_child_as(_metadata, CALLER_USERNS_ROOT)) {
		ASSERT_EQ(0, write_string(MAX_MNT_NAMESPACES, "0"));
		EXPECT_EQ(-ENOSPC, sys_result(unshare(CLONE_NEWNS)));
		EXPECT_EQ(-EPERM, sys_result(sys_mount("mayexec", "target",
						       "tmpfs", 0, NULL)));
		_exit(_metadata->exit_code);
	}
}

/*
 * Attack: have every capability, as root of a user namespace.
 * Guaranteed: they do not reach the file of an owner who is not mapped, and
 * execute nothing that nobody may execute.
 * Out of scope: the attacker's own files, which chmod(1) makes executable.
 */
TEST_F(mayexec, userns_root)
{
	static const enum caller callers[] = {
		CALLER_USER, CALLER_USERNS_ROOT,
	};

	make_file(_metadata, "exec/owner", 0744);
	ASSERT_EQ(0, chown("exec/owner", OWNER_ID, OWNER_ID));
	make_file(_metadata, "exec/user", 0644);
	ASSERT_EQ(0, chown("exec/user", USER_ID, USER_ID));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
		if (in_child_as(_metadata, callers[i])) {
			check_stopped(_metadata, "exec/owner");
			check_stopped(_metadata, "exec/user");
			ASSERT_EQ(0, chmod("exec/user", 0744));
			EXPECT_EQ(0, try_open("exec/user", O_MAYEXEC));
			ASSERT_EQ(0, chmod("exec/user", 0644));
			_exit(_metadata->exit_code);
		}
	}
}

/*
 * Attack: get rid of the securebit in a user namespace, whose creator has every
 * capability there.
 * Guaranteed: it begins with the bit and its lock, which nobody there opens.
 * Out of scope: a bit that is not locked, which a process can clear anywhere.
 */
TEST_F(mayexec, userns_securebit)
{
	const int bits = SECBIT_EXEC_RESTRICT_FILE |
			 SECBIT_EXEC_RESTRICT_FILE_LOCKED;

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	if (!have_userns)
		SKIP(return, NEEDS_USERNS);
	EXPECT_EQ(0, try_open("exec/0644", O_MAYEXEC));
	set_no_new_privs(_metadata);
	set_securebits(_metadata, bits);
	check_stopped(_metadata, "exec/0644");
	ASSERT_EQ(0, unshare(CLONE_NEWUSER));
	check_stopped(_metadata, "exec/0644");
	EXPECT_EQ(-EPERM, sys_result(prctl(PR_SET_SECUREBITS, 0)));
	check_stopped(_metadata, "exec/0644");
}

/* Drops all capabilities but @cap, which lets an unprivileged user keep it. */
static void become_user_with(struct __test_metadata *_metadata, int cap)
{
	ASSERT_EQ(0, prctl(PR_SET_KEEPCAPS, 1));
	become_user(_metadata);
	set_capabilities(_metadata, 1ULL << cap, 1ULL << cap);
}

/*
 * Attack: have CAP_DAC_OVERRIDE, and so read whatever there is.
 * Guaranteed: it executes nothing that nobody may execute.
 * Out of scope: a file with any execute bit, as for execve(2). The remedy is
 * CAP_DAC_READ_SEARCH, which only reads.
 */
TEST_F(mayexec, cap_dac_override)
{
	static const struct {
		int cap;
		int result;
	} caps[] = {
		{ CAP_DAC_OVERRIDE, 0 },
		{ CAP_DAC_READ_SEARCH, -EACCES },
	};

	make_file(_metadata, "exec/0600", 0600);
	make_file(_metadata, "exec/0100", 0100);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		if (in_child_as(_metadata, CALLER_ROOT)) {
			become_user_with(_metadata, caps[i].cap);
			check_stopped(_metadata, "exec/0600");
			check_stopped(_metadata, "exec/0644");
			check_stopped(_metadata, "noexec/0755");
			EXPECT_EQ(0, try_open("exec/0100", 0));
			EXPECT_EQ(caps[i].result,
				  try_open("exec/0100", O_MAYEXEC));
			EXPECT_EQ(caps[i].result,
				  try_execve_check(AT_FDCWD, "exec/0100", 0));
			_exit(_metadata->exit_code);
		}
	}
}

/* As root of a user namespace: have files of others seem to be one's own. */
static int try_idmap(struct __test_metadata *_metadata)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree, err;

	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	tree = sys_open_tree(AT_FDCWD, "exec",
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	ASSERT_LE(0, tree);
	attr.userns_fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, attr.userns_fd);
	err = set_mount_attr(tree, "", &attr);
	close(attr.userns_fd);
	close(tree);
	return err;
}

/*
 * Attack: use a mount with an idmapping to own the file, or leave one by a
 * descriptor, a magic link or "..".
 * Guaranteed: the mount that the file is reached by says who the owner is, and
 * nobody idmaps a filesystem that he does not control.
 * Out of scope: a descriptor from another mount, which stays of that mount.
 */
TEST_F(mayexec, idmapped_mount)
{
	int held, dir, origin, err;
	char link[64];

	if (!have_userns)
		SKIP(return, NEEDS_USERNS);
	make_mount(_metadata, "origin", 0);
	make_file(_metadata, "origin/user", 0744);
	ASSERT_EQ(0, chown("origin/user", USER_ID, USER_ID));
	ASSERT_EQ(0, mkdir("origin/dir", 0755));
	err = make_idmapped(_metadata, "origin", "idmapped", OWNER_ID, USER_ID);
	if (err)
		SKIP(return, "idmapped tmpfs: %s", strerror(-err));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);

	if (in_child_as(_metadata, CALLER_USERNS_ROOT)) {
		EXPECT_EQ(-EPERM, try_idmap(_metadata));
		_exit(_metadata->exit_code);
	}

	become_user(_metadata);
	held = open("idmapped/user", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, held);
	dir = open("idmapped/dir", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", held);
	check_stopped(_metadata, "idmapped/user");
	check_stopped(_metadata, link);
	check_upgrade_stopped(_metadata, held);
	check_stopped_at(_metadata, dir, "../user", O_RDONLY);

	origin = open("origin/user", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, origin);
	EXPECT_EQ(0, try_upgrade(origin));
}

/*
 * Attack: be granted the right by an ACL whose mask withholds it, while the
 * mode has an execute bit for others.
 * Guaranteed: what the ACL grants as a whole, as for execve(2).
 * Out of scope: the mask is the owner's to change, with chmod(1) even.
 */
TEST_F(mayexec, acl_mask)
{
	int err;

	make_file(_metadata, "exec/acl", 0645);
	err = set_acl("exec/acl", 0645, 5);
	if (err == -EOPNOTSUPP)
		SKIP(return, "tmpfs has no ACL");
	ASSERT_EQ(0, err);
	make_file(_metadata, "exec/unmasked", 0655);
	ASSERT_EQ(0, set_acl("exec/unmasked", 0645, 5));
	ASSERT_EQ(0, chmod("exec/unmasked", 0655));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	check_stopped(_metadata, "exec/acl");
	EXPECT_EQ(-EACCES, try_execve_check(AT_FDCWD, "exec/acl", 0));
	EXPECT_EQ(0, try_open("exec/unmasked", O_MAYEXEC));
}

/*
 * Attack: where a filesystem is mounted noexec and exec, give a file on the one
 * a name on the other.
 * Guaranteed: no link leads to another mount, and a symbolic one is judged
 * where it ends.
 * Out of scope: noexec is the mount's, not the file's, and the link can be made
 * through an exec mount of both places. The remedy is a filesystem for each.
 */
TEST_F(mayexec, hard_link)
{
	make_mount(_metadata, "both", 0);
	ASSERT_EQ(0, mkdir("both/data", 0777));
	ASSERT_EQ(0, mkdir("both/bin", 0777));
	make_bind(_metadata, "both/data", "data", MS_NOEXEC);
	make_bind(_metadata, "both/bin", "bin", 0);
	make_file(_metadata, "data/code", 0755);
	ASSERT_EQ(0, chown("data/code", USER_ID, USER_ID));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	check_stopped(_metadata, "data/code");
	EXPECT_EQ(-EXDEV, sys_result(link("data/code", "bin/link")));
	EXPECT_EQ(-EXDEV, sys_result(rename("data/code", "bin/code")));
	ASSERT_EQ(0, symlink("../data/code", "bin/symlink"));
	check_stopped(_metadata, "bin/symlink");

	ASSERT_EQ(0, link("both/data/code", "both/bin/link"));
	EXPECT_EQ(0, try_open("bin/link", O_MAYEXEC));
	check_stopped(_metadata, "data/code");

	EXPECT_EQ(-EXDEV, sys_result(link("both/data/code", "exec/link")));
}

/*
 * Attack: upgrade a descriptor from a privileged process, which has opened the
 * file with O_PATH, to read or write it, or as code that it may execute itself.
 * Guaranteed: it is an open with the credentials of the one who asks for it, at
 * that time.
 * Out of scope: reading from the descriptor as it is.
 */
TEST_F(mayexec, upgrade)
{
	static const __u64 modes[] = {
		O_PATH, O_RDONLY, O_RDWR, O_RDONLY | O_MAYEXEC,
	};
	int fds[ARRAY_SIZE(modes)], unreadable;
	char c;

	make_file(_metadata, "exec/0744", 0744);
	make_file(_metadata, "exec/0700", 0700);
	ASSERT_EQ(0, write_string("exec/0700", "c"));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		fds[i] = sys_openat2(AT_FDCWD, "exec/0744", modes[i]);
		ASSERT_LE(0, fds[i]);
		EXPECT_EQ(0, try_upgrade(fds[i]));
	}
	unreadable = open("exec/0700", O_RDONLY);
	ASSERT_LE(0, unreadable);

	become_user(_metadata);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		check_upgrade_stopped(_metadata, fds[i]);
	EXPECT_EQ(-EACCES, try_upgrade(unreadable));
	EXPECT_EQ(-EACCES, try_openat2(unreadable, "", O_EMPTYPATH));
	EXPECT_EQ(1, read(unreadable, &c, 1));
}

static int register_personality(struct __test_metadata *_metadata,
				const struct ring *ring)
{
	int personality = syscall(__NR_io_uring_register, ring->fd,
				  IORING_REGISTER_PERSONALITY, NULL, 0);

	ASSERT_LT(0, personality);
	return personality;
}

/*
 * Attack: open with the credentials of root, registered as a personality.
 * Guaranteed: the sysctl holds for all credentials, and those of root execute
 * nothing that nobody may execute.
 * Out of scope: what root may execute and the attacker may not.
 */
TEST_F(mayexec, uring_personality)
{
	struct ring ring = {};
	int personality;

	make_file(_metadata, "exec/0600", 0600);
	make_file(_metadata, "exec/0700", 0700);
	if (!setup_ring(_metadata, &ring))
		SKIP(return, "io_uring: %s", strerror(errno));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	if (!in_child_as(_metadata, CALLER_ROOT))
		return;
	ASSERT_TRUE(setup_ring(_metadata, &ring));
	personality = register_personality(_metadata, &ring);
	become_user(_metadata);
	for (int i = 0; i < 2; i++) {
		ring.sqe_flags = i ? IOSQE_ASYNC : 0;
		EXPECT_EQ(-EACCES, uring_openat2(_metadata, &ring, "exec/0600",
						 0, 0));
		EXPECT_EQ(0, uring_openat2(_metadata, &ring, "exec/0600", 0,
					   personality));
		EXPECT_EQ(-EACCES, uring_openat2(_metadata, &ring, "exec/0600",
						 O_MAYEXEC, personality));
		EXPECT_EQ(-EACCES, uring_openat2(_metadata, &ring, "exec/0644",
						 O_MAYEXEC, personality));
		EXPECT_EQ(-EACCES, uring_openat2(_metadata, &ring,
						 "noexec/0755", O_MAYEXEC,
						 personality));
		EXPECT_EQ(0, uring_openat2(_metadata, &ring, "exec/0700",
					   O_MAYEXEC, personality));
	}
	_exit(_metadata->exit_code);
}

/*
 * Attack: register a personality, set the securebit, open with the personality.
 * Guaranteed: a personality registered under the locked bit has it.
 * Out of scope: one from before. The remedy is to set the bit before untrusted
 * code runs, or the sysctl, or to disable io_uring.
 */
TEST_F(mayexec, uring_securebit)
{
	const int bits = SECBIT_EXEC_RESTRICT_FILE |
			 SECBIT_EXEC_RESTRICT_FILE_LOCKED;
	struct ring ring = {};
	int before, after;

	if (!setup_ring(_metadata, &ring))
		SKIP(return, "io_uring: %s", strerror(errno));
	if (!user_may_have_ring())
		SKIP(return, RING_FOR_ROOT);
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	ASSERT_TRUE(setup_ring(_metadata, &ring));
	before = register_personality(_metadata, &ring);
	set_no_new_privs(_metadata);
	set_securebits(_metadata, bits);
	after = register_personality(_metadata, &ring);
	for (int i = 0; i < 2; i++) {
		ring.sqe_flags = i ? IOSQE_ASYNC : 0;
		EXPECT_EQ(0, uring_openat2(_metadata, &ring, "exec/0644", 0,
					   after));
		EXPECT_EQ(-EACCES, uring_openat2(_metadata, &ring, "exec/0644",
						 O_MAYEXEC, 0));
		EXPECT_EQ(-EACCES, uring_openat2(_metadata, &ring, "exec/0644",
						 O_MAYEXEC, after));
		EXPECT_EQ(0, uring_openat2(_metadata, &ring, "exec/0644",
					   O_MAYEXEC, before));
	}
}

union descriptor_message {
	struct cmsghdr header;
	char buf[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(struct __test_metadata *_metadata, int socket,
			    int fd)
{
	struct iovec iov = { .iov_base = "", .iov_len = 1 };
	union descriptor_message control = {};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	ASSERT_EQ(1, sendmsg(socket, &msg, 0));
}

static int receive_descriptor(struct __test_metadata *_metadata, int socket)
{
	union descriptor_message control = {};
	char c;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd;

	ASSERT_EQ(1, recvmsg(socket, &msg, MSG_CMSG_CLOEXEC));
	ASSERT_NE(NULL, CMSG_FIRSTHDR(&msg));
	ASSERT_EQ(SCM_RIGHTS, CMSG_FIRSTHDR(&msg)->cmsg_type);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/*
 * Attack: have an interpreter run what it receives as a descriptor.
 * Guaranteed: nothing for the descriptor, which was opened without the flag or
 * with it, and does not tell. An upgrade with O_EMPTYPATH is judged.
 * Out of scope: an interpreter that reads a descriptor and does not upgrade it.
 */
TEST_F(mayexec, received_fd)
{
	static const struct {
		const char *path;
		int result;
	} files[] = {
		{ "exec/0755", 0 },
		{ "exec/0644", -EACCES },
		{ "noexec/0755", -EACCES },
	};
	int sockets[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				sockets));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_EQ(0, write_string(files[i].path, "c"));
		fd = open(files[i].path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		send_descriptor(_metadata, sockets[0], fd);
		close(fd);
	}

	become_user(_metadata);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char c = '\0';

		fd = receive_descriptor(_metadata, sockets[1]);
		EXPECT_EQ(1, read(fd, &c, 1));
		EXPECT_EQ('c', c);
		EXPECT_EQ(files[i].result, try_upgrade(fd)) {
			TH_LOG("%s", files[i].path);
		}
		close(fd);
	}
}

/* From now on, the system call @nr returns -@err and has no effect. */
static void fake_system_call(struct __test_metadata *_metadata, int nr, int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = ARRAY_SIZE(filter), .filter = filter,
	};

	ASSERT_EQ(0, syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0,
			     &program)) {
		TH_LOG("seccomp: %s", strerror(errno));
	}
}

static bool have_seccomp(void)
{
	const __u32 action = SECCOMP_RET_ERRNO;

	return !syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

/*
 * What an interpreter makes of a file that it opens without the flag and checks
 * by itself. It takes a system call that is missing for an old kernel.
 */
static bool runs_by_own_check(const char *path)
{
	int bits = prctl(PR_GET_SECUREBITS);
	int err;

	if (bits < 0 || !(bits & SECBIT_EXEC_RESTRICT_FILE))
		return !try_open(path, 0);
	err = try_execve_check(AT_FDCWD, path, 0);
	return !err || err == -ENOSYS;
}

/*
 * Attack: start the interpreter with a seccomp filter that hides the securebits
 * from it, or that answers in the place of the check.
 * Guaranteed: prctl(2) and execveat(2) have no part in an open with the flag.
 * Out of scope: openat2(2) itself, see below.
 */
TEST_F(mayexec, seccomp_securebit)
{
	/* Missing, or zero: no bit is set, and the check is passed. */
	static const int errors[] = { ENOSYS, 0 };
	static const int calls[] = { __NR_prctl, __NR_execveat };

	if (!have_seccomp())
		SKIP(return, "seccomp: %s", strerror(errno));
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(errors) * ARRAY_SIZE(calls); i++) {
		if (in_child_as(_metadata, CALLER_USER)) {
			set_no_new_privs(_metadata);
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
			EXPECT_FALSE(runs_by_own_check("exec/0644"));
			fake_system_call(_metadata, calls[i / 2],
					 errors[i % 2]);
			EXPECT_TRUE(runs_by_own_check("exec/0644"));
			check_stopped(_metadata, "exec/0644");
			check_stopped(_metadata, "noexec/0755");
			EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
			_exit(_metadata->exit_code);
		}
	}
}

/*
 * Attack: hide openat2(2) itself in the same way.
 * Guaranteed: without the system call there is no descriptor.
 * Out of scope: an interpreter that falls back to open(2), or a filter that
 * answers itself. The remedy is not to fall back where there is the sysctl.
 */
TEST_F(mayexec, seccomp_openat2)
{
	if (!have_seccomp())
		SKIP(return, "seccomp: %s", strerror(errno));
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	check_stopped(_metadata, "exec/0644");
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	fake_system_call(_metadata, __NR_openat2, ENOSYS);
	EXPECT_EQ(-ENOSYS, try_open("exec/0644", O_MAYEXEC));
	EXPECT_LE(0, open("exec/0644", O_RDONLY | O_CLOEXEC));
	/* What an old kernel does not have. */
	EXPECT_EQ(strictest, read_policy());
}

/* What a call of the library returns. No errno is as large. */
#define LIBRARY_RESULT	200

/* The library: code that works wherever it is mapped. */
__attribute__((no_sanitize("address", "undefined")))
static int library(void)
{
	return LIBRARY_RESULT;
}

/* Two pages, since the function may not end in the one where it begins. */
static size_t library_size(void)
{
	return 2 * sysconf(_SC_PAGESIZE);
}

static size_t library_offset(void)
{
	return (uintptr_t)library % sysconf(_SC_PAGESIZE);
}

/* A file with the pages of this program in which the function is. */
static void make_library(struct __test_metadata *_metadata, const char *path,
			 mode_t mode)
{
	const char *pages = (const char *)library - library_offset();
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	ASSERT_LE(0, fd);
	ASSERT_EQ(library_size(), write(fd, pages, library_size()));
	close(fd);
}

/* How a loader gets at the code. */
enum loader {
	LOADER_MAPS,		/* as the dynamic linker does */
	LOADER_COPIES,		/* into anonymous memory, which has no mount */
};

static char *load_pages(int fd, enum loader loader, size_t size)
{
	char *pages;

	if (loader == LOADER_MAPS)
		return mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd,
			    0);
	pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || read(fd, pages, size) != (ssize_t)size ||
	    mprotect(pages, size, PROT_READ | PROT_EXEC))
		return MAP_FAILED;
	__builtin___clear_cache(pages, pages + size);
	return pages;
}

/*
 * Opens the library with @flags, loads it and calls it: LIBRARY_RESULT or a
 * negative error. The sanitizer would look for the type before the function.
 */
__attribute__((no_sanitize("undefined")))
static int run_library(const char *path, __u64 flags, enum loader loader)
{
	const size_t size = library_size();
	char *pages;
	int fd, ret;

	fd = sys_openat2(AT_FDCWD, path, flags);
	if (fd < 0)
		return fd;
	pages = load_pages(fd, loader, size);
	ret = pages == MAP_FAILED ? -errno : 0;
	close(fd);
	if (ret)
		return ret;
	ret = ((int (*)(void))(pages + library_offset()))();
	munmap(pages, size);
	return ret;
}

#define PRELOAD_VARIABLE	"MAYEXEC_PRELOAD"
#define PLAIN_VARIABLE		"MAYEXEC_PRELOAD_PLAIN"

/* What the dynamic linker does with LD_PRELOAD, with the flag and without. */
__attribute__((constructor))
static void run_preloaded(void)
{
	const char *path = getenv(PRELOAD_VARIABLE);
	const char *plain = getenv(PLAIN_VARIABLE);

	if (path)
		_exit(abs(run_library(path, O_MAYEXEC, LOADER_MAPS)));
	if (plain)
		_exit(abs(run_library(plain, 0, LOADER_MAPS)));
}

static void make_libraries(struct __test_metadata *_metadata)
{
	make_library(_metadata, "exec/library-0755", 0755);
	make_library(_metadata, "exec/library-0644", 0644);
	make_library(_metadata, "noexec/library-0755", 0755);
}

/*
 * Attack: preload a library that is not executable, by the environment.
 * Guaranteed: a loader that opens with the flag gets no descriptor of it.
 * Out of scope: one that does not pass it.  mmap(2) PROT_EXEC does not know of
 * the flag, and looks at the mount but not at the mode.
 */
TEST_F(mayexec, preload)
{
	make_libraries(_metadata);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(LIBRARY_RESULT, execute_self(_metadata, PLAIN_VARIABLE,
					       "exec/library-0644"));
	EXPECT_EQ(EACCES, execute_self(_metadata, PRELOAD_VARIABLE,
				       "exec/library-0644"));
	EXPECT_EQ(EACCES, execute_self(_metadata, PRELOAD_VARIABLE,
				       "noexec/library-0755"));
	EXPECT_EQ(LIBRARY_RESULT, execute_self(_metadata, PRELOAD_VARIABLE,
					       "exec/library-0755"));
}

/*
 * Attack: a loader that reads the library into memory instead of mapping it, so
 * that a noexec mount does not stop it.
 * Guaranteed: the same, as it is the open that is refused.
 * Out of scope: mprotect(2) PROT_EXEC of what was read without the flag.
 */
TEST_F(mayexec, copied_library)
{
	make_libraries(_metadata);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	EXPECT_EQ(-EPERM, run_library("noexec/library-0755", 0, LOADER_MAPS));
	EXPECT_EQ(LIBRARY_RESULT, run_library("noexec/library-0755", 0,
					      LOADER_COPIES));
	EXPECT_EQ(-EACCES, run_library("noexec/library-0755", O_MAYEXEC,
				       LOADER_COPIES));
	EXPECT_EQ(-EACCES, run_library("exec/library-0644", O_MAYEXEC,
				       LOADER_COPIES));
	EXPECT_EQ(LIBRARY_RESULT, run_library("exec/library-0755", O_MAYEXEC,
					      LOADER_COPIES));
}

TEST_HARNESS_MAIN
