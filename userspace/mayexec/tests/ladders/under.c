// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Runs a program under securebits and filters: under SECUREBITS CALL=ANSWER... -- PROGRAM...
 * CALL is openat2, execveat or prctl; ANSWER is an errno, 0 for a success that is made up, or kill.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void must(int failed, const char *what)
{
	if (failed) {
		perror(what);
		_exit(99);
	}
}

int main(int argc, char **argv)
{
	const struct { const char *name; unsigned int number; } calls[] = {
		{ "openat2=", SYS_openat2 }, { "execveat=", SYS_execveat }, { "prctl=", SYS_prctl },
	};
	struct sock_filter code[16];
	struct sock_fprog program = { 0, code };
	unsigned int answer, i;
	int at, bits = argc > 1 ? atoi(argv[1]) : 0;
	const char *words;

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	if (bits)
		must(prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), "securebits");
#define ADD(statement) code[program.len++] = (struct sock_filter)statement
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	for (at = 2; at < argc && strcmp(argv[at], "--"); at++) {
		for (i = 0; i < 3 && strncmp(argv[at], calls[i].name, strlen(calls[i].name)); i++)
			;
		errno = EINVAL;
		must(i == 3, argv[at]);
		words = strchr(argv[at], '=') + 1;
		answer = strcmp(words, "kill") ? SECCOMP_RET_ERRNO | (unsigned int)atoi(words) :
						 SECCOMP_RET_KILL_PROCESS;
		ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1));
		ADD(BPF_STMT(BPF_RET | BPF_K, answer));
	}
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), "a filter");
	execv(argv[at + 1], argv + at + 1);
	must(1, argv[at + 1]);
}
