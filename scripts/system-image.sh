#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes build/system/mayexec.qcow2 of the disk of make system: a machine that starts by
# itself, with the kernel inside and MOUNT in force from the first process on.
#
# Usage: scripts/system-image.sh KERNEL
set -eu
cd "$(dirname "$0")/.."
kernel=${1:?usage: scripts/system-image.sh KERNEL}
out=build/system
mbr=/usr/lib/syslinux/mbr/mbr.bin
# Sectors of 512 bytes: where the boot partition begins, how long it is.
begin=2048
length=131072
# The kernel finds its root by this number whatever kind of disk the machine has.
id=6d617965

fail() {
	printf 'system-image: %s\n' "$@" >&2
	exit 1
}

for tool in mkfs.vfat mcopy syslinux sfdisk qemu-img; do
	command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh system installs it"
done
[ -s $out/root.ext4 ] || fail "$out/root.ext4 is missing: make system builds it"
raw=$out/image.part
trap 'rm -f "$raw" $out/boot.part $out/syslinux.cfg' EXIT
cat >$out/syslinux.cfg <<END
SERIAL 0
DEFAULT mayexec
LABEL mayexec
	KERNEL bzImage
	APPEND root=PARTUUID=$id-02 rw console=ttyS0 console=tty0 sysctl.fs.open_mayexec_enforce=1
END
truncate -s $((length * 512)) $out/boot.part
mkfs.vfat $out/boot.part >/dev/null
mcopy -i $out/boot.part "$kernel" ::bzImage
mcopy -i $out/boot.part $out/syslinux.cfg ::syslinux.cfg
syslinux --install $out/boot.part
size=$(stat -c %s $out/root.ext4)
truncate -s $((size + (begin + length) * 512)) "$raw"
sfdisk -q "$raw" <<END || fail "cannot write the partition table of $raw"
label: dos
label-id: 0x$id
start=$begin, size=$length, type=c, bootable
start=$((begin + length)), type=83
END
dd if=$mbr of="$raw" conv=notrunc status=none
dd if=$out/boot.part of="$raw" bs=512 seek=$begin conv=notrunc,sparse status=none
dd if=$out/root.ext4 of="$raw" bs=512 seek=$((begin + length)) conv=notrunc,sparse status=none
qemu-img convert -O qcow2 -c "$raw" $out/mayexec.qcow2.part
mv $out/mayexec.qcow2.part $out/mayexec.qcow2
echo "$out/mayexec.qcow2 ($(du -h $out/mayexec.qcow2 | cut -f1)); scripts/system/IMAGE.md says what to type there"
