// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: where the policy enforces FILE, fanotify takes the open for one to
 * execute. Its events are those of execve(2), on the layers of an overlay, too.
 */

#include "mayexec.h"

#include <poll.h>
#include <sys/fanotify.h>

#define PERMS	(FAN_OPEN_EXEC_PERM | FAN_OPEN_PERM)

/* The events of an open, in their order: see watch(). */
#define PLAIN		"OPEN_PERM; OPEN; "
#define TO_EXECUTE	"OPEN_EXEC_PERM; OPEN_PERM; OPEN OPEN_EXEC; "

static int open_flagged(const char *path)
{
	return try_open(path, O_MAYEXEC);
}

static int execve_check(const char *path)
{
	return try_execve_check(AT_FDCWD, path, 0);
}

/* Listens to the filesystem of @path. */
static int listen(struct __test_metadata *_metadata, const char *path)
{
	int fan = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK | FAN_CLOEXEC,
				O_RDONLY | O_CLOEXEC);

	if (fan < 0 ||
	    fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, PERMS |
			  FAN_OPEN | FAN_OPEN_EXEC | FAN_ONDIR, AT_FDCWD, path))
		SKIP(return -1, "fanotify: %s", strerror(errno));
	return fan;
}

/*
 * Opens a file in a child, answers the permission events, and returns all events
 * and what became of the open.
 */
static const char *watch(struct __test_metadata *_metadata, int fan,
			 int (*open_file)(const char *), const char *path,
			 __u64 deny)
{
	struct pollfd fds[2] = { { fan, POLLIN }, { -1, POLLIN } };
	struct fanotify_event_metadata event;
	static char seen[256];
	int len = 0, status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-open_file(path));
	fds[1].fd = syscall(__NR_pidfd_open, pid, 0);
	ASSERT_LE(0, fds[1].fd);
	/* The events of the child are there when it has exited. */
	while (!fds[1].revents) {
		ASSERT_LT(0, poll(fds, 2, -1));
		while (read(fan, &event, sizeof(event)) == sizeof(event)) {
			struct fanotify_response response = {
				event.fd,
				event.mask & deny ? FAN_DENY : FAN_ALLOW,
			};

			len += snprintf(seen + len, sizeof(seen) - len, "%s%s%s%s; ",
				event.mask & FAN_OPEN_EXEC_PERM ? "OPEN_EXEC_PERM" : "",
				event.mask & FAN_OPEN_PERM ? "OPEN_PERM" : "",
				event.mask & FAN_OPEN ? "OPEN" : "",
				event.mask & FAN_OPEN_EXEC ? " OPEN_EXEC" : "");
			if (event.mask & PERMS)
				ASSERT_LT(0, write(fan, &response,
						   sizeof(response)));
			close(event.fd);
		}
	}
	close(fds[1].fd);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	snprintf(seen + len, sizeof(seen) - len, status ? "error" : "open");
	return seen;
}

TEST_F(mayexec, file_raises_the_events_of_execve)
{
	const char *const paths[] = { "exec/0755", "overlay/0755" };
	int fan = listen(_metadata, "exec");

	if (fan < 0)
		return;
	ASSERT_EQ(0, mkdir("overlay", 0755));
	sys_mount("mayexec", "overlay", "overlay", 0, "lowerdir=exec:noexec");
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (access(paths[i], F_OK))
			continue;
		EXPECT_STREQ(TO_EXECUTE "open",
			     watch(_metadata, fan, execve_check, paths[i], 0));
		EXPECT_STREQ(TO_EXECUTE "open",
			     watch(_metadata, fan, open_flagged, paths[i], 0));
	}
	EXPECT_STREQ("OPEN_EXEC_PERM; error",
		     watch(_metadata, fan, open_flagged, "exec/0755",
			   FAN_OPEN_EXEC_PERM));
	/* Nobody is asked about what the policy refuses. */
	EXPECT_STREQ("error", watch(_metadata, fan, open_flagged, "exec/0644", 0));
}

TEST_F(mayexec, other_opens_raise_plain_events)
{
	int fan = listen(_metadata, "exec");

	if (fan < 0)
		return;
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		if (policy != ENFORCE_FILE && policy != ENFORCE_BOTH)
			EXPECT_STREQ(PLAIN "open",
				     watch(_metadata, fan, open_flagged,
					   "exec/0755", 0));
		EXPECT_STREQ(policy & ENFORCE_BOTH && !(policy & LOG_ONLY) ?
			     "error" : PLAIN "open",
			     watch(_metadata, fan, open_flagged,
				   "exec/directory", 0));
	}
}

TEST_HARNESS_MAIN
