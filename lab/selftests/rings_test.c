// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC with io_uring: IORING_OP_OPENAT2 takes it from the submitter, from a
 * worker and from the thread that polls; IORING_OP_OPENAT cannot carry it.
 */

#define OWN_FIXTURE
#include "more.h"
#include "uring.h"

FIXTURE(uring) {
	struct ring ring;
};

FIXTURE_VARIANT(uring) {
	__u8 sqe_flags;
	__u32 setup_flags;
};

/* At once, in the context of the submitter. */
FIXTURE_VARIANT_ADD(uring, inline) {};

/* In a worker thread, with the credentials of the submitter. */
FIXTURE_VARIANT_ADD(uring, worker) {
	.sqe_flags = IOSQE_ASYNC,
};

/* In the ring's own thread, with the credentials of the ring's creation. */
FIXTURE_VARIANT_ADD(uring, polled) {
	.setup_flags = IORING_SETUP_SQPOLL,
};

FIXTURE_SETUP(uring)
{
	if (!setup_test(_metadata))
		return;
	self->ring.sqe_flags = variant->sqe_flags;
	self->ring.setup_flags = variant->setup_flags;
	if (!setup_ring(_metadata, &self->ring))
		SKIP(return, "io_uring: %s", strerror(errno));
}

FIXTURE_TEARDOWN_PARENT(uring)
{
	teardown_test(_metadata);
}

TEST_F(uring, openat2_obeys_the_policy)
{
	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0644", 0, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0755",
				   O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "exec/0644",
					 O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "exec/directory",
					 O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "exec/fifo",
					 O_MAYEXEC, 0));
}

TEST_F(uring, openat2_without_policy)
{
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0755",
				   O_MAYEXEC, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0644",
				   O_MAYEXEC, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/directory",
				   O_MAYEXEC, 0));
}

TEST_F(uring, openat2_rejects_what_is_not_for_reading)
{
	EXPECT_EQ(-EINVAL, uring_openat2(_metadata, &self->ring, "exec/0755",
					 O_MAYEXEC | O_RDWR, 0));
	EXPECT_EQ(-EINVAL, uring_openat2(_metadata, &self->ring, "exec/0755",
					 O_MAYEXEC | O_PATH, 0));
	EXPECT_EQ(-EINVAL, uring_openat2(_metadata, &self->ring, "exec/new",
					 O_MAYEXEC | O_CREAT, 0));
	EXPECT_NE(0, access("exec/new", F_OK));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/new", O_CREAT,
				   0));
}

TEST_F(uring, securebit_of_the_submitter)
{
	if (!user_may_have_ring())
		SKIP(return, RING_FOR_ROOT);
	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0644",
				   O_MAYEXEC, 0));
	become_user(_metadata);
	set_no_new_privs(_metadata);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	ASSERT_TRUE(setup_ring(_metadata, &self->ring));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0755",
				   O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "exec/0644",
					 O_MAYEXEC, 0));
}

/* Those that the request is made with count, not those of the process. */
TEST_F(uring, securebit_of_a_personality)
{
	int bits, personality;

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	bits = prctl(PR_GET_SECUREBITS);
	ASSERT_LE(0, bits);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	personality = syscall(__NR_io_uring_register, self->ring.fd,
			      IORING_REGISTER_PERSONALITY, NULL, 0);
	ASSERT_LT(0, personality);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, bits));

	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0644",
				   O_MAYEXEC, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "exec/0755",
				   O_MAYEXEC, personality));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "exec/0644",
					 O_MAYEXEC, personality));
}

TEST_HARNESS_MAIN
