// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC on filesystems of this machine, each made for the test, and on
 * overlays of them.
 */

#include "oracle.h"

#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <sys/fanotify.h>

FIXTURE(disk) {};

FIXTURE_VARIANT(disk) {
	struct view view;
	const char *option;	/* of the kernel, without CONFIG_ */
	const char *mkfs;	/* makes "image", of "tree" if it is read-only */
	const char *options;	/* of the mount */
	bool read_only;
	bool cannot_idmap;
	bool no_layer;		/* of an overlay */
};

#define OWN_IDS		"dmask=0022,uid=60001,gid=60002"	/* USER_ID, OWNER_ID */

#define FAT(_name, _mode, _option, _mkfs, _options)			\
FIXTURE_VARIANT_ADD(disk, _name##_##_mode) {				\
	.view = { #_name, _mode, USER_ID, OWNER_ID, .no_acls = true },	\
	.option = _option,						\
	.mkfs = _mkfs,							\
	.options = OWN_IDS "," _options,				\
	.no_layer = true,						\
}

FIXTURE_VARIANT_ADD(disk, tmpfs) {
	.view = { "tmpfs" },
	.option = "TMPFS",
};

FIXTURE_VARIANT_ADD(disk, ext4) {
	.view = { "ext4" },
	.option = "EXT4_FS",
	.mkfs = "truncate -s 32M image; mkfs.ext4 -q image",
};

FAT(vfat, 0644, "VFAT_FS", "truncate -s 8M image; mkfs.vfat image", "fmask=0133");
FAT(vfat, 0711, "VFAT_FS", "truncate -s 8M image; mkfs.vfat image", "fmask=0066");
FAT(vfat, 0745, "VFAT_FS", "truncate -s 8M image; mkfs.vfat image", "fmask=0032");
FAT(exfat, 0645, "EXFAT_FS", "truncate -s 8M image; mkfs.exfat image", "fmask=0132");

FIXTURE_VARIANT_ADD(disk, squashfs) {
	.view = { "squashfs", .no_acls = true },
	.option = "SQUASHFS",
	.mkfs = "mksquashfs tree image -quiet -no-progress",
	.read_only = true,
};

FIXTURE_VARIANT_ADD(disk, erofs) {
	.view = { "erofs" },
	.option = "EROFS_FS",
	.mkfs = "mkfs.erofs --quiet image tree",
	.read_only = true,
};

FIXTURE_VARIANT_ADD(disk, xfs) {
	.view = { "xfs" },
	.option = "XFS_FS",
	.mkfs = "truncate -s 300M image; mkfs.xfs -q image",
};

FIXTURE_VARIANT_ADD(disk, btrfs) {
	.view = { "btrfs" },
	.option = "BTRFS_FS",
	.mkfs = "truncate -s 128M image; mkfs.btrfs -q image",
};

FIXTURE_VARIANT_ADD(disk, f2fs) {
	.view = { "f2fs", .no_acls = true },
	.option = "F2FS_FS",
	.mkfs = "truncate -s 64M image; mkfs.f2fs -q image",
};

FIXTURE_VARIANT_ADD(disk, gfs2) {
	.view = { "gfs2", .early = true },
	.option = "GFS2_FS",
	.mkfs = "truncate -s 64M image; mkfs.gfs2 -O -q -p lock_nolock -j 1 -J 8 image",
	.options = "acl",
	.cannot_idmap = true,
	.no_layer = true,
};

/* What the host serves as "lower", if it does. */
FIXTURE_VARIANT_ADD(disk, virtiofs) {
	.view = { "virtiofs", .no_acls = true },
	.option = "VIRTIO_FS",
	.cannot_idmap = true,
};

/*
 * Not on an overlay: the oracle does not know with whose rights eCryptfs opens the
 * file below.
 */
FIXTURE(ecryptfs) {};

static const FIXTURE_VARIANT(disk) ecryptfs = {
	.view = { "ecryptfs", .below = true },
	.option = "ECRYPT_FS",
	.options = "ecryptfs_sig=0123456789abcdef,ecryptfs_cipher=aes,ecryptfs_key_bytes=16",
	.cannot_idmap = true,
};

/* What mount.ecryptfs adds to the keys: struct ecryptfs_auth_tok, of a password. */
static void add_key_of_ecryptfs(struct __test_metadata *_metadata)
{
	unsigned char token[740] = {
		4, 0,			/* version 0.4 */
	};
	const int session_key = 8, password = session_key + 12 + 512 + 64 + 32;

	token[password + 12] = 16;	/* the size of the key-encryption key */
	token[password + 16] = 2;	/* which is set */
	memset(token + password + 20, 1, 16);
	memcpy(token + password + 84, "0123456789abcdef", 16);
	ASSERT_LT(0, syscall(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
	ASSERT_LT(0, syscall(__NR_add_key, "user", "0123456789abcdef", token,
			     sizeof(token), KEY_SPEC_SESSION_KEYRING));
}

static void make_disk(struct __test_metadata *_metadata,
		      const FIXTURE_VARIANT(disk) *variant)
{
	const char *type = variant->view.name;
	char command[512];

	ASSERT_EQ(0, mkdir("disk", 0755));
	if (variant->read_only) {
		ASSERT_EQ(0, mkdir("tree", 0755));
		make_subjects(_metadata, &variant->view, "tree");
	}
	if (!variant->mkfs) {
		ASSERT_EQ(0, mkdir("lower", 0755));
		if (strcmp(type, "ecryptfs") == 0)
			add_key_of_ecryptfs(_metadata);
		ASSERT_EQ(0, sys_mount("lower", "disk", type, 0,
				       variant->options)) {
			TH_LOG("%s: %s", type, strerror(errno));
		}
		/* A server keeps what an earlier test has made. */
		ASSERT_EQ(0, system("rm -f disk/*"));
	} else {
		snprintf(command, sizeof(command),
			 "{ %s; } >log 2>&1 </dev/null && mount -i -t %s -o loop,%s image disk >>log 2>&1",
			 variant->mkfs, type, variant->options ?: "defaults");
		ASSERT_EQ(0, system(command)) {
			system("cat log");
		}
	}
	if (!variant->read_only) {
		if (!variant->view.mode)
			ASSERT_EQ(0, chmod("disk", 0755));
		make_subjects(_metadata, &variant->view, "disk");
	}
}

static bool knows_filesystem(const char *name)
{
	char line[64], known[64];
	FILE *list = fopen("/proc/filesystems", "re");
	bool found = false;

	while (list && fgets(line, sizeof(line), list)) {
		if (sscanf(line, "nodev %63s", known) == 1 ||
		    sscanf(line, " %63s", known) == 1)
			found |= strcmp(known, name) == 0;
	}
	if (list)
		fclose(list);
	return found;
}

static void setup_disk(struct __test_metadata *_metadata,
		       const FIXTURE_VARIANT(disk) *variant)
{
	if (!setup_test(_metadata))
		return;
	if (!knows_filesystem(variant->view.name))
		SKIP(return, "needs CONFIG_%s", variant->option);
	make_disk(_metadata, variant);
}

FIXTURE_SETUP(disk) { setup_disk(_metadata, variant); }
FIXTURE_TEARDOWN_PARENT(disk) { teardown_test(_metadata); }
FIXTURE_SETUP(ecryptfs) { setup_disk(_metadata, &ecryptfs); }
FIXTURE_TEARDOWN_PARENT(ecryptfs) { teardown_test(_metadata); }

/* Whose the files are is what an idmapped mount changes, and nothing else. */
static void compare_idmapped(struct __test_metadata *_metadata,
			     const FIXTURE_VARIANT(disk) *variant)
{
	struct view view = variant->view;
	int err;

	view.idmapped = true;
	err = make_idmapped(_metadata, "disk", "idmapped", OWNER_ID, USER_ID);
	ASSERT_EQ(variant->cannot_idmap ? -EINVAL : 0, err);
	if (err)
		return;
	compare(_metadata, &view, "idmapped", false);
	EXPECT_EQ(0, try_umount("idmapped"));
}

static void drop_names(struct __test_metadata *_metadata)
{
	sync();
	ASSERT_EQ(0, write_string("/proc/sys/vm/drop_caches", "2"));
}

/* Nothing may be read any more, if Landlock is asked. */
static void deny_reading(struct __test_metadata *_metadata)
{
	const struct landlock_ruleset_attr ruleset = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE,
	};
	int fd = syscall(__NR_landlock_create_ruleset, &ruleset,
			 sizeof(ruleset), 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, syscall(__NR_landlock_restrict_self, fd, 0));
	close(fd);
}

/*
 * Whoever has a lease is asked by an open of another name, if the decision comes
 * last. Security modules are asked before: what Landlock refuses breaks no lease.
 */
static void break_lease_first(struct __test_metadata *_metadata,
			      const struct view *view)
{
	int fd;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		return;
	/* It says that the lease is broken. */
	signal(SIGIO, SIG_IGN);
	make_file(_metadata, "disk/leased", 0644);
	ASSERT_EQ(0, link("disk/leased", "disk/other-name"));
	fd = open("disk/leased", O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, fcntl(fd, F_SETLEASE, F_WRLCK));
	for (int denied = view->early; denied >= 0; denied--) {
		drop_names(_metadata);
		if (in_child_as(_metadata, CALLER_ROOT)) {
			if (denied)
				deny_reading(_metadata);
			EXPECT_EQ(view->early && !denied ? -EAGAIN : -EACCES,
				  try_open("disk/other-name",
					   O_MAYEXEC | O_NONBLOCK));
			_exit(_metadata->exit_code);
		}
		if (denied)
			EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	}
	close(fd);
}

/* Who may deny opens is asked about one that is refused, if the decision comes last. */
static void ask_first(struct __test_metadata *_metadata, const struct view *view)
{
	const int fan = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK |
				      FAN_CLOEXEC, O_RDONLY);
	struct fanotify_event_metadata event;
	bool asked = false;
	int status;
	pid_t pid;

	if (fan < 0)
		ASSERT_EQ(ENOSYS, errno);
	if (fan < 0 || !set_policy(_metadata, ENFORCE_BOTH))
		return;
	make_file(_metadata, "disk/asked", 0644);
	drop_names(_metadata);
	ASSERT_EQ(0, fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM |
				   FAN_EVENT_ON_CHILD, AT_FDCWD, "disk"));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-try_open("disk/asked", O_MAYEXEC));
	while (!waitpid(pid, &status, WNOHANG)) {
		struct fanotify_response answer = { .response = FAN_ALLOW };

		if (read(fan, &event, sizeof(event)) != sizeof(event)) {
			usleep(1000);
			continue;
		}
		asked = true;
		answer.fd = event.fd;
		ASSERT_EQ(sizeof(answer), write(fan, &answer, sizeof(answer)));
		close(event.fd);
	}
	EXPECT_EQ(EACCES, WEXITSTATUS(status));
	EXPECT_EQ(view->early, asked);
	close(fan);
}

