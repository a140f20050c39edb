#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tries each way in which an interpreter can be given a file to execute, and
# prints which ways run it: once with mode 0644, once with mode 0755.
#
# Usage: scripts/projects-try.sh PROJECT BINARY
#
# PROJECT is a file patches/projects/NAME/project: `code` is a program that prints
# "ran"; `refuse: NAME: COMMAND` is a way that the policy must be able to refuse, `map` one
# that mmap(2) refuses on a noexec mount besides, `open` one that stays open. In a COMMAND,
# $i is the interpreter, $f the file with the code, $d its directory. The files are in TMPDIR.
# A way that does not end in LIMIT seconds (10, unless the caller says more) is `late`:
# nobody knows whether it would have run. With LIMIT= the caller limits the whole, and a
# start takes a third of the time.
# A caller with securebits: capsh --secbits=0x100 --shell=/bin/sh -- SCRIPT PROJECT BINARY
set -eu
project=$1
i=$2
limit=${LIMIT-10}
nl='
'
# No letters by chance: error messages have this name, and `ran` in them would count.
top=${TMPDIR:-/tmp}/ways.$$
mkdir -m 700 "$top" "$top/0644" "$top/0755"
trap 'rm -rf "$top"' EXIT
file=code
code=
while IFS= read -r line; do
	case $line in
	"file: "*) file=${line#*: } ;;
	"code: "*) code=$code${line#*: }$nl ;;
	esac
done <"$project"

# start COMMAND: in a process of its own, whose options are a plain shell's.
start() {
	set +eu
	cd "$d" || exit
	if [ "$limit" ]; then
		timeout "$limit" sh -c "$1"
	else
		eval "$1"
	fi
}

# The answers with mode 0644, with a space after each.
plain=
for mode in 0644 0755; do
	d=$top/$mode
	f=$d/$file
	printf %s "$code" >"$f"
	chmod "$mode" "$f"
	export d f i
	while IFS= read -r line; do
		case $line in
		"refuse: "* | "map: "* | "open: "*) rest=${line#*: } ;;
		*) continue ;;
		esac
		status=0
		said=$(start "${rest#*: }" 2>&1 </dev/null) || status=$?
		case $status:$said in
		124:*) answer=late ;;
		*ran*) answer=ran ;;
		*) answer=refused ;;
		esac
		if [ "$mode" = 0644 ]; then
			plain="$plain$answer "
		else
			printf '%s\t%s\t%s\t%s\n' "${rest%%: *}" "${line%%: *}" "${plain%% *}" "$answer"
			plain=${plain#* }
		fi
	done <"$project"
done
