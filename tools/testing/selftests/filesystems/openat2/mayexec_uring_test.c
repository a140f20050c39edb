// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC with io_uring: IORING_OP_OPENAT2 takes it, from the submitter and
 * from a worker thread alike; IORING_OP_OPENAT cannot carry it.
 */

#include "mayexec.h"

#include <linux/io_uring.h>

struct ring {
	int fd;
	__u8 sqe_flags;
	struct io_uring_sqe *sqes;
	char *sq;
	char *cq;
	struct io_uring_params params;
};

static void *map_ring(struct __test_metadata *_metadata, int fd, size_t size,
		      off_t offset)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, fd, offset);

	ASSERT_NE(MAP_FAILED, map);
	return map;
}

static bool setup_ring(struct __test_metadata *_metadata, struct ring *ring)
{
	const unsigned int entries = 1;
	struct io_uring_params *p = &ring->params;

	memset(p, 0, sizeof(*p));
	ring->fd = syscall(__NR_io_uring_setup, entries, p);
	if (ring->fd < 0)
		return false;
	ring->sq = map_ring(_metadata, ring->fd, p->sq_off.array +
			    p->sq_entries * sizeof(__u32), IORING_OFF_SQ_RING);
	ring->cq = map_ring(_metadata, ring->fd, p->cq_off.cqes +
			    p->cq_entries * sizeof(struct io_uring_cqe),
			    IORING_OFF_CQ_RING);
	ring->sqes = map_ring(_metadata, ring->fd, p->sq_entries *
			      sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	return true;
}

/* Submits @sqe and waits for what came of it: 0 or a negative error. */
static int submit(struct __test_metadata *_metadata, struct ring *ring,
		  const struct io_uring_sqe *sqe)
{
	const struct io_sqring_offsets *sq = &ring->params.sq_off;
	const struct io_cqring_offsets *cq = &ring->params.cq_off;
	__u32 *tail = (__u32 *)(ring->sq + sq->tail);
	__u32 *head = (__u32 *)(ring->cq + cq->head);
	const struct io_uring_cqe *cqes;
	__u32 index;
	int res;

	index = *tail & *(__u32 *)(ring->sq + sq->ring_mask);
	ring->sqes[index] = *sqe;
	((__u32 *)(ring->sq + sq->array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);

	ASSERT_EQ(1, syscall(__NR_io_uring_enter, ring->fd, 1, 1,
			     IORING_ENTER_GETEVENTS, NULL, 0));
	ASSERT_NE(*head, __atomic_load_n((__u32 *)(ring->cq + cq->tail),
					 __ATOMIC_ACQUIRE));
	cqes = (const struct io_uring_cqe *)(ring->cq + cq->cqes);
	res = cqes[*head & *(__u32 *)(ring->cq + cq->ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);

	if (res < 0)
		return res;
	close(res);
	return 0;
}

FIXTURE(uring) {
	struct ring ring;
};

FIXTURE_VARIANT(uring) {
	__u8 sqe_flags;
};

/* At once, in the context of the submitter. */
FIXTURE_VARIANT_ADD(uring, inline) {};

/* In a worker thread, with the credentials of the submitter. */
FIXTURE_VARIANT_ADD(uring, worker) {
	.sqe_flags = IOSQE_ASYNC,
};

FIXTURE_SETUP(uring)
{
	if (!mayexec_setup(_metadata))
		return;
	make_file(_metadata, "0755", 0755);
	make_file(_metadata, "0644", 0644);
	ASSERT_EQ(0, mkdir("directory", 0755));
	ASSERT_EQ(0, mkfifo("fifo", 0755));
	if (!setup_ring(_metadata, &self->ring))
		SKIP(return, "io_uring: %s", strerror(errno));
	self->ring.sqe_flags = variant->sqe_flags;
}

FIXTURE_TEARDOWN_PARENT(uring)
{
	mayexec_teardown(_metadata);
}

static int uring_openat2(struct __test_metadata *_metadata,
			 struct ring *ring, const char *path, __u64 flags,
			 __u16 personality)
{
	struct open_how how = {
		.flags = flags,
		.mode = flags & O_CREAT ? 0700 : 0,
	};
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_OPENAT2,
		.flags = ring->sqe_flags,
		.fd = AT_FDCWD,
		.addr = (unsigned long)path,
		.len = sizeof(how),
		.off = (unsigned long)&how,
		.personality = personality,
	};

	return submit(_metadata, ring, &sqe);
}

TEST_F(uring, openat2_obeys_the_policy)
{
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0644", 0, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0755",
				   O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "0644",
					 O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "directory",
					 O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "fifo",
					 O_MAYEXEC, 0));
}

TEST_F(uring, openat2_without_policy)
{
	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0755",
				   O_MAYEXEC, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0644",
				   O_MAYEXEC, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "directory",
				   O_MAYEXEC, 0));
}

TEST_F(uring, openat2_rejects_what_is_not_for_reading)
{
	EXPECT_EQ(-EINVAL, uring_openat2(_metadata, &self->ring, "0755",
					 O_MAYEXEC | O_RDWR, 0));
	EXPECT_EQ(-EINVAL, uring_openat2(_metadata, &self->ring, "0755",
					 O_MAYEXEC | O_PATH, 0));
	EXPECT_EQ(-EINVAL, uring_openat2(_metadata, &self->ring, "new",
					 O_MAYEXEC | O_CREAT, 0));
	EXPECT_NE(0, access("new", F_OK));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "new", O_CREAT,
				   0));
}

/* The field is a __u32, the flag is above it. */
TEST_F(uring, openat_cannot_carry_it)
{
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_OPENAT,
		.flags = variant->sqe_flags,
		.fd = AT_FDCWD,
		.addr = (unsigned long)"0644",
		.open_flags = (__u32)(O_RDONLY | O_MAYEXEC),
	};

	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(-EACCES, try_open("0644", O_MAYEXEC));
	EXPECT_EQ(0, submit(_metadata, &self->ring, &sqe));
}

TEST_F(uring, securebit_of_the_submitter)
{
	pid_t pid;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0644",
				   O_MAYEXEC, 0));
	pid = fork_as(_metadata, CALLER_USER);
	if (pid) {
		join(_metadata, pid);
		return;
	}
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	ASSERT_TRUE(setup_ring(_metadata, &self->ring));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0755",
				   O_MAYEXEC, 0));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "0644",
					 O_MAYEXEC, 0));
	_exit(_metadata->exit_code);
}

/* Those that the request is made with count, not those of the process. */
TEST_F(uring, securebit_of_a_personality)
{
	int bits, personality;

	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	bits = prctl(PR_GET_SECUREBITS);
	ASSERT_LE(0, bits);
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	personality = syscall(__NR_io_uring_register, self->ring.fd,
			      IORING_REGISTER_PERSONALITY, NULL, 0);
	ASSERT_LT(0, personality);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, bits));

	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0644",
				   O_MAYEXEC, 0));
	EXPECT_EQ(0, uring_openat2(_metadata, &self->ring, "0755",
				   O_MAYEXEC, personality));
	EXPECT_EQ(-EACCES, uring_openat2(_metadata, &self->ring, "0644",
					 O_MAYEXEC, personality));
}

TEST_HARNESS_MAIN
