// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: what it can be combined with, what it leaves as it is, and which
 * system calls do not know it.
 */

#define OWN_FIXTURE
#include "more.h"

#include <sys/statfs.h>

static const int strictest = ENFORCE_BOTH;

FIXTURE(flags) {};

FIXTURE_SETUP(flags)
{
	if (!setup_test(_metadata))
		return;
	make_file(_metadata, "0755", 0755);
	ASSERT_EQ(0, write_string("0755", "content"));
	make_file(_metadata, "0644", 0644);
	ASSERT_EQ(0, mkfifo("fifo", 0755));
	ASSERT_EQ(0, mkdir("directory", 0755));
}

FIXTURE_TEARDOWN_PARENT(flags)
{
	teardown_test(_metadata);
}

static const struct {
	const char *name;
	const char *path;
	__u64 flags;
} rejected[] = {
	{ "O_WRONLY", "0755", O_WRONLY },
	{ "O_RDWR", "0755", O_RDWR },
	{ "O_ACCMODE", "0755", O_ACCMODE },
	{ "O_CREAT", "0755", O_CREAT },
	{ "O_CREAT of a new file", "new", O_CREAT },
	{ "O_CREAT | O_EXCL", "new", O_CREAT | O_EXCL },
	{ "O_CREAT | O_RDWR", "new", O_CREAT | O_RDWR },
	{ "O_CREAT | OPENAT2_REGULAR", "new", O_CREAT | OPENAT2_REGULAR },
	{ "O_TMPFILE | O_WRONLY", ".", O_TMPFILE | O_WRONLY },
	{ "O_TMPFILE | O_RDWR", ".", O_TMPFILE | O_RDWR },
	{ "O_TRUNC", "0755", O_TRUNC },
	{ "O_TRUNC | O_WRONLY", "0755", O_TRUNC | O_WRONLY },
	{ "O_APPEND", "0755", O_APPEND },
	{ "O_APPEND | O_WRONLY", "0755", O_APPEND | O_WRONLY },
	{ "O_PATH", "0755", O_PATH },
	{ "O_PATH | O_NOFOLLOW", "0755", O_PATH | O_NOFOLLOW },
	{ "O_DIRECTORY", "directory", O_DIRECTORY },
	{ "O_DIRECTORY | O_PATH", "directory", O_DIRECTORY | O_PATH },
};

/* Without the flag the same call is valid: it alone makes the difference. */
static void check_rejected(struct __test_metadata *_metadata, size_t i)
{
	const __u64 flags = rejected[i].flags;
	struct statfs before, after;
	struct stat st;
	int fd;

	ASSERT_EQ(0, statfs(".", &before));
	fd = sys_openat2(AT_FDCWD, rejected[i].path, flags | O_MAYEXEC);
	EXPECT_EQ(-EINVAL, fd) {
		TH_LOG("O_MAYEXEC | %s", rejected[i].name);
	}
	if (fd >= 0)
		close(fd);

	/* A file without a name would still use an inode. */
	ASSERT_EQ(0, statfs(".", &after));
	EXPECT_EQ(before.f_ffree, after.f_ffree);
	EXPECT_NE(0, access("new", F_OK));
	ASSERT_EQ(0, stat("0755", &st));
	EXPECT_EQ(strlen("content"), (size_t)st.st_size);

	fd = sys_openat2(AT_FDCWD, rejected[i].path, flags);
	EXPECT_LE(0, fd) {
		TH_LOG("%s: %s", rejected[i].name, strerror(-fd));
	}
	if (fd >= 0)
		close(fd);
	unlink("new");
	ASSERT_EQ(0, truncate("0755", 0));
	ASSERT_EQ(0, write_string("0755", "content"));
}

TEST_F(flags, rejects_what_is_not_for_reading)
{
	for (int policy = 0; policy <= strictest; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(rejected); i++)
			check_rejected(_metadata, i);
	}
}

/* All that a program can learn from an open: its error, or the descriptor. */
struct outcome {
	int result;
	int status_flags;
	int descriptor_flags;
	char fdinfo_flags[64];
};

