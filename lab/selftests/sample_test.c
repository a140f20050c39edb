// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC in an interpreter, samples/check-exec/inc.c: it runs a script if the
 * policy in force lets its caller execute that file. What the interpreter makes
 * of the securebits on any kernel is tested in exec/check-exec-tests.sh.
 */

#define OWN_FIXTURE
#include "more.h"

FIXTURE(sample) {
	int inc;
};

FIXTURE_VARIANT(sample) {
	int policy;
	int securebits;
	/* Exit statuses for two scripts that execve(2) does not start. */
	int noexec_mount;
	int noexec_mode;
};

FIXTURE_VARIANT_ADD(sample, none) {};

FIXTURE_VARIANT_ADD(sample, mount) {
	.policy = ENFORCE_MOUNT,
	.noexec_mount = 1,
};

FIXTURE_VARIANT_ADD(sample, file) {
	.policy = ENFORCE_FILE,
	.noexec_mode = 1,
};

FIXTURE_VARIANT_ADD(sample, both) {
	.policy = ENFORCE_BOTH,
	.noexec_mount = 1,
	.noexec_mode = 1,
};

FIXTURE_VARIANT_ADD(sample, securebit) {
	.securebits = SECBIT_EXEC_RESTRICT_FILE,
	.noexec_mount = 1,
	.noexec_mode = 1,
};

#define SCRIPT	"#!inc\n+\n"

FIXTURE_SETUP(sample)
{
	/* The working directory is about to change. */
	self->inc = open("inc", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, self->inc) {
		TH_LOG("inc: %s", strerror(errno));
	}
	if (!setup_test(_metadata))
		return;
	if (!set_policy(_metadata, variant->policy))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(0, write_string("exec/0755", SCRIPT));
	ASSERT_EQ(0, write_string("exec/0644", SCRIPT));
	ASSERT_EQ(0, write_string("noexec/0755", SCRIPT));
}

FIXTURE_TEARDOWN_PARENT(sample)
{
	teardown_test(_metadata);
}

/* Runs the interpreter; its exit status must tell whether it ran the script. */
static int interpret(struct __test_metadata *_metadata, int inc, int securebits,
		     const char *argument, const char *input)
{
	char *const argv[] = { "inc", (char *)argument, NULL };
	char printed[8] = "";
	int output[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe2(output, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		become_user(_metadata);
		ASSERT_EQ(0, dup2(open(input, O_RDONLY | O_CLOEXEC), 0));
		ASSERT_EQ(1, dup2(output[1], 1));
		if (securebits) {
			set_no_new_privs(_metadata);
			set_securebits(_metadata, securebits);
		}
		syscall(__NR_execveat, inc, "", argv, environ, AT_EMPTY_PATH);
		TH_LOG("execveat: %s", strerror(errno));
		_exit(255);
	}
	close(output[1]);
	ASSERT_LE(0, read(output[0], printed, sizeof(printed) - 1));
	close(output[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_STREQ(WEXITSTATUS(status) ? "" : "1\n", printed);
	return WEXITSTATUS(status);
}

TEST_F(sample, script)
{
	const struct {
		const char *path;
		int status;
	} scripts[] = {
		{ "exec/0755",		0 },
		{ "noexec/0755",	variant->noexec_mount },
		{ "exec/0644",		variant->noexec_mode },
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		EXPECT_EQ(scripts[i].status,
			  interpret(_metadata, self->inc, variant->securebits,
				    scripts[i].path, "/dev/null")) {
			TH_LOG("%s", scripts[i].path);
		}
	}
}

/* The interpreter does not open it: that is for SECBIT_EXEC_DENY_INTERACTIVE. */
TEST_F(sample, standard_input)
{
	EXPECT_EQ(0, interpret(_metadata, self->inc, variant->securebits, "-i",
			       "exec/0644"));
}

TEST_HARNESS_MAIN
