// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC under AppArmor: the open is mediated as one for reading, with every
 * policy.  Rules for execution say which profile the new program gets; they have
 * no say in an open, and the flag spares nobody the rules for reading.
 */

#include "mayexec.h"

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

/* Whatever the test itself needs is allowed, capabilities included. */
static void write_profile(FILE *file)
{
	fprintf(file,
		"profile " PROFILE " flags=(attach_disconnected) {\n"
		"  capability,\n"
		"  signal,\n"
		"  /** w,\n"
		"  /{dev,proc,sys}/** r,\n"
		"  %1$s/read r,\n"
		"  %1$s/execute ix,\n"
		"  %1$s/both rix,\n"
		"}\n", workdir);
}

static int run_parser(const char *command)
{
	FILE *parser = popen(command, "we");

	if (!parser)
		return -1;
	write_profile(parser);
	return pclose(parser);
}

FIXTURE(apparmor) {
	bool loaded;
};

FIXTURE_SETUP(apparmor)
{
	if (!mayexec_available(_metadata))
		return;
	if (!apparmor_enabled())
		SKIP(return, "AppArmor is not enabled");
	if (system("command -v " PARSER " >/dev/null"))
		SKIP(return, "needs " PARSER);
	if (!mayexec_setup(_metadata))
		return;
	make_file(_metadata, "none", 0755);
	make_file(_metadata, "read", 0755);
	make_file(_metadata, "execute", 0755);
	make_file(_metadata, "both", 0755);

	if (access(SECURITYFS "/apparmor", F_OK)) {
		ASSERT_EQ(0, sys_mount("securityfs", SECURITYFS, "securityfs",
				       0, NULL));
	}
	ASSERT_EQ(0, run_parser(PARSER " --quiet --skip-cache --replace"));
	self->loaded = true;
}

FIXTURE_TEARDOWN(apparmor)
{
	if (self->loaded)
		EXPECT_EQ(0, run_parser(PARSER " --quiet --remove"));
	mayexec_teardown(_metadata);
}

static void check_files(struct __test_metadata *_metadata)
{
	static const struct {
		const char *name;
		int open;
		int exec;
	} files[] = {
		{ "none",	-EACCES, -EACCES },
		{ "read",	0,	 -EACCES },
		{ "execute",	-EACCES, 0 },
		{ "both",	0,	 0 },
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

static void check_confined(struct __test_metadata *_metadata, int securebits)
{
	pid_t pid = fork_as(_metadata, CALLER_ROOT);

	if (!pid) {
		set_securebits(_metadata, securebits);
		ASSERT_EQ(0, write_string(CURRENT, "changeprofile " PROFILE));
		check_files(_metadata);
		_exit(_metadata->exit_code);
	}
	join(_metadata, pid);
}

TEST_F(apparmor, rules_for_reading_apply)
{
	for (int policy = 0; policy <= OPEN_MAYEXEC_ENFORCE_BOTH; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		check_confined(_metadata, 0);
	}
}

TEST_F(apparmor, rules_for_reading_apply_with_the_securebit)
{
	check_confined(_metadata, SECBIT_EXEC_RESTRICT_FILE);
}

TEST_HARNESS_MAIN
