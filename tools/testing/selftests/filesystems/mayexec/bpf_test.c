// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and BPF: under every policy, programs see MAY_OPENEXEC in the masks
 * of inode_permission and file_post_open, and can refuse the open. FMODE_EXEC
 * tells them where FILE is enforced.
 */

#define OWN_FIXTURE
#include "mayexec.h"

#include <bpf/libbpf.h>
#include <linux/lsm.h>

#include "bpf_test.h"

#define BTF	"/sys/kernel/btf/vmlinux"

static bool lsm_active(__u64 id)
{
	__u32 size = 32 * sizeof(__u64);
	__u64 ids[32];
	long count;

	count = syscall(__NR_lsm_list_modules, ids, &size, 0);
	for (long i = 0; i < count; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

static bool enforces_file(int policy)
{
	return (policy & (ENFORCE_FILE | LOG_ONLY)) == ENFORCE_FILE;
}

static void make_owned(struct __test_metadata *_metadata, const char *path,
		       uid_t owner)
{
	make_file(_metadata, path, 0755);
	ASSERT_EQ(0, chown(path, owner, 0));
}

FIXTURE(bpf) {
	struct bpf_object *object;
};

FIXTURE_SETUP(bpf)
{
	struct bpf_program *program;

	if (!lsm_active(LSM_ID_BPF))
		SKIP(return, "BPF is not among the security modules");
	if (access(BTF, R_OK))
		SKIP(return, BTF ": %s", strerror(errno));

	self->object = bpf_object__open_file("mayexec.bpf.o", NULL);
	ASSERT_NE(NULL, self->object) {
		TH_LOG("mayexec.bpf.o: %s", strerror(errno));
	}

	/* It skips where a user could not load the programs. */
	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, bpf_object__load(self->object));
	make_owned(_metadata, "denied", DENIED_OWNER);
	make_owned(_metadata, "unchecked", UNCHECKED_OWNER);
	make_owned(_metadata, "post", POST_OWNER);
	make_owned(_metadata, "executed", EXECUTED_OWNER);

	/* The end of the process detaches the programs. */
	bpf_object__for_each_program(program, self->object) {
		ASSERT_NE(NULL, bpf_program__attach(program)) {
			TH_LOG("%s: %s", bpf_program__name(program),
			       strerror(errno));
		}
	}
}

FIXTURE_TEARDOWN_PARENT(bpf) { teardown_test(_metadata); }

TEST_F(bpf, sees_the_intent_under_every_policy)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(-EPERM, try_open("denied", O_MAYEXEC));
		EXPECT_EQ(-EBUSY, try_open("post", O_MAYEXEC));
		EXPECT_EQ(0, try_open("exec/0755", O_MAYEXEC));
	}
}

TEST_F(bpf, sees_the_intent_only_where_it_is)
{
	static const char *const names[] = { "denied", "post" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(0, try_open(names[i], 0));
		EXPECT_EQ(0, try_open(names[i], O_RDWR));
		EXPECT_EQ(0, access(names[i], X_OK));
		EXPECT_EQ(0, try_execve_check(AT_FDCWD, names[i], 0));
	}
}

/* As execve(2) does, and nobody else. */
TEST_F(bpf, sees_an_execution_where_file_is_enforced)
{
	EXPECT_EQ(0, try_open("executed", 0));
	EXPECT_EQ(-ENXIO, try_execve_check(AT_FDCWD, "executed", 0));
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(enforces_file(policy) ? -ENXIO : 0,
			  try_open("executed", O_MAYEXEC)) {
			TH_LOG("policy %d", policy);
		}
	}
}

/* FILE asks the security modules as well, and keeps their error. */
TEST_F(bpf, error_of_the_file_check_is_kept)
{
	EXPECT_EQ(-ENOMEM, try_execve_check(AT_FDCWD, "unchecked", 0));
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(enforces_file(policy) ? -ENOMEM : 0,
			  try_open("unchecked", O_MAYEXEC)) {
			TH_LOG("policy %d", policy);
		}
	}
}

TEST_HARNESS_MAIN
