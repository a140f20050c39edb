// SPDX-License-Identifier: MIT OR Apache-2.0
/* What examples/outcome.rs does, and prints, of the library for C and, as "header", of open_code.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <open_code.h>
#include <stdio.h>
#include <string.h>
#include <mayexec.h>

#define FLAGS (O_RDONLY | O_CLOEXEC)

static const char *const guarantees[] = { "Plain", "Securebits", "Kernel" };

static void line(const char *how, const char *path, int fd, const struct mayexec_answer *answer)
{
	if (fd < 0)
		printf("%s %s: %d, %s\n", how, path, errno, answer->message);
	else
		printf("%s %s: opened, %s\n", how, path, guarantees[answer->guarantee]);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct mayexec_options options;
	} ways[] = {
		{ "open", MAYEXEC_OPTIONS_INIT },
		{ "check", { sizeof(struct mayexec_options), 0, MAYEXEC_CHECK_ALWAYS, 0 } },
		{ "securebits", { sizeof(struct mayexec_options), MAYEXEC_GUARANTEE_SECUREBITS, 0, 0 } },
		{ "kernel", { sizeof(struct mayexec_options), MAYEXEC_GUARANTEE_KERNEL, 0, 0 } },
	};
	struct mayexec_answer answer = MAYEXEC_ANSWER_INIT;
	static char buffer[1 << 16];
	unsigned int way;
	int all, i, fd, held;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	all = argc > 1 && !strcmp(argv[1], "all");
	if (all)
		printf("best: %s\n", guarantees[mayexec_best()]);
	for (i = 2; i < argc; i++) {
		for (way = 0; way < (all ? sizeof(ways) / sizeof(*ways) : 1); way++) {
			fd = mayexec_openat(AT_FDCWD, argv[i], FLAGS, &ways[way].options, &answer);
			line(ways[way].name, argv[i], fd, &answer);
		}
		held = all ? open(argv[i], FLAGS | O_NONBLOCK) : -1;
		if (held >= 0) {
			fd = mayexec_reopen(held, FLAGS, NULL, &answer);
			line("reopen", argv[i], fd, &answer);
			close(held);
		}
		fd = open_code(argv[i], FLAGS);
		printf("header %s: ", argv[i]);
		if (fd < 0)
			printf("%d\n", errno);
		else
			printf("opened\n");
		if (fd >= 0)
			close(fd);
	}
	return 0;
}
