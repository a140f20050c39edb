#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes build/system/mayexec.qcow2 of the disk of make system: a machine that starts by
# itself, with the kernel inside and MOUNT in force from the first process on. The BIOS
# reads the kernel and its initramfs; the initramfs has the modules for the disk.
set -eu
cd "$(dirname "$0")/.."
out=build/system
mbr=/usr/lib/syslinux/mbr/mbr.bin
# In sectors of 512 bytes: where the boot partition begins.
begin=2048

fail() {
	printf 'system-image: %s\n' "$@" >&2
	exit 1
}

for tool in mkfs.vfat mcopy syslinux sfdisk qemu-img; do
	command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh system installs it"
done
for file in root.ext4 vmlinuz initrd.img; do
	[ -s $out/$file ] || fail "$out/$file is missing: make system builds it"
done
raw=$out/image.part
trap 'rm -f "$raw" $out/boot.part $out/syslinux.cfg' EXIT
cat >$out/syslinux.cfg <<END
SERIAL 0
DEFAULT mayexec
LABEL mayexec
	KERNEL vmlinuz
	INITRD initrd.img
	APPEND root=LABEL=mayexec rw console=ttyS0 console=tty0 sysctl.fs.open_mayexec_enforce=1
END
# A few MiB for the boot loader, and what it loads, in whole MiB.
length=$((8 + $(du -cm --apparent-size $out/vmlinuz $out/initrd.img | tail -n 1 | cut -f 1)))
length=$((length * 2048))
truncate -s $((length * 512)) $out/boot.part
mkfs.vfat $out/boot.part >/dev/null
mcopy -i $out/boot.part $out/vmlinuz $out/initrd.img $out/syslinux.cfg ::
syslinux --install $out/boot.part
size=$(stat -c %s $out/root.ext4)
truncate -s $((size + (begin + length) * 512)) "$raw"
sfdisk -q "$raw" <<END || fail "cannot write the partition table of $raw"
label: dos
start=$begin, size=$length, type=c, bootable
start=$((begin + length)), type=83
END
dd if=$mbr of="$raw" conv=notrunc status=none
dd if=$out/boot.part of="$raw" bs=512 seek=$begin conv=notrunc,sparse status=none
dd if=$out/root.ext4 of="$raw" bs=512 seek=$((begin + length)) conv=notrunc,sparse status=none
qemu-img convert -O qcow2 -c "$raw" $out/mayexec.qcow2.part
mv $out/mayexec.qcow2.part $out/mayexec.qcow2
echo "$out/mayexec.qcow2 ($(du -h $out/mayexec.qcow2 | cut -f1)); scripts/system/IMAGE.md says what to type there"
