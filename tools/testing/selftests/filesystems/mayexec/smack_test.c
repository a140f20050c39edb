// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC under Smack: FILE asks for x, beside the r of every open, and the
 * flag spares nobody the r. A test that is killed leaves a rule of its labels.
 */

#define OWN_FIXTURE
#include "mayexec.h"
#include "audit_records.h"

#include <sys/xattr.h>

#define SUBJECT		"MayexecSubject"
#define OBJECT		"MayexecObject"
#define NAME		"exec/0755"

static bool enforces_file(int policy)
{
	return (policy & (ENFORCE_FILE | LOG_ONLY)) == ENFORCE_FILE;
}

FIXTURE(smack) {};

FIXTURE_VARIANT(smack)
{
	const char *rule;
	int open;
	int exec;
};

FIXTURE_VARIANT_ADD(smack, read) {
	.rule = SUBJECT " " OBJECT " r",
	.exec = -EACCES,
};

/* Smack wants a file that is executed to be readable as well. */
FIXTURE_VARIANT_ADD(smack, execute) {
	.rule = SUBJECT " " OBJECT " x",
	.open = -EACCES,
	.exec = -EACCES,
};

FIXTURE_VARIANT_ADD(smack, both) {
	.rule = SUBJECT " " OBJECT " rx",
};

FIXTURE_SETUP(smack)
{
	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("smackfs", 0755));
	if (sys_mount("smackfs", "smackfs", "smackfs", 0, NULL))
		SKIP(return, "Smack is not active");
	ASSERT_EQ(0, write_string("smackfs/load2", variant->rule));
	ASSERT_EQ(0, setxattr(NAME, "security.SMACK64", OBJECT, strlen(OBJECT),
			      0));
}

FIXTURE_TEARDOWN(smack)
{
	/* A rule without access is none. */
	write_string("/tmp/smackfs/load2", SUBJECT " " OBJECT " -");
	teardown_test(_metadata);
}

static void become_subject(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, write_string("/proc/self/attr/smack/current", SUBJECT));
	/* CAP_MAC_OVERRIDE would allow everything. */
	set_capabilities(_metadata, 0, 0);
}

TEST_F(smack, asks_for_both)
{
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		const bool asks = enforces_file(policy);

		if (!set_policy(_metadata, policy) ||
		    !in_child_as(_metadata, CALLER_ROOT))
			continue;
		become_subject(_metadata);
		EXPECT_EQ(variant->open, try_open(NAME, 0));
		EXPECT_EQ(variant->open ?: asks ? variant->exec : 0,
			  try_open(NAME, O_MAYEXEC)) {
			TH_LOG("policy %d", policy);
		}
		EXPECT_EQ(variant->exec, try_execve_check(AT_FDCWD, NAME, 0));
		_exit(_metadata->exit_code);
	}
}

TEST_F(smack, refusal_leaves_one_record)
{
	const int refusal = variant->open ?: variant->exec;
	int fd = open_audit_records();

	if (fd < 0)
		SKIP(return, "no audit records: %s", strerror(-fd));
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	if (in_child_as(_metadata, CALLER_ROOT)) {
		become_subject(_metadata);
		EXPECT_EQ(refusal, try_open(NAME, O_MAYEXEC));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(!!refusal, count_audit_records(fd, AUDIT_AVC, "lsm=SMACK",
						 " object=\"" OBJECT "\" "));
}

TEST_HARNESS_MAIN
