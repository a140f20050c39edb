#!/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# First process of a guest in which the host's programs do not run: what guest-init
# does elsewhere, with busybox alone.
set -eu

/busybox mount -t tmpfs tmpfs /bin
/busybox --install -s /bin
export PATH=/bin HOME=/tmp TERM=dumb
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
[ -e /dev/null ] || mount -t devtmpfs -o nosuid devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,mode=0620,ptmxmode=0666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=0755 tmpfs /run
# The kernel's runner writes to /dev/stdout; without the link, to a file of that name.
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr

mkdir /run/lab
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 lab /run/lab

stty raw </dev/hvc0
echo "guest: ready" >/dev/hvc0
code=0
sh /run/lab/job.sh </dev/null >/dev/hvc0 2>&1 || code=$?
echo "$code" >/run/lab/status
sync
poweroff -f
# Its end would be a panic; the host's time limit ends what is not turned off.
while :; do sleep 60; done
