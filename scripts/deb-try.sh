#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Installs packages in a Debian below a directory and uses them there as a user would.
# Runs as root of a mount namespace of its own; make deb starts it.
#
# Usage: scripts/deb-try.sh BASE.tar DIRECTORY PACKAGE.deb...
set -eu
base=$1 root=$2
shift 2

inside() {
	chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

fail() {
	echo "deb-try: $*" >&2
	exit 1
}

mkdir "$root"
tar -xf "$base" -C "$root" --numeric-owner --exclude='./dev/*'
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir "$root/debs" "$root/try"
cp "$@" "$root/debs"
inside sh -c 'dpkg -i /debs/*.deb'

echo "the command"
inside mayexec status
inside mayexec --version
inside sh -c '[ -s /usr/share/man/man1/mayexec.1.gz ]' || fail "there is no manual page"
inside sh -c '[ -s /usr/share/doc/mayexec/examples/rollout/sysctl.d/60-mayexec.conf ]' || fail "there are no examples"
! inside grep -r --exclude=README.md /usr/local/bin/mayexec /usr/share/doc/mayexec || fail "the examples name another command"
inside bash -c '. /usr/share/bash-completion/completions/mayexec; complete -p mayexec'

echo "a program in C"
cat >"$root/try/try.c" <<'END_C'
#include <mayexec.h>
#include <open_code.h>
#include <stdio.h>

int main(void)
{
	int fd = mayexec_open("/etc/passwd", O_RDONLY | O_CLOEXEC, NULL);

	printf("%d %d %d\n", fd >= 0, mayexec_version() == MAYEXEC_VERSION, open_code("/none", O_RDONLY));
	return 0;
}
END_C
for example in "$root"/usr/share/doc/libmayexec-dev/examples/*.c; do
	cp "$example" "$root/try/example.c"
	# shellcheck disable=SC2016 # the shell inside expands it
	inside sh -c 'cc -std=c89 -pedantic -Wall -Werror -o /try/example /try/example.c $(pkg-config --cflags --libs mayexec)'
	[ "$(inside /try/example /try/try.c)" = "$(cat "$root/try/try.c")" ] || fail "the example does not print its script"
done
for way in '' --static; do
	# shellcheck disable=SC2016 # the shell inside expands it
	inside sh -c 'cc -Wall -Werror $1 -o /try/try /try/try.c $(pkg-config $1 --cflags --libs mayexec)' - "$way"
	[ "$(inside /try/try)" = "1 1 -1" ] || fail "the program that is linked ${way:-with the shared library} is wrong"
done

echo "Python"
echo 'answer = 42' >"$root/try/module.py"
echo 'import module, mayexec; print(module.answer, mayexec.install())' >"$root/try/script.py"
[ "$(inside python3 -m mayexec /try/script.py)" = "42 None" ] || fail "python3 -m mayexec does not run the script"

echo "what has x"
for file in "$root"/usr/lib/*/libmayexec.so.0 "$root"/usr/lib/python3/dist-packages/mayexec/*.*; do
	[ -x "$file" ] || fail "${file#"$root"} lacks x: a kernel that enforces FILE refuses it"
done

echo "removal"
inside dpkg --purge python3-mayexec mayexec libmayexec-dev libmayexec0
left=$(find "$root/usr" "$root/etc" "$root/var/lib" -name '*mayexec*')
[ -z "$left" ] || fail "the packages leave behind: $left"
