// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC: what openat2(2) decides for every policy, caller, mount, mode and
 * type of file, against tables written out here, and that it decides what
 * AT_EXECVE_CHECK does.
 */

#include "mayexec.h"

#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

/* Who owns the file and what its mode and ACL say ... */
enum access_rights {
	RIGHTS_0755,
	RIGHTS_0644,
	RIGHTS_0111,
	RIGHTS_0600,
	RIGHTS_0655_USER,
	RIGHTS_ACL_GRANTED,
	RIGHTS_ACL_DENIED,
	NR_SETTABLE_RIGHTS,
	/* Those of the inodes that the kernel made. */
	RIGHTS_0600_ROOT = NR_SETTABLE_RIGHTS,
	RIGHTS_0700_ROOT,
	NR_RIGHTS,
};

#define R	1
#define X	2

/*
 * ... and what each caller may therefore do with a regular file.  Reading means
 * the same for the other types.
 */
static const struct {
	const char *name;
	unsigned int owner;
	mode_t mode;
	bool has_acl;
	int acl_perm;
	int may[NR_CALLERS];
} rights[NR_RIGHTS] = {
	[RIGHTS_0755] = {
		.name = "0755", .owner = OWNER_ID, .mode = 0755,
		.may = {
			[CALLER_ROOT] = R | X,
			[CALLER_USER] = R | X,
			[CALLER_NOCAP] = R | X,
			[CALLER_USERNS_ROOT] = R | X,
		},
	},
	/* CAP_DAC_OVERRIDE does not execute what nobody may execute. */
	[RIGHTS_0644] = {
		.name = "0644", .owner = OWNER_ID, .mode = 0644,
		.may = {
			[CALLER_ROOT] = R,
			[CALLER_USER] = R,
			[CALLER_NOCAP] = R,
			[CALLER_USERNS_ROOT] = R,
		},
	},
	/* What may be executed but not read cannot be interpreted. */
	[RIGHTS_0111] = {
		.name = "0111", .owner = OWNER_ID, .mode = 0111,
		.may = {
			[CALLER_ROOT] = R | X,
			[CALLER_USER] = X,
			[CALLER_NOCAP] = X,
			[CALLER_USERNS_ROOT] = X,
		},
	},
	[RIGHTS_0600] = {
		.name = "0600", .owner = OWNER_ID, .mode = 0600,
		.may = {
			[CALLER_ROOT] = R,
			[CALLER_USER] = 0,
			[CALLER_NOCAP] = 0,
			[CALLER_USERNS_ROOT] = 0,
		},
	},
	/*
	 * The owner is the only one who may not execute it, unless the
	 * capabilities of the user namespace that maps the owner say so.
	 */
	[RIGHTS_0655_USER] = {
		.name = "0655-user", .owner = USER_ID, .mode = 0655,
		.may = {
			[CALLER_ROOT] = R | X,
			[CALLER_USER] = R,
			[CALLER_NOCAP] = R | X,
			[CALLER_USERNS_ROOT] = R | X,
		},
	},
	[RIGHTS_ACL_GRANTED] = {
		.name = "acl-granted", .owner = OWNER_ID, .mode = 0650,
		.has_acl = true, .acl_perm = 5,
		.may = {
			[CALLER_ROOT] = R | X,
			[CALLER_USER] = R | X,
			[CALLER_NOCAP] = R | X,
			[CALLER_USERNS_ROOT] = R | X,
		},
	},
	/* The mode is 0755: only the ACL knows better. */
	[RIGHTS_ACL_DENIED] = {
		.name = "acl-denied", .owner = OWNER_ID, .mode = 0755,
		.has_acl = true, .acl_perm = 4,
		.may = {
			[CALLER_ROOT] = R | X,
			[CALLER_USER] = R,
			[CALLER_NOCAP] = R,
			[CALLER_USERNS_ROOT] = R,
		},
	},
	[RIGHTS_0600_ROOT] = {
		.name = "0600-root", .mode = 0600,
		.may = {
			[CALLER_ROOT] = R,
			[CALLER_USER] = 0,
			[CALLER_NOCAP] = R,
			[CALLER_USERNS_ROOT] = 0,
		},
	},
	[RIGHTS_0700_ROOT] = {
		.name = "0700-root", .mode = 0700,
		.may = {
			[CALLER_ROOT] = R | X,
			[CALLER_USER] = 0,
			[CALLER_NOCAP] = R | X,
			[CALLER_USERNS_ROOT] = 0,
		},
	},
};

