// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: the tracepoint open_mayexec tells what was decided, and what would
 * have been with both checks in force.  Nobody else notices that it is traced.
 */

#include "mayexec.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#define EVENT	"events/mayexec/open_mayexec/"

/* An instance of the tests' own; the name is known to the teardown, too. */
static char instance[64];

static void mount_tracing(struct __test_metadata *_metadata, const char *where)
{
	ASSERT_EQ(0, sys_mount("mayexec", where, "tracefs", 0, NULL));
	snprintf(instance, sizeof(instance), "%s/instances/mayexec.%d", where,
		 start_pid);
}

static void write_tracing(struct __test_metadata *_metadata, const char *file,
			  const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	ASSERT_EQ(0, write_string(path, value)) {
		TH_LOG("cannot write \"%s\" to %s", value, path);
	}
}

static FILE *open_trace(struct __test_metadata *_metadata, const char *mode)
{
	char path[128];
	FILE *trace;

	snprintf(path, sizeof(path), "%s/trace", instance);
	trace = fopen(path, mode);
	ASSERT_NE(NULL, trace);
	return trace;
}

static void clear_trace(struct __test_metadata *_metadata)
{
	fclose(open_trace(_metadata, "we"));
}

struct event {
	unsigned int major, minor;
	unsigned long long ino;
	unsigned int policy;
	int ret, strict;
	char reason[16];
	char name[256];
};

/* Reads the next event, as it is printed; false at the end. */
static bool next_event(struct __test_metadata *_metadata, FILE *trace,
		       struct event *event)
{
	static const char name[] = " open_mayexec: ";
	char line[1024];
	const char *start;
	int fields;

	while (fgets(line, sizeof(line), trace)) {
		start = strstr(line, name);
		if (!start)
			continue;
		fields = sscanf(start + strlen(name),
				"dev=%u:%u ino=%llu policy=%u ret=%d strict=%d reason=%15s name=%255s",
				&event->major, &event->minor, &event->ino,
				&event->policy, &event->ret, &event->strict,
				event->reason, event->name);
		ASSERT_EQ(8, fields) {
			TH_LOG("%s", line);
		}
		return true;
	}
	return false;
}

FIXTURE(trace) {};

FIXTURE_SETUP(trace)
{
	char value[64];

	if (!mayexec_setup(_metadata))
		return;
	ASSERT_EQ(0, mkdir("tracing", 0755));
	if (sys_mount("mayexec", "tracing", "tracefs", 0, NULL)) {
		ASSERT_EQ(ENODEV, errno);
		SKIP(return, "tracefs is not supported");
	}
	if (access("tracing/events", F_OK))
		SKIP(return, "no event tracing");
	ASSERT_EQ(0, umount("tracing"));
	mount_tracing(_metadata, "tracing");
	ASSERT_EQ(0, access("tracing/" EVENT, F_OK)) {
		TH_LOG("openat2(2) takes O_MAYEXEC, and there is no tracepoint");
	}
	ASSERT_EQ(0, mkdir(instance, 0700));

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	snprintf(value, sizeof(value), "common_pid == %d", getpid());
	write_tracing(_metadata, EVENT "filter", value);
	write_tracing(_metadata, EVENT "enable", "1");
}

FIXTURE_TEARDOWN_PARENT(trace)
{
	/* The mount of the test is gone with its namespace, not the instance. */
	if (*workdir && !unshare(CLONE_NEWNS) &&
	    !sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !sys_mount("mayexec", workdir, "tracefs", 0, NULL)) {
		snprintf(instance, sizeof(instance),
			 "%s/instances/mayexec.%d", workdir, start_pid);
		if (rmdir(instance))
			EXPECT_EQ(ENOENT, errno);
	}
	mayexec_teardown(_metadata);
}

/* A name that does not fit into a dentry. */
#define LONG_NAME \
	"a-name-that-is-too-long-for-the-dentry-to-hold-and-is-kept-elsewhere"

