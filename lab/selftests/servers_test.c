// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC on NFS. The server is the kernel's, on the same machine; this
 * program stands in for its daemons.
 */

#include "oracle.h"

#include <arpa/inet.h>
#include <glob.h>
#include <linux/nfs_mount.h>
#include <linux/nfsd/cld.h>
#include <linux/nfsd/export.h>
#include <poll.h>
#include <sys/un.h>

#define RPC		"/proc/net/rpc/"
#define NFSD		"/proc/fs/nfsd/"
#define FOR_EVER	"2147483647"
#define CLIENT		"mayexec"	/* what the server calls 127.0.0.1 */
#define EXPORT		"/tmp/export"
#define NO_FLAGS	(NFSEXP_NOSUBTREECHECK | NFSEXP_FSID)

/*
 * The server registers with rpcbind(8), which nobody here asks. Every call is
 * answered by "yes".
 */
static void bind_anything(int sock)
{
	__u32 call[512], len;
	/* The length, the call's number, "reply", "accepted", ..., "success", true */
	__u32 yes[8] = { htonl(0x80000000 | 28), 0, htonl(1), 0, 0, 0, 0, htonl(1) };

	while (read(sock, &len, sizeof(len)) == sizeof(len)) {
		len = ntohl(len) & 0x7fffffff;
		if (len > sizeof(call) ||
		    recv(sock, call, len, MSG_WAITALL) != (ssize_t)len)
			break;
		yes[1] = call[0];
		if (write(sock, yes, sizeof(yes)) < 0)
			break;
	}
}

static pid_t start_rpcbind(struct __test_metadata *_metadata)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX,
		.sun_path = "/run/rpcbind.sock",
	};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	unlink(address.sun_path);
	ASSERT_EQ(0, bind(listener, (void *)&address, sizeof(address)));
	ASSERT_EQ(0, listen(listener, 8));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			const int sock = accept(listener, NULL, NULL);

			if (!fork()) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				bind_anything(sock);
				_exit(0);
			}
			close(sock);
		}
	}
	close(listener);
	return pid;
}

/*
 * The server has nfsdcld(8) remember its clients, and makes a pipe to it when it
 * starts. Nobody has been a client before, so that the server need not wait for
 * those that come back: every call is answered by "done".
 */
