// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC in a Landlock domain: the open needs the right to read the file and,
 * where FILE is enforced, the right to execute it.
 */

#define OWN_FIXTURE
#include "mayexec.h"

#include <linux/landlock.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include "audit_records.h"

#define READ	LANDLOCK_ACCESS_FS_READ_FILE
#define EXECUTE	LANDLOCK_ACCESS_FS_EXECUTE
#define NAME	"exec/0755"

/* Next to the values of the sysctl: the caller asks for all checks. */
#define SECUREBIT	(MAX_POLICY + 1)

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

FIXTURE_VARIANT_ADD(landlock, none_of_execute) {
	.handled = EXECUTE,
};

static bool setup_landlock(struct __test_metadata *_metadata)
{
	if (syscall(__NR_landlock_create_ruleset, NULL, 0,
		    LANDLOCK_CREATE_RULESET_VERSION) < 0)
		SKIP(return false, "Landlock: %s", strerror(errno));
	if (!setup_test(_metadata))
		return false;
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return false, NEEDS_SYSCTL);
	return true;
}

FIXTURE_SETUP(landlock) { setup_landlock(_metadata); }
FIXTURE_TEARDOWN_PARENT(landlock) { teardown_test(_metadata); }

/* Denies what is @handled everywhere, save what is @allowed for one file. */
static void restrict_self(struct __test_metadata *_metadata, __u64 handled,
			  __u64 allowed)
{
	struct landlock_ruleset_attr ruleset = { .handled_access_fs = handled };
	struct landlock_path_beneath_attr rule = { .allowed_access = allowed };
	int fd;

	fd = syscall(__NR_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	ASSERT_LE(0, fd);
	if (allowed) {
		rule.parent_fd = open(NAME, O_PATH | O_CLOEXEC);
		ASSERT_LE(0, rule.parent_fd);
		ASSERT_EQ(0, syscall(__NR_landlock_add_rule, fd,
				     LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
		close(rule.parent_fd);
	}
	ASSERT_EQ(0, syscall(__NR_landlock_restrict_self, fd, 0));
	close(fd);
}

/* As in_child_as(), with @policy in force, if there can be such a policy. */
static bool in_child_under(struct __test_metadata *_metadata, int policy)
{
	if (!set_policy(_metadata, policy == SECUREBIT ? 0 : policy))
		return false;
	if (!in_child_as(_metadata, CALLER_ROOT))
		return false;
	if (policy == SECUREBIT)
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	return true;
}

static bool enforces_file(int policy)
{
	return policy == SECUREBIT ||
	       (policy & (ENFORCE_FILE | LOG_ONLY)) == ENFORCE_FILE;
}

/* Landlock wants files that are executed to be readable as well. */
static void check_file(struct __test_metadata *_metadata, int policy,
		       __u64 rights)
{
	int open = rights & READ ? 0 : -EACCES;
	int exec = rights & EXECUTE ? open : -EACCES;

	EXPECT_EQ(open, try_open(NAME, 0));
	EXPECT_EQ(exec, try_execve_check(AT_FDCWD, NAME, 0));
	EXPECT_EQ(enforces_file(policy) ? exec : open,
		  try_open(NAME, O_MAYEXEC)) {
		TH_LOG("policy %d", policy);
	}
}

TEST_F(landlock, rights_of_a_file)
{
	for (int policy = 0; policy <= SECUREBIT; policy++) {
		if (!in_child_under(_metadata, policy))
			continue;
		restrict_self(_metadata, variant->handled, variant->allowed);
		check_file(_metadata, policy,
			   variant->allowed | ~variant->handled);
		_exit(_metadata->exit_code);
	}
}

/* Every layer has to allow it, as for other rights. */
TEST_F(landlock, second_layer)
{
	if (!in_child_under(_metadata, ENFORCE_FILE))
		return;
	restrict_self(_metadata, EXECUTE, EXECUTE);
	check_file(_metadata, ENFORCE_FILE, READ | EXECUTE);
	restrict_self(_metadata, variant->handled, variant->allowed);
	check_file(_metadata, ENFORCE_FILE,
		   variant->allowed | ~variant->handled);
	_exit(_metadata->exit_code);
}

/* The domain does not control what no path leads to, executed or not. */
TEST_F(landlock, memfd)
{
	int fd = memfd_create("mayexec", MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0)
		SKIP(return, "memfd_create: %s", strerror(errno));
	if (!in_child_under(_metadata, ENFORCE_BOTH))
		return;
	restrict_self(_metadata, variant->handled, variant->allowed);
	EXPECT_EQ(0, try_openat2(fd, "", O_EMPTYPATH | O_MAYEXEC));
	_exit(_metadata->exit_code);
}

FIXTURE(landlock_denial) {};
FIXTURE_SETUP(landlock_denial) { setup_landlock(_metadata); }
FIXTURE_TEARDOWN_PARENT(landlock_denial) { teardown_test(_metadata); }

/* An open that Landlock refuses breaks no lease: it has not come that far. */
TEST_F(landlock_denial, comes_before_the_open)
{
	int fd = open(NAME, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	signal(SIGIO, SIG_IGN);
	ASSERT_EQ(0, fcntl(fd, F_SETLEASE, F_WRLCK));
	if (in_child_under(_metadata, ENFORCE_FILE)) {
		restrict_self(_metadata, EXECUTE, 0);
		EXPECT_EQ(-EACCES, try_open(NAME, O_MAYEXEC | O_NONBLOCK));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));

	/* The same open breaks the lease if there is no domain. */
	if (in_child_under(_metadata, ENFORCE_FILE)) {
		EXPECT_EQ(-EAGAIN, try_open(NAME, O_MAYEXEC | O_NONBLOCK));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(F_RDLCK, fcntl(fd, F_GETLEASE));
}

TEST_F(landlock_denial, leaves_one_record)
{
	int fd = open_audit_records();

	if (fd < 0)
		SKIP(return, "no audit records: %s", strerror(-fd));
	if (in_child_under(_metadata, ENFORCE_FILE)) {
		restrict_self(_metadata, READ | EXECUTE, READ);
		EXPECT_EQ(-EACCES, try_open(NAME, O_MAYEXEC));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(1, count_audit_records(fd, AUDIT_LANDLOCK_ACCESS,
					 " blockers=fs.execute ",
					 " path=\"/tmp/" NAME "\" "));

	if (in_child_under(_metadata, ENFORCE_MOUNT)) {
		restrict_self(_metadata, READ | EXECUTE, READ);
		EXPECT_EQ(0, try_open(NAME, O_MAYEXEC));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, count_audit_records(fd, AUDIT_LANDLOCK_ACCESS, "",
					 " path=\"/tmp/" NAME "\" "));
}

TEST_HARNESS_MAIN
