// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: who sets the policy.  The system's is a sysctl, that of a process
 * the securebit EXEC_RESTRICT_FILE.
 */

#include "mayexec.h"

/* The files of a mount that together tell every policy from the others. */
static void make_witnesses(struct __test_metadata *_metadata)
{
	make_mount(_metadata, "exec", 0);
	make_mount(_metadata, "noexec", MS_NOEXEC);
	make_file(_metadata, "exec/0755", 0755);
	make_file(_metadata, "exec/0644", 0644);
	make_file(_metadata, "noexec/0755", 0755);
	ASSERT_EQ(0, mkdir("exec/directory", 0755));
}

static void check_in_force(struct __test_metadata *_metadata, int checks)
{
	const bool mount = checks & OPEN_MAYEXEC_ENFORCE_MOUNT;
	const bool file = checks & OPEN_MAYEXEC_ENFORCE_FILE;

	EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
	EXPECT_EQ(file ? -EACCES : 0, try_open("exec/0644", O_MAYEXEC));
	EXPECT_EQ(mount ? -EACCES : 0, try_open("noexec/0755", O_MAYEXEC));
	EXPECT_EQ(checks ? -EACCES : 0, try_open("exec/directory", O_MAYEXEC));
}

FIXTURE(sysctl) {};

FIXTURE_SETUP(sysctl)
{
	if (!mayexec_setup(_metadata))
		return;
	make_witnesses(_metadata);
}

FIXTURE_TEARDOWN_PARENT(sysctl)
{
	mayexec_teardown(_metadata);
}

TEST_F(sysctl, value_is_in_force)
{
	check_in_force(_metadata, read_policy());
}

TEST_F(sysctl, values_are_kept_and_obeyed)
{
	if (policy_is_static())
		SKIP(return, STATIC_POLICY);
	for (int policy = 0; policy <= OPEN_MAYEXEC_ENFORCE_BOTH; policy++) {
		ASSERT_EQ(0, write_policy(policy));
		EXPECT_EQ(policy, read_policy());
		check_in_force(_metadata, policy);
	}
	ASSERT_EQ(0, write_string(SYSCTL_FILE, "1\n"));
	EXPECT_EQ(1, read_policy());
}

TEST_F(sysctl, other_values_are_rejected)
{
	/* The last ones would be 0, 2 and 2 if they were cut to 32 or 64 bits. */
	const char *const values[] = {
		"4", "-1", "x", "2x", "10", "2147483648", "4294967296",
		"4294967298", "18446744073709551618",
	};

	if (policy_is_static())
		SKIP(return, STATIC_POLICY);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		ASSERT_EQ(0, write_policy(1));
		EXPECT_EQ(-EINVAL, write_string(SYSCTL_FILE, values[i])) {
			TH_LOG("'%s'", values[i]);
		}
		EXPECT_EQ(1, read_policy()) {
			TH_LOG("'%s'", values[i]);
		}
	}
}

TEST_F(sysctl, static_value_cannot_be_written)
{
	const int policy = read_policy();
	int err;

	if (!policy_is_static())
		SKIP(return, "needs CONFIG_OPEN_MAYEXEC_STATIC");
	for (int other = 0; other <= OPEN_MAYEXEC_ENFORCE_BOTH; other++) {
		err = write_policy(other);
		EXPECT_TRUE(err == -EACCES || err == -EPERM) {
			TH_LOG("write %d: %d", other, err);
		}
		EXPECT_EQ(policy, read_policy());
	}
	check_in_force(_metadata, policy);
}

/* The error of open(2), or of the write. */
static void check_cannot_write(struct __test_metadata *_metadata, int open_err,
			       int write_err)
{
	int fd, err;

	fd = open(SYSCTL_FILE, O_WRONLY | O_CLOEXEC);
	err = sys_result(fd);
	EXPECT_EQ(open_err, err);
	if (!err) {
		EXPECT_EQ(write_err, sys_result(write(fd, "0", 1)));
		close(fd);
	}
	EXPECT_EQ(1, read_policy());
}

TEST_F(sysctl, only_cap_sys_admin_writes)
{
	static const struct {
		enum caller caller;
		int open_err;
		int write_err;
	} cases[] = {
		{ CALLER_USER, -EACCES, 0 },
		{ CALLER_USERNS_ROOT, -EACCES, 0 },
		/* The mode of the file is not what stops this one. */
		{ CALLER_NOCAP, 0, -EPERM },
	};

	if (policy_is_static())
		SKIP(return, STATIC_POLICY);
	ASSERT_EQ(0, write_policy(1));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid;

		if (!have_caller(cases[i].caller))
			continue;
		pid = fork_as(_metadata, cases[i].caller);
		if (!pid) {
			check_cannot_write(_metadata, cases[i].open_err,
					   cases[i].write_err);
			_exit(_metadata->exit_code);
		}
		join(_metadata, pid);
	}
}

