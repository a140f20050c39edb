// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The library mayexec for C.  Which open is made, and what the program checks itself, is open_code.h's: this
 * file adds directories, RESOLVE_*, demands, and the reason of a refusal.  Nothing here allocates,
 * locks or writes to a stream, but strerror() for an answer's message may.
 */
#define _GNU_SOURCE
/* Else fstat(2) has no room for the inode numbers of some filesystems on 32-bit machines. */
#define _FILE_OFFSET_BITS 64
/* Filters belong to threads, and so does what was found to be possible. */
#define OPEN_CODE_PER_THREAD __thread
#include <open_code.h>
#include <string.h>
#include <mayexec.h>

#define BOTH (OPEN_CODE_MOUNT | OPEN_CODE_FILE)
#define RESTRICT_FILE (1 << 8) /* SECBIT_EXEC_RESTRICT_FILE */
#define EMPTYPATH 0x4000000 /* O_EMPTYPATH: an empty path is the descriptor itself. */
#define LARGEST 4096 /* No structure is larger than that. */

_Static_assert(sizeof(struct mayexec_options) == MAYEXEC_OPTIONS_SIZE_0, "the first version");
_Static_assert(sizeof(struct mayexec_answer) == MAYEXEC_ANSWER_SIZE_0, "the first version");

/* What is to be opened; `held` is -1, or the descriptor that is opened again. */
struct target {
	int dir;
	const char *path;
	int flags;
	int held;
};

/* What came of it: -1 or a descriptor, and errno. */
struct outcome {
	int fd;
	int error;
	enum mayexec_why why;
	enum mayexec_guarantee guarantee;
	const char *text; /* NULL: what `why` says. */
};

static const char *const guarantees[] = {
	"an ordinary open, nothing is checked",
	"the checks that the program makes itself, with AT_EXECVE_CHECK",
	"the policy, enforced by the kernel with O_MAYEXEC",
};

static const char *const reasons[] = {
	[MAYEXEC_WHY_NOT_REGULAR] = "not a regular file",
	[MAYEXEC_WHY_NOEXEC] = "on a noexec mount",
	[MAYEXEC_WHY_NOT_EXECUTABLE] = "no execute permission",
	[MAYEXEC_WHY_BUSY] = "open for writing by somebody",
	[MAYEXEC_WHY_OTHER] = "refused, perhaps by a security module or a fanotify listener",
};

/*
 * Whether execveat(2) answers to AT_EXECVE_CHECK.  No filter says EBADF by chance, and the kernel says it only
 * after it has accepted the flag.
 */
static int check_works(void)
{
	char *argv[] = { "", NULL };

	return syscall(SYS_execveat, -1, "", argv, argv + 1, 0x11000) == -1 && errno == EBADF;
}

static int regular(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

/* Which of `checks` refuses this file.  The refusal is a fact, the reason may have changed meanwhile. */
static enum mayexec_why judge(int fd, int checks)
{
	if (checks && !regular(fd))
		return MAYEXEC_WHY_NOT_REGULAR;
	if (checks & OPEN_CODE_MOUNT && open_code_noexec(fd))
		return MAYEXEC_WHY_NOEXEC;
	if (checks & OPEN_CODE_FILE &&
	    syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) && errno == EACCES)
		return MAYEXEC_WHY_NOT_EXECUTABLE;
	return MAYEXEC_WHY_OTHER;
}

static int is_refusal(int error)
{
	return error == EACCES || error == EPERM;
}

/* An ordinary open of what the kernel has refused with the flag. */
static int again(const struct target *target, int flags, uint64_t resolve)
{
	flags |= O_CLOEXEC | (target->flags & O_NOFOLLOW);
	if (target->held >= 0)
		return open_code_openat2(target->held, "", (unsigned int)flags | EMPTYPATH, 0);
	return open_code_openat2(target->dir, target->path, (unsigned int)flags, resolve);
}

/*
 * Why the kernel has refused it.  An ordinary open that fails for another reason, such as a lack of
 * descriptors, explains nothing.
 */
static enum mayexec_why explain(const struct target *target, uint64_t resolve)
{
	enum mayexec_why why;
	int copy, checks = open_code_sysctl();
	int fd = again(target, O_PATH, resolve);

