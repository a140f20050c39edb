/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef MAYEXEC_H
#define MAYEXEC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header: 10000 * major + 100 * minor + patch. */
#define MAYEXEC_VERSION 100

/* The version of the library that is loaded. */
unsigned int mayexec_version(void);

/* How a file was looked at before it was handed out, weakest first. */
enum mayexec_guarantee {
	/* Not at all: an ordinary open. */
	MAYEXEC_GUARANTEE_PLAIN = 0,
	/* The library has made the checks that the policy asks for itself. */
	MAYEXEC_GUARANTEE_SECUREBITS = 1,
	/* The kernel has applied the policy in force: O_MAYEXEC. */
	MAYEXEC_GUARANTEE_KERNEL = 2
};

/* Why a file was not opened. */
enum mayexec_why {
	/* It was opened. */
	MAYEXEC_WHY_OPENED = 0,
	/* An ordinary open fails too. */
	MAYEXEC_WHY_OPEN = 1,
	/* It is not a regular file. */
	MAYEXEC_WHY_NOT_REGULAR = 2,
	/* It is on a noexec mount. */
	MAYEXEC_WHY_NOEXEC = 3,
	/* The caller has no execute permission. */
	MAYEXEC_WHY_NOT_EXECUTABLE = 4,
	/* Somebody has it open for writing. */
	MAYEXEC_WHY_BUSY = 5,
	/* None of these, as far as can be seen: a security module or a fanotify listener, as a rule. */
	MAYEXEC_WHY_OTHER = 6,
	/* The guarantee that was demanded, a check that the policy asks for, or an option, is impossible here. */
	MAYEXEC_WHY_IMPOSSIBLE = 7
};

/* AT_EXECVE_CHECK is made whatever the securebits say. */
#define MAYEXEC_CHECK_ALWAYS 1

/*
 * How a file is to be opened.  `size` is the size of the structure that the caller knows.  A later library
 * takes a smaller structure; an earlier library takes a larger structure if all that the library
 * does not know is 0, and fails with E2BIG else.  A size below MAYEXEC_OPTIONS_SIZE_0 is EINVAL.
 */
struct mayexec_options {
	uint32_t size;
	/*
	 * The least guarantee, of enum mayexec_guarantee: that the checks of the policy can be made.  Where the
	 * policy asks for none, none is made: MAYEXEC_CHECK_ALWAYS demands one.
	 */
	uint32_t require;
	/* MAYEXEC_CHECK_ALWAYS or 0. */
	uint64_t flags;
	/* RESOLVE_* of openat2(2). */
	uint64_t resolve;
};

#define MAYEXEC_OPTIONS_SIZE_0 24
#define MAYEXEC_OPTIONS_INIT { sizeof(struct mayexec_options), 0, 0, 0 }

/* The size of a message, with its closing 0. */
#define MAYEXEC_MESSAGE_SIZE 256

/*
 * What came of an open.  The library fills `size` bytes and sets what it does not know to 0.  A size below
 * MAYEXEC_ANSWER_SIZE_0 is EINVAL, and more than 4096 is E2BIG; then nothing is written.
 */
struct mayexec_answer {
	uint32_t size;
	/* What was got, of enum mayexec_guarantee; MAYEXEC_GUARANTEE_PLAIN after a failure. */
	uint32_t guarantee;
	/* Why it failed, of enum mayexec_why. */
	uint32_t why;
	/* The same for people; empty after success. */
	char message[MAYEXEC_MESSAGE_SIZE];
};

#define MAYEXEC_ANSWER_SIZE_0 268
#define MAYEXEC_ANSWER_INIT { sizeof(struct mayexec_answer), 0, 0, "" }

/*
 * Opens a file that is about to be executed, as open(2) does without O_CREAT: returns a descriptor, or -1 and
 * sets errno (EACCES if the policy refuses the file).  Success leaves errno as it is.  `flags` is
 * O_RDONLY with O_CLOEXEC, O_NONBLOCK, O_NOFOLLOW and the like; what writes, and O_PATH and
 * O_DIRECTORY, is EINVAL.  `answer` may be NULL.
 */
int mayexec_open(const char *path, int flags, struct mayexec_answer *answer);

/* The same for a path seen from a directory, or AT_FDCWD.  `options` may be NULL. */
int mayexec_openat(int dir, const char *path, int flags, const struct mayexec_options *options,
		   struct mayexec_answer *answer);

/*
 * Opens what a descriptor holds again.  The new descriptor starts at offset 0.  O_NOFOLLOW and the options'
 * `resolve` mean nothing here.
 */
int mayexec_reopen(int fd, int flags, const struct mayexec_options *options,
		   struct mayexec_answer *answer);

/*
 * Whether the policy lets the caller execute what a descriptor holds: 0, or -1 and errno.  The
 * descriptor and its offset stay, but the process loses its fcntl(2) locks on the file, which is opened again and
 * closed: this is for standard input if mayexec_interactive() says 0.
 */
int mayexec_check(int fd);

/*
 * Whether code may run that no file holds, of -c, a terminal or a pipe: 0 if SECBIT_EXEC_DENY_INTERACTIVE is
 * set for the caller, else 1.
 */
int mayexec_interactive(void);

/*
 * The best guarantee that the calling thread can demand.  Where that is MAYEXEC_GUARANTEE_PLAIN, AT_EXECVE_CHECK
 * is impossible, or nobody can read the policy that asks for it.  An open still makes the sysctl's check of
 * mounts, and refuses every file for which the policy asks for an impossible check.  On a kernel without the
 * flag this asks execveat(2), and some seccomp filters kill whoever calls that.
 */
enum mayexec_guarantee mayexec_best(void);

#ifdef __cplusplus
}
#endif

#endif /* MAYEXEC_H */
