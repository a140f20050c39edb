// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and fapolicyd(8): where FILE is enforced, the daemon's rules for
 * execution decide on a flagged open, on the layers of an overlay, too.
 * Its rules for opening decide on every open.
 */

#define OWN_FIXTURE
#include "more.h"

#include <sys/fanotify.h>

#define DAEMON		"fapolicyd"
/* The daemon takes seconds to start, many on an emulated machine. */
#define PATIENCE	120

/* What this daemon denies by perm=execute, by perm=open, and not at all. */
#define CODE		"/tmp/exec/code"
#define DATA		"/tmp/exec/data"
#define FREE		"/tmp/exec/free"
/* A file that is below an overlay, and the path on which the daemon sees it. */
#define OVERLAID	"/tmp/overlay/layer"
#define LAYER		"/layer"

static const char config[] =
	"permissive = 0\nnice_val = 0\nuid = root\ngid = root\nwatch_fs = tmpfs\n"
	"trust = file\nintegrity = none\nallow_filesystem_mark = 1\n"
	"syslog_format = dec,perm,pid,:,path\n";

static const char rules[] =
	"deny perm=execute all : path=" CODE "\n"
	"deny perm=open all : path=" DATA "\n"
	"deny perm=execute all : path=" LAYER "\n"
	"allow perm=any all : all\n";

FIXTURE(fapolicyd) {
	pid_t daemon;
	FILE *log;
};

/* Where the daemon's package is unpacked: below "" if it is installed. */
static void find_package(struct __test_metadata *_metadata, char *root, int size)
{
	FILE *which = popen("command -v " DAEMON, "re");
	char *end;

	ASSERT_NE(NULL, which);
	ASSERT_NE(NULL, fgets(root, size, which));
	pclose(which);
	end = strstr(root, "/usr/sbin/" DAEMON);
	ASSERT_NE(NULL, end);
	*end = '\0';
}

/* Puts what the package has below @dir into the place that the daemon knows. */
static void provide(struct __test_metadata *_metadata, const char *root,
		    const char *dir)
{
	char options[256];

	if (!*root)
		return;
	snprintf(options, sizeof(options), "lowerdir=%s%s:%s", root, dir, dir);
	ASSERT_EQ(0, sys_mount("mayexec", dir, "overlay", MS_RDONLY, options)) {
		TH_LOG("%s: %s", dir, strerror(errno));
	}
}

static void write_file(struct __test_metadata *_metadata, const char *path,
		       const char *text)
{
	make_file(_metadata, path, 0644);
	ASSERT_EQ(0, write_string(path, text));
}

/* The daemon writes what it decides to its standard error, if asked to debug. */
static void start_daemon(struct __test_metadata *_metadata, pid_t *daemon,
			 FILE **log)
{
	char *const argv[] = { DAEMON, "--debug", NULL };
	char line[512];

	*log = start_program(_metadata, argv, daemon);
	do {
		ASSERT_NE(NULL, fgets(line, sizeof(line), *log)) {
			TH_LOG(DAEMON " does not start: %s", line);
		}
	} while (!strstr(line, "Starting to listen"));
}

FIXTURE_SETUP(fapolicyd)
{
	char root[128];

	if (system("command -v " DAEMON " >/dev/null"))
		SKIP(return, "needs " DAEMON);
	if (!setup_test(_metadata))
		return;
	find_package(_metadata, root, sizeof(root));
	provide(_metadata, root, "/etc");
	provide(_metadata, root, "/usr/share");
	mkdir("/run/" DAEMON, 0755);
	for (const char *const *dir = (const char *const []){
		"/etc/" DAEMON, "/var/lib", "/var/log", "/run/" DAEMON, NULL
	     }; *dir; dir++)
		ASSERT_EQ(0, sys_mount("mayexec", *dir, "tmpfs", 0,
				       "mode=0755"));
	ASSERT_EQ(0, mkdir("/var/lib/" DAEMON, 0755));
	write_file(_metadata, "/etc/" DAEMON "/" DAEMON ".conf", config);
	write_file(_metadata, "/etc/" DAEMON "/" DAEMON ".trust", "");
	write_file(_metadata, "/etc/" DAEMON "/compiled.rules", rules);
	make_file(_metadata, CODE, 0755);
	make_file(_metadata, DATA, 0755);
	make_file(_metadata, FREE, 0755);
	make_file(_metadata, "exec" LAYER, 0755);
	ASSERT_EQ(0, mkdir("overlay", 0755));
	ASSERT_EQ(0, sys_mount("mayexec", "overlay", "overlay", 0,
			       "lowerdir=exec:noexec"));
	start_daemon(_metadata, &self->daemon, &self->log);
}

/* Returns how many denials of the kind @perm the daemon wrote down in its life. */
static void stop_daemon(pid_t *daemon, FILE *log, int *execute, int *open)
{
	char line[512];

	kill(*daemon, SIGTERM);
	while (fgets(line, sizeof(line), log)) {
		*execute += !!strstr(line, "dec=deny perm=execute");
		*open += !!strstr(line, "dec=deny perm=open");
	}
	waitpid(*daemon, NULL, 0);
	*daemon = 0;
}

FIXTURE_TEARDOWN(fapolicyd)
{
	if (self->daemon > 0) {
		kill(self->daemon, SIGKILL);
		waitpid(self->daemon, NULL, 0);
	}
	teardown_test(_metadata);
}

