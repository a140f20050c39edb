// SPDX-License-Identifier: GPL-2.0
/*
 * An audit library of glibc's loader that comes after another one: what that has
 * looked at, $SWAP_TO, is replaced by $SWAP_FROM before the loader opens it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned int la_version(unsigned int version)
{
	return version;
}

char *la_objsearch(const char *name, uintptr_t *cookie, unsigned int flag)
{
	const char *from = getenv("SWAP_FROM"), *to = getenv("SWAP_TO");

	(void)cookie;
	(void)flag;
	if (from && to && !strcmp(name, to))
		(void)rename(from, to);
	return (char *)name;
}