static void forget_clients(const char *path)
{
	struct pollfd pipe = { .events = POLLIN };
	struct cld_msg call;

	while ((pipe.fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
		usleep(10000);
	while (poll(&pipe, 1, -1) == 1 &&
	       read(pipe.fd, &call, sizeof(call)) == sizeof(call)) {
		if (call.cm_cmd == Cld_GetVersion)
			call.cm_u.cm_version = 1;
		call.cm_status = 0;
		if (write(pipe.fd, &call, sizeof(call)) < 0)
			break;
	}
}

static pid_t start_nfsdcld(struct __test_metadata *_metadata)
{
	pid_t pid;

	ASSERT_EQ(0, mkdir("pipes", 0755));
	ASSERT_EQ(0, sys_mount("pipes", "pipes", "rpc_pipefs", 0, NULL));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		forget_clients("pipes/nfsd/cld");
		_exit(0);
	}
	return pid;
}

/* What mountd(8) would tell the kernel when it asks. */
static void export(struct __test_metadata *_metadata, int flags)
{
	char line[128];

	ASSERT_EQ(0, write_string(RPC "auth.unix.ip/channel",
				  "nfsd 127.0.0.1 " FOR_EVER " " CLIENT "\n"));
	snprintf(line, sizeof(line), CLIENT " " EXPORT " " FOR_EVER " %d %d %d 0\n",
		 NO_FLAGS | flags, NOBODY_ID, NOBODY_ID);
	ASSERT_EQ(0, write_string(RPC "nfsd.export/channel", line));
	ASSERT_EQ(0, write_string(RPC "nfsd.fh/channel",
				  CLIENT " 1 \\x00000000 " FOR_EVER " " EXPORT "\n"));
}

FIXTURE(nfs) {
	pid_t rpcbind, nfsdcld;
};

FIXTURE_VARIANT(nfs) {
	struct view view;
	const char *version;
	int flags;		/* of the export */
};

FIXTURE_VARIANT_ADD(nfs, v4_2) {
	.view = { "NFS 4.2", .server = true, .remote = true,
		  .early = true },
	.version = "4.2",
};

FIXTURE_VARIANT_ADD(nfs, v4_0) {
	.view = { "NFS 4.0", .server = true, .remote = true,
		  .early = true },
	.version = "4.0",
};

FIXTURE_VARIANT_ADD(nfs, v3) {
	.view = { "NFS 3", .server = true, .remote = true },
	.version = "3",
};

FIXTURE_VARIANT_ADD(nfs, v4_2_root_squash) {
	.view = { "NFS 4.2, root_squash", .squash = true, .remote = true,
		  .early = true },
	.version = "4.2",
	.flags = NFSEXP_ROOTSQUASH,
};

FIXTURE_VARIANT_ADD(nfs, v3_root_squash) {
	.view = { "NFS 3, root_squash", .squash = true, .remote = true },
	.version = "3",
	.flags = NFSEXP_ROOTSQUASH,
};

/* Without mountd(8), the root's handle comes from the server's own file. */
static int mount_v3(void)
{
	struct nfs_mount_data data = {
		.version = NFS_MOUNT_VERSION,
		.flags = NFS_MOUNT_VER3 | NFS_MOUNT_TCP | NFS_MOUNT_NONLM |
			 NFS_MOUNT_UNSHARED,
		.addr = {
			.sin_family = AF_INET,
			.sin_port = htons(2049),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		},
		/* The defaults of mount.nfs(8) */
		.acregmin = 3,
		.acregmax = 60,
		.acdirmin = 30,
		.acdirmax = 60,
		.hostname = "127.0.0.1",
	};
	const char ask[] = CLIENT " " EXPORT " 64\n";
	char handle[256] = "";
	int fd = open(NFSD "filehandle", O_RDWR | O_CLOEXEC);
	unsigned int byte;

	if (write(fd, ask, strlen(ask)) < 0 || read(fd, handle, sizeof(handle) - 1) < 0)
		return -errno;
	close(fd);
	/* \x and hexadecimal digits */
	for (char *digits = handle + 2; sscanf(digits, "%2x", &byte) == 1; digits += 2)
		data.root.data[data.root.size++] = byte;
	return sys_result(sys_mount("127.0.0.1:/", "nfs", "nfs", 0, (void *)&data));
}

static int mount_v4(const char *version, const char *at)
{
	char options[128];

	snprintf(options, sizeof(options),
		 "vers=%s,addr=127.0.0.1,clientaddr=127.0.0.1,nosharecache",
		 version);
	return sys_result(sys_mount("127.0.0.1:/", at, "nfs4", 0, options));
}

FIXTURE_SETUP(nfs)
{
	const bool v3 = variant->version[0] == '3';

	if (!setup_test(_metadata))
		return;
	if (sys_mount("nfsd", "/proc/fs/nfsd", "nfsd", 0, NULL))
		SKIP(return, "needs CONFIG_NFSD");
	set_lo_up(_metadata);
	ASSERT_EQ(0, mkdir(EXPORT, 0755));
	ASSERT_EQ(0, system("truncate -s 32M image && mkfs.ext4 -q image &&"
			    "mount -i -o loop image " EXPORT));
	make_subjects(_metadata, &variant->view, EXPORT);
	self->rpcbind = start_rpcbind(_metadata);
	self->nfsdcld = start_nfsdcld(_metadata);
	export(_metadata, variant->flags);
	/* With version 3, no delegation is granted until its locks could be reclaimed. */
	ASSERT_EQ(0, write_string(NFSD "versions", v3 ? "+3\n" : "-3\n"));
	ASSERT_EQ(0, write_string(NFSD "portlist", "tcp 2049"));
	ASSERT_EQ(0, write_string(NFSD "threads", "4"));
	ASSERT_EQ(0, mkdir("nfs", 0755));
	ASSERT_EQ(0, v3 ? mount_v3() : mount_v4(variant->version, "nfs")) {
		TH_LOG("%s: %s", variant->view.name, strerror(errno));
	}
}

static void stop(pid_t daemon)
{
	if (daemon <= 0)
		return;
	kill(daemon, SIGKILL);
	waitpid(daemon, NULL, 0);
}

FIXTURE_TEARDOWN(nfs)
{
	while (!try_umount("nfs"))
		;
	write_string(NFSD "threads", "0");
	write_string(RPC "nfsd.fh/flush", FOR_EVER);
	write_string(RPC "nfsd.export/flush", FOR_EVER);
	stop(self->rpcbind);
	stop(self->nfsdcld);
	teardown_test(_metadata);
}

/*
 * NFSv4 answers FILE from the client's cache of rights while the attributes are
 * valid, NFS 3 revalidates them as it looks the file up. An execution asks the
 * server.
 */
static int answer_within(const struct view *view, const char *path, int expected)
{
	int answer = try_open(path, O_MAYEXEC);

	for (int i = 0; view->early && answer != expected && i < 100; i++) {
		usleep(100000);
		answer = try_open(path, O_MAYEXEC);
	}
	return answer;
}

/* Another machine, or the server itself, gives the right and takes it away. */
static void heed_changes(struct __test_metadata *_metadata,
			 const struct view *view)
{
	const char *path = "nfs/changes";

	if (!set_policy(_metadata, ENFORCE_FILE))
		return;
	make_file(_metadata, EXPORT "/changes", 0644);
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	for (int allowed = 1; allowed >= 0; allowed--) {
		const int answer = allowed ? 0 : -EACCES;

		ASSERT_EQ(0, chmod(EXPORT "/changes", allowed ? 0755 : 0644));
		EXPECT_EQ(answer, try_execve_check(AT_FDCWD, path, 0));
		EXPECT_EQ(answer, answer_within(view, path, answer));
	}
}

TEST_F_TIMEOUT(nfs, answers_as_the_oracle, PATIENCE)
{
	make_file(_metadata, EXPORT "/not-cached", 0644);
	tell_nothing(_metadata, &variant->view, "nfs");
	compare_mount(_metadata, &variant->view, "nfs");
	end_compare(_metadata, &variant->view);
	heed_changes(_metadata, &variant->view);
	EXPECT_EQ(0, try_umount("nfs"));
}

/* The layer is asked by its server for the mounter, the overlay's inode for the caller. */
TEST_F_TIMEOUT(nfs, answers_on_an_overlay, PATIENCE)
{
	const struct view view = {
		.name = variant->view.name,
		.no_acls = true,
		.mounter_squash = variant->view.squash,
		.mounter_by_open = variant->view.early,
		.remote = true,
	};

	compare_overlay(_metadata, &view, "nfs");
}

/* How many states of the kind @type the server keeps for its clients. */
static int count_states(const char *type)
{
	char line[512];
	int count = 0;
	glob_t clients;

	if (glob(NFSD "clients/*/states", 0, NULL, &clients))
		return 0;
	for (size_t i = 0; i < clients.gl_pathc; i++) {
		FILE *states = fopen(clients.gl_pathv[i], "re");

		while (states && fgets(line, sizeof(line), states))
			count += !!strstr(line, type);
		if (states)
			fclose(states);
	}
	globfree(&clients);
	return count;
}

struct states {
	int opens, delegations;
};

/* What one open of the file @name leaves on the server when it is closed or refused. */
static struct states left_by(struct __test_metadata *_metadata, const char *name,
			     __u64 flag, int result)
{
	const struct states before = {
		count_states("type: open"), count_states("type: deleg"),
	};
	char path[64];

	snprintf(path, sizeof(path), EXPORT "/%s", name);
	make_file(_metadata, path, 0644);
	snprintf(path, sizeof(path), "nfs/%s", name);
	EXPECT_EQ(result, try_open(path, flag));
	/* Closing takes its time, on a slow machine seconds. */
	for (int i = 0; i < 500 && count_states("type: open") > before.opens; i++)
		usleep(20000);
	return (struct states){
		count_states("type: open") - before.opens,
		count_states("type: deleg") - before.delegations,
	};
}

/* A refusal closes the file. A delegation that came with the open stays, as after a close. */
TEST_F_TIMEOUT(nfs, leaves_what_a_close_leaves, PATIENCE)
{
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	/* A server of NFS 4.0 keeps the state of a caller's last close until the next. */
	left_by(_metadata, "first", 0, 0);
	for (int delegate = 1; delegate >= 0; delegate--) {
		struct states refused, closed;

		ASSERT_EQ(0, write_string("/proc/sys/fs/leases-enable",
					  delegate ? "1" : "0"));
		refused = left_by(_metadata, delegate ? "refused" : "refused-0",
				  O_MAYEXEC, -EACCES);
		closed = left_by(_metadata, delegate ? "closed" : "closed-0", 0, 0);
		TH_LOG("%s, delegations %s: %d opens and %d delegations are left",
		       variant->view.name, delegate ? "on" : "off",
		       refused.opens, refused.delegations);
		EXPECT_EQ(0, refused.opens);
		EXPECT_EQ(closed.opens, refused.opens);
		EXPECT_EQ(variant->view.early && delegate, refused.delegations);
		EXPECT_EQ(closed.delegations, refused.delegations);
	}
	write_string("/proc/sys/fs/leases-enable", "1");
}

/* The open that comes before the decision takes the file back from another client. */
TEST_F_TIMEOUT(nfs, recalls_what_another_client_holds, PATIENCE)
{
	int fd;

	/* NFS 3 opens no file on the server. */
	if (!variant->view.early)
		return;
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_file(_metadata, EXPORT "/delegated", 0666);
	ASSERT_EQ(0, mkdir("other", 0755));
	ASSERT_EQ(0, mount_v4("4.1", "other"));
	fd = open("other/delegated", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_EQ(1, count_states("type: deleg"));
	EXPECT_EQ(-EACCES, try_open("nfs/delegated", O_MAYEXEC));
	EXPECT_EQ(0, count_states("type: deleg"));
	EXPECT_EQ(0, try_umount("other"));
}

TEST_HARNESS_MAIN
