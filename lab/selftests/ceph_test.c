// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC on Ceph, with a cluster on the same machine. Ceph opens what it has to
 * look up before the decision: FIFOs and devices, too.
 */

#include "oracle.h"

#include <sys/sysmacros.h>

#define PATIENCE_OF_CEPH	1200

/* A major number for experiments: no driver has it, and an open says so. */
#define NO_DRIVER	makedev(240, 0)

static const struct view view = { "ceph", .remote = true, .early = true };

FIXTURE(ceph) {
	pid_t cluster;
};

static void mount_ceph(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, sys_mount("127.0.0.1:6789:/", "ceph", "ceph", 0, "name=admin")) {
		TH_LOG("%s", strerror(errno));
		system("tail -n 20 log; dmesg | tail -n 5");
	}
}

FIXTURE_SETUP(ceph)
{
	char script[PATH_MAX];
	int status;

	if (system("grep -qw ceph /proc/filesystems"))
		SKIP(return, "needs CONFIG_CEPH_FS");
	if (system("command -v ceph-mon >/dev/null"))
		SKIP(return, "needs Ceph");
	find_beside(_metadata, "ceph_cluster.sh", script);
	if (!setup_test(_metadata))
		return;
	set_lo_up(_metadata);
	self->cluster = fork();
	ASSERT_LE(0, self->cluster);
	if (!self->cluster) {
		setpgid(0, 0);
		execl("/bin/sh", "sh", "-c", "\"$0\" >log 2>&1", script, NULL);
		_exit(127);
	}
	ASSERT_EQ(self->cluster, waitpid(self->cluster, &status, 0));
	ASSERT_EQ(0, status) {
		system("tail -n 20 log");
	}
	ASSERT_EQ(0, mkdir("ceph", 0755));
	mount_ceph(_metadata);
}

FIXTURE_TEARDOWN(ceph)
{
	while (!try_umount("ceph"))
		;
	if (self->cluster > 0)
		kill(-self->cluster, SIGKILL);
	teardown_test(_metadata);
}

/* Makes the client forget names and files. */
static void forget(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, try_umount("ceph"));
	mount_ceph(_metadata);
}

/* How many capabilities the server has given to the client. */
static int count_capabilities(struct __test_metadata *_metadata)
{
	FILE *output = popen(". ./environment; ceph daemon ./mds.a.socket session ls 2>>log |"
			     "sed -n 's/.*\"num_caps\": \\([0-9]*\\),.*/\\1/p'", "re");
	int count = -1;

	ASSERT_EQ(1, fscanf(output, "%d", &count));
	pclose(output);
	return count;
}

/* What one open of a file leaves with the client. */
static int left_by(struct __test_metadata *_metadata, const char *path,
		   __u64 flag, int result)
{
	int before;

	forget(_metadata);
	ASSERT_EQ(0, access("ceph", F_OK));
	before = count_capabilities(_metadata);
	EXPECT_EQ(result, try_open(path, flag));
	return count_capabilities(_metadata) - before;
}

/* The writer that the open waits for, before it is refused. */
static void refuse_after_the_writer(struct __test_metadata *_metadata)
{
	int fd = -1, status = -1;
	pid_t reader;

	ASSERT_EQ(0, mkfifo("ceph/fifo", 0755));
	forget(_metadata);
	reader = fork();
	ASSERT_LE(0, reader);
	if (!reader)
		_exit(try_open("ceph/fifo", O_MAYEXEC) != -EACCES);
	/* Without a reader, a FIFO is not opened to write. */
	for (int i = 0; i < 600 && fd < 0 && !waitpid(reader, &status, WNOHANG); i++) {
		usleep(100000);
		fd = open("ceph/fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	}
	EXPECT_LE(0, fd) {
		TH_LOG("nobody waits for a writer");
	}
	if (fd < 0)
		kill(reader, SIGKILL);
	else
		ASSERT_EQ(reader, waitpid(reader, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
	/* What is in the cache is opened as anywhere else. */
	EXPECT_EQ(-EACCES, try_open("ceph/fifo", O_MAYEXEC));
}

/* One cluster does for all: to start it takes minutes. */
TEST_F_TIMEOUT(ceph, opens_before_the_decision, PATIENCE_OF_CEPH)
{
	int refused;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	refuse_after_the_writer(_metadata);

	ASSERT_EQ(0, mknod("ceph/device", S_IFCHR | 0755, NO_DRIVER));
	forget(_metadata);
	EXPECT_EQ(-ENXIO, try_open("ceph/device", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("ceph/device", O_MAYEXEC));

	ASSERT_EQ(0, symlink("device", "ceph/link"));
	forget(_metadata);
	EXPECT_EQ(-ELOOP, try_open("ceph/link", O_MAYEXEC | O_NOFOLLOW));

	make_file(_metadata, "ceph/not-cached", 0644);
	forget(_metadata);
	tell_nothing(_metadata, &view, "ceph");
	refused = left_by(_metadata, "ceph/not-cached", O_MAYEXEC, -EACCES);
	EXPECT_LT(0, refused);
	EXPECT_EQ(left_by(_metadata, "ceph/not-cached", 0, 0), refused);
	TH_LOG("a refusal leaves %d capabilities", refused);

	make_subjects(_metadata, &view, "ceph");
	compare_mount(_metadata, &view, "ceph");
	end_compare(_metadata, &view);
	compare_overlay(_metadata, &view, "ceph");
}

TEST_HARNESS_MAIN