static void compare_disk(struct __test_metadata *_metadata,
			 const FIXTURE_VARIANT(disk) *variant)
{
	/* What is not made with the disk can be taken out of the caches. */
	if (!variant->read_only && !variant->view.mode) {
		make_file(_metadata, "disk/not-cached", 0644);
		drop_names(_metadata);
		tell_nothing(_metadata, &variant->view, "disk");
		ask_first(_metadata, &variant->view);
		if (!variant->view.below)
			break_lease_first(_metadata, &variant->view);
	}
	compare_mount(_metadata, &variant->view, "disk");
	compare_idmapped(_metadata, variant);
	end_compare(_metadata, &variant->view);
	/* A file that is still open would keep it. */
	EXPECT_EQ(0, try_umount("disk"));
}

TEST_F_TIMEOUT(disk, answers_as_the_oracle, PATIENCE)
{
	compare_disk(_metadata, variant);
}

TEST_F_TIMEOUT(ecryptfs, answers_as_the_oracle, PATIENCE)
{
	compare_disk(_metadata, &ecryptfs);
}

/* Returns false if the disk cannot be a layer, as it should. */
static bool mount_overlay(struct __test_metadata *_metadata, bool can,
			  __u64 capabilities)
{
	mkdir("empty", 0755);
	mkdir("overlay", 0755);
	if (in_child_as(_metadata, CALLER_ROOT)) {
		set_capabilities(_metadata, capabilities, capabilities);
		EXPECT_EQ(can ? 0 : -EINVAL,
			  sys_result(sys_mount("mayexec", "overlay", "overlay",
					       0, "lowerdir=disk:empty")));
		_exit(_metadata->exit_code);
	}
	return can;
}

TEST_F_TIMEOUT(disk, answers_on_an_overlay, PATIENCE)
{
	struct view view = variant->view;

	view.early = false;
	if (!mount_overlay(_metadata, !variant->no_layer, -1))
		return;
	compare_mount(_metadata, &view, "overlay");
	EXPECT_EQ(0, try_umount("overlay"));

	/* The rights of its mounter count, too, on the file in the layer. */
	mount_overlay(_metadata, true, 1 << CAP_SYS_ADMIN);
	view.mounter_nocap = true;
	compare(_metadata, &view, "overlay", false);
	EXPECT_EQ(0, try_umount("overlay"));
	end_compare(_metadata, &view);
	EXPECT_EQ(0, try_umount("disk"));
}

TEST_HARNESS_MAIN
