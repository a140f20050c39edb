// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs of others on a kernel with the policies: stress-ng(1), whose stressors
 * judge what they see, and trinity(1), whose openat2(2) is biased to O_MAYEXEC. What
 * the kernel complains of, whoever starts this reads on the console.
 */

#define OWN_FIXTURE
#include "more.h"
#include "bias.h"

#include <sys/mman.h>

#define PATIENCE	900

/* Those that open files, for a user; none needs more than a tmpfs. */
#define STRESSORS	"access chdir chmod chown dentry dir dirdeep dirmany dup fcntl " \
			"filename flock fstat getdent handle inotify lease link locka " \
			"lockf lockofd mknod open rename symlink touch utime xattr"

FIXTURE(others) {
	struct counts *counts;
	char bias[PATH_MAX];
};

FIXTURE_VARIANT(others) {
	int policy;
};

FIXTURE_VARIANT_ADD(others, none) { 0 };
FIXTURE_VARIANT_ADD(others, enforced) { ENFORCE_BOTH };
FIXTURE_VARIANT_ADD(others, logged) { MAX_POLICY };

FIXTURE_SETUP(others)
{
	int fd;

	if (system("command -v stress-ng trinity >/dev/null"))
		SKIP(return, "needs stress-ng and trinity");
	find_beside(_metadata, "bias.so", self->bias);
	if (!setup_test(_metadata))
		return;
	if (!set_policy(_metadata, variant->policy))
		SKIP(return, NEEDS_SYSCTL);
	fd = open("counts", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, sizeof(*self->counts)));
	self->counts = mmap(NULL, sizeof(*self->counts), PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, self->counts);
	ASSERT_EQ(0, mkdir("work", 0777));
	ASSERT_EQ(0, mkdir("victims", 0755));
	make_file(_metadata, "victims/executable", 0755);
	make_file(_metadata, "victims/plain", 0644);
}

FIXTURE_TEARDOWN_PARENT(others)
{
	teardown_test(_metadata);
}

/* The exit status of a command of the user in an empty directory. */
static int run_as_user(struct __test_metadata *_metadata, const char *bias,
		       const char *command)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		ASSERT_EQ(0, chdir("work"));
		become_user(_metadata);
		setenv("BIAS_COUNTS", "/tmp/counts", 1);
		setenv("BIAS", bias, 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	return status;
}

/* Without the flag, no policy is noticed; with it, those that enforce nothing are not. */
TEST_F_TIMEOUT(others, stress_ng_finds_nothing, PATIENCE)
{
	const bool bias = variant->policy != ENFORCE_BOTH;

	EXPECT_EQ(0, run_as_user(_metadata, bias ? self->bias : "",
		"for s in " STRESSORS "; do all=\"$all --$s 1\"; done;"
		"BIAS_OPENS=1 LD_PRELOAD=$BIAS stress-ng $all --verify --timeout 10 --temp-path . >log 2>&1 ||"
		"{ tail -n 30 log; exit 1; }"));
	TH_LOG("%d opened with the flag, %d denied", self->counts->opened,
	       self->counts->denied);
	EXPECT_EQ(bias, self->counts->opened > 0);
}

/* A child that trinity cannot end would keep it for ever: it has two minutes. */
TEST_F_TIMEOUT(others, trinity_finds_nothing, PATIENCE)
{
	EXPECT_EQ(0, run_as_user(_metadata, self->bias,
		"LD_PRELOAD=$BIAS timeout -k 5 120 trinity -q -l off -C 4 -N 20000 -c openat2,64 "
		"-V /tmp/victims --disable-fds=sockets >log 2>&1; case $? in 0 | 124 | 137) exit 0 ;; esac;"
		"tail -n 30 log; exit 1"));
	TH_LOG("%d opened with the flag, %d denied, %d failed", self->counts->opened,
	       self->counts->denied, self->counts->failed);
	EXPECT_LT(100, self->counts->opened);
	EXPECT_LT(100, self->counts->failed);
	if (variant->policy == ENFORCE_BOTH)
		EXPECT_LT(100, self->counts->denied);
}

TEST_HARNESS_MAIN
