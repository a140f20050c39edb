/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the tests of O_MAYEXEC that open files with io_uring.  Include
 * mayexec.h first.
 */

#ifndef __MAYEXEC_URING_H__
#define __MAYEXEC_URING_H__

#include <linux/io_uring.h>

struct ring {
	int fd;
	__u8 sqe_flags;
	__u32 setup_flags;
	struct io_uring_sqe *sqes;
	char *sq;
	char *cq;
	struct io_uring_params params;
};

static inline void *map_ring(struct __test_metadata *_metadata, int fd,
			     size_t size, off_t offset)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, fd, offset);

	ASSERT_NE(MAP_FAILED, map);
	return map;
}

#define RING_FOR_ROOT	"needs kernel.io_uring_disabled to be 0"

/* Whether the sysctl, if there is one, lets the test user have a ring. */
static inline bool user_may_have_ring(void)
{
	FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	int c;

	if (!file)
		return true;
	c = fgetc(file);
	fclose(file);
	return c == '0';
}

static inline bool setup_ring(struct __test_metadata *_metadata,
			      struct ring *ring)
{
	const unsigned int entries = 1;
	struct io_uring_params *p = &ring->params;

	memset(p, 0, sizeof(*p));
	p->flags = ring->setup_flags;
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
static inline int submit(struct __test_metadata *_metadata, struct ring *ring,
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
			     IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP,
			     NULL, 0));
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

static inline int uring_openat2(struct __test_metadata *_metadata,
				struct ring *ring, const char *path,
				__u64 flags, __u16 personality)
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

#endif /* __MAYEXEC_URING_H__ */
