// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: a denied open leaves no trace.  The decision comes before the
 * file's ->open(), and before whoever watches the file is told.
 */

#include "mayexec.h"

#include <dirent.h>
#include <sys/inotify.h>

FIXTURE(denied) {};

FIXTURE_SETUP(denied)
{
	if (!mayexec_setup(_metadata))
		return;
	make_file(_metadata, "0755", 0755);
	make_file(_metadata, "0644", 0644);
	ASSERT_EQ(0, write_string("0644", "content"));
	ASSERT_EQ(0, mkfifo("fifo", 0755));
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	/* A call that does not return is a failure, and soon. */
	alarm(10);
}

FIXTURE_TEARDOWN_PARENT(denied)
{
	mayexec_teardown(_metadata);
}

static int count_descriptors(struct __test_metadata *_metadata)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	ASSERT_NE(NULL, dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

TEST_F(denied, leaves_no_descriptor)
{
	struct open_how how = { .flags = O_MAYEXEC };
	int before, fd;

	before = count_descriptors(_metadata);
	EXPECT_EQ(-EACCES, sys_openat2(AT_FDCWD, "0644", &how));
	EXPECT_EQ(-EACCES, sys_openat2(AT_FDCWD, "fifo", &how));
	EXPECT_EQ(before, count_descriptors(_metadata));

	/* The count does tell. */
	fd = sys_openat2(AT_FDCWD, "0755", &how);
	ASSERT_LE(0, fd);
	EXPECT_EQ(before + 1, count_descriptors(_metadata));
	close(fd);
}

TEST_F(denied, does_not_block_on_a_fifo)
{
	EXPECT_EQ(-EACCES, try_open("fifo", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("fifo", O_MAYEXEC | O_NONBLOCK));
	/* There has been no reader. */
	EXPECT_EQ(-ENXIO, try_openat2(AT_FDCWD, "fifo", O_WRONLY | O_NONBLOCK,
				      0));
}

/* Waits until @pid sleeps in the system call that is all it still does. */
static void wait_for_sleep(struct __test_metadata *_metadata, pid_t pid)
{
	char path[64], stat[256], *comm_end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		FILE *file = fopen(path, "re");

		usleep(1000);
		ASSERT_NE(NULL, file);
		ASSERT_NE(NULL, fgets(stat, sizeof(stat), file));
		fclose(file);
		comm_end = strrchr(stat, ')');
		ASSERT_NE(NULL, comm_end);
	} while (strncmp(comm_end, ") S", 3));
}

/* Whether a writer that was blocked has got its FIFO. */
static bool writer_opened(struct __test_metadata *_metadata, int fd, int ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int ready = poll(&pollfd, 1, ms);

	ASSERT_LE(0, ready);
	return ready;
}

TEST_F(denied, does_not_wake_a_writer)
{
	int started[2], opened[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(started, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(opened, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		alarm(10);
		if (write(started[1], "", 1) != 1 ||
		    open("fifo", O_WRONLY) < 0 || write(opened[1], "", 1) != 1)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(1, read(started[0], &c, 1));
	wait_for_sleep(_metadata, pid);

	EXPECT_EQ(-EACCES, try_open("fifo", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("fifo", O_MAYEXEC | O_NONBLOCK));
	EXPECT_FALSE(writer_opened(_metadata, opened[0], 200));

	/* It was a reader that it waited for. */
	EXPECT_EQ(0, try_open("fifo", O_NONBLOCK));
	EXPECT_TRUE(writer_opened(_metadata, opened[0], 5000));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static int count_events(struct __test_metadata *_metadata, int fd, __u32 mask)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buf;
	const struct inotify_event *event;
	int count = 0;
	ssize_t len;

	len = read(fd, &buf, sizeof(buf));
	if (len < 0) {
		EXPECT_EQ(EAGAIN, errno);
		return 0;
	}
	for (ssize_t i = 0; i < len; i += sizeof(*event) + event->len) {
		event = (const struct inotify_event *)&buf.bytes[i];
		if (event->mask & mask)
			count++;
	}
	return count;
}

TEST_F(denied, tells_no_watcher)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		SKIP(return, "inotify: %s", strerror(errno));
	ASSERT_LE(0, inotify_add_watch(fd, "0755", IN_ALL_EVENTS));
	ASSERT_LE(0, inotify_add_watch(fd, "0644", IN_ALL_EVENTS));
	ASSERT_LE(0, inotify_add_watch(fd, "fifo", IN_ALL_EVENTS));

	EXPECT_EQ(-EACCES, try_open("0644", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("fifo", O_MAYEXEC));
	EXPECT_EQ(0, count_events(_metadata, fd, IN_ALL_EVENTS));

	EXPECT_EQ(0, try_open("0755", O_MAYEXEC));
	EXPECT_EQ(1, count_events(_metadata, fd, IN_OPEN));
	EXPECT_EQ(0, try_open("0644", 0));
	EXPECT_EQ(1, count_events(_metadata, fd, IN_OPEN));
	close(fd);
}

TEST_F(denied, breaks_no_lease)
{
	sigset_t set, pending;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	fd = open("0644", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fcntl(fd, F_SETLEASE, F_WRLCK));

	EXPECT_EQ(-EACCES, try_open("0644", O_MAYEXEC));
	EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	ASSERT_EQ(0, sigpending(&pending));
	EXPECT_EQ(0, sigismember(&pending, SIGIO));

	EXPECT_EQ(-EAGAIN, try_open("0644", O_NONBLOCK));
	EXPECT_EQ(F_RDLCK, fcntl(fd, F_GETLEASE));
	ASSERT_EQ(0, sigpending(&pending));
	EXPECT_EQ(1, sigismember(&pending, SIGIO));
	close(fd);
}

TEST_HARNESS_MAIN