static void read_fdinfo_flags(struct __test_metadata *_metadata, int fd,
			      char *line, size_t size)
{
	char path[64], buf[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	ASSERT_NE(NULL, file);
	while (fgets(buf, sizeof(buf), file))
		if (!strncmp(buf, "flags:", 6))
			snprintf(line, size, "%s", buf);
	fclose(file);
	ASSERT_NE('\0', line[0]);
}

static void observe(struct __test_metadata *_metadata, const char *path,
		    __u64 flags, struct outcome *outcome)
{
	struct open_how how = { .flags = flags };
	int fd = raw_openat2(AT_FDCWD, path, &how);

	memset(outcome, 0, sizeof(*outcome));
	if (fd < 0) {
		outcome->result = fd;
		return;
	}
	outcome->status_flags = fcntl(fd, F_GETFL);
	outcome->descriptor_flags = fcntl(fd, F_GETFD);
	read_fdinfo_flags(_metadata, fd, outcome->fdinfo_flags,
			  sizeof(outcome->fdinfo_flags));
	close(fd);
}

static void check_same(struct __test_metadata *_metadata, const char *path,
		       __u64 flags)
{
	struct outcome without, with;

	observe(_metadata, path, flags, &without);
	observe(_metadata, path, flags | O_MAYEXEC, &with);
	EXPECT_EQ(without.result, with.result) {
		TH_LOG("%s, flags %#llx", path, (unsigned long long)flags);
	}
	EXPECT_EQ(without.status_flags, with.status_flags);
	EXPECT_EQ(without.descriptor_flags, with.descriptor_flags);
	EXPECT_STREQ(without.fdinfo_flags, with.fdinfo_flags);
}

static const struct {
	const char *name;
	__u64 flags;
} composed[] = {
	{ "none", 0 },
	{ "O_CLOEXEC", O_CLOEXEC },
	{ "O_NOFOLLOW", O_NOFOLLOW },
	{ "O_NONBLOCK", O_NONBLOCK },
	{ "O_NOATIME", O_NOATIME },
	{ "O_NOCTTY", O_NOCTTY },
	{ "O_SYNC", O_SYNC },
	{ "O_DSYNC", O_DSYNC },
	{ "O_DIRECT", O_DIRECT },
	{ "O_EXCL", O_EXCL },
	{ "O_ASYNC", O_ASYNC },
	{ "O_EMPTYPATH", O_EMPTYPATH },
	{ "OPENAT2_REGULAR", OPENAT2_REGULAR },
	{ "several",
	  O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | OPENAT2_REGULAR },
};

TEST_F(flags, composes_with_every_other)
{
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(composed); i++) {
		const __u64 flags = composed[i].flags;

		EXPECT_EQ(0, try_open("0755", flags)) {
			TH_LOG("%s", composed[i].name);
		}
		check_same(_metadata, "0755", flags);
		EXPECT_EQ(-EACCES, try_open("0644", flags | O_MAYEXEC)) {
			TH_LOG("%s", composed[i].name);
		}
	}
}

TEST_F(flags, changes_nothing_without_policy)
{
	const char *const paths[] = {
		"0755", "0644", "fifo", "directory", "absent",
	};

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		for (size_t j = 0; j < ARRAY_SIZE(composed); j++)
			/* The FIFO has no writer. */
			check_same(_metadata, paths[i],
				   composed[j].flags | O_NONBLOCK);
}

/* A C library that always asks for it defines it as 0: open(2) shows its value. */
TEST_F(flags, composes_with_largefile)
{
	int largefile = O_LARGEFILE;

	if (!largefile) {
		int fd = open("0755", O_RDONLY);

		ASSERT_LE(0, fd);
		largefile = fcntl(fd, F_GETFL);
		close(fd);
	}
	ASSERT_LT(0, largefile);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	EXPECT_EQ(0, try_open("0755", largefile));
	check_same(_metadata, "0755", largefile);
	EXPECT_EQ(-EACCES, try_open("0644", largefile | O_MAYEXEC));
}

