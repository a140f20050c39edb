#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Builds the disk of a Debian 12 whose interpreters open with O_MAYEXEC: Debian's own
# packages, patched interpreters over their binaries, the packages of make deb and of
# make kernel-deb, the mounts of the rollout, and the trials of scripts/system/. Beside the
# disk lie its kernel and initramfs. Nothing is built again whose inputs are the same.
#
# Usage: scripts/system.sh LINUX-IMAGE.deb NAME...
#        scripts/system.sh --short NAME...
#
# NAME is a project whose interpreter is installed. --short makes a smaller disk, short.ext4,
# of systemd and what a user needs to log in, without any package of this repository.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
out=$top/build/system
logs=$top/build/logs
rollout=userspace/rollout
packages="systemd systemd-sysv libpam-systemd dbus cron logrotate python3 perl make busybox
	initramfs-tools libcap2-bin apt-utils procps"
short_packages="systemd systemd-sysv libpam-systemd dbus"
# The disk as a sparse file; a boot writes to none of it.
size=2G
export LC_ALL=C
umask 022

fail() {
	printf 'system: %s\n' "$@" >&2
	exit 1
}

# in_root COMMAND...: as root, or as the root of a user namespace with this user's
# subordinate IDs.
in_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		unshare --map-root-user --map-auto "$@"
	fi
}

bootstrap() {
	echo "bootstrap Debian 12 (log: build/logs/system-bootstrap.log)"
	# shellcheck disable=SC2086 # a list
	scripts/bootstrap.sh bookworm "$(echo $packages | tr ' ' ,)" "$base" \
		>"$logs/system-bootstrap.log" 2>&1 </dev/null ||
		fail "cannot bootstrap Debian 12: is the network up, is there space left?" \
			"$(tail -n 3 "$logs/system-bootstrap.log")" "log: build/logs/system-bootstrap.log"
}

# inside COMMAND...: in the root, with the devices and processes of this machine.
inside() {
	# shellcheck disable=SC2016 # the inner shell expands them
	unshare --mount sh -euc '
		root=$1
		shift
		mount --rbind /proc "$root/proc"
		mount --rbind /dev "$root/dev"
		exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
			DEBIAN_FRONTEND=noninteractive "$@"
	' - "$root" "$@"
}

# own_packages: those of make deb that belong on a system.
own_packages() {
	for package in libmayexec0 mayexec python3-mayexec; do
		echo "build/deb/$package"_*.deb
	done
}

# field NAME KEY: its value in the project's file.
field() {
	sed -n "s/^$2: *//p" "patches/projects/$1/project"
}

# replaced NAME: lines `FILE PATH...`: what is built takes the place of which files of Debian.
replaced() {
	if [ -n "$(field "$1" debian)" ]; then
		field "$1" replaces | sed "s,^,build/projects/$1/debian/,"
	else
		echo "build/projects/$1/patched/$(field "$1" binary) /usr/bin/$1"
	fi
}

# install_interpreter NAME: over Debian's own, as whose version it must be; and lets the
# attackers try its ways.
install_interpreter() {
	replaced "$1" | while read -r file paths; do
		for path in $paths; do
			[ -e "$root$path" ] || fail "Debian 12 has no $path for the patched $1 to replace"
			install -m "$(stat -c %a "$root$path")" "$file" "$root$path"
			case $path in *.py) ;; *) strip "$root$path" ;; esac
		done
	done
	{
		echo "installed: $(replaced "$1" | sed -n '1s,[^ ]* \([^ ]*\).*,\1,p')"
		grep -E '^(file|code|refuse|map|open): ' "patches/projects/$1/project"
	} >"$root/usr/lib/mayexec/projects/$1"
}

# What only the whole system has: the kernel's package, which writes the initramfs, into
# which the patched busybox goes, the other packages, and the web server.
with_packages() {
	systemctl --root="$root" --quiet enable web.service
	mkdir "$root/debs"
	# shellcheck disable=SC2046 # a list
	cp "$deb" $(own_packages) "$root/debs"
	inside sh -c 'dpkg -i /debs/*.deb'
	rm -r "$root/debs"
	for file in vmlinuz initrd.img; do
		install -m 0644 "$root/boot/$file"-* "$out/$file"
	done
}

