// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and the audit log: how an administrator finds what was refused, with
 * auditd(8), auditctl(8) and ausearch(8) themselves.
 */

#define OWN_FIXTURE
#include "more.h"

/* Where setup_test() makes the files. */
#define WORKDIR		"/tmp"
#define TOOLS		"auditd auditctl ausearch"
#define KEY		"mayexec_audit_test"
#define LOGINUID	"/proc/self/loginuid"
#define NO_LOGIN	"4294967295"
/* Of a login that never was. */
#define LOGIN		"60004"

/* How long an event may take to get into the log, in steps of 100 ms. */
#define PATIENCE	150

/* The rule logs refused opens; docs/objections.md says where a record has the flag. */
#define DENIED	"-a always,exit -F arch=b64 -S openat2 -F exit=-EACCES -k " KEY
#define FLAGGED	"grep -qE 'oflag=0[0-7]*[1357][0-7]{11} '"

/* A command's output, cut off where the buffer ends. */
static int run(char *output, size_t size, const char *format, ...)
{
	char command[512];
	va_list args;
	size_t len;
	FILE *pipe;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "re");
	if (!pipe)
		return -1;
	len = fread(output, 1, size - 1, pipe);
	output[len] = '\0';
	return pclose(pipe);
}

/* One of the numbers that the kernel tells about its audit system, or -1. */
static long audit_status(const char *name)
{
	char output[1024], *line;

	if (run(output, sizeof(output), "auditctl -s 2>/dev/null"))
		return -1;
	for (line = strtok(output, "\n"); line; line = strtok(NULL, "\n")) {
		size_t len = strlen(name);

		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtol(line + len, NULL, 10);
	}
	return -1;
}

FIXTURE(audit) {
	pid_t auditd;
	char auid[16];
};

static const char *read_login(struct __test_metadata *_metadata)
{
	static char auid[16];
	FILE *file = fopen(LOGINUID, "re");

	ASSERT_NE(NULL, file);
	ASSERT_NE(NULL, fgets(auid, sizeof(auid), file));
	fclose(file);
	return auid;
}

static void write_config(struct __test_metadata *_metadata)
{
	FILE *config;

	/* auditd(8) does not read what others could have written. */
	umask(077);
	config = fopen("auditd.conf", "we");
	ASSERT_NE(NULL, config);
	fprintf(config,
		"log_file = %1$s/log\n"
		"log_format = RAW\n"
		"log_group = root\n"
		"flush = SYNC\n"
		"plugin_dir = %1$s/plugins\n"
		"space_left = 2\n"
		"space_left_action = IGNORE\n"
		"admin_space_left = 1\n"
		"admin_space_left_action = IGNORE\n"
		"disk_full_action = IGNORE\n", WORKDIR);
	ASSERT_EQ(0, fclose(config));
	ASSERT_EQ(0, mkdir("plugins", 0700));
}

static void start_auditd(struct __test_metadata *_metadata, pid_t *auditd)
{
	*auditd = fork();
	ASSERT_LE(0, *auditd);
	if (!*auditd) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execlp("auditd", "auditd", "-n", "-s", "enable", "-c", WORKDIR,
		       NULL);
		_exit(127);
	}
	for (int i = 0; audit_status("pid") != *auditd; i++) {
		ASSERT_EQ(0, waitpid(*auditd, NULL, WNOHANG)) {
			TH_LOG("auditd has ended");
		}
		ASSERT_GT(PATIENCE, i) {
			TH_LOG("auditd does not start");
		}
		usleep(100000);
	}
}

static long start_enabled;

__attribute__((constructor))
static void save_enabled(void)
{
	start_enabled = audit_status("enabled");
}

static void restore_audit(void)
{
	char output[1024];

	run(output, sizeof(output), "auditctl -D -k " KEY " 2>&1");
	run(output, sizeof(output), "auditctl -e %ld 2>&1", start_enabled);
}

/* As restore_policy(): a test that takes too long is killed, without its teardown. */
__attribute__((destructor))
static void restore_audit_at_end(void)
{
	if (getpid() == start_pid && start_enabled >= 0)
		restore_audit();
}

FIXTURE_SETUP(audit)
{
	if (sizeof(long) != sizeof(__u64))
		SKIP(return, "the rule is for programs of 64 bits");
	if (system("type " TOOLS " >/dev/null 2>&1"))
		SKIP(return, "needs " TOOLS);
	if (start_enabled < 0)
		SKIP(return, "the kernel has no audit system");
	if (start_enabled > 1)
		SKIP(return, "the audit rules are locked");
	if (audit_status("pid"))
		SKIP(return, "another auditd is running");
	if (!setup_test(_metadata))
		return;
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_file(_metadata, "0755", 0755);
	make_file(_metadata, "0644", 0644);
	make_file(_metadata, "0700", 0700);
	strcpy(self->auid, read_login(_metadata));
	if (!strcmp(self->auid, NO_LOGIN))
		strcpy(self->auid, LOGIN);
	write_config(_metadata);
	start_auditd(_metadata, &self->auditd);
}

