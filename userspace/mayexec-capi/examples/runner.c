/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An interpreter whose language is: print the script. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <mayexec.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct mayexec_answer answer = MAYEXEC_ANSWER_INIT;
	FILE *script;
	int c, fd;

	if (argc != 2) {
		fprintf(stderr, "usage: runner SCRIPT\n");
		return 2;
	}
	fd = mayexec_open(argv[1], O_RDONLY | O_CLOEXEC, &answer);
	if (fd < 0) {
		fprintf(stderr, "runner: %s: %s\n", argv[1], answer.message);
		return 126;
	}
	script = fdopen(fd, "r");
	while (script && (c = getc(script)) != EOF)
		putchar(c);
	if (!script || ferror(script)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