/* Whoever asks for a regular file learns of the type first. */
TEST_F(flags, regular_has_its_own_error)
{
	for (int policy = 0; policy <= strictest; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(-EFTYPE, try_open("directory", O_MAYEXEC |
					    OPENAT2_REGULAR));
		EXPECT_EQ(-EFTYPE, try_open("fifo", O_MAYEXEC |
					    OPENAT2_REGULAR));
	}
}

TEST_F(flags, unknown_bits_are_rejected)
{
	struct open_how how = { .flags = O_MAYEXEC, .mode = 0700 };

	EXPECT_EQ(-EINVAL, try_open("0755", 1ULL << 63));
	EXPECT_EQ(-EINVAL, try_open("0755", O_MAYEXEC | 1ULL << 63));
	EXPECT_EQ(-EINVAL, try_open("0755", O_MAYEXEC | 1ULL << 31));
	EXPECT_EQ(-EINVAL, try_resolve(AT_FDCWD, "0755", O_MAYEXEC,
				       1ULL << 63));
	EXPECT_EQ(-EINVAL, raw_openat2(AT_FDCWD, "0755", &how));
}

/* The system calls that take the flags as an int. */
FIXTURE(legacy) {};

FIXTURE_SETUP(legacy)
{
	if (!setup_test(_metadata))
		return;
	make_file(_metadata, "0644", 0644);
	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(-EACCES, try_open("0644", O_MAYEXEC));
}

FIXTURE_TEARDOWN_PARENT(legacy)
{
	teardown_test(_metadata);
}

/* The whole register, for the kernel to take the lower half of. */
#define LEGACY_FLAGS	((unsigned long)(O_RDONLY | O_CLOEXEC | O_MAYEXEC))

