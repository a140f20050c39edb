/* SPDX-License-Identifier: MIT OR Apache-2.0 */

#ifndef MAYEXEC_H
#define MAYEXEC_H

/* Made by cbindgen of src/lib.rs. */

#include <stdint.h>

// The check is made whatever the securebits say.
#define MAYEXEC_CHECK_ALWAYS 1

// The size of a message, with its closing 0.
#define MAYEXEC_MESSAGE_SIZE 256

// How a file was looked at before it was handed out, weakest first.
enum mayexec_guarantee {
  // Not at all: an ordinary open.
  MAYEXEC_GUARANTEE_PLAIN = 0,
  // The library has made the checks that the policy asks for itself.
  MAYEXEC_GUARANTEE_SECUREBITS = 1,
  // The kernel has applied the policy in force: O_MAYEXEC.
  MAYEXEC_GUARANTEE_KERNEL = 2,
};

// Why a file was not opened.
enum mayexec_why {
  // It was opened.
  MAYEXEC_WHY_OPENED = 0,
  // An ordinary open fails too.
  MAYEXEC_WHY_OPEN = 1,
  // It is not a regular file.
  MAYEXEC_WHY_NOT_REGULAR = 2,
  // It is on a noexec mount.
  MAYEXEC_WHY_NOEXEC = 3,
  // The caller has no execute permission.
  MAYEXEC_WHY_NOT_EXECUTABLE = 4,
  // Somebody has it open for writing.
  MAYEXEC_WHY_BUSY = 5,
  // None of these, as far as can be seen: a security module or a fanotify listener, as
  // a rule.
  MAYEXEC_WHY_OTHER = 6,
  // The guarantee that was demanded, or an option, is impossible here.
  MAYEXEC_WHY_IMPOSSIBLE = 7,
};

// What came of an open.
struct mayexec_answer {
  // What was got; MAYEXEC_GUARANTEE_PLAIN after a failure.
  enum mayexec_guarantee guarantee;
  // Why it failed.
  enum mayexec_why why;
  // The same for people; empty after success.
  char message[MAYEXEC_MESSAGE_SIZE];
};

// How a file is to be opened; all 0 is what mayexec_open() does.
struct mayexec_options {
  // The least guarantee, an enum mayexec_guarantee.
  uint32_t require;
  // MAYEXEC_CHECK_ALWAYS or 0.
  uint32_t flags;
  // RESOLVE_* of openat2(2).
  uint64_t resolve;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a file that is about to be executed, for reading and closed on exec, with
// whatever guarantee there is. Returns a descriptor or a negative errno; the answer is
// written in either case.
//
// # Safety
//
// `path` is a C string; `answer` is null or can be written.
int mayexec_open(const char *path, struct mayexec_answer *answer);

// The same for a path seen from a directory, or AT_FDCWD, with options, which may be NULL.
//
// # Safety
//
// `path` is a C string; `options` is null or can be read, `answer` null or written.
int mayexec_openat(int dir,
                   const char *path,
                   const struct mayexec_options *options,
                   struct mayexec_answer *answer);

// Opens what a descriptor holds again, under the policy; `options` may be NULL.
//
// # Safety
//
// `options` is null or can be read, `answer` null or written.
int mayexec_reopen(int fd,
                   const struct mayexec_options *options,
                   struct mayexec_answer *answer);

// The best guarantee that the calling thread can get.
enum mayexec_guarantee mayexec_best(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MAYEXEC_H */