static void check_files(struct __test_metadata *_metadata, int policy,
			bool as_execution)
{
	const int code = as_execution ? -EPERM : 0;
	const struct {
		const char *path;
		int plain, flagged, execution;
	} files[] = {
		{ CODE,		0,	code,	-EPERM },
		{ DATA,		-EPERM,	-EPERM,	-EPERM },
		{ FREE,		0,	0,	0 },
		{ OVERLAID,	0,	code,	-EPERM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *path = files[i].path;

		EXPECT_EQ(files[i].plain, try_open(path, 0)) {
			TH_LOG("%s", path);
		}
		EXPECT_EQ(files[i].flagged, try_open(path, O_MAYEXEC)) {
			TH_LOG("%s, with O_MAYEXEC, policy %d", path, policy);
		}
		EXPECT_EQ(files[i].execution,
			  try_execve_check(AT_FDCWD, path, 0)) {
			TH_LOG("%s, with AT_EXECVE_CHECK", path);
		}
	}
}

TEST_F_TIMEOUT(fapolicyd, decides_on_an_execution_under_file, PATIENCE)
{
	int execute = 0, open = 0, expected_execute = 0, expected_open = 0;

	/* Next to the values of the sysctl: the securebit. */
	for (int policy = 0; policy <= MAX_POLICY + 1; policy++) {
		const bool securebit = policy > MAX_POLICY;
		const bool asked = securebit || enforces_file(policy);

		if (!set_policy(_metadata, securebit ? 0 : policy))
			continue;
		/* Of two files each: by AT_EXECVE_CHECK, and with the flag. */
		expected_execute += asked ? 4 : 2;
		expected_open += 3;
		if (!in_child_as(_metadata, CALLER_ROOT))
			continue;
		if (securebit)
			set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		check_files(_metadata, policy, asked);
		_exit(_metadata->exit_code);
	}
	/* One record a refusal. */
	stop_daemon(&self->daemon, self->log, &execute, &open);
	EXPECT_EQ(expected_execute, execute);
	EXPECT_EQ(expected_open, open);
}

/* Opens a file with the flag in a child, and returns when the child waits there. */
static pid_t open_and_wait(struct __test_metadata *_metadata, const char *path)
{
	char name[32], call[16] = "", expected[16];
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-try_open(path, O_MAYEXEC));
	snprintf(name, sizeof(name), "/proc/%d/syscall", pid);
	snprintf(expected, sizeof(expected), "%d ", __NR_openat2);
	while (strncmp(call, expected, strlen(expected))) {
		FILE *file = fopen(name, "re");

		ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG)) {
			TH_LOG("the open did not wait");
		}
		ASSERT_NE(NULL, file);
		fgets(call, sizeof(call), file);
		fclose(file);
		usleep(10000);
	}
	return pid;
}

/* "Daemons that do not answer" in Documentation/admin-guide/mayexec.rst */
TEST_F_TIMEOUT(fapolicyd, lets_waiting_opens_pass_when_it_dies, PATIENCE)
{
	pid_t killed, passing;
	int status;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(0, kill(self->daemon, SIGSTOP));
	killed = open_and_wait(_metadata, CODE);
	passing = open_and_wait(_metadata, CODE);
	ASSERT_EQ(0, kill(killed, SIGKILL));
	ASSERT_EQ(killed, waitpid(killed, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_EQ(0, waitpid(passing, &status, WNOHANG));
	ASSERT_EQ(0, kill(self->daemon, SIGKILL));
	ASSERT_EQ(passing, waitpid(passing, &status, 0));
	EXPECT_EQ(0, status);
}

/* A daemon that is slow decides as one that is not. */
TEST_F_TIMEOUT(fapolicyd, decides_late_when_it_is_slow, PATIENCE)
{
	pid_t denied, allowed;
	int status;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(0, kill(self->daemon, SIGSTOP));
	denied = open_and_wait(_metadata, CODE);
	allowed = open_and_wait(_metadata, FREE);
	sleep(2);
	EXPECT_EQ(0, waitpid(denied, &status, WNOHANG));
	EXPECT_EQ(0, waitpid(allowed, &status, WNOHANG));
	ASSERT_EQ(0, kill(self->daemon, SIGCONT));
	ASSERT_EQ(denied, waitpid(denied, &status, 0));
	EXPECT_EQ(EPERM, WEXITSTATUS(status));
	ASSERT_EQ(allowed, waitpid(allowed, &status, 0));
	EXPECT_EQ(0, status);
}

/* Who is asked about its own open cannot answer. Any daemon would do; this one has no name. */
TEST_F_TIMEOUT(fapolicyd, daemon_waits_for_itself, PATIENCE)
{
	int fan, status;
	pid_t daemon;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	fan = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
	ASSERT_LE(0, fan);
	ASSERT_EQ(0, fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM,
				   AT_FDCWD, FREE));
	daemon = open_and_wait(_metadata, FREE);
	/* It alone has the group then. */
	close(fan);
	sleep(2);
	EXPECT_EQ(0, waitpid(daemon, &status, WNOHANG));
	ASSERT_EQ(0, kill(daemon, SIGKILL));
	ASSERT_EQ(daemon, waitpid(daemon, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
}

TEST_HARNESS_MAIN