static void check_legacy(struct __test_metadata *_metadata, long fd)
{
	EXPECT_LE(0, fd) {
		TH_LOG("%s", strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

TEST_F(legacy, openat_ignores_it)
{
	check_legacy(_metadata, syscall(__NR_openat, AT_FDCWD, "0644",
					LEGACY_FLAGS, 0));
}

#ifdef __NR_open
TEST_F(legacy, open_ignores_it)
{
	check_legacy(_metadata, syscall(__NR_open, "0644", LEGACY_FLAGS, 0));
}
#endif

#ifdef __NR_creat
TEST_F(legacy, creat_ignores_it)
{
	check_legacy(_metadata, syscall(__NR_creat, "0644",
					(unsigned long)(O_MAYEXEC | 0644)));
	check_legacy(_metadata, syscall(__NR_creat, "new",
					(unsigned long)(O_MAYEXEC | 0644)));
}
#endif

TEST_F(legacy, open_by_handle_at_ignores_it)
{
	union {
		struct file_handle handle;
		char buf[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, dir;

	if (name_to_handle_at(AT_FDCWD, "0644", &u.handle, &mount_id, 0))
		SKIP(return, "name_to_handle_at: %s", strerror(errno));
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	check_legacy(_metadata, syscall(__NR_open_by_handle_at, dir, &u.handle,
					LEGACY_FLAGS));
	close(dir);
}

/* The directory to resolve from, and the answer of the policy to its files. */
struct view {
	int dir;
	int allowed;
};

FIXTURE(resolve) {
	struct view view;
	char magic_link[64];
};

FIXTURE_VARIANT(resolve) {
	int policy;
	mode_t mode;
	int allowed;
};

FIXTURE_VARIANT_ADD(resolve, no_policy) {
	.policy = 0,
	.mode = 0644,
	.allowed = 0,
};

FIXTURE_VARIANT_ADD(resolve, allowed) {
	.policy = ENFORCE_BOTH,
	.mode = 0755,
	.allowed = 0,
};

FIXTURE_VARIANT_ADD(resolve, denied) {
	.policy = ENFORCE_BOTH,
	.mode = 0644,
	.allowed = -EACCES,
};

FIXTURE_SETUP(resolve)
{
	int fd;

	if (!setup_test(_metadata))
		return;
	make_file(_metadata, "outside", variant->mode);
	ASSERT_EQ(0, mkdir("dir", 0755));
	make_file(_metadata, "dir/file", variant->mode);
	ASSERT_EQ(0, symlink("file", "dir/link"));
	ASSERT_EQ(0, symlink("../outside", "dir/up"));
	ASSERT_EQ(0, symlink("/file", "dir/absolute"));
	make_mount(_metadata, "dir/mount", 0);
	make_file(_metadata, "dir/mount/file", variant->mode);

	self->view.dir = open("dir", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->view.dir);
	self->view.allowed = variant->allowed;
	fd = open("dir/file", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	snprintf(self->magic_link, sizeof(self->magic_link),
		 "/proc/self/fd/%d", fd);
	if (!set_policy(_metadata, variant->policy))
		SKIP(return, NEEDS_SYSCTL);
}

FIXTURE_TEARDOWN_PARENT(resolve)
{
	teardown_test(_metadata);
}

/*
 * @result is that of the resolution. Where it fails, the policy is never
 * asked; where it succeeds, the policy has the last word.
 */
static void check_resolve(struct __test_metadata *_metadata,
			  const struct view *view, const char *path,
			  __u64 resolve, int result)
{
	EXPECT_EQ(result, try_resolve(view->dir, path, O_RDONLY, resolve)) {
		TH_LOG("%s, resolve %#llx", path, (unsigned long long)resolve);
	}
	EXPECT_EQ(result ?: view->allowed,
		  try_resolve(view->dir, path, O_MAYEXEC, resolve)) {
		TH_LOG("O_MAYEXEC: %s, resolve %#llx", path,
		       (unsigned long long)resolve);
	}
}

TEST_F(resolve, none)
{
	check_resolve(_metadata, &self->view, "file", 0, 0);
	check_resolve(_metadata, &self->view, "link", 0, 0);
	check_resolve(_metadata, &self->view, "up", 0, 0);
	check_resolve(_metadata, &self->view, "mount/file", 0, 0);
	check_resolve(_metadata, &self->view, self->magic_link, 0, 0);
	check_resolve(_metadata, &self->view, "absent", 0, -ENOENT);
}

TEST_F(resolve, no_xdev)
{
	check_resolve(_metadata, &self->view, "file", RESOLVE_NO_XDEV, 0);
	check_resolve(_metadata, &self->view, "mount/file", RESOLVE_NO_XDEV,
		      -EXDEV);
}

TEST_F(resolve, no_magiclinks)
{
	check_resolve(_metadata, &self->view, "link", RESOLVE_NO_MAGICLINKS,
		      0);
	check_resolve(_metadata, &self->view, self->magic_link,
		      RESOLVE_NO_MAGICLINKS, -ELOOP);
}

TEST_F(resolve, no_symlinks)
{
	check_resolve(_metadata, &self->view, "file", RESOLVE_NO_SYMLINKS, 0);
	check_resolve(_metadata, &self->view, "link", RESOLVE_NO_SYMLINKS,
		      -ELOOP);
}

TEST_F(resolve, beneath)
{
	check_resolve(_metadata, &self->view, "file", RESOLVE_BENEATH, 0);
	check_resolve(_metadata, &self->view, "link", RESOLVE_BENEATH, 0);
	check_resolve(_metadata, &self->view, "up", RESOLVE_BENEATH, -EXDEV);
	check_resolve(_metadata, &self->view, "../outside", RESOLVE_BENEATH,
		      -EXDEV);
}

TEST_F(resolve, in_root)
{
	check_resolve(_metadata, &self->view, "/file", RESOLVE_IN_ROOT, 0);
	check_resolve(_metadata, &self->view, "absolute", RESOLVE_IN_ROOT, 0);
	check_resolve(_metadata, &self->view, "../outside", RESOLVE_IN_ROOT,
		      -ENOENT);
}

TEST_F(resolve, cached)
{
	/* Not in the cache, and this does not put it there. */
	check_resolve(_metadata, &self->view, "absent", RESOLVE_CACHED,
		      -EAGAIN);
	check_resolve(_metadata, &self->view, "file", RESOLVE_CACHED, 0);
}

TEST_F(resolve, together)
{
	const __u64 resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS |
			      RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;

	check_resolve(_metadata, &self->view, "file", resolve, 0);
	check_resolve(_metadata, &self->view, "file",
		      resolve | RESOLVE_CACHED, 0);
	check_resolve(_metadata, &self->view, "link", resolve, -ELOOP);
	check_resolve(_metadata, &self->view, "../outside", resolve, -EXDEV);
	check_resolve(_metadata, &self->view, "mount/file", resolve, -EXDEV);
	check_resolve(_metadata, &self->view, "file",
		      RESOLVE_BENEATH | RESOLVE_IN_ROOT, -EINVAL);
}

/* A descriptor that is already there, as a script on the standard input is. */
FIXTURE(emptypath) {};

FIXTURE_SETUP(emptypath)
{
	setup_test(_metadata);
}

FIXTURE_TEARDOWN_PARENT(emptypath)
{
	teardown_test(_metadata);
}

/* By policy: none, mount, file, both. */
static const struct {
	const char *path;
	int results[4];
} held_files[] = {
	{ "exec/0755", { 0, 0, 0, 0 } },
	{ "exec/0644", { 0, 0, -EACCES, -EACCES } },
	{ "noexec/0755", { 0, -EACCES, 0, -EACCES } },
	{ "noexec/0644", { 0, -EACCES, -EACCES, -EACCES } },
};

static const int held_pipe[4] = { 0, -EACCES, -EACCES, -EACCES };

static void check_held(struct __test_metadata *_metadata, int held,
		       const char *name, int result)
{
	struct open_how how = { .flags = O_CLOEXEC | O_EMPTYPATH | O_MAYEXEC };
	struct stat old, new;
	int fd;

	fd = raw_openat2(held, "", &how);
	EXPECT_EQ(result, fd < 0 ? fd : 0) {
		TH_LOG("%s, policy %d", name, read_policy());
	}
	if (fd < 0)
		return;
	ASSERT_EQ(0, fstat(held, &old));
	ASSERT_EQ(0, fstat(fd, &new));
	EXPECT_EQ(old.st_dev, new.st_dev);
	EXPECT_EQ(old.st_ino, new.st_ino);
	close(fd);

	/* Without O_EMPTYPATH there is nothing to open. */
	how.flags &= ~O_EMPTYPATH;
	EXPECT_EQ(-ENOENT, raw_openat2(held, "", &how));
}

TEST_F(emptypath, held_file)
{
	static const int modes[] = { O_PATH, O_RDONLY, O_WRONLY };

	for (int policy = 0; policy <= strictest; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(held_files); i++) {
			for (size_t j = 0; j < ARRAY_SIZE(modes); j++) {
				int fd = open(held_files[i].path,
					      modes[j] | O_CLOEXEC);

				ASSERT_LE(0, fd);
				check_held(_metadata, fd, held_files[i].path,
					   held_files[i].results[policy]);
				close(fd);
			}
		}
	}
}

TEST_F(emptypath, unlinked_file)
{
	int fd;

	if (!set_policy(_metadata, strictest))
		SKIP(return, NEEDS_SYSCTL);
	fd = open("exec/0755", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, unlink("exec/0755"));
	check_held(_metadata, fd, "unlinked 0755", 0);
	ASSERT_EQ(0, fchmod(fd, 0644));
	check_held(_metadata, fd, "unlinked 0644", -EACCES);
	close(fd);
}

TEST_F(emptypath, standard_input)
{
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	for (int policy = 0; policy <= strictest; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(held_files); i++) {
			int fd = open(held_files[i].path, O_RDONLY | O_CLOEXEC);

			ASSERT_LE(0, fd);
			ASSERT_EQ(STDIN_FILENO, dup2(fd, STDIN_FILENO));
			close(fd);
			check_held(_metadata, STDIN_FILENO, held_files[i].path,
				   held_files[i].results[policy]);
		}
		check_held(_metadata, pipes[0], "pipe", held_pipe[policy]);
		ASSERT_EQ(STDIN_FILENO, dup2(pipes[0], STDIN_FILENO));
		check_held(_metadata, STDIN_FILENO, "pipe", held_pipe[policy]);
	}
}

TEST_HARNESS_MAIN
