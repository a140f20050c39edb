#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The first process of a short boot: tries a script on a noexec mount before anything of
# the system runs, leaves the answer for trials.sh, and becomes systemd.
mount -t tmpfs -o noexec first /mnt
echo 'echo ran' >/mnt/first.sh
sh /mnt/first.sh >/root/first 2>&1
umount /mnt
exec /sbin/init "$@"
