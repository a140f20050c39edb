// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * O_MAYEXEC and IMA with signatures: what evmctl(1) has signed with a key that
 * the kernel has is code, and nothing else is. Data need no signature.
 *
 * IMA forgets neither rule nor key until the next boot.
 */

#define OWN_FIXTURE
#include "more.h"

#include <linux/keyctl.h>

#define POLICY		"securityfs/integrity/ima/policy"
#define SIGNER_ID	60030
#define RULE		"appraise func=BPRM_CHECK fowner=60030 appraise_type=imasig\n"
#define TOOLS		"evmctl openssl"
/* The kernel looks for its keyring by this name among those of the caller. */
#define KEYRING		"_ima"

/* Small keys are quick to make, on an emulated machine too. */
#define MAKE_KEY	"openssl req -x509 -newkey rsa:1024 -nodes -days 3650 " \
			"-subj /CN=%1$s -addext subjectKeyIdentifier=hash " \
			"-config req.cnf -keyout %1$s.pem -outform DER -out %1$s.der 2>keys.log"

#define run(...)							\
do {									\
	char __command[256];						\
									\
	snprintf(__command, sizeof(__command), __VA_ARGS__);		\
	ASSERT_EQ(0, system(__command)) {				\
		TH_LOG("%s", __command);				\
	}								\
} while (0)

static void add_key_to_kernel(struct __test_metadata *_metadata, const char *name)
{
	long keyring;

	keyring = syscall(__NR_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING,
			  "keyring", KEYRING, 0);
	if (keyring < 0)
		keyring = syscall(__NR_add_key, "keyring", KEYRING, NULL, 0,
				  KEY_SPEC_USER_KEYRING);
	ASSERT_LE(0, keyring);
	run("evmctl import %s.der %ld >evmctl.log 2>&1", name, keyring);
}

static void make_script(struct __test_metadata *_metadata, const char *path)
{
	make_file(_metadata, path, 0755);
	ASSERT_EQ(0, write_string(path, "#!/bin/sh\nexit 0\n"));
	ASSERT_EQ(0, chown(path, SIGNER_ID, -1));
}

FIXTURE(signature) {};

FIXTURE_SETUP(signature)
{
	if (system("type " TOOLS " >/dev/null 2>&1"))
		SKIP(return, "needs " TOOLS);
	if (!setup_test(_metadata))
		return;
	ASSERT_EQ(0, mkdir("securityfs", 0755));
	if (sys_mount("securityfs", "securityfs", "securityfs", 0, NULL) ||
	    access(POLICY, W_OK))
		SKIP(return, "needs CONFIG_IMA_WRITE_POLICY");
	if (system("grep -q fowner=60030 " POLICY))
		ASSERT_EQ(0, write_string(POLICY, RULE));
	make_file(_metadata, "req.cnf", 0644);
	ASSERT_EQ(0, write_string("req.cnf",
				  "[req]\ndistinguished_name=name\n[name]\n"));
	run(MAKE_KEY, "known");
	run(MAKE_KEY, "foreign");
	add_key_to_kernel(_metadata, "known");
}

FIXTURE_TEARDOWN_PARENT(signature) { teardown_test(_metadata); }

/* IMA keeps its verdict on a file, so each policy has files of its own. */
static void check_files(struct __test_metadata *_metadata, int policy, bool asked)
{
	static const struct {
		const char *name, *sign;
		int verdict;
	} files[] = {
		{ "signed",	"ima_sign --key known.pem",	0 },
		{ "foreign",	"ima_sign --key foreign.pem",	-EACCES },
		{ "changed",	"ima_sign --key known.pem",	-EACCES },
		{ "hashed",	"ima_hash",			-EACCES },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const int verdict = files[i].verdict;
		char path[32];

		snprintf(path, sizeof(path), "%s%d", files[i].name, policy);
		make_script(_metadata, path);
		run("evmctl %s -a sha256 %s >evmctl.log 2>&1", files[i].sign, path);
		if (!strcmp(files[i].name, "changed"))
			ASSERT_EQ(0, write_string(path, "#!/bin/sh\nexit 1\n"));
		EXPECT_EQ(0, try_open(path, 0));
		EXPECT_EQ(asked ? verdict : 0, try_open(path, O_MAYEXEC)) {
			TH_LOG("%s", path);
		}
		EXPECT_EQ(verdict, try_execve_check(AT_FDCWD, path, 0)) {
			TH_LOG("%s", path);
		}
		EXPECT_EQ(0, try_open(path, 0));
	}
}

TEST_F_TIMEOUT(signature, is_asked_for_under_file, 120)
{
	for (int policy = 0; policy <= MAX_POLICY; policy++)
		if (set_policy(_metadata, policy))
			check_files(_metadata, policy, enforces_file(policy));
	if (!set_policy(_metadata, 0))
		return;
	set_securebits(_metadata, SECBIT_EXEC_RESTRICT_FILE);
	check_files(_metadata, MAX_POLICY + 1, true);
}

TEST_HARNESS_MAIN
