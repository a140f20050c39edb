// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and IMA: where FILE is enforced, BPRM_CHECK rules apply to flagged
 * opens. Rules for code do not change what readers get, and the other way round.
 *
 * IMA forgets no rule until the next boot, so the rules are about the files of
 * owners that nobody else has. Without CONFIG_IMA_WRITE_POLICY, this is the one
 * policy that the kernel takes until then.
 */

#define OWN_FIXTURE
#include "mayexec.h"

#include <sys/xattr.h>

#define IMA		"securityfs/integrity/ima/"
#define MIXED_ID	60020
#define CALLERS_ID	60021
#define MEASURED_ID	60022
#define READ_ID		60023
#define CODE_ID		60024
#define WRITTEN_ID	60025
#define MAPPED_ID	60026
#define DIGESTS_ID	60027

static const char *const rules[] = {
	/* A signature for code, a hash for data. */
	"appraise func=BPRM_CHECK fowner=60020 appraise_type=imasig\n",
	"appraise func=FILE_CHECK mask=MAY_READ fowner=60020\n",
	/* Two rules of one hook. */
	"appraise func=FILE_CHECK mask=MAY_READ uid=60001 fowner=60021 appraise_type=imasig\n",
	"appraise func=FILE_CHECK mask=MAY_READ fowner=60021\n",
	"measure func=BPRM_CHECK mask=MAY_EXEC fowner=60022\n",
	"measure func=FILE_CHECK mask=MAY_READ fowner=60023\n",
	"appraise func=BPRM_CHECK fowner=60024\n",
	/* Two rules of one hook, whose mask writers match as well. */
	"appraise func=FILE_CHECK uid=60001 fowner=60025 appraise_type=imasig\n",
	"appraise func=FILE_CHECK fowner=60025\n",
	/* Readers and mappers are asked, writers are not. */
	"appraise func=FILE_CHECK mask=MAY_READ fowner=60026\n",
	"appraise func=MMAP_CHECK fowner=60026\n",
	/* Digests of two types, and a reader for whom there is more to do. */
	"appraise func=MMAP_CHECK fowner=60027 digest_type=verity appraise_type=sigv3\n",
	"measure func=FILE_CHECK mask=MAY_READ uid=60001 fowner=60027\n",
	"appraise func=FILE_CHECK mask=MAY_READ fowner=60027\n",
};

static const char content[] = "#!/bin/sh\nexit 0\n";

/* security.ima of a file with this content: a plain SHA-256. */
static const unsigned char content_hash[] = {
	0x04, 0x04,
	0x30, 0x6c, 0x6c, 0xa7, 0x40, 0x75, 0x60, 0x34,
	0x07, 0x97, 0x86, 0x6e, 0x07, 0x7e, 0x05, 0x36,
	0x27, 0xad, 0x40, 0x92, 0x77, 0xd1, 0xb9, 0xda,
	0x58, 0x10, 0x6f, 0xce, 0x4c, 0xf7, 0x17, 0xcb,
};

/* Returns how many lines of @path contain @text, -1 if nobody can read it. */
static int count_lines(const char *path, const char *text)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int count = 0;

	if (!file)
		return -1;
	while (getline(&line, &size, file) >= 0)
		count += !!strstr(line, text);
	free(line);
	fclose(file);
	return count;
}

static int violations(struct __test_metadata *_metadata)
{
	FILE *file = fopen(IMA "violations", "re");
	int count;

	ASSERT_NE(NULL, file);
	ASSERT_EQ(1, fscanf(file, "%d", &count));
	fclose(file);
	return count;
}

static bool enforces_file(int policy)
{
	return (policy & (ENFORCE_FILE | LOG_ONLY)) == ENFORCE_FILE;
}

FIXTURE(ima) {
	/* IMA does not measure the same path with the same content twice. */
	char dir[16];
};

/* Returns how often the measurement list has the test's file @name. */
#define measurements(name)						\
({									\
	char __text[64];						\
									\
	snprintf(__text, sizeof(__text), " /tmp/%s/%s", self->dir, name);	\
	count_lines(IMA "ascii_runtime_measurements", __text);		\
})

