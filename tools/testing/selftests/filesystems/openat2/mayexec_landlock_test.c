// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC in a Landlock domain: the open needs the right to read the file and,
 * where the policy asks for permission to execute it, the right to do that.
 */

#include "mayexec.h"

#include <linux/landlock.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#define READ	LANDLOCK_ACCESS_FS_READ_FILE
#define EXECUTE	LANDLOCK_ACCESS_FS_EXECUTE

/* Next to the values of the sysctl: the caller asks for all checks. */
#define SECUREBIT	(OPEN_MAYEXEC_ENFORCE_BOTH + 1)

FIXTURE(landlock) {};

FIXTURE_VARIANT(landlock)
{
	__u64 handled;
	__u64 allowed;
};

FIXTURE_VARIANT_ADD(landlock, read_of_both) {
	.handled = READ | EXECUTE,
	.allowed = READ,
};

FIXTURE_VARIANT_ADD(landlock, execute_of_both) {
	.handled = READ | EXECUTE,
	.allowed = EXECUTE,
};

FIXTURE_VARIANT_ADD(landlock, both_of_both) {
	.handled = READ | EXECUTE,
	.allowed = READ | EXECUTE,
};

FIXTURE_VARIANT_ADD(landlock, none_of_both) {
	.handled = READ | EXECUTE,
};

FIXTURE_VARIANT_ADD(landlock, read_of_read) {
	.handled = READ,
	.allowed = READ,
};

FIXTURE_VARIANT_ADD(landlock, none_of_read) {
	.handled = READ,
};

FIXTURE_VARIANT_ADD(landlock, execute_of_execute) {
	.handled = EXECUTE,
	.allowed = EXECUTE,
};

FIXTURE_VARIANT_ADD(landlock, none_of_execute) {
	.handled = EXECUTE,
};

FIXTURE_SETUP(landlock)
{
	if (!mayexec_available(_metadata))
		return;
	if (syscall(__NR_landlock_create_ruleset, NULL, 0,
		    LANDLOCK_CREATE_RULESET_VERSION) < 0)
		SKIP(return, "Landlock: %s", strerror(errno));
	if (!mayexec_setup(_metadata))
		return;
	if (policy_is_static())
		SKIP(return, STATIC_POLICY);
	make_file(_metadata, "file", 0755);
}

FIXTURE_TEARDOWN_PARENT(landlock)
{
	mayexec_teardown(_metadata);
}

/* Denies what is @handled everywhere, save what is @allowed for "file". */
static void restrict_self(struct __test_metadata *_metadata, __u64 handled,
			  __u64 allowed)
{
	struct landlock_ruleset_attr ruleset = { .handled_access_fs = handled };
	struct landlock_path_beneath_attr rule = { .allowed_access = allowed };
	int fd;

	fd = syscall(__NR_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	ASSERT_LE(0, fd);
	if (allowed) {
		rule.parent_fd = open("file", O_PATH | O_CLOEXEC);
		ASSERT_LE(0, rule.parent_fd);
		ASSERT_EQ(0, syscall(__NR_landlock_add_rule, fd,
				     LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
		close(rule.parent_fd);
	}
	ASSERT_EQ(0, syscall(__NR_landlock_restrict_self, fd, 0));
	close(fd);
}

/*
 * Forks a child with @policy in force.  It must leave with
 * _exit(_metadata->exit_code), as that of fork_as().
 */
static pid_t fork_under(struct __test_metadata *_metadata, int policy)
{
	pid_t pid;

	ASSERT_TRUE(set_policy(_metadata, policy == SECUREBIT ? 0 : policy));
	pid = fork_as(_metadata, CALLER_ROOT);
	if (!pid && policy == SECUREBIT)
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	return pid;
}

/* Landlock wants files that are executed to be readable as well. */
static void check_file(struct __test_metadata *_metadata, int policy,
		       __u64 rights)
{
	bool asks = policy & OPEN_MAYEXEC_ENFORCE_FILE || policy == SECUREBIT;
	int open = rights & READ ? 0 : -EACCES;
	int exec = rights & EXECUTE ? open : -EACCES;

	EXPECT_EQ(open, try_open("file", 0));
	EXPECT_EQ(exec, try_execve_check(AT_FDCWD, "file", 0));
	EXPECT_EQ(asks ? exec : open, try_open("file", O_MAYEXEC)) {
		TH_LOG("policy %d", policy);
	}
}

TEST_F(landlock, rights_of_a_file)
{
	for (int policy = 0; policy <= SECUREBIT; policy++) {
		pid_t pid = fork_under(_metadata, policy);

		if (!pid) {
			restrict_self(_metadata, variant->handled,
				      variant->allowed);
			check_file(_metadata, policy,
				   variant->allowed | ~variant->handled);
			_exit(_metadata->exit_code);
		}
		join(_metadata, pid);
	}
}

/* Every layer has to allow it, as for other rights. */
TEST_F(landlock, second_layer)
{
	pid_t pid = fork_under(_metadata, OPEN_MAYEXEC_ENFORCE_FILE);

	if (!pid) {
		restrict_self(_metadata, EXECUTE, EXECUTE);
		check_file(_metadata, OPEN_MAYEXEC_ENFORCE_FILE,
			   READ | EXECUTE);
		restrict_self(_metadata, variant->handled, variant->allowed);
		check_file(_metadata, OPEN_MAYEXEC_ENFORCE_FILE,
			   variant->allowed | ~variant->handled);
		_exit(_metadata->exit_code);
	}
	join(_metadata, pid);
}

/* The domain does not control what no path leads to, executed or not. */
TEST_F(landlock, memfd)
{
	pid_t pid;
	int fd;

	fd = memfd_create("mayexec", MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0)
		SKIP(return, "memfd_create: %s", strerror(errno));
	pid = fork_under(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH);
	if (!pid) {
		restrict_self(_metadata, variant->handled, variant->allowed);
		EXPECT_EQ(0, try_openat2(fd, "", O_EMPTYPATH | O_MAYEXEC, 0));
		_exit(_metadata->exit_code);
	}
	join(_metadata, pid);
}

TEST_HARNESS_MAIN
