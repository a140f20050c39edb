#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Makes a directory of what Debian has, through apt's ordinary client and beside the host's own
# state: a list of sources below build/ names the host's mirror with other suites. apt verifies
# the signatures. A package that build/dl holds is not fetched again.
#
# Usage: scripts/fetch.sh linux RELEASE DIR      a kernel's source, as one commit with the tag `base`
#        scripts/fetch.sh kernel DIR             Debian 12's own kernel, and an initramfs for guests
#        scripts/fetch.sh busybox ARCH DIR       busybox, in a root for a guest
#        scripts/fetch.sh rust-src VERSION DIR   the source of Rust's library
#        scripts/fetch.sh sparse DIR             sparse, built
#        scripts/fetch.sh abigail DIR            abidiff, with its libraries
#        scripts/fetch.sh upstream PACKAGE VERSION DIR
#                                                the archive of a project's source, as upstream made it
#        scripts/fetch.sh debian PACKAGE VERSION DIR
#                                                the same source as Debian has it: that archive, Debian's own and
#                                                the file that names them
#        scripts/fetch.sh sources                prints `RELEASE VERSION PACKAGE` of each kernel's source
set -eu
cd "$(dirname "$0")/.."
top=$PWD
build=$top/build
dl=$build/dl
# What is here when lab starts was left by a run that was ended, and goes.
tmp=$build/tmp
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# The suites that may have a kernel's source, the one first that has this series' base.
backports=trixie-backports
kernel_suites="trixie trixie-backports forky sid experimental"

fail() {
	printf 'fetch: %s\n' "$@" >&2
	exit 1
}

# apt SUITES TOOL ARGUMENT...: an apt tool that knows these suites alone. $types and $arch say
# whether it knows sources, and of which architecture it is if not of the host's.
types=deb
arch=$(dpkg --print-architecture)
apt() {
	suites=$1 tool=$2
	shift 2
	state=$build/apt/$(echo "$types $arch $suites" | tr ' ' -)
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	options="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$state/parts
		-o Dir::State::Lists=$state/lists -o Dir::Cache=$state -o APT::Sandbox::User=root
		-o APT::Architecture=$arch -o APT::Architectures=$arch
		-o APT::Update::Error-Mode=any -o Acquire::Retries=3"
	if [ -z "$(find "$state/listed" -mmin -60 2>/dev/null)" ]; then
		[ -f $keyring ] || fail "$keyring is missing: install debian-archive-keyring" \
			"or give your own kernel tree: KDIR=/path/to/linux"
		mirror=$("$top/scripts/mirror.sh") ||
			fail "no mirror of Debian; a kernel tree of your own needs none: KDIR=/path/to/linux"
		mkdir -p "$state/parts" "$state/lists/partial" "$state/archives/partial"
		printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
			"$types" "$mirror" "$suites" "$keyring" >"$state/parts/base.sources"
		echo "list Debian's $suites" >&2
		# shellcheck disable=SC2086 # options
		apt-get $options update >&2 </dev/null ||
			fail "cannot list Debian's $suites: is the network up? What is below build/ already stays;" \
				"a kernel tree of your own needs no download: KDIR=/path/to/linux"
		: >"$state/listed"
	fi
	# shellcheck disable=SC2086 # options
	"$tool" $options "$@"
}

# answer SUITES ARGUMENT...: what apt-cache says; nothing of a package that it does not know. It is
# never read from a pipe, where nobody would hear that there are no lists.
answer() {
	asked=$1
	shift
	apt "$asked" apt-cache "$@" || [ $? = 100 ]
}

# versions SUITES PACKAGE: the newest first.
versions() {
	listed=$(answer "$1" madison "$2")
	echo "$listed" | awk -F ' *[|] *' '{ print $2 }' | uniq
}

# newest SUITES PACKAGE: its version, or nothing.
newest() {
	listed=$(versions "$1" "$2")
	echo "$listed" | head -n 1
}

# kept EXPRESSION: the newest package in build/dl whose file name matches. apt wrote it under
# another name, so what has its own is whole; a disk may still have lost it.
kept() {
	for deb in $(find "$dl" -maxdepth 1 -name '*.deb' | grep -E "/$1\$" | sort -rV); do
		! dpkg-deb -f "$deb" Version >/dev/null 2>&1 || {
			echo "$deb"
			return 0
		}
	done
	return 1
}

