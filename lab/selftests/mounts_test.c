// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: which mount and which owner count where a file can be reached
 * through several mounts, and that set-ID bits do not.
 */

#define OWN_FIXTURE
#include "more.h"

FIXTURE(bind) {};

FIXTURE_VARIANT(bind) {
	unsigned long origin_flags;
	unsigned long bind_flags;
};

FIXTURE_VARIANT_ADD(bind, noexec_over_exec) {
	.bind_flags = MS_NOEXEC,
};

FIXTURE_VARIANT_ADD(bind, exec_over_noexec) {
	.origin_flags = MS_NOEXEC,
};

FIXTURE_SETUP(bind)
{
	if (!setup_test(_metadata))
		return;
	make_mount(_metadata, "origin", variant->origin_flags);
	make_file(_metadata, "origin/file", 0755);
	make_bind(_metadata, "origin", "bind", variant->bind_flags);
}

FIXTURE_TEARDOWN_PARENT(bind)
{
	teardown_test(_metadata);
}

/* The same inode: only the mount that it is opened through tells them apart. */
TEST_F(bind, the_mount_of_the_path_counts)
{
	const int origin = variant->origin_flags ? -EACCES : 0;
	const int bind = variant->bind_flags ? -EACCES : 0;

	if (!set_policy(_metadata, ENFORCE_MOUNT))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, try_open("origin/file", 0));
	EXPECT_EQ(0, try_open("bind/file", 0));
	EXPECT_EQ(origin, try_open("origin/file", O_MAYEXEC));
	EXPECT_EQ(bind, try_open("bind/file", O_MAYEXEC));
}

TEST_F(bind, the_mount_of_the_descriptor_counts)
{
	const char *const paths[] = { "origin/file", "bind/file" };
	const int results[] = {
		variant->origin_flags ? -EACCES : 0,
		variant->bind_flags ? -EACCES : 0,
	};

	if (!set_policy(_metadata, ENFORCE_MOUNT))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		char link[64];
		int fd;

		fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		EXPECT_EQ(results[i], try_open(link, O_MAYEXEC));
		EXPECT_EQ(results[i], try_openat2(fd, "", O_MAYEXEC |
						  O_EMPTYPATH));
		close(fd);
	}
}

TEST_F(bind, no_mount_counts_without_the_check)
{
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, try_open("origin/file", O_MAYEXEC));
	EXPECT_EQ(0, try_open("bind/file", O_MAYEXEC));
}

FIXTURE(set_id) {};

FIXTURE_SETUP(set_id)
{
	if (!setup_test(_metadata))
		return;
	make_mount(_metadata, "suid", 0);
	make_mount(_metadata, "nosuid", MS_NOSUID);
	make_file(_metadata, "suid/6755", 06755);
	make_file(_metadata, "suid/6644", 06644);
	make_file(_metadata, "nosuid/6755", 06755);
	make_file(_metadata, "nosuid/6644", 06644);
}

FIXTURE_TEARDOWN_PARENT(set_id)
{
	teardown_test(_metadata);
}

