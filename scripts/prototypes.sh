#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Checks that include/linux/mayexec.h has the prototypes that cbindgen writes of what
# fs/mayexec/mayexec.rs exports. White space does not count.
# Usage: prototypes.sh KERNEL-TREE
set -eu

tree=${1:?usage: prototypes.sh KERNEL-TREE}
here=$(dirname "$0")
source=$tree/fs/mayexec/mayexec.rs
header=$tree/include/linux/mayexec.h
command -v cbindgen >/dev/null || {
	echo "prototypes.sh: no cbindgen: scripts/packages.txt has it" >&2
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

tr -d '[:space:]' <"$header" >"$tmp/header"
tr -d '[:space:]' <"$tmp/prototypes" | tr ';' '\n' >"$tmp/wanted"
while read -r prototype; do
	grep -qF "$prototype;" "$tmp/header" || {
		echo "prototypes.sh: $header lacks a prototype; cbindgen writes:" >&2
		cat "$tmp/prototypes" >&2
		exit 1
	}
done <"$tmp/wanted"
