/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An oracle that knows nothing of the kernel: who may read and execute which
 * file, by mode, owner and ACL. compare() asks the kernel in four ways and
 * compares.
 */

#ifndef __MAYEXEC_ORACLE_H__
#define __MAYEXEC_ORACLE_H__

#define OWN_FIXTURE
#include "more.h"

#include <net/if.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define NOBODY_ID	65534
#define UNMAPPED_ID	-1

struct subject {
	char name[8];
	int uid, gid;
	mode_t mode;
	int acl;		/* rights of named users, or no ACL */
};

#define NO_ACL		-1
#define PATIENCE	240	/* an emulated machine beside others is slow */
#define MAX_SUBJECTS	80

/* How a filesystem sees its files and their users. */
struct view {
	const char *name;
	mode_t mode;		/* all files have it, if it is not 0, */
	int uid, gid;		/* and these owners */
	bool no_acls;
	bool any_x;		/* everybody may read, and execute by any execute bit */
	bool server;		/* root has its capabilities on the server */
	bool squash;		/* root is nobody on the server */
	bool remote;		/* slow, and without leases */
	bool below;		/* opens a file below to write, with the caller's rights */
	bool early;		/* opens a file that is not cached before the decision */
	bool idmapped;		/* OWNER_ID is USER_ID, nobody else is somebody */
	bool mounter_squash;	/* an overlay, whose mounter is nobody on the server */
	bool mounter_nocap;	/* an overlay, whose mounter is root without capabilities */
	bool mounter_by_open;	/* an overlay: to execute, its mounter need not read */
	bool access_by_server;	/* access(2) is left to a server that says yes */
};

/* O_LARGEFILE in F_GETFL, whose value is the architecture's. */
static int largefile = O_LARGEFILE;

/* A C library that always asks for it defines it as 0: open(2) shows its value. */
__attribute__((constructor))
static void find_largefile(void)
{
	int fd;

	if (largefile)
		return;
	fd = open("/", O_RDONLY);
	largefile = fcntl(fd, F_GETFL);
	close(fd);
}

static struct subject subjects[MAX_SUBJECTS];
static int nr_subjects;
static int *comparisons;

static inline void add_subject(int uid, int gid, mode_t mode, int acl)
{
	struct subject *new = &subjects[nr_subjects];

	if (nr_subjects == MAX_SUBJECTS)
		abort();
	snprintf(new->name, sizeof(new->name), "f%d", nr_subjects++);
	new->uid = uid;
	new->gid = gid;
	new->mode = mode;
	new->acl = acl;
}

