#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Writes the prototypes of what fs/mayexec/mayexec.rs exports into
# include/linux/mayexec.h, or with --check compares them with what is there.
# Usage: prototypes.sh [--check] KERNEL-TREE
set -eu

check=
if [ "${1:-}" = --check ]; then
	check=1
	shift
fi
tree=${1:?usage: prototypes.sh [--check] KERNEL-TREE}
here=$(dirname "$0")
source=$tree/fs/mayexec/mayexec.rs
header=$tree/include/linux/mayexec.h
command -v cbindgen >/dev/null || {
	echo "prototypes.sh: no cbindgen; run scripts/setup.sh" >&2
	exit 1
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# cbindgen looks for #[no_mangle], which #[export] is after expansion only.
sed 's/^#\[export\]$/#[no_mangle]/' "$source" >"$tmp/mayexec.rs"
if ! cbindgen --config "$here/cbindgen.toml" "$tmp/mayexec.rs" >"$tmp/prototypes" 2>"$tmp/log"; then
	cat "$tmp/log" >&2
	exit 1
fi
if ! grep -q ';$' "$tmp/prototypes"; then
	echo "prototypes.sh: $source exports nothing" >&2
	exit 1
fi

# Their places are where the policy is built, each in an #ifdef of its own.
awk -v prototypes="$tmp/prototypes" '
	BEGIN {
		while ((getline line < prototypes) > 0) {
			text = text (text == "" ? "" : "\n") line
			if (line ~ /;$/) {
				name = text
				sub(/\(.*/, "", name)
				sub(/.*[ *\n]/, "", name)
				prototype[name] = text
				text = ""
			}
		}
	}
	/^#(else|endif)/ { inside = 0 }
	!inside { print }
	/^#ifdef CONFIG_OPEN_MAYEXEC$/ { inside = 1 }
	inside && match($0, /[a-z_]+\(/) {
		name = substr($0, RSTART, RLENGTH - 1)
		if (name in prototype)
			print prototype[name]
		delete prototype[name]
	}
	END {
		for (name in prototype) {
			print "no place for " name > "/dev/stderr"
			failed = 1
		}
		exit failed
	}
' "$header" >"$tmp/mayexec.h"

if [ -n "$check" ]; then
	diff -u "$header" "$tmp/mayexec.h" || {
		echo "prototypes.sh: $header is stale; run scripts/prototypes.sh $tree" >&2
		exit 1
	}
elif ! cmp -s "$tmp/mayexec.h" "$header"; then
	cat "$tmp/mayexec.h" >"$header"
fi
