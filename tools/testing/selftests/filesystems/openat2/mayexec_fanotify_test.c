// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: fanotify tells an open that is to execute from others and can
 * refuse it, after the policy and before anything is done to the file.
 */

#include "mayexec.h"

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

/* An open and the answers to it.  Who listens must not be who waits for them. */
struct opener {
	const char *path;
	__u64 flags;
	bool execve_check;
	__u64 deny;		/* the permission events to be denied */
	int lease;		/* if any: to get a lease before the open */
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
	/* The listener's own descriptor is in the way of a lease. */
	close(event->fd);
	if (event->mask & FAN_OPEN_EXEC_PERM && opener->lease)
		EXPECT_EQ(0, fcntl(opener->lease, F_SETLEASE, F_WRLCK));
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

/* Never returns.  The exit code is the error of the open, as a number. */
static void open_and_exit(struct __test_metadata *_metadata,
			  const struct opener *opener)
{
	int lowest, ret;

	/* An answer may be missing. */
	alarm(10);
	lowest = dup(STDERR_FILENO);
	close(lowest);
	if (opener->execve_check)
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
		ASSERT_LT(0, poll(fds, ARRAY_SIZE(fds), 20000));
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

FIXTURE(fanotify)
{
	int fan;
	int lease;
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
	static const char *const names[] = { "0755", "0644" };

	if (!mayexec_setup(_metadata))
		return;
	make_file(_metadata, "0755", 0755);
	make_file(_metadata, "0644", 0644);
	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);

	/* Before the marks: nobody would answer this process. */
	self->lease = open("0644", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->lease);

	self->fan = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK |
				  FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
	if (self->fan < 0)
		SKIP(return, "fanotify: %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (fanotify_mark(self->fan, FAN_MARK_ADD | variant->mark,
				  ALL_KINDS | variant->mask, AT_FDCWD,
				  variant->each_file ? names[i] : ".")) {
			ASSERT_EQ(EINVAL, errno);
			SKIP(return, "fanotify: no permission events");
		}
	}
}

FIXTURE_TEARDOWN_PARENT(fanotify)
{
	mayexec_teardown(_metadata);
}

TEST_F(fanotify, only_flagged_opens_are_to_execute)
{
	struct opener opener = { .path = "0644" };

	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(plain, opener.events);

	opener.flags = O_MAYEXEC;
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);

	opener.flags = OPENAT2_REGULAR;
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(plain, opener.events);
}

TEST_F(fanotify, execve_raises_the_same)
{
	struct opener opener = { .path = "0755", .execve_check = true };

	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);
}

TEST_F(fanotify, can_deny)
{
	struct opener opener = {
		.path = "0755",
		.flags = O_MAYEXEC,
		.deny = FAN_OPEN_EXEC_PERM,
	};

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

TEST_F(fanotify, is_not_asked_about_what_the_policy_refuses)
{
	struct opener opener = { .path = "0644", .flags = O_MAYEXEC };

	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(-EACCES, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(none, opener.events);

	opener.path = "0755";
	EXPECT_EQ(0, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(to_execute, opener.events);
}

/*
 * ->open() cannot be watched from here.  A lease is broken right before it, and
 * is not granted while somebody else has the file open.
 */
TEST_F(fanotify, is_asked_before_the_open)
{
	struct opener opener = {
		.path = "0644",
		.flags = O_MAYEXEC | O_NONBLOCK,
		.deny = FAN_OPEN_EXEC_PERM,
		.lease = self->lease,
	};

	signal(SIGIO, SIG_IGN);
	EXPECT_EQ(-EPERM, watch_open(_metadata, self->fan, &opener));
	EXPECT_EVENTS(denied_first, opener.events);
	EXPECT_EQ(F_WRLCK, fcntl(self->lease, F_GETLEASE));
}

TEST_HARNESS_MAIN
