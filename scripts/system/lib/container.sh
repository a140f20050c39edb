#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A container's root, as an unprivileged user can be one: in namespaces of its own. It
# attacks what it finds, tries to take noexec from it, and then mounts what it likes.
set -u
lib=${0%/*}
mount -t proc proc /proc 2>/dev/null
for place in /tmp /dev/shm; do
	mount -o remount,bind,exec "$place" 2>/dev/null && echo "escape: $place is exec now"
done
mkdir -p /tmp/clone
mount --bind /tmp /tmp/clone && mount -o remount,bind,exec /tmp/clone 2>/dev/null &&
	echo "escape: a clone of /tmp is exec now"
umount /tmp/clone
"$lib/attack.sh" container
mount -t tmpfs own-mount /mnt
mkdir /mnt/own-mount
TMPDIR=/mnt/own-mount
LIMIT=
export TMPDIR LIMIT
tab=$(printf '\t')
timeout 3600 "$lib/projects-try.sh" "$lib/projects/dash" /bin/dash |
	sed "s|^|try: container${tab}own mount${tab}exec${tab}dash$tab|"
