#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tries each way in which an interpreter can be given a file to execute, and
# prints which ways run it: once with mode 0644, once with mode 0755.
#
# Usage: scripts/projects-try.sh PROJECT BINARY
#
# PROJECT is a file patches/projects/NAME/project: `code` is a program that prints
# "ran"; `refuse: NAME: COMMAND` is a way that the policy must be able to refuse, `map` one
# that mmap(2) refuses on a noexec mount besides, `open` one that stays open. In a COMMAND, $i is the interpreter,
# $f the file with the code, $d its directory. The files are in TMPDIR.
# A way that does not end in LIMIT seconds (10, unless the caller says more) is `late`:
# nobody knows whether it would have run.
# A caller with securebits: capsh --secbits=0x100 --shell=/bin/sh -- SCRIPT PROJECT BINARY
set -eu
project=$1
i=$2
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
f=$d/$(sed -n 's/^file: *//p' "$project")
[ "$f" != "$d/" ] || f=$d/code
sed -n 's/^code: *//p' "$project" >"$f"
export d f i
grep -E '^(refuse|map|open): ' "$project" | while IFS= read -r line; do
	kind=${line%%: *}
	rest=${line#*: }
	printf '%s\t%s' "${rest%%: *}" "$kind"
	for mode in 0644 0755; do
		chmod "$mode" "$f"
		code=0
		said=$(cd "$d" && timeout "${LIMIT:-10}" sh -c "${rest#*: }" 2>&1 </dev/null) || code=$?
		case $code:$said in
		124:*) printf '\tlate' ;;
		*ran*) printf '\tran' ;;
		*) printf '\trefused' ;;
		esac
	done
	echo
done
