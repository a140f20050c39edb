#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Writes an initramfs with busybox, empty directories and programs.
#
# Usage: scripts/initramfs.sh OUT "DIRECTORY..." [NAME FILE]...
set -eu
out=${1:?usage: scripts/initramfs.sh OUT "DIRECTORY..." [NAME FILE]...}
directories=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
for directory in $directories; do
	mkdir "$root/$directory"
done
busybox=$(command -v busybox) || {
	echo "busybox is missing: scripts/setup.sh installs busybox-static" >&2
	exit 1
}
set -- busybox "$busybox" "$@"
while [ $# -gt 0 ]; do
	install -m 0755 "$2" "$root/$1"
	shift 2
done
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out"
