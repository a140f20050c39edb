// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC under AppArmor, which mediates the open as one for reading, under
 * every policy. AppArmor decides on an execution and on the profile of the new
 * program together, so its rules for executions have no say in an open. The flag
 * spares nobody the rules for reading. A test that is killed leaves its profile.
 */

#define OWN_FIXTURE
#include "mayexec.h"
#include "audit_records.h"

#define ENABLED		"/sys/module/apparmor/parameters/enabled"
#define SECURITYFS	"/sys/kernel/security"
#define CURRENT		"/proc/self/attr/apparmor/current"
#define PARSER		"apparmor_parser"
#define PROFILE		"mayexec_apparmor_test"

static bool apparmor_enabled(void)
{
	FILE *file = fopen(ENABLED, "re");
	int c;

	if (!file)
		return false;
	c = fgetc(file);
	fclose(file);
	return c == 'Y';
}

FIXTURE(apparmor) {
	bool loaded;
};

FIXTURE_VARIANT(apparmor)
{
	const char *mode;
	const char *record;
	int denied;
};

FIXTURE_VARIANT_ADD(apparmor, enforce) {
	.mode = "",
	.record = "apparmor=\"DENIED\"",
	.denied = -EACCES,
};

FIXTURE_VARIANT_ADD(apparmor, complain) {
	.mode = ", complain",
	.record = "apparmor=\"ALLOWED\"",
	.denied = 0,
};

/* Whatever the test itself needs is allowed, capabilities included. */
static int run_parser(const char *command, const char *mode)
{
	FILE *parser = popen(command, "we");

	if (!parser)
		return -1;
	fprintf(parser,
		"profile " PROFILE " flags=(attach_disconnected%s) {\n"
		"  capability,\n"
		"  signal,\n"
		"  /** w,\n"
		"  /{dev,proc,sys}/** r,\n"
		"  /tmp/read r,\n"
		"  /tmp/execute ix,\n"
		"  /tmp/both rix,\n"
		"}\n", mode);
	return pclose(parser);
}

FIXTURE_SETUP(apparmor)
{
	if (!apparmor_enabled())
		SKIP(return, "AppArmor is not enabled");
	if (system("command -v " PARSER " >/dev/null"))
		SKIP(return, "needs " PARSER);
	if (!setup_test(_metadata))
		return;
	make_file(_metadata, "none", 0755);
	make_file(_metadata, "read", 0755);
	make_file(_metadata, "execute", 0755);
	make_file(_metadata, "both", 0755);

	if (access(SECURITYFS "/apparmor", F_OK)) {
		ASSERT_EQ(0, sys_mount("securityfs", SECURITYFS, "securityfs",
				       0, NULL));
	}
	ASSERT_EQ(0, run_parser(PARSER " --quiet --skip-cache --replace",
				variant->mode));
	self->loaded = true;
}

FIXTURE_TEARDOWN(apparmor)
{
	/* The parser may need files that the policy of the test refuses. */
	teardown_test(_metadata);
	if (self->loaded)
		EXPECT_EQ(0, run_parser(PARSER " --quiet --remove",
					variant->mode));
}

static void check_files(struct __test_metadata *_metadata, int denied)
{
	const struct {
		const char *name;
		int open;
		int exec;
	} files[] = {
		{ "none",	denied,	denied },
		{ "read",	0,	denied },
		{ "execute",	denied,	0 },
		{ "both",	0,	0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *name = files[i].name;

		EXPECT_EQ(files[i].open, try_open(name, 0)) {
			TH_LOG("%s", name);
		}
		EXPECT_EQ(files[i].open, try_open(name, O_MAYEXEC)) {
			TH_LOG("%s, with O_MAYEXEC", name);
		}
		EXPECT_EQ(files[i].exec, try_execve_check(AT_FDCWD, name, 0)) {
			TH_LOG("%s, with AT_EXECVE_CHECK", name);
		}
	}
}

TEST_F(apparmor, rules_for_reading_apply)
{
	/* Next to the values of the sysctl: the securebit. */
	for (int policy = 0; policy <= MAX_POLICY + 1; policy++) {
		const bool securebit = policy > MAX_POLICY;

		if (!set_policy(_metadata, securebit ? 0 : policy) ||
		    !in_child_as(_metadata, CALLER_ROOT))
			continue;
		if (securebit)
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		ASSERT_EQ(0, write_string(CURRENT, "changeprofile " PROFILE));
		check_files(_metadata, variant->denied);
		_exit(_metadata->exit_code);
	}
}

TEST_F(apparmor, refusal_leaves_one_record)
{
	int fd = open_audit_records();

	if (fd < 0)
		SKIP(return, "no audit records: %s", strerror(-fd));
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	if (in_child_as(_metadata, CALLER_ROOT)) {
		ASSERT_EQ(0, write_string(CURRENT, "changeprofile " PROFILE));
		EXPECT_EQ(variant->denied, try_open("none", O_MAYEXEC));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(1, count_audit_records(fd, AUDIT_AVC, variant->record,
					 " name=\"/tmp/none\" "));
}

TEST_HARNESS_MAIN
