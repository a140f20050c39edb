// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC under TOMOYO, which mediates the open as one for reading, under every
 * policy. Its rules for execution have no say in an open. The test needs TOMOYO
 * with a policy that lets it manage TOMOYO, such as that of
 * CONFIG_SECURITY_TOMOYO_INSECURE_BUILTIN_SETTING, which is for test machines
 * alone. It overwrites profile 255. If it is killed, TOMOYO can stay enforcing
 * for the test's domain until the next boot, and keep the sysctl from being
 * restored.
 */

#define OWN_FIXTURE
#include "mayexec.h"

#define TOMOYO		"/tmp/securityfs/tomoyo/"

static int write_line(const char *name, const char *line)
{
	char path[64];

	snprintf(path, sizeof(path), TOMOYO "%s", name);
	return write_string(path, line);
}

FIXTURE(tomoyo) {};

FIXTURE_SETUP(tomoyo)
{
	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("securityfs", 0755));
	if (sys_mount("securityfs", "securityfs", "securityfs", 0, NULL) ||
	    access(TOMOYO "domain_policy", W_OK))
		SKIP(return, "TOMOYO is not active");
	if (write_line("profile", "255-CONFIG={ mode=disabled }\n"))
		SKIP(return, "TOMOYO does not let the test manage it");
	ASSERT_EQ(0, write_line("profile",
				"255-CONFIG::file::open={ mode=enforcing }\n"));
	ASSERT_EQ(0, write_line("profile",
				"255-CONFIG::file::execute={ mode=enforcing }\n"));
	make_file(_metadata, "read", 0755);
	make_file(_metadata, "execute", 0755);
}

FIXTURE_TEARDOWN_PARENT(tomoyo) { teardown_test(_metadata); }

static void check_confined(struct __test_metadata *_metadata, int policy)
{
	char *const argv[] = { "execute", NULL };

	EXPECT_EQ(0, try_open("/tmp/read", 0));
	EXPECT_EQ(0, try_open("/tmp/read", O_MAYEXEC)) {
		TH_LOG("policy %d", policy);
	}
	EXPECT_EQ(-EPERM, sys_result(execv("/tmp/read", argv)));
	EXPECT_EQ(-EPERM, try_open("/tmp/execute", 0));
	EXPECT_EQ(-EPERM, try_open("/tmp/execute", O_MAYEXEC)) {
		TH_LOG("policy %d", policy);
	}
}

static void put(struct __test_metadata *_metadata, int fd, const char *line)
{
	ASSERT_EQ(strlen(line), write(fd, line, strlen(line)));
}

TEST_F(tomoyo, rules_for_reading_apply)
{
	char domain[4096], line[4200];
	bool enforces;
	int domain_fd;
	FILE *file;

	file = fopen(TOMOYO "self_domain", "re");
	ASSERT_NE(NULL, file);
	ASSERT_NE(NULL, fgets(domain, sizeof(domain), file));
	fclose(file);
	snprintf(line, sizeof(line), "select domain=%s\n",
		 strtok(domain, "\n"));
	domain_fd = open(TOMOYO "domain_policy", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, domain_fd);
	put(_metadata, domain_fd, line);
	put(_metadata, domain_fd, "use_profile 255\n");
	enforces = try_open("/tmp/execute", 0) == -EPERM;
	put(_metadata, domain_fd, "use_profile 0\n");
	if (!enforces)
		SKIP(return, "TOMOYO has not loaded a policy");
	put(_metadata, domain_fd, "file read /tmp/read\n");
	put(_metadata, domain_fd, "file execute /tmp/execute\n");

	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		if (!set_policy(_metadata, policy))
			continue;
		put(_metadata, domain_fd, "use_profile 255\n");
		check_confined(_metadata, policy);
		put(_metadata, domain_fd, "use_profile 0\n");
	}
	put(_metadata, domain_fd, "delete file read /tmp/read\n");
	put(_metadata, domain_fd, "delete file execute /tmp/execute\n");
	close(domain_fd);
}

TEST_HARNESS_MAIN
