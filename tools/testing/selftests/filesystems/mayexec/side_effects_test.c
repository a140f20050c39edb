// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: a refused open has no effect, since the decision comes before
 * ->open(). A descriptor that was opened with the flag does not show it.
 */

#include "mayexec.h"

#include <sys/inotify.h>

TEST_F(mayexec, refusal_leaves_no_descriptor)
{
	int lowest = dup(STDERR_FILENO);

	close(lowest);
	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(-EACCES, try_open("exec/0644", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("exec/fifo", O_MAYEXEC));
	EXPECT_EQ(lowest, sys_openat2(AT_FDCWD, "exec/0755", O_MAYEXEC));
}

static char state(struct __test_metadata *_metadata, pid_t pid)
{
	char path[32], state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	ASSERT_NE(NULL, file);
	ASSERT_EQ(1, fscanf(file, "%*d (%*[^)]) %c", &state));
	fclose(file);
	return state;
}

/* A reader that opens the FIFO makes a waiting writer runnable at once. */
TEST_F(mayexec, refusal_neither_waits_for_a_writer_nor_wakes_one)
{
	int started[2], status;
	pid_t pid;
	char c;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	/* Without the writer, an open for reading would block. */
	EXPECT_EQ(-EACCES, try_open("exec/fifo", O_MAYEXEC));
	EXPECT_EQ(-ENXIO, try_open("exec/fifo", O_WRONLY | O_NONBLOCK));

	ASSERT_EQ(0, pipe2(started, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (write(started[1], "", 1) != 1)
			_exit(1);
		_exit(open("exec/fifo", O_WRONLY) < 0);
	}
	ASSERT_EQ(1, read(started[0], &c, 1));
	while (state(_metadata, pid) != 'S')
		usleep(1000);
	EXPECT_EQ(-EACCES, try_open("exec/fifo", O_MAYEXEC));
	EXPECT_EQ('S', state(_metadata, pid));

	EXPECT_EQ(0, try_open("exec/fifo", O_NONBLOCK));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(mayexec, refusal_tells_no_watcher)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char buf[4096];

	if (fd < 0)
		SKIP(return, "inotify: %s", strerror(errno));
	ASSERT_LE(0, inotify_add_watch(fd, "exec", IN_ALL_EVENTS));
	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(-EACCES, try_open("exec/0644", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("exec/fifo", O_MAYEXEC));
	EXPECT_EQ(-EAGAIN, sys_result(read(fd, buf, sizeof(buf))));
	EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
	EXPECT_LT(0, read(fd, buf, sizeof(buf)));
}

TEST_F(mayexec, refusal_breaks_no_lease)
{
	int fd = open("exec/0644", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	signal(SIGIO, SIG_IGN);
	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		SKIP(return, "leases: %s", strerror(errno));
	EXPECT_EQ(-EACCES, try_open("exec/0644", O_MAYEXEC));
	EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	EXPECT_EQ(-EAGAIN, try_open("exec/0644", O_NONBLOCK));
	EXPECT_EQ(F_RDLCK, fcntl(fd, F_GETLEASE));
}

/* What F_GETFL and fdinfo tell. The descriptor has the same number each time. */
static void describe(struct __test_metadata *_metadata, __u64 flags, char *text,
		     size_t size)
{
	int fd = sys_openat2(AT_FDCWD, "exec/0755", flags);
	char path[32];
	FILE *file;

	ASSERT_LE(0, fd);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	ASSERT_NE(NULL, file);
	memset(text, 0, size);
	snprintf(text, size, "F_GETFL %#x\n", fcntl(fd, F_GETFL));
	ASSERT_LT(0, fread(text + strlen(text), 1, size - 32, file));
	fclose(file);
	close(fd);
}

TEST_F(mayexec, descriptor_shows_nothing)
{
	char without[1024], with[1024];

	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		describe(_metadata, 0, without, sizeof(without));
		describe(_metadata, O_MAYEXEC, with, sizeof(with));
		EXPECT_STREQ(without, with);
	}
}

TEST_HARNESS_MAIN
