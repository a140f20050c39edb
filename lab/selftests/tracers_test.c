// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What strace(1), fatrace(8) and perf-trace(1) show of O_MAYEXEC: strace the flag
 * and the error, fatrace an open like any other, and nothing where the policy refuses
 * it, perf the tracepoint.
 */

#define OWN_FIXTURE
#include "more.h"

#define PATIENCE	120

/* Opens a file again and again, until the process is killed. */
static pid_t open_forever(struct __test_metadata *_metadata, const char *path,
			  __u64 flags)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!pid) {
		try_open(path, flags);
		usleep(10000);
	}
	return pid;
}

FIXTURE(tracers) {
	pid_t tracer;
};

FIXTURE_SETUP(tracers)
{
	if (!setup_test(_metadata))
		return;
	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
}

FIXTURE_TEARDOWN(tracers)
{
	if (self->tracer > 0) {
		kill(self->tracer, SIGKILL);
		waitpid(self->tracer, NULL, 0);
	}
	teardown_test(_metadata);
}

/*
 * Reads the first line with @event in it that a tracer prints of a process that opens a
 * file which FILE refuses. Before it come warnings of the loader and of the tracer. The
 * process goes on until the tracer has attached itself; @pid is where its number goes
 * among the tracer's words @argv.
 */
static void show_refusal(struct __test_metadata *_metadata, char *const argv[],
			 const char *event, char pid[16], pid_t *tracer,
			 char line[512])
{
	pid_t opener = open_forever(_metadata, "exec/0644", O_MAYEXEC);
	FILE *output;
	char *read;

	snprintf(pid, 16, "%d", opener);
	output = start_program(_metadata, argv, tracer);
	do
		read = fgets(line, 512, output);
	while (read && !strstr(line, event));
	EXPECT_NE(NULL, read);
	kill(opener, SIGKILL);
	waitpid(opener, NULL, 0);
}

TEST_F_TIMEOUT(tracers, strace_shows_flag_and_error, PATIENCE)
{
	char pid[16], line[512] = "";
	char *const argv[] = {
		"strace", "-qq", "-e", "trace=openat2", "-p", pid, NULL
	};

	if (system("command -v strace >/dev/null"))
		SKIP(return, "needs strace");
	show_refusal(_metadata, argv, "openat2(", pid, &self->tracer, line);
	/* A strace that does not know the flag shows its value. */
	EXPECT_TRUE(strstr(line, "|0x200000000, ") || strstr(line, "|O_MAYEXEC")) {
		TH_LOG("%s", line);
	}
	EXPECT_NE(NULL, strstr(line, " = -1 EACCES ")) {
		TH_LOG("%s", line);
	}
}

/* Returns how many opens of @path fatrace has shown until that of @last. */
static int count_opens(struct __test_metadata *_metadata, FILE *output,
		       const char *path, const char *last)
{
	char line[512], kinds[8];
	int count = 0;

	do {
		ASSERT_NE(NULL, fgets(line, sizeof(line), output));
		/* fanotify merges the end of an open with its beginning. */
		count += sscanf(line, "%*[^:]: %7s", kinds) == 1 &&
			 strchr(kinds, 'O') && strstr(line, path);
	} while (!strstr(line, last));
	return count;
}

TEST_F_TIMEOUT(tracers, fatrace_shows_what_is_opened, PATIENCE)
{
	char *const argv[] = { "fatrace", "-c", NULL };
	pid_t opener;
	FILE *output;

	if (system("command -v fatrace >/dev/null"))
		SKIP(return, "needs fatrace");
	make_file(_metadata, "exec/begin", 0644);
	make_file(_metadata, "exec/end", 0644);
	ASSERT_EQ(0, chdir("exec"));
	output = start_program(_metadata, argv, &self->tracer);
	opener = open_forever(_metadata, "begin", 0);
	count_opens(_metadata, output, "", "/begin");
	kill(opener, SIGKILL);
	waitpid(opener, NULL, 0);

	/* fatrace leaves out its own process only. */
	if (in_child_as(_metadata, CALLER_ROOT)) {
		EXPECT_EQ(0, try_open("0755", O_MAYEXEC));
		EXPECT_EQ(-EACCES, try_open("0644", O_MAYEXEC));
		EXPECT_EQ(0, try_open("end", 0));
		_exit(_metadata->exit_code);
	}
	/* The order of the events is that of the opens. */
	EXPECT_EQ(1, count_opens(_metadata, output, "/0755", "/0755"));
	EXPECT_EQ(0, count_opens(_metadata, output, "/0644", "/end"));
}

TEST_F_TIMEOUT(tracers, perf_trace_shows_the_tracepoint, PATIENCE)
{
	char pid[16], line[512] = "";
	char *const argv[] = {
		"perf", "trace", "-e", "mayexec:open_mayexec", "-p", pid, NULL
	};

	if (system("command -v perf >/dev/null"))
		SKIP(return, "needs perf");
	sys_mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	if (access("/sys/kernel/tracing/events/mayexec", F_OK))
		SKIP(return, "needs event tracing");
	show_refusal(_metadata, argv, argv[3], pid, &self->tracer, line);
	EXPECT_TRUE(strstr(line, "denied: 2") && strstr(line, "name: \"0644\"")) {
		TH_LOG("%s", line);
	}
}

TEST_HARNESS_MAIN
