#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes an archive of a small Debian with these packages, as root or without.
#
# Usage: scripts/bootstrap.sh RELEASE PACKAGE,... ARCHIVE.tar
set -eu
release=$1 packages=$2 archive=$3
mirror=$("${0%/*}/mirror.sh" "$release" 2>/dev/null || "${0%/*}/mirror.sh")
set -- mmdebstrap --variant=minbase --include="$packages" --format=tar \
	--keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$release" "$archive.part" "$mirror"
# As root, mmdebstrap mounts where it is, and leaves the mounts when it is ended: they are to go
# with it, and what else it leaves is to be below build/.
if [ "$(id -u)" = 0 ]; then
	export TMPDIR="$archive.tmp"
	rm -rf "$TMPDIR"
	mkdir "$TMPDIR"
	set -- unshare --mount "$@"
fi
nice "$@"
rm -rf "$archive.tmp"
mv "$archive.part" "$archive"
