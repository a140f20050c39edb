// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and IMA: rules with mask=^MAY_OPENEXEC apply to flagged opens, and
 * the flag lets no open escape the rules that it matched before.
 *
 * IMA forgets no rule until the next boot, so these concern the files of owners
 * that no other test has.
 */

#include "mayexec.h"

#define IMA		"securityfs/integrity/ima/"
#define MEASURED_ID	60010
#define READ_ID		60011
#define APPRAISED_ID	60012

#define MEASURE		"measure func=FILE_CHECK mask=^MAY_OPENEXEC fowner=60010"
#define MEASURE_READ	"measure func=FILE_CHECK mask=MAY_READ fowner=60011"
#define APPRAISE	"appraise func=FILE_CHECK mask=^MAY_OPENEXEC fowner=60012"

static const char content[] = "#!/bin/sh\nexit 0\n";

/* security.ima of a file with this content: a plain SHA-256. */
static const unsigned char content_hash[] = {
	0x04, 0x04,
	0x30, 0x6c, 0x6c, 0xa7, 0x40, 0x75, 0x60, 0x34,
	0x07, 0x97, 0x86, 0x6e, 0x07, 0x7e, 0x05, 0x36,
	0x27, 0xad, 0x40, 0x92, 0x77, 0xd1, 0xb9, 0xda,
	0x58, 0x10, 0x6f, 0xce, 0x4c, 0xf7, 0x17, 0xcb,
};

/* Returns how many lines of @path contain @text, -1 if it cannot be read. */
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

/* Returns how often the measurement list has the test's file @name. */
static int measurements(const char *name)
{
	const char *list = IMA "ascii_runtime_measurements";
	char text[64];
	int last;

	snprintf(text, sizeof(text), " %s/%s\n", workdir, name);
	last = count_lines(list, text);
	/* Some templates have fields behind the name, which may be empty. */
	text[strlen(text) - 1] = ' ';
	return last < 0 ? last : last + count_lines(list, text);
}

static void make_script(struct __test_metadata *_metadata, const char *name,
			uid_t owner)
{
	make_file(_metadata, name, 0755);
	ASSERT_EQ(0, write_string(name, content));
	ASSERT_EQ(0, chown(name, owner, -1));
}

/* Without CONFIG_IMA_WRITE_POLICY, rules can be loaded once. */
static bool policy_is_writable(void)
{
	struct stat st;

	return !stat(IMA "policy", &st) && st.st_mode & 0200;
}

/* IMA takes one rule a write, and all that were written when the file closes. */
static void load_rules(struct __test_metadata *_metadata)
{
	static const char *const rules[] = {
		MEASURE "\n", MEASURE_READ "\n", APPRAISE "\n"
	};
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

FIXTURE(ima) {};

FIXTURE_SETUP(ima)
{
	if (!mayexec_setup(_metadata))
		return;
	ASSERT_EQ(0, mkdir("securityfs", 0755));
	if (sys_mount("securityfs", "securityfs", "securityfs", 0, NULL) ||
	    count_lines(IMA "policy", "") < 0)
		SKIP(return, "needs CONFIG_IMA_READ_POLICY");

	if (count_lines(IMA "policy", MEASURE))
		return;
	/* The first rules that are loaded drop those that came with the boot. */
	if (count_lines(IMA "policy", "") || !policy_is_writable())
		SKIP(return, "IMA has a policy, which would be lost");
	load_rules(_metadata);
}

FIXTURE_TEARDOWN_PARENT(ima)
{
	mayexec_teardown(_metadata);
}

TEST_F(ima, shows_the_mask)
{
	EXPECT_EQ(1, count_lines(IMA "policy", MEASURE));
	EXPECT_EQ(1, count_lines(IMA "policy", MEASURE_READ));
	EXPECT_EQ(1, count_lines(IMA "policy", APPRAISE));
}

/* What is executed is read, and it is no hook's business but one's. */
TEST_F(ima, refuses_rules_that_never_match)
{
	static const char *const rules[] = {
		"measure func=FILE_CHECK mask=MAY_OPENEXEC fowner=60010\n",
		"measure func=BPRM_CHECK mask=^MAY_OPENEXEC fowner=60010\n",
	};

	if (!policy_is_writable())
		SKIP(return, "needs CONFIG_IMA_WRITE_POLICY");
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		EXPECT_EQ(-EINVAL, write_string(IMA "policy", rules[i])) {
			TH_LOG("%s", rules[i]);
		}
	}
	EXPECT_EQ(1, count_lines(IMA "policy", "MAY_OPENEXEC fowner=60010"));
}

TEST_F(ima, measures_flagged_opens_once)
{
	make_script(_metadata, "measured", MEASURED_ID);

	ASSERT_EQ(0, try_open("measured", 0));
	EXPECT_EQ(0, measurements("measured"));
	ASSERT_EQ(0, try_open("measured", O_MAYEXEC));
	EXPECT_EQ(1, measurements("measured"));
	ASSERT_EQ(0, try_open("measured", O_MAYEXEC));
	EXPECT_EQ(1, measurements("measured"));
}

/* A policy denies before there is anything to measure. */
TEST_F(ima, measures_no_denied_open)
{
	make_script(_metadata, "denied", MEASURED_ID);
	ASSERT_EQ(0, chmod("denied", 0644));
	if (!set_policy(_metadata, OPEN_MAYEXEC_ENFORCE_BOTH))
		SKIP(return, STATIC_POLICY);

	ASSERT_EQ(-EACCES, try_open("denied", O_MAYEXEC));
	EXPECT_EQ(0, measurements("denied"));
}

TEST_F(ima, flag_evades_no_rule_for_reading)
{
	make_script(_metadata, "plain", READ_ID);
	make_script(_metadata, "flagged", READ_ID);

	ASSERT_EQ(0, try_open("plain", 0));
	EXPECT_EQ(1, measurements("plain"));
	ASSERT_EQ(0, try_open("flagged", O_MAYEXEC));
	EXPECT_EQ(1, measurements("flagged"));
}

TEST_F(ima, appraises_flagged_opens)
{
	make_script(_metadata, "unknown", APPRAISED_ID);
	make_script(_metadata, "known", APPRAISED_ID);
	ASSERT_EQ(0, setxattr("known", "security.ima", content_hash,
			      sizeof(content_hash), 0)) {
		TH_LOG("security.ima: %s", strerror(errno));
	}

	EXPECT_EQ(0, try_open("unknown", 0));
	EXPECT_EQ(-EACCES, try_open("unknown", O_MAYEXEC));
	EXPECT_EQ(0, try_open("known", 0));
	EXPECT_EQ(0, try_open("known", O_MAYEXEC));

	ASSERT_EQ(0, write_string("known", "#!/bin/sh\nexit 1"));
	EXPECT_EQ(0, try_open("known", 0));
	EXPECT_EQ(-EACCES, try_open("known", O_MAYEXEC));
}

TEST_HARNESS_MAIN
