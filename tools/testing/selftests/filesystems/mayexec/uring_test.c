// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC with io_uring: IORING_OP_OPENAT2 obeys the policy wherever it is
 * carried out, and the credentials of the request count.
 */

#include "mayexec.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

struct ring {
	int fd;
	__u8 sqe_flags;
	struct io_uring_params params;
	char *map;
	struct io_uring_sqe *sqe;
};

/* Who opens: the submitter, a worker of io-wq, or the thread that polls. */
static const struct {
	__u8 sqe_flags;
	__u32 setup_flags;
} kinds[] = { { 0, 0 }, { IOSQE_ASYNC, 0 }, { 0, IORING_SETUP_SQPOLL } };

/* For one request at a time. */
static bool setup_ring(struct __test_metadata *_metadata, struct ring *ring,
		       size_t kind)
{
	memset(ring, 0, sizeof(*ring));
	ring->sqe_flags = kinds[kind].sqe_flags;
	ring->params.flags = kinds[kind].setup_flags | IORING_SETUP_NO_SQARRAY;
	ring->fd = syscall(__NR_io_uring_setup, 1, &ring->params);
	if (ring->fd < 0)
		return false;
	ring->map = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			 MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqe = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			 MAP_SHARED, ring->fd, IORING_OFF_SQES);
	ASSERT_TRUE(ring->map != MAP_FAILED && ring->sqe != MAP_FAILED);
	return true;
}

static int ring_open(struct __test_metadata *_metadata, struct ring *ring,
		     const char *path, __u64 flags, int personality)
{
	const struct io_uring_cqe *cqes =
		(const void *)(ring->map + ring->params.cq_off.cqes);
	__u32 *tail = (__u32 *)(ring->map + ring->params.sq_off.tail);
	__u32 *head = (__u32 *)(ring->map + ring->params.cq_off.head);
	__u32 *done = (__u32 *)(ring->map + ring->params.cq_off.tail);
	const struct open_how how = { .flags = flags };
	int res;

	*ring->sqe = (struct io_uring_sqe) {
		.opcode = IORING_OP_OPENAT2,
		.flags = ring->sqe_flags,
		.fd = AT_FDCWD,
		.addr = (unsigned long)path,
		.len = sizeof(how),
		.off = (unsigned long)&how,
		.personality = personality,
	};
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	ASSERT_EQ(1, syscall(__NR_io_uring_enter, ring->fd, 1, 1,
			     IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP,
			     NULL, 0));
	ASSERT_NE(*head, __atomic_load_n(done, __ATOMIC_ACQUIRE));
	res = cqes[*head & (ring->params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res < 0 ? res : close(res);
}

static int register_personality(struct __test_metadata *_metadata,
				const struct ring *ring)
{
	int id = syscall(__NR_io_uring_register, ring->fd,
			 IORING_REGISTER_PERSONALITY, NULL, 0);

	ASSERT_LT(0, id);
	return id;
}

/*
 * A thread that polls does not have the no_new_privs that its creator sets later:
 * only credentials tell.
 */
TEST_F(mayexec, credentials_of_the_request_count)
{
	const char *const path = "exec/0644";

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		struct ring before, after;
		int without, with;

		if (!in_child_as(_metadata, CALLER_USER))
			continue;
		if (!setup_ring(_metadata, &before, kind)) {
			/* A later SKIP() would forget failures. */
			if (!kind)
				SKIP(_exit(0), "io_uring: %s", strerror(errno));
			TH_LOG("ring %zu is left out: %s", kind, strerror(errno));
			_exit(0);
		}
		without = register_personality(_metadata, &before);
		set_no_new_privs(_metadata);
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		with = register_personality(_metadata, &before);
		ASSERT_TRUE(setup_ring(_metadata, &after, kind));

		/* The thread that polls has the credentials of its creation. */
		EXPECT_EQ(kinds[kind].setup_flags ? 0 : -EACCES,
			  ring_open(_metadata, &before, path, O_MAYEXEC, 0));
		EXPECT_EQ(-EACCES,
			  ring_open(_metadata, &after, path, O_MAYEXEC, 0));
		EXPECT_EQ(0, ring_open(_metadata, &before, path, O_MAYEXEC,
				       without));
		EXPECT_EQ(-EACCES, ring_open(_metadata, &before, path, O_MAYEXEC,
					     with));
		_exit(_metadata->exit_code);
	}
}

TEST_HARNESS_MAIN
