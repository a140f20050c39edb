// SPDX-License-Identifier: GPL-2.0
/* A module of Lua's in C, which needs nothing of Lua to be loaded. */
int luaopen_shared(void *state);

int luaopen_shared(void *state)
{
	(void)state;
	return 0;
}
