#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Builds the Debian packages of userspace/ in a copy of this checkout, checks them with
# lintian, and installs and tries them in a Debian of the release that this machine has.
# The packages are in build/deb.
#
# Usage: scripts/deb.sh [--build]
#
# --build makes the packages, unless they were made of the same files, and does not try them.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/deb
logs=$PWD/build/logs
version=$(dpkg-parsechangelog -l userspace/debian/changelog -S Version)
copy=$out/mayexec-$version
export LC_ALL=C.UTF-8

fail() {
	printf 'deb: %s\n' "$@" >&2
	exit 1
}

# run_logged NAME WHAT COMMAND...: shows a line, keeps the output in build/logs.
run_logged() {
	log=build/logs/deb-$1.log what=$2
	shift 2
	echo "$what (log: $log)"
	"$@" >"$log" 2>&1 </dev/null || {
		tail -n 20 "$log" >&2
		fail "failed: $what" "log: $log"
	}
}

# in_root COMMAND...: as root, or as the root of a user namespace with this user's
# subordinate IDs.
in_root() {
	if [ "$(id -u)" = 0 ]; then
		unshare --mount "$@"
	else
		unshare --map-root-user --map-auto --mount "$@"
	fi
}

bootstrap() {
	# shellcheck disable=SC1091 # where Debian is
	release=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	[ -n "$release" ] || fail "/etc/os-release names no release of Debian"
	run_logged bootstrap "bootstrap a Debian to install them in" \
		scripts/bootstrap.sh "$release" "$tools" "$base"
}

mkdir -p "$out" "$logs"
# `make system` runs this too, and the packages are made in one place.
exec 9>"$out/.lock"
flock -n 9 || fail "another command of this checkout makes the packages: wait for it or stop it"
own=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ "$version" = "$own" ] || fail "userspace/debian/changelog is of version $version, Cargo.toml of $own"

# What the packages are made of.
sum=$(find userspace lab/uapi include Cargo.toml Cargo.lock scripts/deb.sh -type f -exec sha256sum {} + |
	sort | sha256sum)
if [ "${1-}" = --build ] && [ "$(cat "$out/made" 2>/dev/null)" = "$sum" ]; then
	exit 0
fi
rm -rf "$out/made" "$copy" "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
mkdir "$copy"
# The files keep their times: cargo compiles again only what has changed.
{
	tar --exclude=./build --exclude=./target --exclude=./.git -cf "$out/copy.tar" . &&
		tar -xf "$out/copy.tar" -C "$copy"
} || fail "cannot copy the checkout to $copy: is there space left?"
rm "$out/copy.tar"
mv "$copy/userspace/debian" "$copy/debian"
export DEB_BUILD_OPTIONS="noautodbgsym ${DEB_BUILD_OPTIONS-}"
run_logged build "build the packages" \
	env -C "$copy" -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -b --no-sign --no-pre-clean
echo "$sum" >"$out/made"
[ "${1-}" != --build ] || exit 0
lintian --allow-root --fail-on warning "$out/mayexec_${version}"_*.changes >build/logs/deb-lintian.log 2>&1 || {
	cat build/logs/deb-lintian.log >&2
	fail "lintian has findings"
}

# What the packages need at most to be tried.
tools=gcc,libc6-dev,pkg-config,python3
base=$out/base-$({ cat /etc/os-release && echo "$tools"; } | sha256sum | cut -c 1-8).tar
[ -s "$base" ] || bootstrap
root=$out/root
# Its files are of users whom `make clean` is not.
trap 'in_root rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM
in_root rm -rf "$root"
run_logged try "install the packages and try them" in_root scripts/deb-try.sh "$base" "$root" "$out"/*.deb
ls "$out"/*.deb
