// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC on SMB, which Samba or the kernel serves, and on 9P, which diod serves, on the
 * same machine.
 */

#include "oracle.h"

#include <arpa/inet.h>

#define EXPORT		"/tmp/export"
/* The same for the kernel's server, which has not the mounts of this test. */
#define SEEN_BY_KERNEL	"/dev/shm/export"
#define SMB_PORT	445
#define DIOD_PORT	564
#define KSMBD_CONTROL	"/sys/class/ksmbd-control/kill_server"

static const char smb_conf[] =
	"[global]\n"
	"server role = standalone\n"
	"server min protocol = NT1\n"
	"map to guest = Bad User\n"
	"bind interfaces only = yes\n"
	"interfaces = lo\n"
	"smb ports = 445\n"
	"load printers = no\n"
	"disable spoolss = yes\n"
	"usershare path =\n"
	"private dir = /tmp/samba\n"
	"lock directory = /tmp/samba\n"
	"state directory = /tmp/samba\n"
	"cache directory = /tmp/samba\n"
	"pid directory = /tmp/samba\n"
	"ncalrpc dir = /tmp/samba\n"
	"log file = /tmp/log\n"
	"guest account = nobody\n"
	"[root]\n"
	"path = " EXPORT "\n"
	"guest ok = yes\n"
	"read only = no\n"
	"force user = root\n";

static const char ksmbd_conf[] =
	"[global]\n"
	"map to guest = bad user\n"
	"guest account = nobody\n"
	"interfaces = lo\n"
	"bind interfaces only = yes\n"
	"[root]\n"
	"path = " SEEN_BY_KERNEL "\n"
	"guest ok = yes\n"
	"read only = no\n"
	"force user = root\n";

FIXTURE(share) {
	pid_t server;
};

FIXTURE_VARIANT(share) {
	struct view view;
	const char *source;	/* a share of Samba, or what diod exports */
	const char *options;	/* of the mount */
	bool ksmbd;		/* the kernel serves the share, not Samba */
	bool shown;		/* mode and owner are those that stat(2) shows */
};

#define SMB(_options)							\
	.source = "//127.0.0.1/root",					\
	.options = "ip=127.0.0.1,unc=\\\\127.0.0.1\\root,sec=none,closetimeo=0," \
		   _options

FIXTURE_VARIANT_ADD(share, smb_defaults) {
	.view = { "SMB", 0755, 0, 0, .no_acls = true, .remote = true },
	SMB("vers=3.1.1"),
};

FIXTURE_VARIANT_ADD(share, smb_masks) {
	.view = { "SMB, masks", 0645, USER_ID, OWNER_ID, .no_acls = true,
		  .remote = true },
	SMB("vers=3.1.1,uid=60001,forceuid,gid=60002,forcegid,file_mode=0645"),
};

FIXTURE_VARIANT_ADD(share, smb_noperm) {
	.view = { "SMB, noperm", 0645, USER_ID, OWNER_ID, .any_x = true,
		  .no_acls = true, .remote = true },
	SMB("vers=3.1.1,noperm,uid=60001,forceuid,gid=60002,forcegid,file_mode=0645"),
};

FIXTURE_VARIANT_ADD(share, smb_noperm_without_x) {
	.view = { "SMB, noperm", 0644, USER_ID, OWNER_ID, .any_x = true,
		  .no_acls = true, .remote = true },
	SMB("vers=3.1.1,noperm,uid=60001,forceuid,gid=60002,forcegid,file_mode=0644"),
};

FIXTURE_VARIANT_ADD(share, smb_acls) {
	.view = { "SMB, cifsacl", .no_acls = true, .remote = true },
	SMB("vers=3.1.1,cifsacl"),
	.shown = true,
};

FIXTURE_VARIANT_ADD(share, smb1_unix) {
	.view = { "SMB 1 with the modes of Unix", .no_acls = true, .remote = true },
	SMB("vers=1.0"),
};

#define KSMBD(_options)		SMB(_options), .ksmbd = true

FIXTURE_VARIANT_ADD(share, ksmbd_defaults) {
	.view = { "SMB by ksmbd", 0755, 0, 0, .no_acls = true, .remote = true },
	KSMBD("vers=3.1.1"),
};

FIXTURE_VARIANT_ADD(share, ksmbd_masks) {
	.view = { "SMB by ksmbd, masks", 0645, USER_ID, OWNER_ID, .no_acls = true,
		  .remote = true },
	KSMBD("vers=3.1.1,uid=60001,forceuid,gid=60002,forcegid,file_mode=0645"),
};

FIXTURE_VARIANT_ADD(share, ksmbd_acls) {
	.view = { "SMB by ksmbd, cifsacl", .no_acls = true, .remote = true },
	KSMBD("vers=3.1.1,cifsacl"),
	.shown = true,
};

FIXTURE_VARIANT_ADD(share, plan9) {
	.view = { "9P", .no_acls = true, .remote = true },
	.source = "127.0.0.1",
	.options = "trans=tcp,version=9p2000.L,access=any,uname=root,aname=" EXPORT,
};