/* A name in the test's directory, with which a test makes and opens a file. */
#define in_dir(name)							\
({									\
	static char __path[64];						\
									\
	snprintf(__path, sizeof(__path), "%s/%s", self->dir, name);	\
	__path;								\
})

static void make_script(struct __test_metadata *_metadata, const char *path,
			uid_t owner, mode_t mode)
{
	make_file(_metadata, path, mode);
	ASSERT_EQ(0, write_string(path, content));
	ASSERT_EQ(0, chown(path, owner, -1));
	ASSERT_EQ(0, setxattr(path, "security.ima", content_hash,
			      sizeof(content_hash), 0)) {
		TH_LOG("security.ima: %s", strerror(errno));
	}
}

static int open_to_write(struct __test_metadata *_metadata, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	return fd;
}

/* IMA takes one rule a write, and all that were written when the file closes. */
static void load_rules(struct __test_metadata *_metadata)
{
	int fd = open(IMA "policy", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		ASSERT_EQ(strlen(rules[i]),
			  write(fd, rules[i], strlen(rules[i]))) {
			TH_LOG("%s%s", rules[i], strerror(errno));
		}
	}
	ASSERT_EQ(0, close(fd));
}

FIXTURE_SETUP(ima)
{
	struct stat st;

	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("securityfs", 0755));
	if (sys_mount("securityfs", "securityfs", "securityfs", 0, NULL) ||
	    count_lines(IMA "policy", "") < 0)
		SKIP(return, "needs CONFIG_IMA_READ_POLICY");
	if (count_lines("/proc/cmdline", "ima_appraise=") > 0 &&
	    !count_lines("/proc/cmdline", "ima_appraise=enforce"))
		SKIP(return, "needs ima_appraise=enforce");
	strcpy(self->dir, "XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, chmod(self->dir, 0755));

	if (count_lines(IMA "policy", "fowner=60020"))
		return;
	/* The first rules that are loaded drop those that came with the boot. */
	if (count_lines(IMA "policy", "") || stat(IMA "policy", &st) ||
	    !(st.st_mode & 0200))
		SKIP(return, "IMA has a policy, which would be lost");
	load_rules(_metadata);
}

FIXTURE_TEARDOWN_PARENT(ima) { teardown_test(_metadata); }

/* In whatever order a file is opened. Without x bits, IMA is not even asked. */
TEST_F(ima, is_strict_for_code_and_lax_for_data)
{
	for (int i = 0; i < 8; i++) {
		const char *path = in_dir(((char []){ 'a' + i, '\0' }));
		const mode_t mode = i & 1 ? 0755 : 0644;
		const bool checks = i & 4;

		if (!set_policy(_metadata, ENFORCE_FILE))
			SKIP(return, NEEDS_SYSCTL);
		make_script(_metadata, path, MIXED_ID, mode);
		if (i & 2)
			EXPECT_EQ(0, try_open(path, 0));
		for (int again = 0; again < 2; again++) {
			EXPECT_EQ(-EACCES, checks ?
				  try_execve_check(AT_FDCWD, path, 0) :
				  try_open(path, O_MAYEXEC)) {
				TH_LOG("file %d", i);
			}
			EXPECT_EQ(0, try_open(path, 0)) {
				TH_LOG("file %d", i);
			}
		}
	}
}

TEST_F(ima, does_nothing_without_file)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		const char *path = in_dir(((char []){ '0' + policy, '\0' }));

		if (enforces_file(policy) || !set_policy(_metadata, policy))
			continue;
		make_script(_metadata, path, MIXED_ID, 0755);
		EXPECT_EQ(0, try_open(path, O_MAYEXEC)) {
			TH_LOG("policy %d", policy);
		}
		EXPECT_EQ(-EACCES, try_execve_check(AT_FDCWD, path, 0));
		EXPECT_EQ(0, try_open(path, O_MAYEXEC));
	}
}