__attribute__((constructor))
static void list_subjects(void)
{
	static const mode_t modes[] = {
		0000, 0111, 0444, 0500, 0050, 0005, 0600, 0644, 0744, 0654,
		0645, 0711, 0755,
	};
	static const mode_t masks[] = { 0700, 0750, 0770, 0645 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		add_subject(0, 0, modes[i], NO_ACL);
		add_subject(USER_ID, OWNER_ID, modes[i], NO_ACL);
		add_subject(OWNER_ID, USER_ID, modes[i], NO_ACL);
		add_subject(OWNER_ID, OWNER_ID, modes[i], NO_ACL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		add_subject(OWNER_ID, OWNER_ID, masks[i], 4);
		add_subject(OWNER_ID, OWNER_ID, masks[i], 5);
		add_subject(OWNER_ID, USER_ID, masks[i], 7);
	}
	comparisons = mmap(NULL, sizeof(*comparisons), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline void make_subjects(struct __test_metadata *_metadata,
				 const struct view *view, const char *dir)
{
	char path[64];

	for (int i = 0; i < nr_subjects; i++) {
		const struct subject *file = &subjects[i];

		if (file->acl != NO_ACL && view->no_acls)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, file->name);
		ASSERT_EQ(0, mknod(path, S_IFREG | 0600, 0)) {
			TH_LOG("%s: %s", path, strerror(errno));
		}
		if (view->mode)
			continue;
		ASSERT_EQ(0, chown(path, file->uid, file->gid));
		ASSERT_EQ(0, chmod(path, file->mode));
		if (file->acl != NO_ACL)
			ASSERT_EQ(0, set_acl(path, file->mode, file->acl));
	}
}

static inline int mapped(int id)
{
	return id == OWNER_ID ? USER_ID : UNMAPPED_ID;
}

/* Whether the rights @want of the file are those of @uid and @gid. */
static inline bool by_bits(const struct subject *file, bool idmapped, int uid,
			   int gid, bool capable, int want)
{
	const int owner = idmapped ? mapped(file->uid) : file->uid;
	const int group = idmapped ? mapped(file->gid) : file->gid;
	const bool named = !idmapped && (uid == 0 || uid == USER_ID);
	const int mask = file->mode >> 3 & 7;
	int rights;

	if (capable && owner != UNMAPPED_ID && group != UNMAPPED_ID &&
	    (!(want & 1) || file->mode & 0111))
		return true;
	if (uid == owner)
		rights = file->mode >> 6;
	else if (file->acl != NO_ACL && named)
		rights = file->acl & mask;
	else if (gid == group)
		rights = file->acl != NO_ACL ? 0 : mask;
	else
		rights = file->mode;
	return (rights & want) == want;
}

/* Whether the mounter of an overlay may do the same with the file in the layer. */
static inline bool mounter_may(const struct view *view,
			       const struct subject *file, int want)
{
	if (view->mounter_squash)
		return by_bits(file, false, NOBODY_ID, NOBODY_ID, false, want);
	return !view->mounter_nocap || by_bits(file, false, 0, 0, false, want);
}

static inline bool oracle(const struct view *view, const struct subject *subject,
			  enum caller caller, int want)
{
	struct subject file = *subject;
	int id = caller == CALLER_USER ? USER_ID : 0;
	bool capable = caller == CALLER_ROOT ||
		       (view->server && caller == CALLER_NOCAP);

	if (view->mode) {
		file.mode = view->mode;
		file.uid = view->uid;
		file.gid = view->gid;
	}
	if (view->any_x)
		return !(want & 1) || file.mode & 0111;
	if (!mounter_may(view, &file, want))
		return false;
	if (view->squash && !id) {
		id = NOBODY_ID;
		capable = false;
	}
	return by_bits(&file, view->idmapped, id, id, capable, want);
}

#define compare_one(expected, got, what)				\
	do {								\
		(*comparisons)++;					\
		EXPECT_EQ(expected, got) {				\
			TH_LOG("%s: %s/%s %d:%d %04o acl %d, caller %d, policy %d, %s", \
			       view->name, dir, file->name, file->uid,	\
			       file->gid, file->mode, file->acl, caller, \
			       policy, what);				\
		}							\
	} while (0)

/* One file, one caller, one policy; the value after the last one is the securebit. */
static inline void compare_file(struct __test_metadata *_metadata,
				const struct view *view, const char *dir,
				const struct subject *file, bool noexec,
				enum caller caller, int policy)
{
	const bool securebit = policy > MAX_POLICY;
	const bool mount = securebit || (policy & (ENFORCE_MOUNT | LOG_ONLY)) ==
			   ENFORCE_MOUNT;
	const bool read = oracle(view, file, caller, 4);
	const bool execute = oracle(view, file, caller, 1);
	const bool refused = (mount && noexec) ||
			     ((securebit || enforces_file(policy)) && !execute);
	const int plain = read ? 0 : -EACCES;
	const int flagged = read && refused ? -EACCES : plain;
	const int access = noexec || !execute ? -EACCES : 0;
	/* The mounter of an overlay opens the file in the layer to read, on most. */
	const int execution = view->mounter_by_open || mounter_may(view, file, 4) ?
			      access : -EACCES;
	char path[64];
	int fd, first;

	snprintf(path, sizeof(path), "%s/%s", dir, file->name);
	/* The flagged open comes first: what the others leave in caches must not help. */
	first = dup(0);
	ASSERT_LE(0, first);
	close(first);
	fd = sys_openat2(AT_FDCWD, path, O_MAYEXEC);
	compare_one(flagged, fd < 0 ? fd : 0, "flagged");
	if (fd >= 0) {
		compare_one(0, fcntl(fd, F_GETFL) & ~largefile, "F_GETFL");
		close(fd);
	} else {
		compare_one(first, dup(0), "a descriptor is left");
		close(first);
	}
	if (policy && policy != ENFORCE_BOTH)
		return;
	compare_one(plain, try_open(path, 0), "plain");
	compare_one(execution, try_execve_check(AT_FDCWD, path, 0),
		    "AT_EXECVE_CHECK");
	/* Without permissions of its own, FUSE leaves access(2) to the server. */
	compare_one(view->access_by_server ? (noexec ? -EACCES : 0) : access,
		    sys_result(syscall(__NR_faccessat2, AT_FDCWD, path, X_OK,
				       AT_EACCESS)), "faccessat2");
}

/* Compares the answers for all files below @dir. */
static inline void compare(struct __test_metadata *_metadata,
			   const struct view *view, const char *dir, bool noexec)
{
	static const int policies[] = { 0, 1, 2, 3, 7, MAX_POLICY + 1 };
	static const enum caller callers[] = {
		CALLER_ROOT, CALLER_USER, CALLER_NOCAP,
	};
	const int step = view->remote ? 3 : 1;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		const int policy = policies[i];

		if (!set_policy(_metadata, policy > MAX_POLICY ? 0 : policy))
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(callers); j++) {
			if (!in_child_as(_metadata, callers[j]))
				continue;
			if (policy > MAX_POLICY) {
				set_no_new_privs(_metadata);
				set_securebits(_metadata,
					       SECBIT_EXEC_RESTRICT_FILE);
			}
			/* Each file meets some. The first mistake tells enough. */
			for (int k = (i + j) % step;
			     k < nr_subjects && !_metadata->exit_code; k += step) {
				if (subjects[k].acl == NO_ACL || !view->no_acls)
					compare_file(_metadata, view, dir,
						     &subjects[k], noexec,
						     callers[j], policy);
			}
			_exit(_metadata->exit_code);
		}
	}
}

