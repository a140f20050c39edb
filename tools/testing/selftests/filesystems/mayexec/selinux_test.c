// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC under SELinux: FILE asks for execute, beside the read of every open,
 * and for none of the permissions that a new program needs. Without a policy,
 * SELinux gets one for the test, until the next boot. A test that is killed
 * leaves it enforcing, for the labels of the test alone.
 */

#define OWN_FIXTURE
#include "mayexec.h"
#include "audit_records.h"

#include <sys/xattr.h>

#define DOMAIN		"u:r:mayexec_t"
#define NAME		"file"

/* What it does not declare is allowed. */
static const char policy_source[] =
"(handleunknown allow) (mls false)\n"
"(sid kernel) (sid security) (sid unlabeled)\n"
"(sidorder (kernel security unlabeled))\n"
"(class process (transition dyntransition))\n"
"(class file (read execute execute_no_trans)) (classorder (process file))\n"
"(sensitivity s0) (sensitivityorder (s0)) (category c0) (categoryorder (c0))\n"
"(sensitivitycategory s0 (c0)) (level low (s0)) (levelrange all (low low))\n"
"(user u) (role r) (userrole u r) (userrole u object_r) (role object_r)\n"
"(userlevel u low) (userrange u all)\n"
"(type mayexec_t) (type read_t) (type execute_t) (type code_t)\n"
"(typeattribute any) (typeattributeset any (all))\n"
"(roletype r mayexec_t) (roletype object_r any)\n"
"(context own (u r mayexec_t all)) (context files (u object_r mayexec_t all))\n"
"(sidcontext kernel own) (sidcontext security own) (sidcontext unlabeled files)\n"
"(fsuse trans tmpfs files)\n"
"(allow mayexec_t self (process (transition dyntransition)))\n"
"(allow mayexec_t self (file (read execute execute_no_trans)))\n"
"(allow mayexec_t read_t (file (read execute_no_trans)))\n"
"(allow mayexec_t execute_t (file (execute execute_no_trans)))\n"
"(allow mayexec_t code_t (file (read execute)))\n";

FIXTURE(selinux) {
	int audit_fd;
};

FIXTURE_VARIANT(selinux)
{
	const char *label;
	int open;
	int exec;	/* with the flag, under FILE */
	int check;	/* AT_EXECVE_CHECK */
};

FIXTURE_VARIANT_ADD(selinux, read) {
	.label = "u:object_r:read_t",
	.exec = -EACCES,
	.check = -EACCES,
};

/* SELinux wants a file that is executed to be readable as well. */
FIXTURE_VARIANT_ADD(selinux, execute) {
	.label = "u:object_r:execute_t",
	.open = -EACCES,
	.exec = -EACCES,
	.check = -EACCES,
};

/* What no process may become is code to an interpreter. */
FIXTURE_VARIANT_ADD(selinux, code) {
	.label = "u:object_r:code_t",
	.check = -EACCES,
};

FIXTURE_VARIANT_ADD(selinux, all) {
	.label = "u:object_r:mayexec_t",
};

static void load_policy(struct __test_metadata *_metadata)
{
	make_file(_metadata, "policy.cil", 0600);
	ASSERT_EQ(0, write_string("policy.cil", policy_source));
	ASSERT_EQ(0, system("secilc -c 33 -o policy -f contexts policy.cil"));
	/* The kernel takes a policy in one piece, as cat(1) writes this one. */
	ASSERT_EQ(0, system("cat policy >selinuxfs/load"));
}

FIXTURE_SETUP(selinux)
{
	char domain[64] = "";
	FILE *file;

	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("selinuxfs", 0755));
	if (sys_mount("selinuxfs", "selinuxfs", "selinuxfs", 0, NULL))
		SKIP(return, "SELinux is not active");
	self->audit_fd = open_audit_records();
	if (self->audit_fd < 0)
		SKIP(return, "no audit records: %s", strerror(-self->audit_fd));
	file = fopen("/proc/self/attr/current", "re");
	ASSERT_NE(NULL, file);
	ASSERT_LT(0, fread(domain, 1, sizeof(domain) - 1, file));
	fclose(file);
	if (strchr(domain, ':') && strcmp(domain, DOMAIN))
		SKIP(return, "SELinux has a policy");
	if (system("command -v secilc >/dev/null"))
		SKIP(return, "needs secilc");
	if (!strchr(domain, ':'))
		load_policy(_metadata);
	make_file(_metadata, NAME, 0755);
	ASSERT_EQ(0, setxattr(NAME, "security.selinux", variant->label,
			      strlen(variant->label), 0));
	ASSERT_EQ(0, write_string("selinuxfs/enforce", "1"));
}

FIXTURE_TEARDOWN(selinux)
{
	EXPECT_EQ(0, write_string("selinuxfs/enforce", "0"));
	teardown_test(_metadata);
}

/* Each refusal leaves one record, also where FILE is only logged. */
TEST_F(selinux, asks_for_both)
{
	int refusals = 0;

	/* Next to the values of the sysctl: the securebit. */
	for (int policy = 0; policy <= MAX_POLICY + 1; policy++) {
		const bool securebit = policy > MAX_POLICY;
		const bool asks = securebit || policy & ENFORCE_FILE;
		const int denial = variant->open ?: asks ? variant->exec : 0;

		if (!set_policy(_metadata, securebit ? 0 : policy))
			continue;
		if (securebit)
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		EXPECT_EQ(variant->open, try_open(NAME, 0));
		EXPECT_EQ(policy & LOG_ONLY ? variant->open : denial,
			  try_open(NAME, O_MAYEXEC)) {
			TH_LOG("policy %d", policy);
		}
		EXPECT_EQ(variant->check, try_execve_check(AT_FDCWD, NAME, 0));
		refusals += !!variant->open + !!denial + !!variant->check;
	}
	EXPECT_EQ(refusals, count_audit_records(self->audit_fd, AUDIT_AVC,
						" denied ", "permissive=0"));
}

TEST_HARNESS_MAIN