TEST_F(ima, obeys_the_securebit)
{
	const char *path = in_dir("file");

	if (!set_policy(_metadata, 0))
		SKIP(return, NEEDS_SYSCTL);
	make_script(_metadata, path, MIXED_ID, 0755);
	if (in_child_as(_metadata, CALLER_ROOT)) {
		set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
		EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
}

TEST_F(ima, appraises_what_is_executed)
{
	const char *path = in_dir("file");

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_script(_metadata, path, CODE_ID, 0755);
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
	EXPECT_EQ(0, try_execve_check(AT_FDCWD, path, 0));

	ASSERT_EQ(0, write_string(path, "#!/bin/sh\nexit 1"));
	EXPECT_EQ(0, try_open(path, 0));
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	EXPECT_EQ(-EACCES, try_execve_check(AT_FDCWD, path, 0));
	EXPECT_EQ(0, try_open(path, 0));
}

/* The verdict that one caller's rule got is not that of another one's. */
TEST_F(ima, keeps_the_rules_of_one_hook_apart)
{
	for (int strict_first = 0; strict_first < 2; strict_first++) {
		const char *path = in_dir(strict_first ? "strict" : "lax");

		make_script(_metadata, path, CALLERS_ID, 0644);
		for (int again = 0; again < 2; again++) {
			if (!strict_first || again)
				EXPECT_EQ(0, try_open(path, 0));
			if (in_child_as(_metadata, CALLER_USER)) {
				EXPECT_EQ(-EACCES, try_open(path, 0));
				_exit(_metadata->exit_code);
			}
		}
		EXPECT_EQ(0, try_open(path, 0));
	}
}

/* Nor does it keep what somebody else writes from getting a new hash. */
TEST_F(ima, hashes_what_a_lax_rule_let_write)
{
	const char *path = in_dir("file");
	int fd;

	make_script(_metadata, path, WRITTEN_ID, 0644);
	fd = open_to_write(_metadata, path);
	if (in_child_as(_metadata, CALLER_USER)) {
		EXPECT_EQ(-EACCES, try_open(path, 0));
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(1, write(fd, "\n", 1));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(0, try_open(path, 0));
}

static int map_to_execute(int fd)
{
	void *map = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	return map == MAP_FAILED ? -errno : munmap(map, 1);
}

/* It gets one if a rule for opens let it be written, not one for executions. */
TEST_F(ima, hashes_nothing_that_no_rule_let_write)
{
	const char *path = in_dir("file");
	int fd;

	make_script(_metadata, path, MAPPED_ID, 0755);
	EXPECT_EQ(0, try_open(path, 0));
	fd = open_to_write(_metadata, path);
	EXPECT_EQ(0, map_to_execute(fd));
	ASSERT_EQ(1, write(fd, "\n", 1));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(-EACCES, try_open(path, 0));
}

/* A new digest, of what somebody writes, leaves no verdict on what was there. */
TEST_F(ima, forgets_a_verdict_with_its_digest)
{
	const char *path = in_dir("file");
	int writer, reader;

	make_script(_metadata, path, DIGESTS_ID, 0644);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, reader);
	writer = open_to_write(_metadata, path);
	ASSERT_EQ(1, write(writer, "\n", 1));

	EXPECT_EQ(-EACCES, map_to_execute(reader));
	if (in_child_as(_metadata, CALLER_USER)) {
		try_open(path, 0);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(0, close(writer));
	EXPECT_EQ(-EACCES, try_open(path, 0));
	close(reader);
}

/* Nobody denies writers, so what one of them has open cannot be vouched for. */
TEST_F(ima, passes_nothing_that_is_open_for_writing)
{
	const char *path = in_dir("file");
	int fd;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_script(_metadata, path, CODE_ID, 0755);
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
	fd = open_to_write(_metadata, path);
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	EXPECT_EQ(-ETXTBSY, try_execve_check(AT_FDCWD, path, 0));
	EXPECT_EQ(0, try_open(path, 0));
	close(fd);
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
}

static char *map_to_write(struct __test_metadata *_metadata, int fd)
{
	char *map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	return map;
}

/* Nobody learns when a page that is mapped and was written changes again. */
TEST_F(ima, keeps_no_verdict_on_what_is_mapped_for_writing)
{
	const char *path = in_dir("file");
	char *map;
	int fd;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_script(_metadata, path, CODE_ID, 0755);
	fd = open_to_write(_metadata, path);
	map = map_to_write(_metadata, fd);
	*map = content[0];
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	*map = '!';
	ASSERT_EQ(0, munmap(map, 1));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(-EACCES, try_execve_check(AT_FDCWD, path, 0));
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
}

/* Such a page keeps the file of an overlay's layer open, and not the overlay's. */
TEST_F(ima, passes_nothing_that_is_mapped_for_writing_below)
{
	const char *path = "overlay/file";
	char *map;
	int fd;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(0, mkdir("upper", 0755));
	ASSERT_EQ(0, mkdir("work", 0755));
	make_overlay(_metadata, "overlay", 0,
		     "lowerdir=exec,upperdir=upper,workdir=work");
	make_script(_metadata, path, CODE_ID, 0755);
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
	fd = open_to_write(_metadata, path);
	map = map_to_write(_metadata, fd);
	*map = content[0];
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	ASSERT_EQ(0, munmap(map, 1));
	EXPECT_EQ(0, try_open(path, O_MAYEXEC));
}

TEST_F(ima, measures_what_is_executed_once)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		char name[] = { '0' + policy, '\0' };
		const char *path = in_dir(name);

		if (!set_policy(_metadata, policy))
			continue;
		make_script(_metadata, path, MEASURED_ID, 0755);
		ASSERT_EQ(0, try_open(path, 0));
		EXPECT_EQ(0, measurements(name));
		ASSERT_EQ(0, try_open(path, O_MAYEXEC));
		ASSERT_EQ(0, try_open(path, O_MAYEXEC));
		EXPECT_EQ(enforces_file(policy), measurements(name)) {
			TH_LOG("policy %d", policy);
		}
	}
}