/* A refused open waits for no lease and breaks none, if the decision comes first. */
static inline void keep_lease(struct __test_metadata *_metadata,
			      const struct view *view, const char *dir)
{
	char path[64];
	int fd;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		return;
	/* The first file that can be read and not be executed */
	for (int i = 0; i < nr_subjects; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, subjects[i].name);
		if (try_open(path, 0) || try_open(path, O_MAYEXEC) != -EACCES)
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fcntl(fd, F_SETLEASE, F_WRLCK)) {
			TH_LOG("%s: no lease: %s", view->name, strerror(errno));
		}
		EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC | O_NONBLOCK));
		EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE)) {
			TH_LOG("%s: %s lost its lease", view->name, path);
		}
		close(fd);
		return;
	}
	/* Of root, an x bit is all that an execution asks. */
	EXPECT_NE(0, view->mode & 0111) {
		TH_LOG("%s: no file to have a lease on", view->name);
	}
}

/* A refusal tells who watches the directory nothing, if the decision comes first. */
static inline void tell_nothing(struct __test_metadata *_metadata,
				const struct view *view, const char *dir)
{
	const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[64], buffer[4096];
	__u32 told = 0;
	ssize_t len;

	if (!set_policy(_metadata, ENFORCE_BOTH))
		return;
	ASSERT_LE(0, inotify_add_watch(fd, dir, IN_OPEN | IN_CLOSE));
	snprintf(path, sizeof(path), "%s/not-cached", dir);
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	/* The file is closed before the caller returns. */
	len = read(fd, buffer, sizeof(buffer));
	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		told |= event->mask;
		at += sizeof(*event) + event->len;
	}
	EXPECT_EQ(view->early ? IN_OPEN | IN_CLOSE_NOWRITE : 0, told) {
		TH_LOG("%s", view->name);
	}
	close(fd);
}

/* All of it, on the mount @dir. Whoever still has a file open keeps it mounted. */
static inline void compare_mount(struct __test_metadata *_metadata,
				 const struct view *view, const char *dir)
{
	compare(_metadata, view, dir, false);
	make_bind(_metadata, dir, "bind-noexec", MS_NOEXEC);
	compare(_metadata, view, "bind-noexec", true);
	EXPECT_EQ(0, try_umount("bind-noexec"));
	rmdir("bind-noexec");
	if (!view->remote && !view->below)
		keep_lease(_metadata, view, dir);
}

/* For servers on this machine */
static inline void set_lo_up(struct __test_metadata *_metadata)
{
	struct ifreq request = { .ifr_name = "lo" };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ASSERT_LE(0, sock);
	ASSERT_EQ(0, ioctl(sock, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	ASSERT_EQ(0, ioctl(sock, SIOCSIFFLAGS, &request));
	close(sock);
}

static inline void end_compare(struct __test_metadata *_metadata,
			       const struct view *view)
{
	EXPECT_LT(0, *comparisons);
	TH_LOG("%s: %d comparisons", view->name, *comparisons);
	*comparisons = 0;
}

/* The same on an overlay of the mount @lower, which nobody needs afterwards. */
static inline void compare_overlay(struct __test_metadata *_metadata,
				   const struct view *view, const char *lower)
{
	char options[64];

	snprintf(options, sizeof(options), "lowerdir=%s:empty", lower);
	ASSERT_EQ(0, mkdir("empty", 0755));
	ASSERT_EQ(0, mkdir("overlay", 0755));
	ASSERT_EQ(0, sys_mount("mayexec", "overlay", "overlay", 0, options));
	compare_mount(_metadata, view, "overlay");
	end_compare(_metadata, view);
	EXPECT_EQ(0, try_umount("overlay"));
	EXPECT_EQ(0, try_umount(lower));
}

#endif /* __MAYEXEC_ORACLE_H__ */
