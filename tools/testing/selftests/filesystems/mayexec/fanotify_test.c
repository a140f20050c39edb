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

static int open_restricted(const char *path)
{
	if (prctl(PR_SET_SECUREBITS,
		  prctl(PR_GET_SECUREBITS) | SECBIT_EXEC_RESTRICT_FILE))
		return -errno;
	return open_flagged(path);
}

static int execve_check(const char *path)
{
	return try_execve_check(AT_FDCWD, path, 0);
}

/* Listens to the filesystem of @path. */
static int listen_to(struct __test_metadata *_metadata, const char *path)
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
	ASSERT_TRUE(WIFEXITED(status));
	snprintf(seen + len, sizeof(seen) - len, "%s",
		 status ? strerror(WEXITSTATUS(status)) : "open");
	return seen;
}

/* The layer below the second file is the filesystem with the first one. */
static const char *const paths[] = { "exec/0755", "overlay/0755" };

static int setup_files(struct __test_metadata *_metadata)
{
	make_overlay(_metadata, "overlay", 0, "lowerdir=exec:noexec");
	return listen_to(_metadata, "exec");
}

TEST_F(mayexec, file_raises_the_events_of_execve)
{
	static const struct {
		int policy;
		int (*open_file)(const char *path);
	} rows[] = {
		{ ENFORCE_FILE, execve_check },
		{ ENFORCE_FILE, open_flagged },
		{ ENFORCE_BOTH, open_flagged },
		{ 0, open_restricted },
	};
	int fan = setup_files(_metadata);

	if (fan < 0)
		return;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		int (*open_file)(const char *) = rows[i / 2].open_file;

		if (access(paths[i % 2], F_OK) ||
		    !set_policy(_metadata, rows[i / 2].policy))
			continue;
		EXPECT_STREQ(TO_EXECUTE "open",
			     watch(_metadata, fan, open_file, paths[i % 2], 0)) {
			TH_LOG("row %zu", i / 2);
		}
	}
	if (!set_policy(_metadata, ENFORCE_FILE))
		return;
	EXPECT_STREQ("OPEN_EXEC_PERM; Operation not permitted",
		     watch(_metadata, fan, open_flagged, "exec/0755",
			   FAN_OPEN_EXEC_PERM));
	/* Nobody is asked about what the policy refuses. */
	EXPECT_STREQ("Permission denied",
		     watch(_metadata, fan, open_flagged, "exec/0644", 0));
}

TEST_F(mayexec, other_opens_raise_plain_events)
{
	int fan = setup_files(_metadata);

	if (fan < 0)
		return;
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			if (policy == ENFORCE_FILE || policy == ENFORCE_BOTH ||
			    access(paths[i], F_OK))
				continue;
			EXPECT_STREQ(PLAIN "open",
				     watch(_metadata, fan, open_flagged,
					   paths[i], 0)) {
				TH_LOG("policy %d", policy);
			}
		}
		EXPECT_STREQ(policy & ENFORCE_BOTH && !(policy & LOG_ONLY) ?
			     "Permission denied" : PLAIN "open",
			     watch(_metadata, fan, open_flagged,
				   "exec/directory", 0));
	}
}

TEST_HARNESS_MAIN
