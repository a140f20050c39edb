#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Writes the demo to build/release, as files to publish: scripts/prebuilt.sh boots them.
#
# Usage: scripts/release.sh KERNEL DEMO      the kernel's image, and the program
set -eu
kernel=${1:?usage: scripts/release.sh KERNEL DEMO}
demo=${2:?usage: scripts/release.sh KERNEL DEMO}
cd "$(dirname "$0")/.."
dir=build/release
rm -rf $dir.part
mkdir -p $dir.part
cp "$kernel" $dir.part/bzImage
scripts/initramfs.sh $dir.part/initramfs "bin dev proc run sys tmp" \
	demo "$demo" init scripts/release-init.sh
(cd $dir.part && sha256sum bzImage initramfs >SHA256SUMS)
rm -rf $dir
mv $dir.part $dir
echo "$dir: bzImage, initramfs, SHA256SUMS; \`make demo PREBUILT=$dir\` boots them"