/* Root with every other capability. */
TEST_F(sysctl, no_other_capability_writes)
{
	pid_t pid;

	if (policy_is_static())
		SKIP(return, STATIC_POLICY);
	ASSERT_EQ(0, write_policy(1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		keep_capabilities(_metadata, ~(1ULL << CAP_SYS_ADMIN));
		check_cannot_write(_metadata, 0, -EPERM);
		_exit(_metadata->exit_code);
	}
	join(_metadata, pid);
}

/* The same uid as root's, and every capability, but in another namespace. */
TEST_F(sysctl, mapped_root_cannot_write)
{
	pid_t pid;

	if (policy_is_static())
		SKIP(return, STATIC_POLICY);
	if (!have_userns())
		SKIP(return, NO_USERNS);
	ASSERT_EQ(0, write_policy(1));
	pid = fork_userns_root(_metadata, 0);
	if (!pid) {
		check_cannot_write(_metadata, 0, -EPERM);
		_exit(_metadata->exit_code);
	}
	join(_metadata, pid);
}

FIXTURE(securebit) {};

FIXTURE_SETUP(securebit)
{
	if (!mayexec_setup(_metadata))
		return;
	make_witnesses(_metadata);
}

FIXTURE_TEARDOWN_PARENT(securebit)
{
	mayexec_teardown(_metadata);
}

/* Anyone may restrict himself, and nobody else. */
TEST_F(securebit, binds_the_process_that_sets_it)
{
	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	for (int caller = 0; caller < NR_CALLERS; caller++) {
		pid_t pid;

		if (!have_caller(caller))
			continue;
		pid = fork_as(_metadata, caller);
		if (!pid) {
			check_in_force(_metadata, 0);
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
			check_in_force(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH);
			_exit(_metadata->exit_code);
		}
		join(_metadata, pid);
		check_in_force(_metadata, 0);
	}
}

TEST_F(securebit, does_not_bind_a_process_beside_it)
{
	int set[2], done[2];
	pid_t pid;
	char c;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	ASSERT_EQ(0, pipe2(set, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(done, O_CLOEXEC));
	pid = fork_as(_metadata, CALLER_USER);
	if (!pid) {
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		ASSERT_EQ(1, write(set[1], "", 1));
		ASSERT_EQ(1, read(done[0], &c, 1));
		check_in_force(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(1, read(set[0], &c, 1));
	check_in_force(_metadata, 0);
	ASSERT_EQ(1, write(done[1], "", 1));
	join(_metadata, pid);
}

TEST_F(securebit, can_be_cleared)
{
	int bits;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	bits = prctl(PR_GET_SECUREBITS);
	ASSERT_LE(0, bits);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	check_in_force(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, bits));
	check_in_force(_metadata, 0);
}

TEST_F(securebit, adds_to_the_sysctl)
{
	pid_t pid;

	for (int policy = 0; policy <= OPEN_MAYEXEC_ENFORCE_BOTH; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		check_in_force(_metadata, policy);
		pid = fork_as(_metadata, CALLER_USER);
		if (!pid) {
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
			check_in_force(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH);
			_exit(_metadata->exit_code);
		}
		join(_metadata, pid);
	}
}

/* Its neighbours say something else, and its lock nothing by itself. */
TEST_F(securebit, no_other_has_the_effect)
{
	static const int others[] = {
		SECBIT_EXEC_DENY_INTERACTIVE,
		SECBIT_EXEC_DENY_INTERACTIVE | SECBIT_EXEC_DENY_INTERACTIVE_LOCKED,
		SECBIT_EXEC_RESTRICT_FILE_LOCKED,
	};
	pid_t pid;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		pid = fork_as(_metadata, CALLER_USER);
		if (!pid) {
			set_securebits(_metadata, others[i]);
			check_in_force(_metadata, 0);
			_exit(_metadata->exit_code);
		}
		join(_metadata, pid);
	}
}

TEST_F(securebit, is_inherited)
{
	pid_t child;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	become_user(_metadata);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	child = fork();
	ASSERT_LE(0, child);
	if (child)
		join(_metadata, child);
	else
		check_in_force(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH);
}

#define PROGRAM_VARIABLE	"MAYEXEC_PROGRAM"

/*
 * What an execution of this program leaves of the securebit: with the variable
 * set, it is a program that opens the file it names and exits with the error.
 */
__attribute__((constructor))
static void mayexec_program(void)
{
	const char *path = getenv(PROGRAM_VARIABLE);

	if (path)
		_exit(-try_open(path, O_MAYEXEC));
}

/* The error with which the program, executed by an unprivileged user, exits. */
static int run_program(struct __test_metadata *_metadata, const char *path,
		       int securebits)
{
	return -execute_self(_metadata, PROGRAM_VARIABLE, path, securebits);
}

TEST_F(securebit, survives_an_execution)
{
	const int bits = SECBIT_EXEC_RESTRICT_FILE;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(0, run_program(_metadata, "exec/0644", 0));
	EXPECT_EQ(0, run_program(_metadata, "noexec/0755", 0));
	EXPECT_EQ(0, run_program(_metadata, "exec/0755", bits));
	EXPECT_EQ(-EACCES, run_program(_metadata, "exec/0644", bits));
	EXPECT_EQ(-EACCES, run_program(_metadata, "noexec/0755", bits));
}

TEST_HARNESS_MAIN
