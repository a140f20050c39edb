// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC on FUSE, with a server that writes down what it is asked, and on
 * overlays of FUSE.
 */

#include "oracle.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sys/fanotify.h>

#define ROOT_NODE	1	/* the subjects have the following numbers */
#define BUFFER		(64 * 1024 + 4096)

/* What the server was asked: it runs in a process of its own. */
struct requests {
	int count[64];
	int last_flags;		/* of FUSE_OPEN */
};

FIXTURE(fuse) {
	struct requests *requests;
	pid_t server;
};

FIXTURE_VARIANT(fuse) {
	struct view view;
	const char *options;
	bool passthrough;
};

FIXTURE_VARIANT_ADD(fuse, default_permissions) {
	.view = { "FUSE, default_permissions", .no_acls = true },
	.options = ",default_permissions",
};

FIXTURE_VARIANT_ADD(fuse, own_permissions) {
	.view = { "FUSE, own permissions", .no_acls = true, .any_x = true,
		  .access_by_server = true },
	.options = "",
};

FIXTURE_VARIANT_ADD(fuse, passthrough) {
	.view = { "FUSE, passthrough", .no_acls = true },
	.options = ",default_permissions",
	.passthrough = true,
};

static void fill_attr(struct fuse_attr *attr, __u64 node)
{
	const struct subject *file = &subjects[node - ROOT_NODE - 1];

	attr->ino = node;
	attr->nlink = 1;
	attr->mode = S_IFDIR | 0755;
	if (node == ROOT_NODE)
		return;
	attr->mode = S_IFREG | file->mode;
	attr->uid = file->uid;
	attr->gid = file->gid;
}

static int fill_entry(struct fuse_entry_out *entry, const char *name)
{
	for (int i = 0; i < nr_subjects; i++) {
		if (strcmp(subjects[i].name, name))
			continue;
		entry->nodeid = ROOT_NODE + 1 + i;
		entry->entry_valid = 3600;
		entry->attr_valid = 3600;
		fill_attr(&entry->attr, entry->nodeid);
		return sizeof(*entry);
	}
	return -ENOENT;
}

/* Lets the kernel open the file with the subject's name below "backing". */
static void pass_through(int device, __u64 node, struct fuse_open_out *out)
{
	struct fuse_backing_map map = {};
	char path[64];

	snprintf(path, sizeof(path), "backing/%s",
		 subjects[node - ROOT_NODE - 1].name);
	map.fd = open(path, O_RDONLY | O_CLOEXEC);
	out->backing_id = ioctl(device, FUSE_DEV_IOC_BACKING_OPEN, &map);
	out->open_flags = FOPEN_PASSTHROUGH;
	close(map.fd);
}

/* Returns the length of the answer, or a negative error. */
static int answer(int device, const struct fuse_in_header *in, void *out,
		  bool passthrough, struct requests *requests)
{
	const __u64 flags = FUSE_INIT_EXT | FUSE_PASSTHROUGH;
	const void *arg = in + 1;

	switch (in->opcode) {
	case FUSE_INIT:
		*(struct fuse_init_out *)out = (struct fuse_init_out){
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_write = 4096,
			.flags = passthrough ? (__u32)flags : 0,
			.flags2 = passthrough ? flags >> 32 : 0,
			.max_stack_depth = passthrough,
		};
		return sizeof(struct fuse_init_out);
	case FUSE_LOOKUP:
		return fill_entry(out, arg);
	case FUSE_GETATTR:
		((struct fuse_attr_out *)out)->attr_valid = 3600;
		fill_attr(&((struct fuse_attr_out *)out)->attr, in->nodeid);
		return sizeof(struct fuse_attr_out);
	case FUSE_OPEN:
		requests->last_flags = ((const struct fuse_open_in *)arg)->flags;
		if (passthrough)
			pass_through(device, in->nodeid, out);
		return sizeof(struct fuse_open_out);
	case FUSE_STATFS:	/* An overlay wants to know. */
		((struct fuse_statfs_out *)out)->st.namelen = 255;
		return sizeof(struct fuse_statfs_out);
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		return 0;
	default:
		return -ENOSYS;
	}
}

static void serve(int device, bool passthrough, struct requests *requests)
{
	static char in[BUFFER];
	static struct {
		struct fuse_out_header header;
		char data[512];
	} out;
	const struct fuse_in_header *header = (const void *)in;
	int len;

	/* Until the filesystem is unmounted. */
	while (read(device, in, sizeof(in)) > 0) {
		if (header->opcode < ARRAY_SIZE(requests->count))
			requests->count[header->opcode]++;
		if (header->opcode == FUSE_FORGET ||
		    header->opcode == FUSE_BATCH_FORGET ||
		    header->opcode == FUSE_INTERRUPT)
			continue;
		memset(&out, 0, sizeof(out));
		len = answer(device, header, out.data, passthrough, requests);
		out.header.unique = header->unique;
		out.header.error = len < 0 ? len : 0;
		out.header.len = sizeof(out.header) + (len < 0 ? 0 : len);
		if (write(device, &out, out.header.len) < 0)
			break;
	}
}

