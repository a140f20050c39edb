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
log=$(realpath "$(dirname "$0")/..")/build/logs/prebuilt.log
mkdir -p "${log%/*}"
limit=120
# A pipe has the status of its last program alone, so qemu's is a line for that one.
{
	timeout --foreground $limit qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -machine q35 \
		-cpu max -accel tcg,thread=multi -m 512M -kernel "$dir/bzImage" -initrd "$dir/initramfs" \
		-serial stdio -append "console=ttyS0 quiet panic=-1 no_timer_check kunit.enable=0" </dev/null 2>&1 ||
		echo "qemu ended with status $?"
} | tr -d '\r' | tee "$log"
if grep -q '^qemu ended with status 124$' "$log"; then
	fail "the guest did not come to its end in $limit seconds" "log: $log" \
		"next: run it again when this machine has less to do"
elif grep -q '^qemu ended with status' "$log"; then
	fail "qemu failed" "log: $log"
fi
grep -q '^the scene exited with 0$' "$log" ||
	fail "the scene did not come to its end, or found a mismatch" "log: $log"
