// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and IPE: where FILE is enforced, a flagged open is evaluated as
 * op=EXECUTE. This needs a boot with ipe.enforce=0 and a policy that does not
 * trust the files of a tmpfs. IPE enforces for single questions, and a guardian
 * ends that if the test is killed meanwhile.
 */

#define OWN_FIXTURE
#include "mayexec.h"

#include "audit_records.h"

#define ENFORCE		"securityfs/ipe/enforce"
#define NAME		"exec/0755"

#ifndef AUDIT_IPE_ACCESS
#define AUDIT_IPE_ACCESS	1420
#endif

FIXTURE(ipe) {
	int guard;
	pid_t guardian;
};

/*
 * Forks a process that sets IPE to permissive when the last descriptor of the
 * pipe is closed: all processes of the test have ended then, however.
 */
static int start_guardian(struct __test_metadata *_metadata, pid_t *guardian)
{
	int enforce = open(ENFORCE, O_WRONLY | O_CLOEXEC), ends[2];
	char c;

	ASSERT_LE(0, enforce);
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	*guardian = fork();
	ASSERT_LE(0, *guardian);
	if (!*guardian) {
		/* Nobody who kills the test's process group means this one. */
		setsid();
		close(ends[1]);
		read(ends[0], &c, 1);
		_exit(write(enforce, "0", 1) != 1);
	}
	close(ends[0]);
	close(enforce);
	return ends[1];
}

/* IPE would refuse to execute almost anything: enforce for one question only. */
#define enforced(question)					\
({								\
	int __answer;						\
	ASSERT_EQ(0, write_string(ENFORCE, "1"));		\
	__answer = (question);					\
	ASSERT_EQ(0, write_string(ENFORCE, "0"));		\
	__answer;						\
})

FIXTURE_SETUP(ipe)
{
	FILE *file;
	int mode;

	self->guard = -1;
	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("securityfs", 0755));
	if (sys_mount("securityfs", "securityfs", "securityfs", 0, NULL) ||
	    access(ENFORCE, W_OK))
		SKIP(return, "IPE is not active");
	file = fopen(ENFORCE, "re");
	ASSERT_NE(NULL, file);
	mode = fgetc(file);
	fclose(file);
	if (mode != '0')
		SKIP(return, "IPE enforces, which the tests would end");
	self->guard = start_guardian(_metadata, &self->guardian);
	if (!enforced(try_execve_check(AT_FDCWD, NAME, 0)))
		SKIP(return, "IPE's policy lets files in a tmpfs be executed");
}

FIXTURE_TEARDOWN(ipe)
{
	if (self->guard >= 0) {
		close(self->guard);
		/* Its last word must not meet the questions of the next test. */
		waitpid(self->guardian, NULL, 0);
	}
	teardown_test(_metadata);
}

static bool enforces_file(int policy)
{
	return (policy & (ENFORCE_FILE | LOG_ONLY)) == ENFORCE_FILE;
}

TEST_F(ipe, refuses_under_file)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(enforces_file(policy) ? -EACCES : 0,
			  enforced(try_open(NAME, O_MAYEXEC))) {
			TH_LOG("policy %d", policy);
		}
		EXPECT_EQ(0, enforced(try_open(NAME, 0)));
		EXPECT_EQ(0, try_open(NAME, O_MAYEXEC));
	}
}

TEST_F(ipe, refuses_under_the_securebit)
{
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	if (in_child_as(_metadata, CALLER_ROOT)) {
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		EXPECT_EQ(-EACCES, enforced(try_open(NAME, O_MAYEXEC)));
		_exit(_metadata->exit_code);
	}
}

/* What the permissive mode would refuse is in the log, once. */
TEST_F(ipe, names_the_hook_in_its_record)
{
	int fd = open_audit_records();

	if (fd < 0)
		SKIP(return, "no audit records: %s", strerror(-fd));
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, try_open(NAME, O_MAYEXEC));
	EXPECT_EQ(1, count_audit_records(fd, AUDIT_IPE_ACCESS,
					 "ipe_op=EXECUTE ipe_hook=FILE_POST_OPEN ",
					 " path=\"/tmp/" NAME "\" "));

	if (!set_policy(_metadata, ENFORCE_BOTH | LOG_ONLY))
		return;
	EXPECT_EQ(0, try_open(NAME, O_MAYEXEC));
	EXPECT_EQ(0, count_audit_records(fd, AUDIT_IPE_ACCESS, "ipe_op=EXECUTE",
					 " path=\"/tmp/" NAME "\" "));
}

TEST_HARNESS_MAIN
