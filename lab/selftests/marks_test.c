// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: where the policy asks for FILE, fanotify can refuse the open as one
 * to execute, by every kind of mark. And execve(2) of an interpreter that
 * binfmt_misc cloned is such an open still.
 */

#define OWN_FIXTURE
#include "more.h"

#include <poll.h>
#include <sys/fanotify.h>

#ifndef FAN_OPEN_EXEC
#define FAN_OPEN_EXEC		0x00001000
#endif
#ifndef FAN_OPEN_EXEC_PERM
#define FAN_OPEN_EXEC_PERM	0x00040000
#endif
#ifndef FAN_MARK_FILESYSTEM
#define FAN_MARK_FILESYSTEM	0x00000100
#endif

/* In the order in which execve(2) raises them. */
static const __u64 kinds[] = {
	FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM, FAN_OPEN, FAN_OPEN_EXEC
};

#define ALL_KINDS	(FAN_OPEN_EXEC_PERM | FAN_OPEN_PERM | FAN_OPEN | \
			 FAN_OPEN_EXEC)

#define MAX_EVENTS	8
#define PATIENCE	240	/* an emulated machine beside others is slow */

struct events {
	size_t count;
	__u64 kind[MAX_EVENTS];
};

/* The expected results. */
static const struct events none = {};

static const struct events plain = {
	.count = 2,
	.kind = { FAN_OPEN_PERM, FAN_OPEN },
};

static const struct events to_execute = {
	.count = 4,
	.kind = { FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM, FAN_OPEN, FAN_OPEN_EXEC },
};

static const struct events denied_first = {
	.count = 1,
	.kind = { FAN_OPEN_EXEC_PERM },
};

static const struct events denied_second = {
	.count = 2,
	.kind = { FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM },
};

#define EXPECT_EVENTS(expected, seen) do {				\
	const struct events *_expected = &(expected), *_seen = &(seen);	\
									\
	EXPECT_EQ(_expected->count, _seen->count);			\
	for (size_t _i = 0; _i < _seen->count; _i++)			\
		EXPECT_EQ(_expected->kind[_i], _seen->kind[_i]);	\
} while (0)

/* An open and the answers to it. Who listens must not be who waits for them. */
struct opener {
	const char *path;
	const char *interpreter;	/* see execute_by_clone() */
	__u64 flags;
	bool execve_check;
	__u64 deny;		/* the permission events to be denied */
	struct events events;
};

static void take_event(struct __test_metadata *_metadata, int fan,
		       struct opener *opener,
		       const struct fanotify_event_metadata *event)
{
	struct fanotify_response response = {
		.fd = event->fd,
		.response = event->mask & opener->deny ? FAN_DENY : FAN_ALLOW,
	};

	ASSERT_EQ(FANOTIFY_METADATA_VERSION, event->vers);
	ASSERT_LE(0, event->fd);
	EXPECT_EQ(0, event->mask & ~ALL_KINDS);

	/* Notifications of the same file can be merged while they queue. */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!(event->mask & kinds[i]))
			continue;
		ASSERT_GT(MAX_EVENTS, opener->events.count);
		opener->events.kind[opener->events.count++] = kinds[i];
	}
	close(event->fd);
	if (event->mask & (FAN_OPEN_EXEC_PERM | FAN_OPEN_PERM))
		ASSERT_EQ(sizeof(response),
			  write(fan, &response, sizeof(response)));
}

static void take_events(struct __test_metadata *_metadata, int fan,
			struct opener *opener)
{
	struct fanotify_event_metadata buf[MAX_EVENTS], *event;
	ssize_t len;

	for (;;) {
		len = read(fan, buf, sizeof(buf));
		if (len < 0) {
			ASSERT_EQ(EAGAIN, errno);
			return;
		}
		for (event = buf; FAN_EVENT_OK(event, len);
		     event = FAN_EVENT_NEXT(event, len))
			take_event(_metadata, fan, opener, event);
	}
}

/*
 * Executes a script whose interpreter is a clone of an open file, by a rule of
 * binfmt_misc with the flag F. The rule ends with its user namespace.
 */
