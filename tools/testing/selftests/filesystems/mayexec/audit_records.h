/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the records of the kernel's audit system beside whoever else does. */

#ifndef __AUDIT_RECORDS_H__
#define __AUDIT_RECORDS_H__

#include <linux/audit.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

struct audit_record {
	struct nlmsghdr header;
	char text[8192];
};

/* Returns the socket, or a negative error if there are no records to read. */
static inline int open_audit_records(void)
{
	const int group = AUDIT_NLGRP_READLOG;
	struct nlmsghdr request = {
		.nlmsg_len = NLMSG_HDRLEN,
		.nlmsg_type = AUDIT_GET,
		.nlmsg_flags = NLM_F_REQUEST,
	};
	/* kauditd sends the records. It may have to wait for a CPU. */
	struct timeval patience = { .tv_sec = 1 };
	struct audit_record record;
	struct audit_status status;
	int fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) ||
	    send(fd, &request, sizeof(request), 0) < 0 ||
	    recv(fd, &record, sizeof(record), 0) < 0)
		goto fail;
	memcpy(&status, record.text, sizeof(status));
	errno = EOPNOTSUPP;
	if (record.header.nlmsg_type != AUDIT_GET || !status.enabled ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)))
		goto fail;
	return fd;
fail:
	close(fd);
	return -errno;
}

/*
 * Returns how many records of @type have both texts, among those since the last
 * call, or a negative error if records were lost. Where others go on recording,
 * the call ends after ten seconds.
 */
static inline int count_audit_records(int fd, int type, const char *text,
				      const char *more)
{
	const time_t end = time(NULL) + 10;
	struct audit_record record;
	ssize_t length;
	int count = 0;

	while (time(NULL) < end) {
		length = recv(fd, &record, sizeof(record) - 1, 0);
		if (length <= 0)
			return errno == EAGAIN ? count : -errno;
		((char *)&record)[length] = '\0';
		count += record.header.nlmsg_type == type &&
			 strstr(record.text, text) && strstr(record.text, more);
	}
	return count;
}

#endif /* __AUDIT_RECORDS_H__ */