/*
 * What an open finds.  @lookup_error comes before any permission is looked at,
 * @open_error from ->open(), which a denied open never reaches.
 */
enum type {
	TYPE_REGULAR,
	TYPE_SYMLINK,
	TYPE_SYMLINK_NOFOLLOW,
	TYPE_DIRECTORY,
	TYPE_FIFO,
	TYPE_SOCKET,
	TYPE_CHAR,
	TYPE_BLOCK,
	TYPE_MEMFD,
	TYPE_PIPE,
	TYPE_PIDFD,
	TYPE_EVENTFD,
	NR_TYPES,
};

static const struct {
	const char *name;
	mode_t format;
	unsigned int major, minor;
	bool regular;
	int open_flags;
	int lookup_error;
	int open_error;
} types[NR_TYPES] = {
	[TYPE_REGULAR] = {
		.name = "regular", .format = S_IFREG, .regular = true,
	},
	/* To a regular file with the rights. */
	[TYPE_SYMLINK] = {
		.name = "symlink", .format = S_IFLNK, .regular = true,
	},
	[TYPE_SYMLINK_NOFOLLOW] = {
		.name = "symlink-nofollow", .format = S_IFLNK,
		.open_flags = O_NOFOLLOW, .lookup_error = -ELOOP,
	},
	[TYPE_DIRECTORY] = {
		.name = "directory", .format = S_IFDIR,
	},
	[TYPE_FIFO] = {
		.name = "fifo", .format = S_IFIFO, .open_flags = O_NONBLOCK,
	},
	[TYPE_SOCKET] = {
		.name = "socket", .format = S_IFSOCK, .open_error = -ENXIO,
	},
	/* /dev/null */
	[TYPE_CHAR] = {
		.name = "char", .format = S_IFCHR, .major = 1, .minor = 3,
	},
	/* A number for local use, that no driver answers to. */
	[TYPE_BLOCK] = {
		.name = "block", .format = S_IFBLK, .major = 120,
		.open_error = -ENXIO,
	},
	/* By magic link.  The mount of a memfd is an executable one. */
	[TYPE_MEMFD] = {
		.name = "memfd", .regular = true,
	},
	[TYPE_PIPE] = {
		.name = "pipe", .open_flags = O_NONBLOCK,
	},
	/* Whatever its inode holds, fstat(2) shows no regular file. */
	[TYPE_PIDFD] = {
		.name = "pidfd",
	},
	[TYPE_EVENTFD] = {
		.name = "eventfd", .open_error = -ENXIO,
	},
};

/* Whether a regular file may be opened: [checks][executable mount][X]. */
static const bool regular_allowed[4][2][2] = {
	[0] = {
		{ true, true },
		{ true, true },
	},
	[OPEN_MAYEXEC_ENFORCE_MOUNT] = {
		{ false, false },
		{ true, true },
	},
	[OPEN_MAYEXEC_ENFORCE_FILE] = {
		{ false, true },
		{ false, true },
	},
	[OPEN_MAYEXEC_ENFORCE_BOTH] = {
		{ false, false },
		{ false, true },
	},
};

struct sample {
	char name[64];
	enum type type;
	enum access_rights rights;
	bool mount_exec;
};

static int expected(const struct sample *sample, enum caller caller, int checks)
{
	const int may = rights[sample->rights].may[caller];

	if (types[sample->type].lookup_error)
		return types[sample->type].lookup_error;
	if (!(may & R))
		return -EACCES;
	if (checks && !types[sample->type].regular)
		return -EACCES;
	if (types[sample->type].regular &&
	    !regular_allowed[checks][sample->mount_exec][!!(may & X)])
		return -EACCES;
	return types[sample->type].open_error;
}

enum place {
	PLACE_MOUNT_EXEC,
	PLACE_MOUNT_NOEXEC,
	PLACE_SUPERBLOCK_NOEXEC,
	PLACE_MAGIC_LINK,
};