static pid_t start_server(struct __test_metadata *_metadata, const char *command)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (pid)
		return pid;
	/* smbd ends its group when it ends. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void wait_for_server(struct __test_metadata *_metadata, int port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int err = -1;

	for (int i = 0; i < 600 && err; i++) {
		int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		usleep(100000);
		err = connect(sock, (const void *)&address, sizeof(address));
		close(sock);
	}
	ASSERT_EQ(0, err) {
		system("cat log");
	}
}

/* Takes mode and owner of the files from the client. Some must be refused, some not. */
static void take_shown(struct __test_metadata *_metadata)
{
	int executable = 0, files = 0;

	for (int i = 0; i < nr_subjects; i++) {
		struct subject *file = &subjects[i];
		struct stat status;
		char path[64];

		if (file->acl != NO_ACL)
			continue;
		snprintf(path, sizeof(path), "share/%s", file->name);
		ASSERT_EQ(0, stat(path, &status));
		file->mode = status.st_mode & 0777;
		file->uid = status.st_uid;
		file->gid = status.st_gid;
		executable += !!(file->mode & 0111);
		files++;
	}
	EXPECT_LT(0, executable);
	EXPECT_LT(executable, files);
}

FIXTURE_SETUP(share)
{
	const bool smb = variant->source[0] == '/';
	const struct view own = { .no_acls = true };

	if (smb && access("/proc/fs/cifs", F_OK))
		SKIP(return, "needs CONFIG_CIFS");
	if (variant->ksmbd && access(KSMBD_CONTROL, F_OK))
		SKIP(return, "needs CONFIG_SMB_SERVER");
	if (!smb && system("command -v diod >/dev/null"))
		SKIP(return, "needs diod");
	if (!setup_test(_metadata))
		return;
	set_lo_up(_metadata);
	ASSERT_EQ(0, mkdir(EXPORT, 0755));
	if (variant->ksmbd) {
		ASSERT_EQ(0, system("rm -rf " SEEN_BY_KERNEL " && mkdir " SEEN_BY_KERNEL));
		ASSERT_EQ(0, sys_mount(SEEN_BY_KERNEL, EXPORT, NULL, MS_BIND, NULL));
	}
	ASSERT_EQ(0, mkdir("samba", 0755));
	ASSERT_EQ(0, mkdir("share", 0755));
	make_subjects(_metadata, &own, EXPORT);
	make_file(_metadata, EXPORT "/refused", 0644);
	ASSERT_LE(0, creat("smb.conf", 0600));
	ASSERT_EQ(0, write_string("smb.conf", variant->ksmbd ? ksmbd_conf : smb_conf));
	self->server = start_server(_metadata, variant->ksmbd ?
		": >users; exec ksmbd.mountd --nodetach --config smb.conf --users users >log 2>&1" : smb ?
		"exec smbd --foreground --no-process-group --configfile=smb.conf >log 2>&1" :
		"exec diod --foreground --no-auth --listen 127.0.0.1:564 --export " EXPORT " >log 2>&1");
	wait_for_server(_metadata, smb ? SMB_PORT : DIOD_PORT);
	ASSERT_EQ(0, sys_mount(variant->source, "share", smb ? "cifs" : "9p", 0,
			       variant->options)) {
		TH_LOG("%s: %s", variant->view.name, strerror(errno));
		system("cat log; dmesg | tail -n 5");
	}
	if (variant->shown)
		take_shown(_metadata);
}

FIXTURE_TEARDOWN(share)
{
	while (!try_umount("share"))
		;
	if (variant->ksmbd)
		write_string(KSMBD_CONTROL, "hard");
	if (self->server > 0) {
		kill(-self->server, SIGKILL);
		waitpid(self->server, NULL, 0);
	}
	teardown_test(_metadata);
}

TEST_F_TIMEOUT(share, answers_as_the_oracle, PATIENCE)
{
	compare_mount(_metadata, &variant->view, "share");
	end_compare(_metadata, &variant->view);
	EXPECT_EQ(0, try_umount("share"));
}

/* Whether anybody else has the file open: nobody who has gets a lease to write. */
static bool is_served(struct __test_metadata *_metadata, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = sys_result(fcntl(fd, F_SETLEASE, F_WRLCK));

	close(fd);
	EXPECT_TRUE(err == 0 || err == -EAGAIN) {
		TH_LOG("no lease: %s", strerror(-err));
	}
	return err;
}

TEST_F_TIMEOUT(share, server_has_no_refused_file_open, PATIENCE)
{
	int fd;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	make_bind(_metadata, "share", "bind-noexec", MS_NOEXEC);
	EXPECT_EQ(-EACCES, try_open("bind-noexec/refused", O_MAYEXEC));
	/* The kernel's server closes what it has looked at in its own time. */
	for (int i = 0; i < 50 && is_served(_metadata, EXPORT "/refused"); i++)
		usleep(100000);
	EXPECT_FALSE(is_served(_metadata, EXPORT "/refused"));
	fd = open("bind-noexec/refused", O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_TRUE(is_served(_metadata, EXPORT "/refused"));
	close(fd);
	EXPECT_EQ(0, try_umount("bind-noexec"));
}

TEST_HARNESS_MAIN