FIXTURE_TEARDOWN(audit)
{
	if (self->auditd > 0) {
		restore_audit();
		kill(self->auditd, SIGTERM);
		waitpid(self->auditd, NULL, 0);
	}
	teardown_test(_metadata);
}

#define add_rule(format, ...)						\
	do {								\
		char output[1024];					\
									\
		ASSERT_EQ(0, run(output, sizeof(output),		\
				 "auditctl " format " 2>&1",		\
				 ##__VA_ARGS__)) {			\
			TH_LOG("auditctl: %s", output);			\
		}							\
	} while (0)

/*
 * Waits for the event about a system call on the file @name and puts all its
 * records into @event.
 */
static void find_event(struct __test_metadata *_metadata, const char *syscall,
		       const char *name, char *event, size_t size)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (!run(event, size, "ausearch -if %s/log --raw -k " KEY
			 " -sc %s -f %s 2>/dev/null", WORKDIR, syscall, name) &&
		    *event)
			return;
		usleep(100000);
	}
	ASSERT_TRUE(false) {
		TH_LOG("no event about %s of %s", syscall, name);
	}
}

/* Whether the log holds an open with the flag, as an administrator looks for it. */
static bool finds_flagged(struct __test_metadata *_metadata)
{
	char output[64];

	return !run(output, sizeof(output), "ausearch -if %s/log --raw -k " KEY
		    " | " FLAGGED, WORKDIR);
}

static bool has_event(struct __test_metadata *_metadata, const char *syscall)
{
	char event[4096];

	return !run(event, sizeof(event), "ausearch -if %s/log --raw -k " KEY
		    " -sc %s 2>/dev/null", WORKDIR, syscall);
}

/*
 * As in_child_as(): in a process with a login UID, which is created when the
 * rules are there already.
 */
static bool in_login(struct __test_metadata *_metadata, const char *auid)
{
	if (!in_child_as(_metadata, CALLER_ROOT))
		return false;
	if (strcmp(auid, read_login(_metadata)))
		ASSERT_EQ(0, write_string(LOGINUID, auid));
	return true;
}

TEST_F(audit, finds_a_denied_open)
{
	char event[4096], expected[64];

	add_rule(DENIED);
	if (in_login(_metadata, self->auid)) {
		EXPECT_EQ(-EACCES, try_open("0644", O_MAYEXEC));
		_exit(_metadata->exit_code);
	}

	find_event(_metadata, "openat2", "0644", event, sizeof(event));
	EXPECT_NE(NULL, strstr(event, " success=no exit=-13 "));
	snprintf(expected, sizeof(expected), " auid=%s ", self->auid);
	EXPECT_NE(NULL, strstr(event, expected));
	snprintf(expected, sizeof(expected), " oflag=0%llo mode=00 ",
		 (unsigned long long)(O_MAYEXEC | O_CLOEXEC));
	EXPECT_NE(NULL, strstr(event, expected));
	EXPECT_TRUE(finds_flagged(_metadata));
	EXPECT_NE(NULL, strstr(event, " name=\"0644\" ")) {
		TH_LOG("%s", event);
	}
}

/* What is refused for another reason, without the flag, looks different. */
TEST_F(audit, shows_a_plain_open_as_such)
{
	char event[4096], expected[64];

	add_rule(DENIED);
	if (in_login(_metadata, self->auid)) {
		become_user(_metadata);
		EXPECT_EQ(-EACCES, try_open("0700", 0));
		_exit(_metadata->exit_code);
	}

	find_event(_metadata, "openat2", "0700", event, sizeof(event));
	EXPECT_FALSE(finds_flagged(_metadata));
	snprintf(expected, sizeof(expected), " oflag=0%o mode=00 ", O_CLOEXEC);
	EXPECT_NE(NULL, strstr(event, expected)) {
		TH_LOG("%s", event);
	}
}

/* Opens a file to execute it, and has the kernel check it as execve(2) does. */
static void open_and_check(struct __test_metadata *_metadata, const char *auid)
{
	if (in_login(_metadata, auid)) {
		EXPECT_EQ(0, try_open("0755", O_MAYEXEC));
		EXPECT_EQ(0, try_execve_check(AT_FDCWD, "0755", 0));
		_exit(_metadata->exit_code);
	}
}

/* To perm=, an open is what its access mode says. */
TEST_F(audit, perm_is_that_of_a_read)
{
	char event[4096];

	add_rule("-a always,exit -F path=%s/0755 -F perm=x -k " KEY, WORKDIR);
	open_and_check(_metadata, self->auid);
	find_event(_metadata, "execveat", "0755", event, sizeof(event));
	EXPECT_FALSE(has_event(_metadata, "openat2"));

	add_rule("-a always,exit -F path=%s/0755 -F perm=r -k " KEY, WORKDIR);
	open_and_check(_metadata, self->auid);
	find_event(_metadata, "openat2", "0755", event, sizeof(event));
}

TEST_HARNESS_MAIN
