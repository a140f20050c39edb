// SPDX-License-Identifier: GPL-2.0-or-later
/* O_MAYEXEC: the tracepoint open_mayexec tells what the policy decides. */

#define OWN_FIXTURE
#include "mayexec.h"

#include <sys/sysmacros.h>

#define NAME		"mayexec_test"
#define INSTANCE	"tracing/instances/" NAME
#define EVENT		INSTANCE "/events/mayexec/open_mayexec"

static const char *const files[] = {
	"exec/0755", "exec/0644", "noexec/0755", "noexec/0644", "exec/fifo",
};

/* The last column has the checks that deny, for every file. */
static const struct {
	int policy;
	bool securebit;
	int enforced;
	const char *checks;		/* NULL: no event */
	const char *denied[ARRAY_SIZE(files)];
} rows[] = {
	{ 0, false },
	{ 1, false, 1, "MOUNT", { "", "", "MOUNT", "MOUNT", "TYPE" } },
	{ 3, false, 1, "MOUNT|FILE", { "", "FILE", "MOUNT", "MOUNT", "TYPE" } },
	{ 4, false },
	{ 5, false, 0, "MOUNT", { "", "", "MOUNT", "MOUNT", "TYPE" } },
	{ 6, false, 0, "FILE", { "", "FILE", "", "FILE", "TYPE" } },
	/* Checks that are only logged are all made. */
	{ 7, false, 0, "MOUNT|FILE", { "", "FILE", "MOUNT", "MOUNT|FILE", "TYPE" } },
	{ 7, true, 1, "MOUNT|FILE", { "", "FILE", "MOUNT", "MOUNT", "TYPE" } },
	{ 0, true, 1, "MOUNT|FILE", { "", "FILE", "MOUNT", "MOUNT", "TYPE" } },
};

/* Expects the events of row @i, and empties the buffer. */
static void check_row(struct __test_metadata *_metadata, size_t i)
{
	FILE *trace = fopen(INSTANCE "/trace", "re");
	char line[512], expected[512];
	struct stat st;
	size_t j = 0;

	ASSERT_NE(NULL, trace);
	while (fgets(line, sizeof(line), trace)) {
		if (*line == '#')
			continue;
		ASSERT_NE(NULL, rows[i].checks);
		ASSERT_GT(ARRAY_SIZE(files), j);
		ASSERT_EQ(0, stat(files[j], &st));
		snprintf(expected, sizeof(expected),
			 "open_mayexec: dev=%u:%u ino=%llu mode=0%o checks=%s denied=%s ret=%d enforced=%d name=%s\n",
			 major(st.st_dev), minor(st.st_dev),
			 (unsigned long long)st.st_ino, st.st_mode,
			 rows[i].checks, rows[i].denied[j],
			 *rows[i].denied[j] ? -EACCES : 0, rows[i].enforced,
			 strchr(files[j], '/') + 1);
		EXPECT_STREQ(expected, strstr(line, "open_mayexec: "));
		j++;
	}
	EXPECT_EQ(rows[i].checks ? ARRAY_SIZE(files) : 0, j);
	fclose(trace);
	fclose(fopen(INSTANCE "/trace", "we"));
}

FIXTURE(trace) {};

FIXTURE_SETUP(trace)
{
	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("tracing", 0755));
	if (sys_mount("mayexec", "tracing", "tracefs", 0, NULL) ||
	    access("tracing/events", F_OK))
		SKIP(return, "needs event tracing");
	/* That of a test that was killed is still there. */
	rmdir(INSTANCE);
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
}

FIXTURE_TEARDOWN(trace)
{
	EXPECT_EQ(0, rmdir(INSTANCE));
	teardown_test(_metadata);
}

TEST_F(trace, tells_what_the_policy_decides)
{
	/* The kernel would compare a PID with that of the first namespace. */
	ASSERT_EQ(0, prctl(PR_SET_NAME, NAME));
	ASSERT_EQ(0, write_string(EVENT "/filter", "comm == \"" NAME "\""));
	ASSERT_EQ(0, write_string(EVENT "/enable", "1"));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!set_policy(_metadata, rows[i].policy))
			continue;
		if (rows[i].securebit)
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		for (size_t j = 0; j < ARRAY_SIZE(files); j++) {
			EXPECT_EQ(rows[i].enforced && *rows[i].denied[j] ?
				  -EACCES : 0,
				  try_open(files[j], O_MAYEXEC | O_NONBLOCK));
			EXPECT_EQ(0, try_open(files[j], O_NONBLOCK));
		}
		check_row(_metadata, i);
	}
}

TEST_HARNESS_MAIN
