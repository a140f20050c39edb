// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: more about who sets the policy than policy_test has.
 */

#include "more.h"

static void check_in_force(struct __test_metadata *_metadata, int checks)
{
	const bool mount = checks & ENFORCE_MOUNT, file = checks & ENFORCE_FILE;

	EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
	EXPECT_EQ(file ? -EACCES : 0, try_open("exec/0644", O_MAYEXEC));
	EXPECT_EQ(mount ? -EACCES : 0, try_open("noexec/0755", O_MAYEXEC));
	EXPECT_EQ(checks ? -EACCES : 0, try_open("exec/directory", O_MAYEXEC));
}

TEST_F(mayexec, value_at_the_start_is_in_force)
{
	const int policy = read_policy();

	check_in_force(_metadata, policy & LOG_ONLY ? 0 : policy);
}

TEST_F(mayexec, sysctl_reads_a_line)
{
	if (!set_policy(_metadata, 1) || access(SYSCTL_FILE, W_OK))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, write_string(SYSCTL_FILE, "6\n"));
	EXPECT_EQ(6, read_policy());
	EXPECT_EQ(-EINVAL, write_string(SYSCTL_FILE, "2147483648"));
	EXPECT_EQ(-EINVAL, write_string(SYSCTL_FILE, "4294967298"));
	EXPECT_EQ(6, read_policy());
}

/* The mode of the file lets root open it, in the host and in a namespace. */
TEST_F(mayexec, root_without_capabilities_cannot_write)
{
	if (access(SYSCTL_FILE, W_OK))
		SKIP(return, NEEDS_SYSCTL);
	if (in_child_as(_metadata, CALLER_NOCAP)) {
		int fd = open(SYSCTL_FILE, O_WRONLY | O_CLOEXEC);

		ASSERT_LE(0, fd);
		EXPECT_EQ(-EPERM, sys_result(write(fd, "0", 1)));
		_exit(_metadata->exit_code);
	}
}

TEST_F(mayexec, static_value_stays)
{
	const int policy = read_policy();

	if (!access(SYSCTL_FILE, W_OK))
		SKIP(return, "needs CONFIG_OPEN_MAYEXEC_STATIC");
	for (int other = 0; other <= MAX_POLICY; other++)
		EXPECT_GT(0, write_policy(other));
	EXPECT_EQ(policy, read_policy());
}

TEST_F(mayexec, securebit_adds_to_every_sysctl)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		check_in_force(_metadata, policy & LOG_ONLY ? 0 : policy);
		if (in_child_as(_metadata, CALLER_USER)) {
			set_no_new_privs(_metadata);
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
			check_in_force(_metadata, ENFORCE_BOTH);
			_exit(_metadata->exit_code);
		}
	}
}

TEST_F(mayexec, securebit_does_not_bind_a_process_beside_it)
{
	int set[2], done[2], status;
	pid_t pid;
	char c;

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(0, pipe2(set, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(done, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		ASSERT_EQ(1, write(set[1], "", 1));
		ASSERT_EQ(1, read(done[0], &c, 1));
		check_in_force(_metadata, ENFORCE_BOTH);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(1, read(set[0], &c, 1));
	check_in_force(_metadata, 0);
	ASSERT_EQ(1, write(done[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* The neighbours have other meanings, and the lock alone has none. */
TEST_F(mayexec, no_other_securebit_has_the_effect)
{
	static const int others[] = {
		SECBIT_EXEC_DENY_INTERACTIVE,
		SECBIT_EXEC_DENY_INTERACTIVE | SECBIT_EXEC_DENY_INTERACTIVE_LOCKED,
		SECBIT_EXEC_RESTRICT_FILE_LOCKED,
	};

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (in_child_as(_metadata, CALLER_ROOT)) {
			set_securebits(_metadata, others[i]);
			check_in_force(_metadata, 0);
			_exit(_metadata->exit_code);
		}
	}
	/* Nobody sets the bits that the kernel keeps to itself. */
	for (int bit = 12; bit < 32; bit++)
		EXPECT_EQ(-EPERM, sys_result(prctl(PR_SET_SECUREBITS,
						   prctl(PR_GET_SECUREBITS) |
						   1UL << bit)));
	check_in_force(_metadata, 0);
}

TEST_HARNESS_MAIN