/* Who would execute the file, and as whom, are two questions; this is the first. */
TEST_F(set_id, plays_no_part)
{
	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	EXPECT_EQ(0, try_open("suid/6755", O_MAYEXEC));
	EXPECT_EQ(0, try_open("nosuid/6755", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("suid/6644", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("nosuid/6644", O_MAYEXEC));
}

FIXTURE(overlay) {};

FIXTURE_VARIANT(overlay) {
	unsigned long lower_flags;
	unsigned long upper_flags;
	unsigned long overlay_flags;
};

FIXTURE_VARIANT_ADD(overlay, exec) {};

FIXTURE_VARIANT_ADD(overlay, noexec) {
	.overlay_flags = MS_NOEXEC,
};

FIXTURE_VARIANT_ADD(overlay, lower_noexec) {
	.lower_flags = MS_NOEXEC,
};

FIXTURE_VARIANT_ADD(overlay, upper_noexec) {
	.upper_flags = MS_NOEXEC,
};

FIXTURE_VARIANT_ADD(overlay, layers_noexec) {
	.lower_flags = MS_NOEXEC,
	.upper_flags = MS_NOEXEC,
};

FIXTURE_VARIANT_ADD(overlay, all_noexec) {
	.lower_flags = MS_NOEXEC,
	.upper_flags = MS_NOEXEC,
	.overlay_flags = MS_NOEXEC,
};

FIXTURE_SETUP(overlay)
{
	if (!setup_test(_metadata))
		return;
	make_mount(_metadata, "lower", variant->lower_flags);
	make_mount(_metadata, "upper", variant->upper_flags);
	ASSERT_EQ(0, mkdir("upper/dir", 0755));
	ASSERT_EQ(0, mkdir("upper/work", 0755));
	ASSERT_EQ(0, mkdir("overlay", 0755));
	make_file(_metadata, "lower/lower-0755", 0755);
	make_file(_metadata, "lower/lower-0644", 0644);
	make_file(_metadata, "lower/copied-0755", 0644);
	make_file(_metadata, "lower/copied-0644", 0755);
	make_file(_metadata, "upper/dir/upper-0755", 0755);
	make_file(_metadata, "upper/dir/upper-0644", 0644);
	if (sys_mount("mayexec", "overlay", "overlay", variant->overlay_flags,
		      "lowerdir=lower,upperdir=upper/dir,workdir=upper/work"))
		SKIP(return, "overlayfs: %s", strerror(errno));
	/* The change of the mode makes them files of the upper layer. */
	ASSERT_EQ(0, chmod("overlay/copied-0755", 0755));
	ASSERT_EQ(0, chmod("overlay/copied-0644", 0644));
}

FIXTURE_TEARDOWN_PARENT(overlay)
{
	teardown_test(_metadata);
}

static void check_overlay(struct __test_metadata *_metadata,
			  const char *layer, int exec_file, int noexec_file)
{
	char path[64];

	snprintf(path, sizeof(path), "overlay/%s-0755", layer);
	EXPECT_EQ(0, try_open(path, 0));
	EXPECT_EQ(exec_file, try_open(path, O_MAYEXEC)) {
		TH_LOG("%s, policy %d", path, read_policy());
	}
	snprintf(path, sizeof(path), "overlay/%s-0644", layer);
	EXPECT_EQ(0, try_open(path, 0));
	EXPECT_EQ(noexec_file, try_open(path, O_MAYEXEC)) {
		TH_LOG("%s, policy %d", path, read_policy());
	}
}

/* As for an execution, the mounts of the layers do not matter. */
TEST_F(overlay, only_its_own_mount_counts)
{
	const char *const layers[] = { "lower", "copied", "upper" };

	for (int policy = 0; policy <= ENFORCE_BOTH; policy++) {
		const bool file = policy & ENFORCE_FILE;
		const bool mount = policy & ENFORCE_MOUNT;
		const int by_mount = mount && variant->overlay_flags ? -EACCES : 0;

		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(layers); i++)
			check_overlay(_metadata, layers[i], by_mount,
				      file ? -EACCES : by_mount);
	}
}

TEST_F(overlay, equals_execve_check)
{
	const char *const paths[] = {
		"overlay/lower-0755", "overlay/lower-0644",
		"overlay/copied-0755", "overlay/copied-0644",
		"overlay/upper-0755", "overlay/upper-0644",
	};

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		EXPECT_EQ(try_execve_check(AT_FDCWD, paths[i], 0),
			  try_open(paths[i], O_MAYEXEC)) {
			TH_LOG("%s", paths[i]);
		}
	}
}

FIXTURE(idmapped) {};

FIXTURE_SETUP(idmapped)
{
	int err;

	if (!setup_test(_metadata))
		return;
	if (!have_userns)
		SKIP(return, NEEDS_USERNS);
	make_mount(_metadata, "origin", 0);
	/* Everyone may read them: only the right to execute is at stake. */
	make_file(_metadata, "origin/owner", 0744);
	ASSERT_EQ(0, chown("origin/owner", OWNER_ID, OWNER_ID));
	make_file(_metadata, "origin/user", 0744);
	ASSERT_EQ(0, chown("origin/user", USER_ID, USER_ID));

	err = make_idmapped(_metadata, "origin", "idmapped", OWNER_ID, USER_ID);
	if (err)
		SKIP(return, "idmapped tmpfs: %s", strerror(-err));
}

FIXTURE_TEARDOWN_PARENT(idmapped)
{
	teardown_test(_metadata);
}

/* The mount makes the caller the owner of one file, and of the other not. */
TEST_F(idmapped, owner_is_judged_through_the_mount)
{
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	EXPECT_EQ(0, try_open("origin/owner", 0));
	EXPECT_EQ(0, try_open("origin/user", 0));
	EXPECT_EQ(0, try_open("idmapped/owner", 0));
	EXPECT_EQ(0, try_open("idmapped/user", 0));

	EXPECT_EQ(-EACCES, try_open("origin/owner", O_MAYEXEC));
	EXPECT_EQ(0, try_open("origin/user", O_MAYEXEC));
	EXPECT_EQ(0, try_open("idmapped/owner", O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_open("idmapped/user", O_MAYEXEC));
}

TEST_F(idmapped, equals_execve_check)
{
	const char *const paths[] = {
		"origin/owner", "origin/user", "idmapped/owner", "idmapped/user",
	};

	if (!set_policy(_metadata, ENFORCE_BOTH))
		SKIP(return, NEEDS_SYSCTL);
	become_user(_metadata);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		EXPECT_EQ(try_execve_check(AT_FDCWD, paths[i], 0),
			  try_open(paths[i], O_MAYEXEC)) {
			TH_LOG("%s", paths[i]);
		}
	}
}

TEST_HARNESS_MAIN