/* What @caller is to open at @place. */
struct matrix {
	enum caller caller;
	enum place place;
	struct sample samples[NR_TYPES * NR_RIGHTS];
	size_t nr_samples;
	bool types_seen[NR_TYPES];
	bool acl_seen;
};

FIXTURE(decision) {
	struct matrix matrix;
};

FIXTURE_VARIANT(decision) {
	enum caller caller;
	enum place place;
};

FIXTURE_VARIANT_ADD(decision, root_mount_exec) {
	.caller = CALLER_ROOT,
	.place = PLACE_MOUNT_EXEC,
};

FIXTURE_VARIANT_ADD(decision, root_mount_noexec) {
	.caller = CALLER_ROOT,
	.place = PLACE_MOUNT_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, root_superblock_noexec) {
	.caller = CALLER_ROOT,
	.place = PLACE_SUPERBLOCK_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, root_magic_link) {
	.caller = CALLER_ROOT,
	.place = PLACE_MAGIC_LINK,
};

FIXTURE_VARIANT_ADD(decision, user_mount_exec) {
	.caller = CALLER_USER,
	.place = PLACE_MOUNT_EXEC,
};

FIXTURE_VARIANT_ADD(decision, user_mount_noexec) {
	.caller = CALLER_USER,
	.place = PLACE_MOUNT_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, user_superblock_noexec) {
	.caller = CALLER_USER,
	.place = PLACE_SUPERBLOCK_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, user_magic_link) {
	.caller = CALLER_USER,
	.place = PLACE_MAGIC_LINK,
};

FIXTURE_VARIANT_ADD(decision, nocap_mount_exec) {
	.caller = CALLER_NOCAP,
	.place = PLACE_MOUNT_EXEC,
};

FIXTURE_VARIANT_ADD(decision, nocap_mount_noexec) {
	.caller = CALLER_NOCAP,
	.place = PLACE_MOUNT_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, nocap_superblock_noexec) {
	.caller = CALLER_NOCAP,
	.place = PLACE_SUPERBLOCK_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, nocap_magic_link) {
	.caller = CALLER_NOCAP,
	.place = PLACE_MAGIC_LINK,
};

FIXTURE_VARIANT_ADD(decision, userns_root_mount_exec) {
	.caller = CALLER_USERNS_ROOT,
	.place = PLACE_MOUNT_EXEC,
};

FIXTURE_VARIANT_ADD(decision, userns_root_mount_noexec) {
	.caller = CALLER_USERNS_ROOT,
	.place = PLACE_MOUNT_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, userns_root_superblock_noexec) {
	.caller = CALLER_USERNS_ROOT,
	.place = PLACE_SUPERBLOCK_NOEXEC,
};

FIXTURE_VARIANT_ADD(decision, userns_root_magic_link) {
	.caller = CALLER_USERNS_ROOT,
	.place = PLACE_MAGIC_LINK,
};

/* False where the filesystem has no ACL. */
static bool set_rights(struct __test_metadata *_metadata, const char *path,
		       enum access_rights which)
{
	int err;

	ASSERT_EQ(0, chown(path, rights[which].owner, rights[which].owner)) {
		TH_LOG("chown %s: %s", path, strerror(errno));
	}
	ASSERT_EQ(0, chmod(path, rights[which].mode)) {
		TH_LOG("chmod %s: %s", path, strerror(errno));
	}
	if (!rights[which].has_acl)
		return true;

	err = set_acl(path, rights[which].mode, rights[which].acl_perm);
	if (err == -EOPNOTSUPP)
		return false;
	ASSERT_EQ(0, err) {
		TH_LOG("setxattr %s: %s", path, strerror(-err));
	}
	return true;
}

static struct sample *add_sample(struct matrix *matrix, enum type type,
				 enum access_rights which, bool mount_exec)
{
	struct sample *sample = &matrix->samples[matrix->nr_samples];

	sample->type = type;
	sample->rights = which;
	sample->mount_exec = mount_exec;
	snprintf(sample->name, sizeof(sample->name), "%s-%s", types[type].name,
		 rights[which].name);
	return sample;
}