# The root file system below $root, from the bootstrap's archive.
assemble() {
	rm -rf "$root"
	mkdir -p "$root"
	tar -xf "$base" -C "$root" --numeric-owner --exclude=./dev/*
	echo debian >"$root/etc/hostname"
	echo '127.0.0.1 localhost debian' >"$root/etc/hosts"
	cp -R scripts/system/etc "$root/"
	mkdir -p "$root/usr/lib/mayexec/projects" "$root/srv/web/cgi-bin"
	cp scripts/system/lib/* scripts/projects-try.sh "$root/usr/lib/mayexec/"
	cp scripts/system/ways/* "$root/usr/lib/mayexec/projects/"
	mv "$root/usr/lib/mayexec/hello.pl" "$root/srv/web/cgi-bin/hello"
	chmod 0755 "$root/srv/web/cgi-bin/hello"
	cp -R scripts/system/package "$root/usr/lib/mayexec/trial"
	dpkg-deb --root-owner-group --build "$root/usr/lib/mayexec/trial" "$root/usr/lib/mayexec/trial.deb" >/dev/null
	rm -r "$root/usr/lib/mayexec/trial"

	# The rollout, as its README says.
	cp -R "$rollout/systemd/tmp.mount.d" "$rollout/systemd/user-runtime-dir@.service.d" \
		"$rollout/systemd/var-tmp.mount" "$rollout/systemd/srv-www-upload.mount" \
		"$root/usr/share/systemd/tmp.mount" "$root/etc/systemd/system/"
	cp "$rollout/tmpfiles.d/upload.conf" "$root/etc/tmpfiles.d/"
	{
		echo 'LABEL=mayexec / ext4 defaults 0 0'
		cat "$rollout/fstab"
	} >"$root/etc/fstab"
	systemctl --root="$root" --quiet enable tmp.mount var-tmp.mount srv-www-upload.mount \
		tick.timer trials.service

	# A user who logs in, with Debian's own files and some that shells read.
	echo 'alice:x:1000:1000::/home/alice:/bin/bash' >>"$root/etc/passwd"
	echo 'alice:x:1000:' >>"$root/etc/group"
	# Nobody has a password: the image is to try things in.
	echo 'alice::19000:0:99999:7:::' >>"$root/etc/shadow"
	sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
	cp -R "$root/etc/skel" "$root/home/alice"
	echo 'from_profile=profile' >>"$root/home/alice/.profile"
	# Debian's .bashrc returns at its begin if the shell is not interactive.
	echo 'from_bashrc=bashrc' >>"$root/home/alice/.bashrc"
	echo ':' >"$root/home/alice/.shinit"
	cp -R scripts/system/project "$root/home/alice/project"
	chown -R 1000:1000 "$root/home/alice"
	for name; do
		install_interpreter "$name"
	done

	[ "$deb" = --short ] || with_packages

	rm -f "$image.part"
	mke2fs -q -t ext4 -L mayexec -d "$root" "$image.part" "$size" ||
		fail "cannot write $image: is there space left?"
	mv "$image.part" "$image"
}

if [ "${1-}" = --assemble ]; then
	shift
	# systemctl --root= takes no path with a link in it, and `make breaks` links build/.
	root=$(realpath "$out")/root base=$1 image=$2 deb=$3
	shift 3
	# Its files are of users whom `make clean` is not.
	trap 'rm -rf "$root"' EXIT
	trap 'exit 1' HUP INT TERM
	assemble "$@"
	exit 0
fi
for tool in mmdebstrap mke2fs dpkg-deb systemctl; do
	command -v $tool >/dev/null || fail "$tool is missing: scripts/setup.sh system installs it"
done
deb=${1:?usage: scripts/system.sh LINUX-IMAGE.deb|--short NAME...}
shift
image=$out/root.ext4
[ "$deb" != --short ] || {
	image=$out/short.ext4
	packages=$short_packages
}
mkdir -p "$out" "$logs"
key=$(echo "$packages" | sha256sum | cut -c 1-16)
base=$out/base-$key.tar
[ -s "$base" ] || bootstrap
scripts/projects.sh --debian "$@" ||
	fail "the interpreters cannot be built"
debs=
[ "$deb" = --short ] || {
	scripts/deb.sh --build
	debs="$deb $(own_packages)"
}
# Everything that goes into the image.
sum=$(
	{
		echo "$key $*"
		# shellcheck disable=SC2086 # a list
		[ -z "$debs" ] || sha256sum $debs
		find scripts/system scripts/system.sh scripts/projects-try.sh "$rollout" -type f -exec sha256sum {} +
		for name; do
			# shellcheck disable=SC2046 # a list
			sha256sum "patches/projects/$name/project" $(replaced "$name" | cut -d ' ' -f 1)
		done
	} | sort | sha256sum
)
[ "$(cat "$image.made" 2>/dev/null)" != "$sum" ] || [ ! -s "$image" ] || exit 0
echo "assemble build/system/${image##*/}"
rm -f "$image.made"
in_root "$0" --assemble "$base" "$image" "$deb" "$@" >"$logs/system-assemble.log" 2>&1 </dev/null ||
	fail "cannot assemble the system: is there space left?" \
		"$(tail -n 3 "$logs/system-assemble.log")" "log: build/logs/system-assemble.log"
echo "$sum" >"$image.made"
