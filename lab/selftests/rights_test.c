// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: rights and filesystems that the table of decision_test leaves out.
 */

#include "more.h"

#include <sys/eventfd.h>
#include <sys/sysmacros.h>

/* By policy: none, MOUNT, FILE, both. +: opens, -: EACCES, N: ENXIO */
struct row {
	const char *path;
	const char *results[NR_CALLERS];	/* of root, the user, nocap, userns */
	mode_t mode;
	uid_t owner;
	int acl;				/* rights of the user and of root */
};

static int expected(char result)
{
	if (result == 'N')
		return -ENXIO;
	return result == '+' ? 0 : -EACCES;
}

static void check_rows(struct __test_metadata *_metadata,
		       const struct row *rows, size_t count)
{
	for (int policy = 0; policy <= ENFORCE_BOTH; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < count * NR_CALLERS; i++) {
			const struct row *row = &rows[i / NR_CALLERS];
			const int caller = i % NR_CALLERS;
			const char *results = row->results[caller] ?:
					      row->results[0];
			int result = expected(results[policy]);

			if (access(row->path, F_OK) ||
			    !in_child_as(_metadata, caller))
				continue;
			EXPECT_EQ(expected(results[0]), try_open(row->path, 0));
			EXPECT_EQ(result, try_open(row->path, O_MAYEXEC)) {
				TH_LOG("%s, caller %d, policy %d", row->path,
				       caller, policy);
			}
			if (policy == ENFORCE_BOTH && results[0] != '-')
				EXPECT_EQ(result, try_execve_check(AT_FDCWD,
								   row->path, 0));
			_exit(_metadata->exit_code);
		}
	}
}

/* The mask of 0645 denies what the entry grants, with an x bit for others. */
static const struct row acls[] = {
	{ "exec/0650-r-x", { "++++" }, 0650, OWNER_ID, 5 },
	{ "exec/0755-r--", { "++++", "++--", "++--", "++--" }, 0755, OWNER_ID, 4 },
	{ "exec/0645-r-x", { "++++", "++--", "++--", "++--" }, 0645, OWNER_ID, 5 },
	{ "noexec/0650-r-x", { "+-+-" }, 0650, OWNER_ID, 5 },
	{ "noexec/0755-r--", { "+-+-", "+---", "+---", "+---" }, 0755, OWNER_ID, 4 },
};

TEST_F(mayexec, access_control_lists)
{
	for (size_t i = 0; i < ARRAY_SIZE(acls); i++) {
		int err;

		make_file(_metadata, acls[i].path, acls[i].mode);
		ASSERT_EQ(0, chown(acls[i].path, OWNER_ID, OWNER_ID));
		err = set_acl(acls[i].path, acls[i].mode, acls[i].acl);
		if (err == -EOPNOTSUPP)
			SKIP(return, "tmpfs has no ACL");
		ASSERT_EQ(0, err);
	}
	check_rows(_metadata, acls, ARRAY_SIZE(acls));
}

/* Message queues: regular files with a mode, on a superblock that is noexec. */
static const struct row queues[] = {
	{ "mqueue/0755", { "+-+-" }, 0755, OWNER_ID },
	{ "mqueue/0644", { "+---" }, 0644, OWNER_ID },
	{ "mqueue/0744", { "+-+-", "+---", "+---", "+---" }, 0744, OWNER_ID },
	{ "mqueue/0655", { "+-+-", "+---", "+-+-", "+-+-" }, 0655, USER_ID },
	{ "mqueue", { "+---" } },
};

TEST_F(mayexec, noexec_superblock)
{
	ASSERT_EQ(0, mkdir("mqueue", 0755));
	if (unshare(CLONE_NEWIPC) ||
	    sys_mount("mayexec", "mqueue", "mqueue", 0, NULL))
		SKIP(return, "needs POSIX message queues");
	ASSERT_EQ(0, chmod("mqueue", 0755));
	for (size_t i = 0; queues[i].mode; i++) {
		int fd = open(queues[i].path, O_RDWR | O_CREAT | O_EXCL, 0);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fchown(fd, queues[i].owner, queues[i].owner));
		ASSERT_EQ(0, fchmod(fd, queues[i].mode));
		close(fd);
	}
	check_rows(_metadata, queues, ARRAY_SIZE(queues));
}

static const struct row others[] = {
	{ "noexec/0655", { "+-+-", "+---", "+-+-", "+-+-" }, 0655, USER_ID },
	{ "noexec/0111", { "+-+-", "----", "----", "----" }, 0111, OWNER_ID },
	{ "noexec/0600", { "+---", "----", "----", "----" }, 0600, OWNER_ID },
	{ "exec/6755", { "++++" }, 06755, OWNER_ID },
	{ "exec/6644", { "++--" }, 06644, OWNER_ID },
	{ "noexec/directory", { "+---" }, S_IFDIR | 0755, OWNER_ID },
	{ "noexec/socket", { "N---" }, S_IFSOCK | 0755, OWNER_ID },
	/* A number for local use, that no driver answers to. */
	{ "exec/block", { "N---" }, S_IFBLK | 0755, OWNER_ID },
	{ "noexec/block", { "N---" }, S_IFBLK | 0755, OWNER_ID },
	/* An eventfd, by magic link. */
	{ "/proc/self/fd/200", { "N---", "----", "N---", "----" } },
};

TEST_F(mayexec, other_files)
{
	for (size_t i = 0; others[i].mode; i++) {
		const char *path = others[i].path;

		if (S_ISDIR(others[i].mode)) {
			ASSERT_EQ(0, mkdir(path, 0755));
		} else {
			ASSERT_EQ(0, mknod(path, others[i].mode, makedev(120, 0)));
		}
		ASSERT_EQ(0, chown(path, others[i].owner, others[i].owner));
		ASSERT_EQ(0, chmod(path, others[i].mode & 07777));
	}
	ASSERT_EQ(200, dup2(eventfd(0, 0), 200));
	check_rows(_metadata, others, ARRAY_SIZE(others));
}

/* Nothing is executed, so nothing is protected from being written. */
TEST_F(mayexec, writers_are_not_kept_out)
{
	int reader, writer;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	reader = sys_openat2(AT_FDCWD, "exec/0755", O_MAYEXEC);
	ASSERT_LE(0, reader);
	writer = open("exec/0755", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, writer);
	EXPECT_EQ(-ETXTBSY, try_execve_check(AT_FDCWD, "exec/0755", 0));
	EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
	close(writer);
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, "exec/0755", 0));
	close(reader);
}

TEST_HARNESS_MAIN