	if (fd < 0)
		return is_refusal(errno) ? MAYEXEC_WHY_OPEN : MAYEXEC_WHY_OTHER;
	if (open_code_securebits(RESTRICT_FILE))
		checks |= BOTH;
	why = judge(fd, checks);
	/* A device or a FIFO is not opened for the sake of a message. */
	if (regular(fd)) {
		copy = again(target, O_RDONLY | O_NONBLOCK, resolve);
		if (copy >= 0)
			close(copy);
		else if (is_refusal(errno))
			why = MAYEXEC_WHY_OPEN;
	}
	close(fd);
	return why;
}

static struct outcome failed(int error, enum mayexec_why why, const char *text)
{
	struct outcome outcome = { -1, error, why, MAYEXEC_GUARANTEE_PLAIN, text };

	return outcome;
}

/* What the program checks itself, when the file is open. */
static struct outcome checked(int fd, int checks, int always)
{
	struct outcome outcome = { fd, 0, MAYEXEC_WHY_OPENED, MAYEXEC_GUARANTEE_PLAIN, NULL };
	const int restricted = open_code_asked(fd);

	if (always)
		checks |= OPEN_CODE_FILE;
	if (checks & BOTH || restricted)
		outcome.guarantee = MAYEXEC_GUARANTEE_SECUREBITS;
	if (!open_code_check(fd, checks, restricted))
		return outcome;
	outcome = failed(errno, MAYEXEC_WHY_BUSY, NULL);
	if (checks & OPEN_CODE_FILE || restricted)
		checks = BOTH; /* AT_EXECVE_CHECK makes both. */
	if (outcome.error != ETXTBSY)
		outcome.why = judge(fd, checks);
	if (outcome.why > MAYEXEC_WHY_NOEXEC && checks == BOTH && !check_works())
		outcome = failed(EACCES, MAYEXEC_WHY_IMPOSSIBLE,
				 "the policy demands a check, but a seccomp filter answers for execveat(2)");
	close(fd);
	return outcome;
}

/* The guarantee that is demanded is higher than the one that there is. */
static struct outcome too_low(enum mayexec_guarantee had)
{
	return failed(EOPNOTSUPP, MAYEXEC_WHY_IMPOSSIBLE, guarantees[had]);
}

/* Writes the number of a descriptor behind what `link` holds already. */
static void append(char *link, unsigned int fd)
{
	unsigned int digits = 1, rest;

	for (rest = fd; rest > 9; rest /= 10)
		digits++;
	link += strlen(link);
	link[digits] = 0;
	for (; digits; fd /= 10)
		link[--digits] = (char)('0' + fd % 10);
}

/* Whether the program can tell which checks the policy asks for. */
static int policy_readable(void)
{
	return !(open_code_sysctl() & OPEN_CODE_UNKNOWN) && prctl(PR_GET_SECUREBITS, 0L, 0L, 0L, 0L) >= 0;
}

/* Opens with what there is. */
static struct outcome climb(const struct target *target, const struct mayexec_options *options)
{
	const int always = (options->flags & MAYEXEC_CHECK_ALWAYS) != 0, known = open_code_known(0);
	char link[32] = "/proc/thread-self/fd/"; /* Ten digits and a 0 fill it. */
	struct outcome outcome;
	int checks, fd, kernel;

	if ((options->require && options->require > (unsigned int)mayexec_best()) || (always && !check_works()))
		return too_low(mayexec_best());

	if (target->held < 0) {
		fd = open_code_at(target->dir, target->path, target->flags, options->resolve, &checks);
	} else if (known) {
		fd = open_code_at(target->held, "", target->flags | EMPTYPATH, 0, &checks);
	} else { /* A kernel without O_EMPTYPATH has /proc. */
		append(link, (unsigned int)target->held);
		fd = open_code_at(AT_FDCWD, link, target->flags, 0, &checks);
	}
	kernel = open_code_known(0);
	/* Where a filter has come since, what is demanded is impossible now, or the empty path is. */
	if (known && !kernel && (options->require || target->held >= 0)) {
		if (fd >= 0)
			close(fd);
		return climb(target, options);
	}
	if (fd < 0) {
		outcome = failed(errno, MAYEXEC_WHY_OPEN, NULL);
		if (kernel && is_refusal(outcome.error))
			outcome.why = explain(target, options->resolve);
		else if (!kernel && options->resolve && outcome.error == ENOSYS)
			return failed(ENOSYS, MAYEXEC_WHY_IMPOSSIBLE, "RESOLVE_* flags need openat2(2)");
		return outcome;
	}
	outcome = checked(fd, checks, always);
	if (outcome.fd < 0)
		return outcome;
	if (kernel)
		outcome.guarantee = MAYEXEC_GUARANTEE_KERNEL;
	else if (options->require)
		outcome.guarantee = MAYEXEC_GUARANTEE_SECUREBITS;
	return outcome;
}

