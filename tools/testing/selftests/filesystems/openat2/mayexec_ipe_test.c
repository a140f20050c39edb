// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and IPE: a flagged open is evaluated as op=EXECUTE.  This needs a
 * policy that is active and does not trust files in a tmpfs, and a boot with
 * ipe.enforce=0, so that IPE enforces during these tests and at no other time.
 */

#include "mayexec.h"

#define ENFORCE		"securityfs/ipe/enforce"

FIXTURE(ipe) {};

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

	if (!mayexec_setup(_metadata))
		return;
	make_file(_metadata, "script", 0755);
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
	if (!enforced(try_execve_check(AT_FDCWD, "script", 0)))
		SKIP(return, "IPE's policy lets files in a tmpfs be executed");
}

FIXTURE_TEARDOWN_PARENT(ipe)
{
	mayexec_teardown(_metadata);
}

TEST_F(ipe, refuses_what_may_not_be_executed)
{
	EXPECT_EQ(-EACCES, enforced(try_open("script", O_MAYEXEC)));
}

TEST_F(ipe, takes_no_interest_in_other_opens)
{
	EXPECT_EQ(0, enforced(try_open("script", 0)));
}

TEST_F(ipe, permissive_mode_allows)
{
	EXPECT_EQ(0, try_open("script", O_MAYEXEC));
}

TEST_HARNESS_MAIN