# download SUITES PACKAGE[=VERSION]: fetches it into build/dl; prints the path.
download() {
	fetching=$(mktemp -d "$tmp/XXXXXX")
	echo "download $2" >&2
	(cd "$fetching" && apt "$1" apt-get download "$2" >&2) || fail "cannot download $2 of Debian's $1"
	deb=$(basename "$fetching"/*.deb)
	mv "$fetching/$deb" "$dl/"
	rmdir "$fetching"
	echo "$dl/$deb"
}

# source_of SUITES PACKAGE=VERSION DIR [OPTION]: the archives of a source, into DIR; with
# --tar-only the one that upstream made. $types must say `deb-src`.
source_of() {
	# shellcheck disable=SC2086 # an option, or none
	(cd "$3" && apt "$1" apt-get source --download-only ${4-} "$2" >&2) || fail "cannot fetch $2"
}

linux() {
	package=linux-source-$1
	deb=$(kept "${package}_.*") || {
		# Newer kernels come to sid and experimental first, older ones leave.
		for suites in $backports "$kernel_suites"; do
			version=$(newest "$suites" "$package")
			[ -z "$version" ] || break
		done
		[ -n "$version" ] || fail \
			"BASE=$1: Debian has no package $package; it has: $(answer "$kernel_suites" pkgnames linux-source- | sort | paste -sd ' ')" \
			"another base needs your own tree: KDIR=/path/to/linux BASE=REVISION"
		deb=$(download "$suites" "$package=$version")
	}
	version=$(dpkg-deb -f "$deb" Version)
	echo "unpack $package $version" >&2
	dpkg-deb -x "$deb" "$part/deb"
	mkdir "$made"
	tar --strip-components=1 --no-same-owner -xf "$part/deb/usr/src/$package.tar.xz" -C "$made"
	cd "$made"
	[ -f include/uapi/linux/openat2.h ] || fail "$package $version: not a Linux source tree with openat2(2)"
	# Debian's last rule ignores every new file, those that a patch adds too.
	awk '{ lines[NR] = $0 }
		/^# Debian packaging:/ { end = NR - 2 }
		END { if (!end) end = NR
			while (end > 0 && lines[end] == "") end--
			for (at = 1; at <= end; at++) print lines[at] }' .gitignore >"$part/ignore"
	cat "$part/ignore" >.gitignore
	release=$(sed -n 's/^\(VERSION\|PATCHLEVEL\|SUBLEVEL\) = //p' Makefile | paste -sd .)
	release=$release$(sed -n 's/^EXTRAVERSION = *//p' Makefile | head -n 1)
	echo "commit it as the base" >&2
	# A fixed date and identity give the same commit on every machine, whatever a hook or the
	# user's configuration says.
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	export GIT_AUTHOR_NAME=Linux GIT_AUTHOR_EMAIL=linux@localhost GIT_AUTHOR_DATE=2000-01-01T00:00:00Z
	export GIT_COMMITTER_NAME=Linux GIT_COMMITTER_EMAIL=linux@localhost GIT_COMMITTER_DATE=2000-01-01T00:00:00Z
	git init -q -b mayexec
	git config gc.auto 0
	git config core.hooksPath /dev/null
	git add -A -f .
	git commit -q --no-verify -m "Linux $release" -m "Debian's $package $version, unpacked."
	git tag base
}

# What the root of guests, its output and overlays are made of is in modules of this kernel.
modules="virtio_pci virtio_console 9pnet_virtio 9p overlay"

kernel() {
	name='linux-image-6\.1\.0-[0-9]+-amd64'
	deb=$(kept "${name}_.*") || {
		found=$(answer bookworm pkgnames linux-image-6.1.0-)
		package=$(echo "$found" | grep -xE "$name" | sort -V | tail -n 1)
		[ -n "$package" ] || fail "Debian 12 has no package linux-image-6.1.0-N-amd64"
		deb=$(download bookworm "$package")
	}
	dpkg-deb -x "$deb" "$part/deb"
	mkdir "$made"
	cp "$part"/deb/boot/vmlinuz-* "$made/bzImage"
	version=$(ls "$part/deb/lib/modules")
	# The package leaves it to its installation to write down what depends on what. The host's
	# configuration says nothing about this kernel.
	/sbin/depmod -C /dev/null -b "$part/deb" "$version"
	# shellcheck disable=SC2086 # a list
	/sbin/modprobe -C /dev/null -d "$part/deb" --show-depends -a -S "$version" $modules |
		awk '$1 == "insmod" && !seen[$2]++ { printf "modules/%02d.ko %s\n", count++, $2 }' >"$part/modules"
	[ -s "$part/modules" ] || fail "modprobe names no module of $version"
	# shellcheck disable=SC2046 # a list of names and files
	scripts/initramfs.sh "$made/initrd" "dev modules proc root" \
		init scripts/debian-init.sh $(cat "$part/modules")
}

busybox() {
	arch=$1
	deb=$(kept "busybox-static_.*_$arch.deb") || deb=$(download trixie busybox-static)
	dpkg-deb -x "$deb" "$part/deb"
	mkdir "$made"
	cp "$part"/deb/bin/busybox "$made/" 2>/dev/null || cp "$part"/deb/usr/bin/busybox "$made/"
	# What the first process mounts over.
	(cd "$made" && mkdir bin dev proc run sys tmp)
}

rust_src() {
	deb=$(kept "rust-src_$1[+-].*") || {
		found=$(versions $backports rust-src)
		version=$(echo "$found" | grep "^$1[+-]" | head -n 1)
		[ -n "$version" ] || fail \
			"no source of Rust $1's library: rustup could not add it, and Debian has $(echo "$found" | paste -sd ' ')" \
			"add it by hand: rustup component add rust-src"
		deb=$(download $backports "rust-src=$version")
	}
	dpkg-deb -x "$deb" "$part/deb"
	mkdir "$made"
	mv "$part/deb/usr/src/rustc-$1/library" "$made/"
}

# The sparse of Debian 12 knows no __typeof_unqual__: it stops at the first header and says
# nothing about any file. Debian's unstable release has the source of one that does.
sparse() {
	tar=$(find "$dl" -maxdepth 1 -name 'sparse_*.orig.tar.gz' | sort -V | tail -n 1)
	if [ -z "$tar" ]; then
		types="deb-src"
		version=$(newest sid sparse)
		[ -n "$version" ] || fail "Debian has no source of sparse"
		source_of sid "sparse=$version" "$part" --tar-only
		mv "$part"/sparse_*.orig.tar.gz "$dl/"
		tar=$(echo "$dl"/sparse_*.orig.tar.gz)
	fi
	mkdir "$made"
	tar -xf "$tar" --strip-components=1 -C "$made"
	make -C "$made" -j "$(nproc)" sparse >&2
}

# As new as check-uapi.sh wants it: that of the release after Debian 12, whose loader and
# libraries come with it.
abigail() {
	mkdir "$part/debs"
	found=$(apt trixie apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances libabigail5)
	packages=$(echo "$found" | grep -v '^[ <]' | grep -v :)
	# shellcheck disable=SC2086 # a list
	(cd "$part/debs" && apt trixie apt-get download abigail-tools $packages >&2)
	for deb in "$part"/debs/*.deb; do
		dpkg-deb -x "$deb" "$made"
	done
	cat >"$made/abidiff" <<-'END'
		#!/bin/sh
		usr=$(dirname "$0")/usr
		exec "$usr/lib64/ld-linux-x86-64.so.2" --library-path "$usr/lib/x86_64-linux-gnu" \
			"$usr/bin/abidiff" "$@"
	END
	chmod +x "$made/abidiff"
}

# project_source PACKAGE VERSION [OPTION]
project_source() {
	types="deb-src"
	suites="bookworm trixie"
	found=$(answer "$suites" showsrc "$1")
	version=$(echo "$found" | sed -n 's/^Version: //p' | grep -F "$2-" | sort -rV | head -n 1)
	[ -n "$version" ] || fail "Debian has no source of $1 $2 (any more)"
	mkdir "$made"
	source_of "$suites" "$1=$version" "$made" "${3-}"
}

sources() {
	found=$(answer "$kernel_suites" pkgnames linux-source-)
	for package in $(echo "$found" | grep -E 'source-[0-9.]+$'); do
		version=$(newest "$kernel_suites" "$package")
		# Debian's revision is another build of the same source.
		deb=$(kept "${package}_${version%-*}-.*") || deb=$(download "$kernel_suites" "$package=$version")
		echo "${package#linux-source-} $(dpkg-deb -f "$deb" Version) $deb"
	done
}

what=${1:?usage: see the head of scripts/fetch.sh}
shift
mkdir -p "$dl" "$tmp"
if [ "$what" = sources ]; then
	sources
	exit 0
fi
for dir; do :; done
mkdir -p "$(dirname "$dir")"
part=$(mktemp -d "$tmp/XXXXXX")
trap 'rm -rf "$part"' EXIT
made=$part/made
case $what in
linux | kernel | busybox | sparse | abigail) $what "$@" ;;
upstream) project_source "$1" "$2" --tar-only ;;
debian) project_source "$1" "$2" ;;
rust-src) rust_src "$@" ;;
*) fail "$what: see the head of scripts/fetch.sh" ;;
esac
rm -rf "$dir"
mv "$made" "$dir"