/* FILE refuses before there is anything to measure. */
TEST_F(ima, measures_no_refused_open)
{
	const char *path = in_dir("refused");

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_script(_metadata, path, MEASURED_ID, 0644);
	ASSERT_EQ(-EACCES, try_open(path, O_MAYEXEC));
	EXPECT_EQ(0, measurements("refused"));
}

/* Rules with mask=MAY_READ compare all bits of the mask. */
TEST_F(ima, flag_evades_no_rule_for_reading)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++) {
		char name[] = { '0' + policy, '\0' };
		const char *path = in_dir(name);

		if (!set_policy(_metadata, policy))
			continue;
		make_script(_metadata, path, READ_ID, 0755);
		ASSERT_EQ(0, try_open(path, O_MAYEXEC));
		EXPECT_EQ(1, measurements(name)) {
			TH_LOG("policy %d", policy);
		}
	}
}

/* Somebody has it open for writing, and what is measured may change. */
TEST_F(ima, records_open_writers)
{
	const char *path = in_dir("file");
	int fd, before;

	make_script(_metadata, path, MEASURED_ID, 0755);
	fd = open_to_write(_metadata, path);
	before = violations(_metadata);

	if (!set_policy(_metadata, ENFORCE_MOUNT))
		SKIP(return, NEEDS_SYSCTL);
	ASSERT_EQ(0, try_open(path, O_MAYEXEC));
	EXPECT_EQ(before, violations(_metadata));
	if (set_policy(_metadata, ENFORCE_FILE)) {
		ASSERT_EQ(0, try_open(path, O_MAYEXEC));
		EXPECT_EQ(before + 1, violations(_metadata));
	}
	close(fd);
}

/* Somebody opens for writing what an interpreter still reads. */
TEST_F(ima, records_a_later_writer)
{
	const char *path = in_dir("file");
	int fd, before;

	if (!set_policy(_metadata, ENFORCE_FILE))
		SKIP(return, NEEDS_SYSCTL);
	make_script(_metadata, path, MEASURED_ID, 0755);
	fd = sys_openat2(AT_FDCWD, path, O_MAYEXEC);
	ASSERT_LE(0, fd);
	before = violations(_metadata);
	ASSERT_EQ(0, try_open(path, O_RDWR));
	EXPECT_EQ(before + 1, violations(_metadata));
	close(fd);
}

TEST_HARNESS_MAIN