static int execute_by_clone(struct __test_metadata *_metadata,
			    const struct opener *opener)
{
	char *const argv[] = { "script", NULL };
	char rule[64];

	enter_userns(_metadata);
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	if (sys_mount("mayexec", "binfmt", "binfmt_misc", 0, NULL))
		return -errno;
	snprintf(rule, sizeof(rule), ":mayexec:M::mayexec::%s:F",
		 opener->interpreter);
	ASSERT_EQ(0, write_string("binfmt/register", rule));
	return sys_result(execve(opener->path, argv, argv + 1));
}

/* Never returns. The exit code is the error of the open, as a number. */
static void open_and_exit(struct __test_metadata *_metadata,
			  const struct opener *opener)
{
	int lowest, ret;

	/* An answer may be missing. */
	alarm(PATIENCE / 4);
	lowest = dup(STDERR_FILENO);
	close(lowest);
	if (opener->interpreter)
		ret = execute_by_clone(_metadata, opener);
	else if (opener->execve_check)
		ret = try_execve_check(AT_FDCWD, opener->path, 0);
	else
		ret = try_open(opener->path, opener->flags);
	/* A descriptor that was left behind would be the lowest free one. */
	EXPECT_EQ(lowest, dup(STDERR_FILENO));
	_exit(-ret);
}

/* Opens in a child, answers its events, and returns 0 or a negative error. */
static int watch_open(struct __test_metadata *_metadata, int fan,
		      struct opener *opener)
{
	struct pollfd fds[2] = {
		{ .fd = fan, .events = POLLIN },
		{ .events = POLLIN },
	};
	int status;
	pid_t pid;

	opener->events = none;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		open_and_exit(_metadata, opener);

	fds[1].fd = syscall(__NR_pidfd_open, pid, 0);
	ASSERT_LE(0, fds[1].fd);
	do {
		ASSERT_LT(0, poll(fds, ARRAY_SIZE(fds), PATIENCE / 3 * 1000));
		/* What the child raised is there when it has exited. */
		take_events(_metadata, fan, opener);
	} while (!fds[1].revents);
	close(fds[1].fd);

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status)) {
		TH_LOG("%s: the open did not return", opener->path);
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* Returns a group without marks, or skips the test and returns a negative value. */
static int make_group(struct __test_metadata *_metadata)
{
	const int fan = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK |
				      FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);

	if (fan < 0)
		SKIP(return -1, "fanotify: %s", strerror(errno));
	/* A kernel with permission events knows them, and finds no such mark. */
	if (fanotify_mark(fan, FAN_MARK_REMOVE, FAN_OPEN_PERM, AT_FDCWD, ".") &&
	    errno == EINVAL)
		SKIP(return -1, "fanotify: no permission events");
	return fan;
}

FIXTURE(fanotify)
{
	int fan;
};

FIXTURE_VARIANT(fanotify)
{
	unsigned int mark;
	__u64 mask;
	bool each_file;
};

FIXTURE_VARIANT_ADD(fanotify, inode) {
	.each_file = true,
};

FIXTURE_VARIANT_ADD(fanotify, directory) {
	.mask = FAN_EVENT_ON_CHILD,
};

FIXTURE_VARIANT_ADD(fanotify, mount) {
	.mark = FAN_MARK_MOUNT,
};

FIXTURE_VARIANT_ADD(fanotify, filesystem) {
	.mark = FAN_MARK_FILESYSTEM,
};

FIXTURE_SETUP(fanotify)
{
	if (!setup_test(_metadata))
		return;
	make_file(_metadata, "0755", 0755);
	make_file(_metadata, "0644", 0644);
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);

	/* The tests listen later, with what they open themselves done. */
	self->fan = make_group(_metadata);
}

FIXTURE_TEARDOWN_PARENT(fanotify)
{
	teardown_test(_metadata);
}

static void listen_to(struct __test_metadata *_metadata, int fan,
		      const FIXTURE_VARIANT(fanotify) *variant)
{
	static const char *const names[] = { "0755", "0644" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ASSERT_EQ(0, fanotify_mark(fan, FAN_MARK_ADD | variant->mark,
					   ALL_KINDS | variant->mask, AT_FDCWD,
					   variant->each_file ? names[i] : "."));
}

TEST_F_TIMEOUT(fanotify, only_flagged_opens_are_to_execute, PATIENCE)
{
	struct opener opener = { .path = "0755" };

	listen_to(_metadata, self->fan, variant);
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(plain, opener.events);

	opener.flags = O_MAYEXEC;
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);

	opener.flags = OPENAT2_REGULAR;
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(plain, opener.events);
}

