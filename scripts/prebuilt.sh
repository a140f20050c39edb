#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Plays the scene of `make demo` with a kernel that somebody else built: boots what
# `make release` made, which takes qemu and nothing else.
#
# Usage: scripts/prebuilt.sh FILE      its bzImage, or the directory with it
#
# Beside bzImage are initramfs and SHA256SUMS, which must agree.
set -eu
dir=${1:?usage: scripts/prebuilt.sh FILE}
[ -d "$dir" ] || dir=$(dirname "$dir")

fail() {
	printf 'prebuilt: %s\n' "$@" >&2
	exit 1
}

command -v qemu-system-x86_64 >/dev/null || fail "qemu-system-x86_64 is missing: apt-get install qemu-system-x86"
[ -e "$dir/SHA256SUMS" ] || fail "$dir holds no SHA256SUMS: it is not what \`make release\` made"
(cd "$dir" && sha256sum --quiet -c SHA256SUMS) || fail "the files in $dir are not those of its SHA256SUMS"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
timeout 120 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
	-cpu max -accel tcg,thread=multi -m 512M -kernel "$dir/bzImage" -initrd "$dir/initramfs" \
	-serial stdio -append "console=ttyS0 quiet panic=-1 no_timer_check kunit.enable=0" </dev/null |
	tr -d '\r' | tee "$said" || fail "qemu failed"
grep -q '^the scene exited with 0$' "$said" || fail "the scene did not come to its end, or found a mismatch"
