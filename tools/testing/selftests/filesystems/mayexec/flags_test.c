// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: what it can be combined with, and that open(2) ignores it.
 */

#include "mayexec.h"

/* Without O_MAYEXEC, every row opens its file; with it, the result is given. */
#define ROW(flags, path, result)	{ #flags, flags, path, result }
#define REJECTED(flags, path)		ROW(flags, path, -EINVAL)
#define COMPOSES(flags)			ROW(flags, "exec/0755", 0)

static const struct {
	const char *name;
	__u64 flags;
	const char *path;
	int result;
} rows[] = {
	REJECTED(O_WRONLY, "exec/0755"),
	REJECTED(O_RDWR, "exec/0755"),
	REJECTED(O_CREAT, "exec/0755"),
	REJECTED(O_CREAT, "exec/new"),
	REJECTED(O_TMPFILE | O_WRONLY, "exec"),
	REJECTED(O_TRUNC, "exec/0755"),
	REJECTED(O_APPEND, "exec/0755"),
	REJECTED(O_PATH, "exec/0755"),
	REJECTED(O_DIRECTORY, "exec/directory"),

	COMPOSES(O_RDONLY),
	COMPOSES(O_NOFOLLOW),
	COMPOSES(O_NONBLOCK),
	COMPOSES(O_DIRECT),
	COMPOSES(FASYNC),
	COMPOSES(O_EMPTYPATH),
	COMPOSES(OPENAT2_REGULAR),
	COMPOSES(O_NOFOLLOW | O_NONBLOCK | O_NOATIME | OPENAT2_REGULAR),
};

/* What is rejected has no effect. */
static void check_row(struct __test_metadata *_metadata, size_t i, bool refuses)
{
	struct stat st;

	EXPECT_EQ(rows[i].result,
		  try_open(rows[i].path, rows[i].flags | O_MAYEXEC)) {
		TH_LOG("O_MAYEXEC | %s", rows[i].name);
	}
	EXPECT_NE(0, access("exec/new", F_OK));
	ASSERT_EQ(0, stat("exec/0755", &st));
	EXPECT_EQ(7, st.st_size);

	EXPECT_EQ(0, try_open(rows[i].path, rows[i].flags)) {
		TH_LOG("%s", rows[i].name);
	}
	unlink("exec/new");
	ASSERT_EQ(0, truncate("exec/0755", 7));

	if (!rows[i].result)
		EXPECT_EQ(refuses ? -EACCES : 0,
			  try_open("exec/0644", rows[i].flags | O_MAYEXEC));
}

TEST_F(mayexec, combinations)
{
	ASSERT_EQ(0, truncate("exec/0755", 7));
	for (int policy = 0; policy <= ENFORCE_BOTH; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			check_row(_metadata, i, policy & ENFORCE_FILE);
	}
}

/* The other system calls take flags of 32 bits, whatever the register holds. */
TEST_F(mayexec, openat_ignores_it)
{
	const unsigned long flags =
		(unsigned long)(O_RDONLY | O_CLOEXEC | O_MAYEXEC);

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(-EACCES, try_open("exec/0644", O_MAYEXEC));
	EXPECT_LE(0, syscall(__NR_openat, AT_FDCWD, "exec/0644", flags, 0));
}

TEST_HARNESS_MAIN