static void keep_sample(struct matrix *matrix, const struct sample *sample)
{
	matrix->nr_samples++;
	matrix->types_seen[sample->type] = true;
	matrix->acl_seen |= rights[sample->rights].has_acl;
}

/* A file of each kind that has a name, in the working directory. */
static void make_named(struct __test_metadata *_metadata,
		       struct matrix *matrix, enum type type,
		       enum access_rights which, bool mount_exec)
{
	struct sample *sample = add_sample(matrix, type, which, mount_exec);
	char target[64];

	switch (types[type].format) {
	case S_IFLNK:
		/* Made before: the types are in that order. */
		snprintf(target, sizeof(target), "%s-%s",
			 types[TYPE_REGULAR].name, rights[which].name);
		if (access(target, F_OK))
			return;
		ASSERT_EQ(0, symlink(target, sample->name));
		break;
	case S_IFDIR:
		ASSERT_EQ(0, mkdir(sample->name, 0));
		break;
	default:
		ASSERT_EQ(0, mknod(sample->name, types[type].format,
				   makedev(types[type].major,
					   types[type].minor)));
	}
	if (types[type].format != S_IFLNK &&
	    !set_rights(_metadata, sample->name, which)) {
		ASSERT_EQ(0, remove(sample->name));
		return;
	}
	keep_sample(matrix, sample);
}

static void make_named_types(struct __test_metadata *_metadata,
			     struct matrix *matrix, bool mount_exec)
{
	for (int which = 0; which < NR_SETTABLE_RIGHTS; which++)
		for (int type = 0; type <= TYPE_BLOCK; type++)
			make_named(_metadata, matrix, type, which, mount_exec);
}

/*
 * Message queues are regular files with an owner and a mode, on a superblock
 * that is never executable.  Their filesystem holds nothing else.
 */
static bool make_message_queues(struct __test_metadata *_metadata,
				struct matrix *matrix)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct sample *sample;

	if (unshare(CLONE_NEWIPC))
		return false;
	ASSERT_EQ(0, mkdir("mqueue", 0755));
	if (sys_mount("mayexec", "mqueue", "mqueue", 0, NULL))
		return false;
	ASSERT_EQ(0, chdir("mqueue"));
	ASSERT_EQ(0, setrlimit(RLIMIT_MSGQUEUE, &limit));

	for (int which = 0; which < NR_SETTABLE_RIGHTS; which++) {
		int fd;

		sample = add_sample(matrix, TYPE_REGULAR, which, false);
		fd = open(sample->name, O_RDWR | O_CREAT | O_EXCL, 0);
		ASSERT_LE(0, fd) {
			TH_LOG("create message queue: %s", strerror(errno));
		}
		close(fd);
		if (set_rights(_metadata, sample->name, which))
			keep_sample(matrix, sample);
	}

	sample = add_sample(matrix, TYPE_DIRECTORY, RIGHTS_0755, false);
	snprintf(sample->name, sizeof(sample->name), ".");
	ASSERT_TRUE(set_rights(_metadata, sample->name, RIGHTS_0755));
	keep_sample(matrix, sample);
	return true;
}

