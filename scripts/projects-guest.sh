#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tries each way of an interpreter, in a guest with the kernel of the series: under each
# policy, on a mount with and without noexec, and again behind a filter that answers ENOSYS
# to openat2(2). lab/src/projects.rs starts this and reads what it prints.
#
# Usage: projects-guest.sh BINARY, beside projects-try.sh, `under` (a program that sets
# securebits and filters) and the file `project`
set -eu
binary=$1
sysctl=/proc/sys/fs/open_mayexec_enforce
tab=$(printf '\t')
# The boot has a limit as a whole.
export LIMIT=
for mount in exec noexec; do
	mkdir "/run/$mount"
	mount -t tmpfs -o "$mount,mode=1777" tmpfs "/run/$mount"
done

# scene NAME POLICY COMMAND...: COMMAND starts a shell.
scene() {
	name=$1
	echo "$2" >"$sysctl"
	shift 2
	for mount in exec noexec; do
		TMPDIR=/run/$mount "$@" ./projects-try.sh ./project "$binary" |
			sed "s/^/$name$tab$mount$tab/"
	done
}

for policy in 0 1 2 3 7; do
	scene "$policy" "$policy" /bin/sh
	scene "filter $policy" "$policy" ./under 0 openat2=38 -- /bin/sh
done
# SECBIT_EXEC_RESTRICT_FILE and SECBIT_EXEC_DENY_INTERACTIVE; `under` sets no_new_privs.
scene securebit 0 ./under 256 -- /bin/sh
scene "filter securebit" 0 ./under 256 openat2=38 -- /bin/sh
scene interactive 0 ./under 1024 -- /bin/sh
