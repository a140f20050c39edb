#!/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# First process of the initramfs that a distribution's kernel needs, as it has the drivers
# of its root as modules: loads them, mounts the root that the command line names and hands
# over to the first process that it names.
set -eu

/busybox mount -t proc proc /proc
# The kernel sorts nothing here: the names say in which order the modules are loaded.
for module in /modules/*; do
	/busybox insmod "$module"
done
flags=
init=
for word in $(/busybox cat /proc/cmdline); do
	case $word in
	rootflags=*) flags=${word#rootflags=} ;;
	init=*) init=${word#init=} ;;
	esac
done
/busybox mount -t 9p -o "ro,$flags" /dev/root /root
/busybox mount -t devtmpfs devtmpfs /root/dev
/busybox umount /proc
exec /busybox switch_root /root "$init"