FIXTURE_SETUP(fuse)
{
	char options[128];
	int device;

	if (!setup_test(_metadata))
		return;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		SKIP(return, "needs CONFIG_FUSE_FS");
	self->requests = mmap(NULL, sizeof(*self->requests),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->requests);
	make_mount(_metadata, "backing", 0);
	make_subjects(_metadata, &variant->view, "backing");
	ASSERT_EQ(0, mkdir("fuse", 0755));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other%s",
		 device, variant->options);
	ASSERT_EQ(0, sys_mount("mayexec", "fuse", "fuse", 0, options));
	self->server = fork();
	ASSERT_LE(0, self->server);
	if (!self->server) {
		/* The server has the mount in its namespace, and so nothing else ends it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(device, variant->passthrough, self->requests);
		_exit(0);
	}
	close(device);
}

FIXTURE_TEARDOWN_PARENT(fuse)
{
	teardown_test(_metadata);
}

TEST_F_TIMEOUT(fuse, answers_as_the_oracle, PATIENCE)
{
	compare_mount(_metadata, &variant->view, "fuse");
	end_compare(_metadata, &variant->view);
	EXPECT_EQ(0, try_umount("fuse"));
}

/* The overlay asks for itself, whatever the server leaves out. */
TEST_F_TIMEOUT(fuse, answers_on_an_overlay, PATIENCE)
{
	struct view view = variant->view;

	view.any_x = false;
	view.access_by_server = false;
	compare_overlay(_metadata, &view, "fuse");
}

/* The path of a file of root, by its mode. */
static void path_of(char *path, int size, const char *dir, mode_t mode)
{
	for (int i = 0; i < nr_subjects; i++) {
		if (subjects[i].mode == mode && !subjects[i].uid)
			snprintf(path, size, "%s/%s", dir, subjects[i].name);
	}
}

TEST_F(fuse, server_sees_a_plain_open_or_none)
{
	int *const count = self->requests->count;
	struct stat status;
	char path[64];
	int flags;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	/* The kernel's first request has been answered by then. */
	path_of(path, sizeof(path), "fuse", 0644);
	ASSERT_EQ(0, stat(path, &status));
	memset(count, 0, sizeof(self->requests->count));
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	for (size_t i = 0; i < ARRAY_SIZE(self->requests->count); i++) {
		if (i == FUSE_LOOKUP || i == FUSE_GETATTR)
			continue;
		EXPECT_EQ(0, count[i]) {
			TH_LOG("a refused open sends request %zu", i);
		}
	}

	path_of(path, sizeof(path), "fuse", 0755);
	EXPECT_EQ(0, try_open(path, 0));
	flags = self->requests->last_flags;
	self->requests->last_flags = -1;
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
	EXPECT_EQ(2, count[FUSE_OPEN]);
	EXPECT_EQ(flags, self->requests->last_flags);
}

/* As for an execution: whoever watches the file that the kernel opens for the server. */
TEST_F(fuse, backing_file_is_opened_to_execute)
{
	struct fanotify_event_metadata event = {};
	struct pollfd poll_fd = { .events = POLLIN };
	char path[64];
	int fan;

	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);
	if (fan < 0)
		SKIP(return, "needs CONFIG_FANOTIFY");
	path_of(path, sizeof(path), "backing", 0755);
	ASSERT_EQ(0, fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_EXEC, AT_FDCWD,
				   path));
	path_of(path, sizeof(path), "fuse", 0755);
	poll_fd.fd = fan;
	for (int policy = 0; policy <= ENFORCE_BOTH; policy++) {
		const bool told = variant->passthrough && policy & ENFORCE_FILE;

		if (!set_policy(_metadata, policy))
			continue;
		EXPECT_EQ(0, try_open(path, O_MAYEXEC));
		EXPECT_EQ(told, poll(&poll_fd, 1, 0)) {
			TH_LOG("policy %d", policy);
		}
		if (poll_fd.revents & POLLIN) {
			ASSERT_EQ(sizeof(event), read(fan, &event, sizeof(event)));
			EXPECT_EQ(FAN_OPEN_EXEC, event.mask);
			close(event.fd);
		}
	}
	close(fan);
}

TEST_HARNESS_MAIN