static const struct {
	const char *path, *name;
	const char *reason;
	int ret[4];
} files[] = {
	{ "exec/0755", "0755", "none", { 0, 0, 0, 0 } },
	{ "exec/" LONG_NAME, LONG_NAME, "none", { 0, 0, 0, 0 } },
	{ "exec/0644", "0644", "file", { 0, 0, -EACCES, -EACCES } },
	{ "noexec/0755", "0755", "mount", { 0, -EACCES, 0, -EACCES } },
	{ "noexec/0644", "0644", "mount", { 0, -EACCES, -EACCES, -EACCES } },
	{ "exec/fifo", "fifo", "type", { 0, -EACCES, -EACCES, -EACCES } },
	{ "noexec/dir", "dir", "type", { 0, -EACCES, -EACCES, -EACCES } },
};

static void make_files(struct __test_metadata *_metadata)
{
	make_mount(_metadata, "exec", 0);
	make_mount(_metadata, "noexec", MS_NOEXEC);
	make_file(_metadata, "exec/0755", 0755);
	make_file(_metadata, "exec/" LONG_NAME, 0755);
	make_file(_metadata, "exec/0644", 0644);
	make_file(_metadata, "noexec/0755", 0755);
	make_file(_metadata, "noexec/0644", 0644);
	ASSERT_EQ(0, mkfifo("exec/fifo", 0755));
	ASSERT_EQ(0, mkdir("noexec/dir", 0755));
}

/* Opens every file, and expects one event for each. */
static void open_files(struct __test_metadata *_metadata, int policy)
{
	struct event event;
	struct stat st;
	FILE *trace;

	clear_trace(_metadata);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		EXPECT_EQ(files[i].ret[policy],
			  try_open(files[i].path, O_MAYEXEC | O_NONBLOCK));

	trace = open_trace(_metadata, "re");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_EQ(0, stat(files[i].path, &st));
		ASSERT_TRUE(next_event(_metadata, trace, &event));
		EXPECT_EQ(major(st.st_dev), event.major);
		EXPECT_EQ(minor(st.st_dev), event.minor);
		EXPECT_EQ(st.st_ino, event.ino);
		EXPECT_EQ(policy, event.policy);
		EXPECT_EQ(files[i].ret[policy], event.ret);
		EXPECT_EQ(files[i].ret[3], event.strict);
		EXPECT_STREQ(files[i].reason, event.reason);
		EXPECT_STREQ(files[i].name, event.name);
	}
	EXPECT_FALSE(next_event(_metadata, trace, &event));
	fclose(trace);
}

TEST_F(trace, tells_what_was_decided)
{
	make_files(_metadata);
	for (int policy = 0; policy < 4; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		open_files(_metadata, policy);
	}

	/* The union with any constant is the same. */
	set_policy(_metadata, 0);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	open_files(_metadata, 3);
}

TEST_F(trace, tells_nothing_else)
{
	struct event event;
	FILE *trace;

	make_file(_metadata, "0755", 0755);
	EXPECT_EQ(0, try_open("0755", 0));
	EXPECT_EQ(0, try_open("0755", OPENAT2_REGULAR));
	/* Not found, or refused before the policy is asked. */
	EXPECT_EQ(-ENOENT, try_open("none", O_MAYEXEC));
	EXPECT_EQ(-EFTYPE, try_open(".", O_MAYEXEC | OPENAT2_REGULAR));
	/* By other means. */
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, "0755", 0));

	trace = open_trace(_metadata, "re");
	EXPECT_FALSE(next_event(_metadata, trace, &event));
	fclose(trace);

	EXPECT_EQ(0, try_open("0755", O_MAYEXEC));
	write_tracing(_metadata, EVENT "enable", "0");
	EXPECT_EQ(0, try_open("0755", O_MAYEXEC));
	trace = open_trace(_metadata, "re");
	EXPECT_TRUE(next_event(_metadata, trace, &event));
	EXPECT_FALSE(next_event(_metadata, trace, &event));
	fclose(trace);
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

/* With no policy, and then with both checks, which really ask. */
static void open_modes(struct __test_metadata *_metadata,
		       const struct modes *modes, enum caller caller)
{
	pid_t pid = fork_as(_metadata, caller);

	if (pid) {
		join(_metadata, pid);
		return;
	}
	for (size_t i = 0; i < modes->count; i++)
		EXPECT_EQ(0, try_open(modes->names[i], O_MAYEXEC));
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	for (size_t i = 0; i < modes->count; i++)
		try_open(modes->names[i], O_MAYEXEC);
	_exit(_metadata->exit_code);
}

