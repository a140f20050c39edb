// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: who sets the policy. The sysctl is the system's, the securebit
 * EXEC_RESTRICT_FILE is that of a thread and of what it starts.
 */

#include "mayexec.h"

#include <sys/sendfile.h>

static void check_in_force(struct __test_metadata *_metadata, int policy)
{
	const bool mount = policy & ENFORCE_MOUNT, file = policy & ENFORCE_FILE;

	EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
	EXPECT_EQ(file ? -EACCES : 0, try_open("exec/0644", O_MAYEXEC));
	EXPECT_EQ(mount ? -EACCES : 0, try_open("noexec/0755", O_MAYEXEC));
	EXPECT_EQ(policy ? -EACCES : 0, try_open("exec/directory", O_MAYEXEC));
}

TEST_F(mayexec, sysctl_has_a_range)
{
	/* Cut to 32 and 64 bits, the last ones would be 0 and 2. */
	const char *const values[] = {
		"8", "-1", "x", "2x", "10", "4294967296", "18446744073709551618",
	};

	if (!set_policy(_metadata, 1) || access(SYSCTL_FILE, W_OK))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		EXPECT_EQ(-EINVAL, write_string(SYSCTL_FILE, values[i]));
		EXPECT_EQ(1, read_policy());
	}
}

/* Neither a user, nor root without one capability, nor root of a namespace. */
TEST_F(mayexec, sysctl_needs_cap_sys_admin)
{
	static const struct {
		enum caller caller;
		int error;
	} rows[] = {
		{ CALLER_ROOT, -EPERM },
		{ CALLER_USER, -EACCES },
		{ CALLER_USERNS_ROOT, -EACCES },
	};

	if (access(SYSCTL_FILE, W_OK)) {
		EXPECT_EQ(-errno, write_policy(read_policy()));
		return;
	}
	ASSERT_TRUE(set_policy(_metadata, 1));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (in_child_as(_metadata, rows[i].caller)) {
			set_capabilities(_metadata, ~(1ULL << CAP_SYS_ADMIN),
					 ~0ULL);
			EXPECT_EQ(rows[i].error, write_policy(0));
			_exit(_metadata->exit_code);
		}
	}

	/* UID 0 is mapped to itself here, so the mode admits this one, too. */
	if (have_userns && in_child_as(_metadata, CALLER_ROOT)) {
		enter_userns(_metadata);
		EXPECT_EQ(-EPERM, write_policy(0));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(1, read_policy());
}

/*
 * With the first variable set, the executed test is a program that opens a file
 * and exits with the error. With the second one, it sets no_new_privs before.
 */
#define OPEN		"MAYEXEC_OPEN"
#define NO_NEW_PRIVS	"MAYEXEC_NO_NEW_PRIVS"

__attribute__((constructor))
static void program(void)
{
	const char *path = getenv(OPEN);

	if (getenv(NO_NEW_PRIVS))
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (path)
		_exit(-try_open(path, O_MAYEXEC));
}

#define PROGRAM		"exec/program"
#define SET_ID		"exec/set-id"

/* Users may not be able to execute the test itself. */
static void make_program(struct __test_metadata *_metadata, const char *path,
			 mode_t mode)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	struct stat st;

	ASSERT_EQ(0, fstat(from, &st));
	ASSERT_EQ(st.st_size, sendfile(to, from, NULL, st.st_size));
	ASSERT_EQ(0, fchmod(to, mode));
	close(from);
	close(to);
}

static int run_program(struct __test_metadata *_metadata, const char *program,
		       const char *path, char *no_new_privs)
{
	char variable[64] = OPEN "=";
	char *const argv[] = { "program", NULL };
	char *const envp[] = { strcat(variable, path), no_new_privs, NULL };
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		execve(program, argv, envp);
		_exit(255);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* The bit counts if it was set with CAP_SETPCAP or under no_new_privs. */
static const struct {
	enum caller caller;
	bool no_new_privs, counts;
} setters[] = {
	{ CALLER_ROOT, false, true },
	{ CALLER_NOCAP, false, false },
	{ CALLER_NOCAP, true, true },
	{ CALLER_USER, false, false },
	{ CALLER_USER, true, true },
	{ CALLER_USERNS_ROOT, false, true },
};

static void check_setter(struct __test_metadata *_metadata, int policy)
{
	const int old = prctl(PR_GET_SECUREBITS);

	check_in_force(_metadata, 0);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	check_in_force(_metadata, policy);
	EXPECT_EQ(old | SECBIT_EXEC_RESTRICT_FILE, prctl(PR_GET_SECUREBITS));

	EXPECT_EQ(policy ? -EACCES : 0,
		  run_program(_metadata, PROGRAM, "exec/0644", NULL));
	if (in_child_as(_metadata, CALLER_ROOT)) {
		check_in_force(_metadata, policy);
		if (have_userns) {
			ASSERT_EQ(0, unshare(CLONE_NEWUSER));
			check_in_force(_metadata, policy);
			EXPECT_EQ(SECBIT_EXEC_RESTRICT_FILE,
				  prctl(PR_GET_SECUREBITS));
		}
		_exit(_metadata->exit_code);
	}

	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, old));
	check_in_force(_metadata, 0);
}

