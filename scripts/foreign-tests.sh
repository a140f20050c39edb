#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs tests of others in a guest (lab/src/proof/foreign.rs reads what it prints):
# `outcome: NAME pass|fail|conf|broken` for each test, and `end`.
#
# Usage: scripts/foreign-tests.sh LTP|XFSTESTS DIR POLICY
set -eu
kind=$1 dir=$2 policy=$3
[ "$policy" = none ] || echo "$policy" >/proc/sys/fs/open_mayexec_enforce
ip link set lo up

# ltp: the tests of this list whose names match.
ltp() {
	while read -r name command; do
		printf '%s\n' "$name" | grep -Eq "$2" || continue
		work=$(mktemp -d)
		chmod 777 "$work"
		status=0
		(cd "$work" && TMPDIR=$work timeout -k 5 900 sh -c "$command" </dev/null) || status=$?
		rm -rf "$work"
		# tst_test.h: one bit each for failed, broken, warned and not configured
		case $status in
		0) word=pass ;;
		32) word=conf ;;
		*) [ $((status & 1)) = 1 ] && [ "$status" -lt 64 ] && word=fail || word=broken ;;
		esac
		echo "outcome: $name $word"
	done <"$1"
}

# each HEADING WORD: the tests that xfstests lists at its end.
each() {
	sed -n "s/^$1://p" log | tr ' ' '\n' | sed -n "s|..*|outcome: & $2|p"
}

cd /tmp
case $kind in
LTP)
	export LTPROOT="$dir" PATH="$dir/testcases/bin:$PATH" LTP_TIMEOUT_MUL=5
	ltp "$dir/runtest/syscalls" '^(open|execveat|access|faccessat2|fanotify)'
	[ ! -f "$dir/runtest/ima" ] || ltp "$dir/runtest/ima" '^[^#]'
	;;
XFSTESTS)
	mkdir test scratch results
	truncate -s 512M test.img scratch.img
	TEST_DEV=$(losetup --find --show test.img)
	SCRATCH_DEV=$(losetup --find --show scratch.img)
	export TEST_DEV SCRATCH_DEV TEST_DIR=/tmp/test SCRATCH_MNT=/tmp/scratch FSTYP=ext4 RESULT_BASE=/tmp/results
	mkfs.ext4 -q "$TEST_DEV"
	# It exits with the number of failures; what it printed counts.
	(cd "$dir" && ./check -g quick) >log 2>&1 </dev/null || true
	cat log
	each Ran pass
	each 'Not run' conf
	each Failures fail
	;;
esac
echo end