TEST_F(trace, estimates_what_was_not_asked)
{
	static struct modes modes;
	struct event event;
	char value[64];
	struct stat st;

	make_modes(_metadata, &modes, 0);
	make_modes(_metadata, &modes, 4);
	make_modes(_metadata, &modes, 5);
	ASSERT_EQ(0, stat(".", &st));
	snprintf(value, sizeof(value), "dev == %u", minor(st.st_dev));
	ASSERT_EQ(0, major(st.st_dev));
	write_tracing(_metadata, EVENT "filter", value);

	for (int caller = 0; caller < NR_CALLERS; caller++) {
		int strict[MAX_MODES];
		size_t allowed = 0;
		FILE *trace;

		if (!have_caller(caller))
			continue;
		clear_trace(_metadata);
		open_modes(_metadata, &modes, caller);
		trace = open_trace(_metadata, "re");
		for (size_t i = 0; i < modes.count; i++) {
			ASSERT_TRUE(next_event(_metadata, trace, &event));
			EXPECT_STREQ(modes.names[i], event.name);
			EXPECT_EQ(0, event.policy);
			EXPECT_EQ(0, event.ret);
			EXPECT_STREQ(event.strict ? "file" : "none",
				     event.reason);
			strict[i] = event.strict;
		}
		for (size_t i = 0; i < modes.count; i++) {
			ASSERT_TRUE(next_event(_metadata, trace, &event));
			EXPECT_STREQ(modes.names[i], event.name);
			EXPECT_EQ(3, event.policy);
			EXPECT_EQ(event.ret, event.strict);
			EXPECT_EQ(event.ret, strict[i]) {
				TH_LOG("%s as caller %d", event.name, caller);
			}
			allowed += !event.ret;
		}
		EXPECT_FALSE(next_event(_metadata, trace, &event));
		fclose(trace);
		/* There are both. */
		EXPECT_LT(0, allowed);
		EXPECT_LT(allowed, modes.count);
	}
}

static size_t count_lines(struct __test_metadata *_metadata, const char *what)
{
	char line[1024];
	size_t count = 0;
	FILE *trace;

	trace = open_trace(_metadata, "re");
	while (fgets(line, sizeof(line), trace))
		count += !!strstr(line, what);
	fclose(trace);
	return count;
}

/* Traces an open, and nothing that is needed to trace it. */
static void trace_open(struct __test_metadata *_metadata, const char *path)
{
	char tracing_on[128];
	int fd;

	clear_trace(_metadata);
	snprintf(tracing_on, sizeof(tracing_on), "%s/tracing_on", instance);
	fd = open(tracing_on, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(fd, "1", 1));
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
	ASSERT_EQ(1, write(fd, "0", 1));
	close(fd);
}

TEST_F(trace, asks_no_security_module)
{
	static const char hook[] = "security_inode_permission";
	char path[128], value[32];
	size_t untraced;

	snprintf(path, sizeof(path), "%s/set_ftrace_filter", instance);
	if (write_string(path, hook))
		SKIP(return, "cannot trace %s()", hook);
	snprintf(value, sizeof(value), "%d", getpid());
	write_tracing(_metadata, "set_ftrace_pid", value);
	write_tracing(_metadata, "tracing_on", "0");
	write_tracing(_metadata, "current_tracer", "function");
	/* They are asked last: where the mode denies, they never are. */
	make_file(_metadata, "0755", 0755);

	write_tracing(_metadata, EVENT "enable", "0");
	trace_open(_metadata, "0755");
	untraced = count_lines(_metadata, hook);
	EXPECT_LT(0, untraced);
	EXPECT_EQ(0, count_lines(_metadata, "open_mayexec: "));

	write_tracing(_metadata, EVENT "enable", "1");
	trace_open(_metadata, "0755");
	EXPECT_EQ(untraced, count_lines(_metadata, hook));
	EXPECT_EQ(1, count_lines(_metadata, " strict=0 "));
	write_tracing(_metadata, "current_tracer", "nop");
}

TEST_HARNESS_MAIN
