// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: the logged checks of LOG_ONLY say what the enforced ones do, for
 * every caller and mode. The filters of the guide select the denials, and other
 * opens raise no event.
 */

#define OWN_FIXTURE
#include "more.h"

#define INSTANCE	"tracing/instances/mayexec_denials_test"
#define EVENT		INSTANCE "/events/mayexec/open_mayexec"

/* Other programs may open with the flag meanwhile. */
#define COMM		"denials_test"
#define OWN_EVENTS	"comm == \"" COMM "\""

FIXTURE(denials) {};

FIXTURE_SETUP(denials)
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
	ASSERT_EQ(0, prctl(PR_SET_NAME, COMM));
	ASSERT_EQ(0, write_string(EVENT "/filter", OWN_EVENTS));
	ASSERT_EQ(0, write_string(EVENT "/enable", "1"));
}

FIXTURE_TEARDOWN(denials)
{
	rmdir(INSTANCE);
	teardown_test(_metadata);
}

static FILE *open_trace(struct __test_metadata *_metadata)
{
	FILE *trace = fopen(INSTANCE "/trace", "re");

	ASSERT_NE(NULL, trace);
	return trace;
}

static void clear_trace(void)
{
	fclose(fopen(INSTANCE "/trace", "we"));
}

struct event {
	char denied[32];
	int ret, enforced;
	char name[128];
};

/* Reads the next event, as it is printed. Returns false at the end. */
static bool next_event(struct __test_metadata *_metadata, FILE *trace,
		       struct event *event)
{
	char line[512], *denied;

	while (fgets(line, sizeof(line), trace)) {
		denied = strstr(line, " denied=");
		if (*line == '#' || !denied)
			continue;
		/* An empty set is nothing. */
		*event->denied = '\0';
		sscanf(denied, " denied=%31[A-Z|]", event->denied);
		ASSERT_EQ(3, sscanf(strstr(denied, " ret="),
				    " ret=%d enforced=%d name=%127s",
				    &event->ret, &event->enforced, event->name)) {
			TH_LOG("%s", line);
		}
		return true;
	}
	return false;
}

#define MAX_MODES	72

struct modes {
	size_t count;
	char names[MAX_MODES][16];
};

/* Every way to give the right to execute, and to withhold it. */
static void make_modes(struct __test_metadata *_metadata, struct modes *modes,
		       int acl)
{
	static const unsigned int owners[] = { 0, USER_ID, OWNER_ID };

	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		for (int bits = 0; bits < 8; bits++) {
			mode_t mode = 0444 | (bits & 1) | (bits & 2) << 2 |
				(bits & 4) << 4;
			char *name = modes->names[modes->count];

			snprintf(name, sizeof(modes->names[0]), "%d-%zu-%04o",
				 acl, i, mode);
			make_file(_metadata, name, mode);
			ASSERT_EQ(0, chown(name, owners[i], owners[i]));
			if (acl && set_acl(name, mode, acl)) {
				unlink(name);
				continue;
			}
			modes->count++;
		}
	}
}

TEST_F(denials, logged_checks_say_what_enforced_ones_do)
{
	static struct modes modes;

	make_modes(_metadata, &modes, 0);
	make_modes(_metadata, &modes, 4);
	make_modes(_metadata, &modes, 5);
	if (!set_policy(_metadata, ENFORCE_BOTH | LOG_ONLY))
		SKIP(return, NEEDS_SYSCTL);
	for (int caller = 0; caller < NR_CALLERS; caller++) {
		size_t denials = 0, events = 0;
		int logged[MAX_MODES];
		struct event event;
		FILE *trace;

		if (caller == CALLER_USERNS_ROOT && !have_userns)
			continue;
		clear_trace();
		if (in_child_as(_metadata, caller)) {
			for (size_t i = 0; i < modes.count; i++)
				EXPECT_EQ(0, try_open(modes.names[i], O_MAYEXEC));
			/* What is enforced leaves its events behind those. */
			set_no_new_privs(_metadata);
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
			for (size_t i = 0; i < modes.count; i++)
				try_open(modes.names[i], O_MAYEXEC);
			_exit(_metadata->exit_code);
		}
		trace = open_trace(_metadata);
		while (next_event(_metadata, trace, &event)) {
			const size_t i = events % modes.count;
			const bool enforced = events >= modes.count;

			ASSERT_GT(2 * modes.count, events);
			EXPECT_STREQ(modes.names[i], event.name);
			EXPECT_EQ(enforced, event.enforced);
			EXPECT_EQ(!event.ret, !*event.denied);
			if (enforced) {
				EXPECT_EQ(logged[i], event.ret) {
					TH_LOG("%s, caller %d", event.name, caller);
				}
				denials += !!event.ret;
			}
			logged[i] = event.ret;
			events++;
		}
		fclose(trace);
		EXPECT_EQ(2 * modes.count, events);
		/* There are both. */
		EXPECT_LT(0, denials);
		EXPECT_LT(denials, modes.count);
	}
}

/* What the guide tells administrators to look for. */
TEST_F(denials, filters_select_them)
{
	struct event event;
	FILE *trace;

	/* SKIP() would forget the failures before it. */
	if (!set_policy(_metadata, ENFORCE_BOTH) ||
	    !set_policy(_metadata, ENFORCE_BOTH | LOG_ONLY))
		SKIP(return, NEEDS_SYSCTL);
	for (int enforced = 0; enforced < 2; enforced++) {
		char filter[64];

		snprintf(filter, sizeof(filter),
			 "denied != 0 && enforced == %d && " OWN_EVENTS,
			 enforced);
		ASSERT_EQ(0, write_string(EVENT "/filter", filter));
		clear_trace();
		ASSERT_TRUE(set_policy(_metadata, ENFORCE_BOTH));
		EXPECT_EQ(-EACCES, try_open("exec/0644", O_MAYEXEC));
		EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
		ASSERT_TRUE(set_policy(_metadata, ENFORCE_BOTH | LOG_ONLY));
		EXPECT_EQ(0, try_open("noexec/0644", O_MAYEXEC));
		EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));

		trace = open_trace(_metadata);
		ASSERT_TRUE(next_event(_metadata, trace, &event));
		EXPECT_STREQ("0644", event.name);
		EXPECT_STREQ(enforced ? "FILE" : "MOUNT|FILE", event.denied);
		EXPECT_EQ(enforced, event.enforced);
		EXPECT_FALSE(next_event(_metadata, trace, &event));
		fclose(trace);
	}
}

/* A name that does not fit into a dentry. */
#define LONG_NAME \
	"a-name-that-is-too-long-for-the-dentry-to-hold-and-is-kept-elsewhere"

TEST_F(denials, other_opens_raise_no_event)
{
	struct event event;
	FILE *trace;

	make_file(_metadata, LONG_NAME, 0755);
	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, try_open("exec/0755", 0));
	EXPECT_EQ(0, try_open("exec/0755", OPENAT2_REGULAR));
	/* Not found, or refused before the policy is asked. */
	EXPECT_EQ(-ENOENT, try_open("none", O_MAYEXEC));
	EXPECT_EQ(-EFTYPE, try_open(".", O_MAYEXEC | OPENAT2_REGULAR));
	/* By other means. */
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, "exec/0755", 0));
	EXPECT_EQ(0, try_open(LONG_NAME, O_MAYEXEC));

	trace = open_trace(_metadata);
	ASSERT_TRUE(next_event(_metadata, trace, &event));
	EXPECT_STREQ(LONG_NAME, event.name);
	EXPECT_FALSE(next_event(_metadata, trace, &event));
	fclose(trace);
}

TEST_HARNESS_MAIN
