#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs a verb of the Makefile: installs what the verb needs, builds the programs
# that it uses, and starts lab. At the end it prints what all of that took, and
# leaves that for `make results` if nothing had been built before.
#
# Usage: scripts/lab.sh VERB [ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
verb=${1:?usage: scripts/lab.sh VERB [ARGUMENT...]}
fail() {
	printf '%s\n' "$@" >&2
	exit 1
}

# What another verb runs is taken from build/, where nothing changes until its lab gives up the lock.
[ ! -e build/.lock ] || flock -n build/.lock true ||
	fail "another command of this checkout is running (process $(cat build/.lock)); wait for it or stop it"

began=$(date +%s)
# How many objects the compilers' cache has for a checkout that has built nothing, if the whole verb
# is asked for.
first='' LAB_COMMIT=''
[ -d build ] || [ "$*" != "$verb --base $(sed -n 's/^BASE ?= //p' Makefile)" ] ||
	first=$(ccache --print-stats 2>/dev/null | awk '$1 == "files_in_cache" { n = $2 } END { print n + 0 }')

# Prints the time on the clock, and that of the CPUs in user and kernel mode.
took() {
	status=$?
	# In a pipe, times would tell about the pipe's own process.
	spent=$(mktemp)
	times >"$spent"
	cpu=$(sed -n '2s/[ms]/ /gp' "$spent" | awk '{ printf "%d", 60 * ($1 + $3) + $2 + $4 }')
	rm -f "$spent"
	wall=$(($(date +%s) - began))
	wall=$(printf '%d:%02d' $((wall / 60)) $((wall % 60)))
	cpu=$(printf '%d:%02d' $((cpu / 60)) $((cpu % 60)))
	echo "$verb took $wall on the clock, $cpu of CPU" >&2
	if [ -n "$first" ] && [ "$status" = 0 ]; then
		mkdir -p build/results/first
		echo "| make $verb | $first | $wall | $cpu | $(date -u +%F) $LAB_COMMIT |" >"build/results/first/$verb"
	fi
}
trap took EXIT
# make and kill tell this script alone that it is to end: lab is told, and what runs before lab, apt
# or cargo, comes to its end first.
trap 'kill "${!-}" 2>/dev/null || exit 143' HUP TERM

scripts/setup.sh "$verb"
# What the rows of this run name, asked for before it: the checkout may change meanwhile.
LAB_COMMIT=$(scripts/commit.sh)
export LAB_COMMIT
# lab and what starts a guest, and the programs that run in it.
needed="-p lab -p guest --bin lab --bin guest-init"
case $verb in
test | breaks) needed=--workspace ;;
verify) needed="$needed --bin fuzz --bin stress" ;;
*) needed="$needed --bin demo" ;;
esac
log=build/logs/cargo.log
mkdir -p build/logs
: >"$log"
# compile OPTION...: says what it compiles, if it does, and keeps that in the log.
compile() {
	rm -f "$log.failed"
	{ cargo build --release --locked "$@" 2>&1 || : >"$log.failed"; } | tee -a "$log" | sed -u '/^ *Finished /d' >&2
	[ ! -e "$log.failed" ] || fail "the programs of this checkout do not build" "log: $log"
}
# shellcheck disable=SC2086 # options
compile $needed
case $verb in
bench | release)
	# These take nothing from the guest's root: their instructions are the same wherever this
	# compiler made them. To name the target keeps its flags from build scripts and macros.
	(
		export RUSTFLAGS="-C target-feature=+crt-static"
		compile -p guest --bin bench --bin demo --target x86_64-unknown-linux-gnu
	)
	;;
esac
# From a terminal lab hears SIGINT as well, so it is not handed on. What runs in the background has
# no terminal as its input and ignores SIGINT and SIGQUIT, unless it is told.
trap : INT
exec 3<&0
env --default-signal=INT,QUIT "$CARGO_TARGET_DIR/release/lab" "$@" <&3 3<&- &
lab=$!
# A signal ends the wait, and not lab.
while :; do
	status=0
	wait "$lab" || status=$?
	kill -0 "$lab" 2>/dev/null || exit "$status"
done
