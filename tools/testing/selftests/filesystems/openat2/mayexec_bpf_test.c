// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: BPF programs can tell by MAY_OPENEXEC what is opened to be
 * executed, in the inode_permission and the file_post_open hook, and refuse it.
 */

#include "mayexec.h"

#include <bpf/libbpf.h>
#include <linux/lsm.h>

#include "mayexec_bpf.h"

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

FIXTURE(bpf) {
	struct bpf_object *object;
};

FIXTURE_SETUP(bpf)
{
	struct bpf_program *program;

	if (!mayexec_available(_metadata))
		return;
	if (!lsm_active(LSM_ID_BPF))
		SKIP(return, "BPF is not among the security modules");
	if (access(BTF, R_OK))
		SKIP(return, BTF ": %s", strerror(errno));

	self->object = bpf_object__open_file("mayexec.bpf.o", NULL);
	ASSERT_NE(NULL, self->object) {
		TH_LOG("mayexec.bpf.o: %s", strerror(errno));
	}
	ASSERT_EQ(0, bpf_object__load(self->object));

	if (!mayexec_setup(_metadata))
		return;
	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	make_file(_metadata, "file", 0755);
	make_file(_metadata, "owned", 0755);
	ASSERT_EQ(0, chown("owned", DENIED_OWNER, 0));
	make_file(_metadata, "unchecked", 0755);
	ASSERT_EQ(0, chown("unchecked", UNCHECKED_OWNER, 0));
	make_file(_metadata, DENIED_NAME, 0755);
	make_file(_metadata, DENIED_NAME "-not", 0755);

	/* The end of the process detaches the programs. */
	bpf_object__for_each_program(program, self->object) {
		ASSERT_NE(NULL, bpf_program__attach(program)) {
			TH_LOG("%s: %s", bpf_program__name(program),
			       strerror(errno));
		}
	}
}

FIXTURE_TEARDOWN_PARENT(bpf)
{
	mayexec_teardown(_metadata);
}

TEST_F(bpf, denies_by_owner)
{
	EXPECT_EQ(-EPERM, try_open("owned", O_MAYEXEC));
	EXPECT_EQ(0, try_open("file", O_MAYEXEC));
}

TEST_F(bpf, denies_by_name)
{
	EXPECT_EQ(-EBUSY, try_open(DENIED_NAME, O_MAYEXEC));
	EXPECT_EQ(0, try_open(DENIED_NAME "-not", O_MAYEXEC));
}

TEST_F(bpf, sees_the_flag_only_where_it_is)
{
	EXPECT_EQ(0, try_open("owned", 0));
	EXPECT_EQ(0, try_open(DENIED_NAME, 0));
	EXPECT_EQ(0, try_openat2(AT_FDCWD, "owned", O_RDWR, 0));
	EXPECT_EQ(0, try_openat2(AT_FDCWD, DENIED_NAME, O_RDWR, 0));
	EXPECT_EQ(0, access("owned", X_OK));
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, "owned", 0));
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, DENIED_NAME, 0));
}

/* Its own question, for execute permission, does not hide the open. */
TEST_F(bpf, denies_under_every_policy)
{
	for (int policy = 0; policy <= OPEN_MAYEXEC_ENFORCE_BOTH; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(-EPERM, try_open("owned", O_MAYEXEC));
		EXPECT_EQ(-EBUSY, try_open(DENIED_NAME, O_MAYEXEC));
		EXPECT_EQ(0, try_open("file", O_MAYEXEC));
	}
}

/* FILE asks the security modules as well, and keeps their error. */
TEST_F(bpf, error_of_the_file_check_is_kept)
{
	EXPECT_EQ(-ENOMEM, try_execve_check(AT_FDCWD, "unchecked", 0));
	for (int policy = 0; policy <= OPEN_MAYEXEC_ENFORCE_BOTH; policy++) {
		int error = policy & OPEN_MAYEXEC_ENFORCE_FILE ? -ENOMEM : 0;

		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(error, try_open("unchecked", O_MAYEXEC));
	}
}

TEST_HARNESS_MAIN
