/* SPDX-License-Identifier: 0BSD */
/* Uses all of open_code.h, to be compiled in every way that it allows. */
#include "open_code.h"

int use(const char *path);
int use(const char *path)
{
	int fd = open_code(path, O_RDONLY);

	return open_code_interactive() ? open_code_fd(fd) : fd;
}