static bool have_executable_memfd(void)
{
	int fd = syscall(__NR_memfd_create, "mayexec", MFD_EXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* A descriptor of @type, which stays open and is the file of a magic link. */
static void make_magic_link(struct __test_metadata *_metadata,
			    struct matrix *matrix, enum type type,
			    enum access_rights which)
{
	struct sample *sample = add_sample(matrix, type, which, type == TYPE_MEMFD);
	int fds[2] = { -1, -1 };

	switch (type) {
	case TYPE_MEMFD:
		fds[0] = syscall(__NR_memfd_create, sample->name,
				 MFD_EXEC);
		break;
	case TYPE_PIPE:
		ASSERT_EQ(0, pipe(fds));
		break;
	case TYPE_PIDFD:
		fds[0] = syscall(__NR_pidfd_open, getpid(), 0);
		break;
	default:
		fds[0] = eventfd(0, 0);
	}
	ASSERT_LE(0, fds[0]) {
		TH_LOG("%s: %s", types[type].name, strerror(errno));
	}
	snprintf(sample->name, sizeof(sample->name), "/proc/self/fd/%d",
		 fds[0]);
	if (which < NR_SETTABLE_RIGHTS &&
	    !set_rights(_metadata, sample->name, which)) {
		close(fds[0]);
		close(fds[1]);
		return;
	}
	keep_sample(matrix, sample);
}

static void make_magic_links(struct __test_metadata *_metadata,
			     struct matrix *matrix)
{
	for (int which = 0; which < NR_SETTABLE_RIGHTS; which++) {
		make_magic_link(_metadata, matrix, TYPE_MEMFD, which);
		make_magic_link(_metadata, matrix, TYPE_PIPE, which);
	}
	make_magic_link(_metadata, matrix, TYPE_PIDFD, RIGHTS_0700_ROOT);
	make_magic_link(_metadata, matrix, TYPE_EVENTFD, RIGHTS_0600_ROOT);
}

FIXTURE_SETUP(decision)
{
	if (!mayexec_setup(_metadata))
		return;
	if (!have_caller(variant->caller))
		SKIP(return, NO_USERNS);

	self->matrix.caller = variant->caller;
	self->matrix.place = variant->place;
	switch (variant->place) {
	case PLACE_MOUNT_EXEC:
		make_named_types(_metadata, &self->matrix, true);
		break;
	case PLACE_MOUNT_NOEXEC:
		make_mount(_metadata, "noexec", MS_NOEXEC);
		ASSERT_EQ(0, chdir("noexec"));
		make_named_types(_metadata, &self->matrix, false);
		break;
	case PLACE_SUPERBLOCK_NOEXEC:
		if (!make_message_queues(_metadata, &self->matrix))
			SKIP(return, "needs POSIX message queues");
		break;
	case PLACE_MAGIC_LINK:
		if (!have_executable_memfd())
			SKIP(return, "needs vm.memfd_noexec below 2");
		make_magic_links(_metadata, &self->matrix);
		break;
	}
	if (!self->matrix.acl_seen && variant->place != PLACE_SUPERBLOCK_NOEXEC)
		TH_LOG("tmpfs has no ACL: they are left out");
}

FIXTURE_TEARDOWN_PARENT(decision)
{
	mayexec_teardown(_metadata);
}

/* The types that a place must have shown, lest a loop runs over nothing. */
static void check_types_seen(struct __test_metadata *_metadata,
			     const struct matrix *matrix)
{
	int first = TYPE_REGULAR, last = TYPE_BLOCK;

	if (matrix->place == PLACE_SUPERBLOCK_NOEXEC) {
		ASSERT_TRUE(matrix->types_seen[TYPE_REGULAR]);
		ASSERT_TRUE(matrix->types_seen[TYPE_DIRECTORY]);
		return;
	}
	if (matrix->place == PLACE_MAGIC_LINK) {
		first = TYPE_MEMFD;
		last = TYPE_EVENTFD;
	}
	for (int type = first; type <= last; type++) {
		ASSERT_TRUE(matrix->types_seen[type]) {
			TH_LOG("%s", types[type].name);
		}
	}
}

static void check_sample(struct __test_metadata *_metadata,
			 const struct sample *sample, enum caller caller,
			 int checks)
{
	const int flags = types[sample->type].open_flags;
	const char *rights_name = rights[sample->rights].name;
	const char *type_name = types[sample->type].name;

	EXPECT_EQ(expected(sample, caller, 0),
		  try_open(sample->name, flags)) {
		TH_LOG("without O_MAYEXEC: %s %s", type_name, rights_name);
	}
	EXPECT_EQ(expected(sample, caller, checks),
		  try_open(sample->name, flags | O_MAYEXEC)) {
		TH_LOG("with O_MAYEXEC: %s %s", type_name, rights_name);
	}
}

static void check_decision(struct __test_metadata *_metadata,
			   const struct matrix *matrix, int checks,
			   int securebits)
{
	pid_t pid;

	check_types_seen(_metadata, matrix);
	pid = fork_as(_metadata, matrix->caller);
	if (pid) {
		join(_metadata, pid);
		return;
	}
	if (securebits)
		set_securebits(_metadata, securebits);
	for (size_t i = 0; i < matrix->nr_samples; i++)
		check_sample(_metadata, &matrix->samples[i], matrix->caller,
			     checks);
	_exit(_metadata->exit_code);
}

TEST_F(decision, no_policy)
{
	if (!set_policy(_metadata, 0))
		SKIP(return, STATIC_POLICY);
	check_decision(_metadata, &self->matrix, 0, 0);
}

TEST_F(decision, mount)
{
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_MOUNT))
		SKIP(return, STATIC_POLICY);
	check_decision(_metadata, &self->matrix, OPEN_MAYEXEC_ENFORCE_MOUNT, 0);
}