TEST_F_TIMEOUT(fanotify, execve_raises_the_same, PATIENCE)
{
	struct opener opener = { .path = "0755", .execve_check = true };

	listen_to(_metadata, self->fan, variant);
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);
}

TEST_F_TIMEOUT(fanotify, can_deny, PATIENCE)
{
	struct opener opener = {
		.path = "0755",
		.flags = O_MAYEXEC,
		.deny = FAN_OPEN_EXEC_PERM,
	};

	listen_to(_metadata, self->fan, variant);
	EXPECT_EQ(-EPERM, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(denied_first, opener.events);

	opener.deny = FAN_OPEN_PERM;
	EXPECT_EQ(-EPERM, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(denied_second, opener.events);

	opener.flags = 0;
	opener.deny = FAN_OPEN_EXEC_PERM;
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(plain, opener.events);
}

TEST_F_TIMEOUT(fanotify, is_not_asked_about_what_the_policy_refuses, PATIENCE)
{
	struct opener opener = { .path = "0644", .flags = O_MAYEXEC };

	listen_to(_metadata, self->fan, variant);
	EXPECT_EQ(-EACCES, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(none, opener.events);

	opener.path = "0755";
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);
}

/*
 * What execve(2) raises does not depend on the series, nor on its configuration:
 * these tests do not need the flag.
 */
FIXTURE(execve)
{
	int fan;
};

FIXTURE_VARIANT(execve)
{
	const char *path;
};

FIXTURE_VARIANT_ADD(execve, file) {
	.path = "/tmp/exec/0755",
};

FIXTURE_VARIANT_ADD(execve, layer) {
	.path = "/tmp/overlay/0755",
};

FIXTURE_SETUP(execve)
{
	if (geteuid())
		SKIP(return, "needs root");
	umask(0);
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, sys_mount("mayexec", "/tmp", "tmpfs", 0, "mode=0755"));
	ASSERT_EQ(0, chdir("/tmp"));
	make_mount(_metadata, "exec", 0);
	make_file(_metadata, "exec/0755", 0755);
	ASSERT_EQ(0, mkdir("empty", 0755));
	ASSERT_EQ(0, mkdir("overlay", 0755));
	sys_mount("mayexec", "overlay", "overlay", 0, "lowerdir=exec:empty");
	if (access(variant->path, F_OK))
		SKIP(return, "needs overlayfs");

	self->fan = make_group(_metadata);
	if (self->fan < 0)
		return;
	ASSERT_EQ(0, fanotify_mark(self->fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				   ALL_KINDS, AT_FDCWD, "exec"));
}

FIXTURE_TEARDOWN(execve) {}

TEST_F_TIMEOUT(execve, raises_events_of_its_own, PATIENCE)
{
	struct opener opener = { .path = variant->path };

	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(plain, opener.events);

	opener.execve_check = true;
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);

	opener.deny = FAN_OPEN_EXEC_PERM;
	EXPECT_EQ(-EPERM, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(denied_first, opener.events);
}

TEST_F_TIMEOUT(execve, of_a_clone_raises_them_again, PATIENCE)
{
	struct opener opener = {
		.path = "script",
		.interpreter = variant->path,
	};
	int ret;

	try_userns(_metadata);
	if (!have_userns)
		SKIP(return, NEEDS_USERNS);
	make_file(_metadata, "script", 0755);
	ASSERT_EQ(0, write_string("script", "mayexec script"));
	ASSERT_EQ(0, mkdir("binfmt", 0755));
	ret = watch_open(_metadata, self->fan, &opener);
	if (ret == -ENODEV)
		SKIP(return, "needs binfmt_misc");
	/* The interpreter is empty, so the kernel cannot execute it in the end. */
	EXPECT_EQ(-ENOEXEC, ret);
	/* First the rule opens the file, then the execution clones it. */
	EXPECT_EQ(2 * to_execute.count, opener.events.count);
	for (size_t i = 0; i < opener.events.count; i++)
		EXPECT_EQ(to_execute.kind[i % to_execute.count],
			  opener.events.kind[i]);
}

TEST_HARNESS_MAIN