#define NEEDS_PRIVS	"needs to be started without no_new_privs"

static bool has_no_new_privs(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

TEST_F(mayexec, securebit_counts_depending_on_who_sets_it)
{
	if (has_no_new_privs())
		SKIP(return, NEEDS_PRIVS);
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	make_program(_metadata, PROGRAM, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(setters); i++) {
		if (in_child_as(_metadata, setters[i].caller)) {
			if (setters[i].no_new_privs)
				set_no_new_privs(_metadata);
			check_setter(_metadata,
				     setters[i].counts ? ENFORCE_BOTH : 0);
			_exit(_metadata->exit_code);
		}
		/* It binds nobody else. */
		check_in_force(_metadata, 0);
	}
}

/*
 * An unprivileged caller must not choose which opens of a set-user-ID program
 * fail, even if that program sets no_new_privs on itself.
 */
TEST_F(mayexec, unprivileged_securebit_spares_set_id_programs)
{
	if (has_no_new_privs())
		SKIP(return, NEEDS_PRIVS);
	make_program(_metadata, SET_ID, 04755);
	/* That the program can open the file shows that it is privileged. */
	make_file(_metadata, "exec/0600", 0600);
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	EXPECT_EQ(0, run_program(_metadata, SET_ID, "exec/0600", NULL));
	EXPECT_EQ(0, run_program(_metadata, SET_ID, "exec/0600",
				 NO_NEW_PRIVS "=1"));

	/* The bit does not count because of a later no_new_privs ... */
	set_no_new_privs(_metadata);
	check_in_force(_metadata, 0);
	set_securebits(_metadata, SECBIT_EXEC_DENY_INTERACTIVE);
	check_in_force(_metadata, 0);
	EXPECT_EQ(0, run_program(_metadata, SET_ID, "exec/0644", NULL));
	/* ... until it is set anew: set-ID bits have no effect now. */
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, 0));
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	check_in_force(_metadata, ENFORCE_BOTH);
	EXPECT_EQ(-EACCES, run_program(_metadata, SET_ID, "exec/0644", NULL));
}

TEST_F(mayexec, securebit_set_again)
{
	const __u64 cap_setpcap = 1ULL << CAP_SETPCAP;
	const int bits = prctl(PR_GET_SECUREBITS);
	const int set = bits | SECBIT_EXEC_RESTRICT_FILE;

	if (has_no_new_privs())
		SKIP(return, NEEDS_PRIVS);
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	set_capabilities(_metadata, ~0ULL, ~cap_setpcap);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, set));
	check_in_force(_metadata, 0);
	/* Without privilege, setting what is set is an error. */
	EXPECT_EQ(-EPERM, sys_result(prctl(PR_SET_SECUREBITS, set)));
	check_in_force(_metadata, 0);

	/*
	 * With privilege, it is none. A set-ID program that changes another bit
	 * must not make that of its caller count, so this changes nothing.
	 */
	set_capabilities(_metadata, ~0ULL, ~0ULL);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, set));
	check_in_force(_metadata, 0);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, bits));
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, set));
	check_in_force(_metadata, ENFORCE_BOTH);
	set_capabilities(_metadata, ~0ULL, ~cap_setpcap);
	EXPECT_EQ(-EPERM, sys_result(prctl(PR_SET_SECUREBITS, set)));
	check_in_force(_metadata, ENFORCE_BOTH);

	/* It does so while it stays set, and no longer. */
	set_securebits(_metadata, SECBIT_EXEC_DENY_INTERACTIVE);
	check_in_force(_metadata, ENFORCE_BOTH);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, bits));
	check_in_force(_metadata, 0);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, set));
	check_in_force(_metadata, 0);
}

TEST_HARNESS_MAIN