TEST_F(decision, file)
{
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_FILE))
		SKIP(return, STATIC_POLICY);
	check_decision(_metadata, &self->matrix, OPEN_MAYEXEC_ENFORCE_FILE, 0);
}

TEST_F(decision, mount_and_file)
{
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	check_decision(_metadata, &self->matrix, OPEN_MAYEXEC_ENFORCE_BOTH, 0);
}

TEST_F(decision, securebit)
{
	/* The union with any constant is the same. */
	set_policy(_metadata, 0);
	check_decision(_metadata, &self->matrix, OPEN_MAYEXEC_ENFORCE_BOTH,
		       SECBIT_EXEC_RESTRICT_FILE);
}

static void check_equality(struct __test_metadata *_metadata,
			   const struct sample *sample)
{
	const int flags = types[sample->type].open_flags;
	const int at_flags = flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	int check, fd;

	check = try_execve_check(AT_FDCWD, sample->name, at_flags);
	EXPECT_EQ(check, try_open(sample->name, flags | O_MAYEXEC)) {
		TH_LOG("by path: %s %s", types[sample->type].name,
		       rights[sample->rights].name);
	}

	/* The symbolic link itself is no file to reopen. */
	if (flags & O_NOFOLLOW)
		return;
	fd = open(sample->name, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	check = try_execve_check(fd, "", AT_EMPTY_PATH);
	EXPECT_EQ(check, try_openat2(fd, "", flags | O_MAYEXEC | O_EMPTYPATH,
				     0)) {
		TH_LOG("by descriptor: %s %s", types[sample->type].name,
		       rights[sample->rights].name);
	}
	close(fd);
}

/* A file that the caller may not read is none that it could interpret. */
TEST_F(decision, equals_execve_check)
{
	bool allowed = false;
	pid_t pid;

	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	check_types_seen(_metadata, &self->matrix);
	pid = fork_as(_metadata, variant->caller);
	if (pid) {
		join(_metadata, pid);
		return;
	}
	for (size_t i = 0; i < self->matrix.nr_samples; i++) {
		const struct sample *sample = &self->matrix.samples[i];

		if (!(rights[sample->rights].may[variant->caller] & R))
			continue;
		check_equality(_metadata, sample);
		allowed |= !try_open(sample->name, O_MAYEXEC |
				     types[sample->type].open_flags);
	}
	/* Equal, but not for want of a difference. */
	EXPECT_EQ(variant->place == PLACE_MOUNT_EXEC ||
		  variant->place == PLACE_MAGIC_LINK, allowed);
	_exit(_metadata->exit_code);
}

FIXTURE(written_file) {
	int fd;
};

FIXTURE_SETUP(written_file)
{
	if (!mayexec_setup(_metadata))
		return;
	make_file(_metadata, "file", 0755);
	self->fd = open("file", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN_PARENT(written_file)
{
	mayexec_teardown(_metadata);
}

/* Nothing is executed, so nothing is protected from being written. */
TEST_F(written_file, is_not_busy)
{
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	EXPECT_EQ(-ETXTBSY, try_execve_check(AT_FDCWD, "file", 0));
	EXPECT_EQ(0, try_open("file", O_MAYEXEC));
}

TEST_F(written_file, can_be_written_later)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_MAYEXEC };
	int fd;

	close(self->fd);
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);
	fd = sys_openat2(AT_FDCWD, "file", &how);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, try_openat2(AT_FDCWD, "file", O_WRONLY, 0));
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, "file", 0));
	close(fd);
}

TEST_HARNESS_MAIN
