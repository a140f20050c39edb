/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An interpreter whose language is: print the script. */
#include <fcntl.h>
#include <mayexec.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct mayexec_answer answer = MAYEXEC_ANSWER_INIT;
	FILE *script;
	int c, fd;

	fd = mayexec_open(argc > 1 ? argv[1] : "", O_RDONLY, &answer);
	if (fd < 0) {
		fprintf(stderr, "%s\n", answer.message);
		return 126;
	}
	script = fdopen(fd, "r");
	while (script && (c = getc(script)) != EOF)
		putchar(c);
	return 0;
}