/* Appends to a message, as far as there is room. */
static void say(struct mayexec_answer *answer, const char *text)
{
	strncat(answer->message, text, sizeof(answer->message) - 1 - strlen(answer->message));
}

static void tell(struct mayexec_answer *answer, uint32_t require, const struct outcome *outcome)
{
	if (outcome->why == MAYEXEC_WHY_OPENED)
		return;
	if (outcome->error == EOPNOTSUPP && outcome->text) {
		say(answer, "the guarantee demanded is ");
		say(answer, guarantees[require ? require : MAYEXEC_GUARANTEE_SECUREBITS]);
		say(answer, ", possible is ");
	}
	if (outcome->text) {
		say(answer, outcome->text);
	} else if (outcome->why == MAYEXEC_WHY_OPEN) {
		say(answer, strerror(outcome->error));
	} else {
		say(answer, reasons[outcome->why]);
	}
}

/* The options, in the size that this library knows: 0 or an errno. */
static int read_options(const struct mayexec_options *given, struct mayexec_options *options)
{
	const char *bytes = (const char *)given;
	uint32_t i;

	memset(options, 0, sizeof(*options));
	if (!given)
		return 0;
	if (given->size < MAYEXEC_OPTIONS_SIZE_0)
		return EINVAL;
	if (given->size > LARGEST)
		return E2BIG;
	for (i = sizeof(*options); i < given->size; i++)
		if (bytes[i])
			return E2BIG;
	memcpy(options, given, sizeof(*options));
	return 0;
}

static int run(struct target *target, const struct mayexec_options *given,
	       struct mayexec_answer *answer)
{
	struct mayexec_options options;
	struct outcome outcome;
	int before = errno, error;
	uint32_t size;

	if (answer && (answer->size < MAYEXEC_ANSWER_SIZE_0 || answer->size > LARGEST)) {
		errno = answer->size > LARGEST ? E2BIG : EINVAL;
		return -1;
	}
	error = read_options(given, &options);
	if (error)
		outcome = failed(error, MAYEXEC_WHY_IMPOSSIBLE, "invalid options: the size");
	else if (options.require > MAYEXEC_GUARANTEE_KERNEL)
		outcome = failed(EINVAL, MAYEXEC_WHY_IMPOSSIBLE, "invalid options: no such guarantee");
	else if (options.flags & ~(uint64_t)MAYEXEC_CHECK_ALWAYS)
		outcome = failed(EINVAL, MAYEXEC_WHY_IMPOSSIBLE, "invalid options: unknown flags");
	else
		outcome = climb(target, &options);
	if (answer) {
		size = answer->size;
		memset(answer, 0, size);
		answer->size = size;
		answer->guarantee = outcome.guarantee;
		answer->why = outcome.why;
		tell(answer, options.require, &outcome);
	}
	errno = outcome.fd < 0 ? outcome.error : before;
	return outcome.fd;
}

int mayexec_openat(int dir, const char *path, int flags, const struct mayexec_options *options,
		   struct mayexec_answer *answer)
{
	struct target target = { dir, path, flags, -1 };

	return run(&target, options, answer);
}

int mayexec_open(const char *path, int flags, struct mayexec_answer *answer)
{
	return mayexec_openat(AT_FDCWD, path, flags, NULL, answer);
}

int mayexec_reopen(int fd, int flags, const struct mayexec_options *options,
		   struct mayexec_answer *answer)
{
	/*
	 * The kernel says EBADF where the path is seen from no directory.  A descriptor is no link,
	 * but its name in /proc is one.
	 */
	struct target target = { -1, "x", flags & ~O_NOFOLLOW, fd };

	return run(&target, options, answer);
}

int mayexec_check(int fd)
{
	int before = errno, result = open_code_fd(fd);

	if (!result)
		errno = before;
	return result;
}

int mayexec_interactive(void)
{
	int before = errno, result = open_code_interactive();

	errno = before;
	return result;
}

enum mayexec_guarantee mayexec_best(void)
{
	int before = errno;
	enum mayexec_guarantee best = MAYEXEC_GUARANTEE_KERNEL;

	if (!open_code_known(0))
		best = check_works() && policy_readable() ? MAYEXEC_GUARANTEE_SECUREBITS :
							    MAYEXEC_GUARANTEE_PLAIN;
	errno = before;
	return best;
}

unsigned int mayexec_version(void)
{
	return MAYEXEC_VERSION;
}
