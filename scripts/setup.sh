#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Installs what a verb of the Makefile needs and is not there yet. With nothing
# missing it takes a fraction of a second. Only Debian packages, named before
# they are installed, and components of the Rust that rustup has installed go
# outside this checkout; the rest goes to build/.
#
# Usage: scripts/setup.sh VERB
set -eu
cd "$(dirname "$0")/.."
verb=${1:?usage: scripts/setup.sh VERB}
tools=$PWD/build/tools
logs=$PWD/build/logs
PATH=$tools/bin:$PATH

bindgen_version=0.72.1
nextest_version=0.9.143
mutants_version=27.1.0
b4_version=0.16.0
guest_packages="apparmor auditd btrfs-progs diod dosfstools erofs-utils exfatprogs f2fs-tools fapolicyd
	fatrace gfs2-utils ima-evm-utils ksmbd-tools libapparmor1 libauparse0 libimaevm2 libinih1
	libipsec-mb1 libjudydebian1 libkeyutils1 libldb2 liblmdb0 liblua5.1-0 liblzo2-2 libmagic1
	libmunge2 libnl-3-200 libnl-genl-3-200 libsctp1 libsepol2 libtalloc2 libtdb1 libtevent0 libunwind8 liburcu8 libwbclient0 libwrap0
	openssl samba samba-common-bin samba-libs secilc squashfs-tools strace stress-ng trinity
	xfsprogs"
# In a directory of their own, as `make verify` alone fetches these.
ceph_packages="ceph-base ceph-common ceph-mds ceph-mon ceph-osd libaio1 libboost-iostreams1.74.0
	libboost-thread1.74.0 libdaxctl1 libfmt9 libfuse2 libibverbs1 libleveldb1d liblua5.3-0 libndctl6
	libnl-3-200 libnl-route-3-200 libpmem1 librados2 librdmacm1 libsnappy1v5 python3-ceph-argparse
	python3-prettytable python3-rados python3-wcwidth"

fail() {
	printf 'setup: %s\n' "$@" >&2
	exit 1
}

# become_root COMMAND: sets $as_root; COMMAND is what to do by hand if that fails.
become_root() {
	as_root=
	[ "$(id -u)" != 0 ] || return 0
	command -v sudo >/dev/null || fail "not root and no sudo; as root run:" "$1"
	as_root=sudo
}

# install_packages LIST: what it names and is missing.
install_packages() {
	missing=
	while read -r package _; do
		case $package in '' | '#'*) continue ;; esac
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || [ -d "build/tools/$package" ] || missing="$missing $package"
	done <"$1"
	[ -n "$missing" ] || return 0
	printf 'Debian packages to install:%s\n' "$missing"
	become_root "apt-get install$missing"
	# An earlier run that was ended in the middle of dpkg would stop apt-get.
	run_logged apt $as_root dpkg --configure -a
	run_logged apt $as_root apt-get update
	unpack_qemu
	[ -n "$missing" ] || return 0
	# What is in the way (gcc-multilib and cross compilers are in each other's) stays.
	# shellcheck disable=SC2086 # a list of packages, and an empty word for root
	run_logged apt $as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends --no-remove $missing
}

# Unpacks those of qemu's packages in $missing that apt-get cannot install beside
# what the host has, such as qemu-system-arm of another release.
unpack_qemu() {
	installable=
	for package in $missing; do
		case $package in
		qemu-system-*)
			plan=$(apt-get -s install --no-install-recommends "$package")
			if printf '%s\n' "$plan" | grep -q '^Remv '; then
				unpack_one_qemu "$package"
				continue
			fi
			;;
		esac
		installable="$installable $package"
	done
	missing=$installable
}

# unpack_one_qemu PACKAGE: uses $plan, apt-get's simulation of installing it.
unpack_one_qemu() {
	printf '%s would replace what this machine has (%s); it is unpacked below build/ instead\n' "$1" \
		"$(printf '%s\n' "$plan" | sed -n 's/^Remv \([^ ]*\).*/\1/p' | paste -sd ' ')"
	dir=$tools/$1
	rm -rf "$dir.part"
	mkdir -p "$dir.part/debs" "$tools/bin"
	# shellcheck disable=SC2046 # a list of packages
	(cd "$dir.part/debs" && run_logged apt apt-get download \
		$(printf '%s\n' "$plan" | sed -n 's/^Inst \([^ ]*\).*/\1/p'))
	unpack "$dir.part/debs" "$dir.part"
	rm -r "$dir.part/debs"
	for program in "$dir.part"/usr/bin/qemu-system-*; do
		name=$(basename "$program")
		cat >"$tools/bin/$name" <<-END
			#!/bin/sh
			root=\$(dirname "\$0")/../$1
			export LD_LIBRARY_PATH="\$root/usr/lib/x86_64-linux-gnu:\$root/lib/x86_64-linux-gnu"
			exec "\$root/usr/bin/$name" "\$@"
		END
		chmod +x "$tools/bin/$name"
	done
	mv "$dir.part" "$dir"
}

# unpack_guest_tools DIR PACKAGES PROGRAMS: packages that guests use and that nobody
# wants installed on the host, where they would start services.
unpack_guest_tools() {
	dir=$1 packages=$2 programs=$3
	[ "$(cat "$dir/packages" 2>/dev/null)" != "$packages" ] || return 0
	rm -rf "$dir.part"
	mkdir -p "$dir.part/root"
	# What the host has listed may be gone from the mirror since.
	download_guest_tools 2>/dev/null || {
		become_root "apt-get update"
		run_logged apt $as_root apt-get update
		download_guest_tools
	}
	unpack "$dir.part/debs" "$dir.part/root"
	lacking=$(
		cd "$dir.part/root"
		LD_LIBRARY_PATH=$PWD/usr/lib/x86_64-linux-gnu:$PWD/lib/x86_64-linux-gnu
		LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$PWD/usr/lib/x86_64-linux-gnu/samba
		LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$PWD/usr/lib/x86_64-linux-gnu/ceph
		export LD_LIBRARY_PATH
		# shellcheck disable=SC2086 # patterns
		ldd $programs 2>/dev/null | grep 'not found' || true
	)
	[ -z "$lacking" ] || fail "the packages of $dir in scripts/setup.sh lack a library:" "$lacking"
	echo "$packages" >"$dir.part/root/packages"
	# What was there stays until now.
	rm -rf "$dir"
	mv "$dir.part/root" "$dir"
	rm -rf "$dir.part"
}

download_guest_tools() {
	rm -rf "$dir.part/debs"
	mkdir "$dir.part/debs"
	# shellcheck disable=SC2086 # a list of packages
	(cd "$dir.part/debs" && run_logged guest-tools apt-get download $packages)
}

# unpack DIR ROOT: the packages in DIR.
unpack() {
	for deb in "$1"/*.deb; do
		dpkg-deb -x "$deb" "$2" || fail "cannot unpack $deb: is there space left?"
	done
}

# run_logged NAME COMMAND...: shows a line, keeps the output in build/logs.
run_logged() {
	log=$logs/setup-$1.log
	shift
	printf '%s (log: %s)\n' "$*" "$log"
	mkdir -p "$logs"
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		fail "failed: $*" "log: $log" "run the same command again, with the network up, to go on from here"
	fi
}

# cargo_tool CRATE VERSION COMMAND...: installs the crate below build/tools unless COMMAND
# prints that version already.
cargo_tool() {
	crate=$1 version=$2
	shift 2
	case $("$@" 2>/dev/null || true) in *" $version"*) return 0 ;; esac
	# Optimized as the lab itself: compiling these takes longer than they run.
	CARGO_PROFILE_RELEASE_OPT_LEVEL=1 run_logged "$crate" \
		cargo install --locked --root "$tools" --version "$version" "$crate"
}

# python_tool PACKAGE VERSION COMMAND: installs the package in build/venv unless its
# command says there that it is of that version.
python_tool() {
	case " $("build/venv/bin/$3" --version 2>/dev/null || true)" in *" $2"*) return 0 ;; esac
	build/venv/bin/pip --version >/dev/null 2>&1 ||
		run_logged "$1" /usr/bin/python3 -m venv --clear build/venv
	run_logged "$1" build/venv/bin/pip install "$1==$2"
}

rust_component() {
	"$1" --version >/dev/null 2>&1 ||
		run_logged rustup timeout --foreground 300 rustup component add "$2"
}

command -v apt-get >/dev/null ||
	fail "this is not a Debian system; scripts/packages.txt lists what to install by hand"
command -v cargo >/dev/null ||
	fail "cargo is not in PATH: install Rust with rustup (https://rustup.rs) and open a new shell"

[ "$verb" != clean ] || exit 0
install_packages scripts/packages.txt
own=scripts/packages-$verb.txt
[ ! -f "$own" ] || install_packages "$own"
case $verb in
prep | dry-run | send | range-diff) python_tool b4 $b4_version b4 ;;
esac
case $verb in deb | export | results | bases | prep | dry-run | send | range-diff) exit 0 ;; esac
cargo_tool bindgen-cli $bindgen_version bindgen --version
rust_component clippy-driver clippy
rust_component rustfmt rustfmt
# The source of Rust's library: where rustup cannot add it, Debian has it for some versions.
rust=$(rustc -V | cut -d ' ' -f 2)
library=lib/rustlib/src/rust/library/core/src/lib.rs
if [ ! -f "$(rustc --print sysroot)/$library" ] && [ ! -d "build/rust-src-$rust" ]; then
	(run_logged rustup timeout --foreground 120 rustup component add rust-src) 2>/dev/null ||
		run_logged rust-src scripts/fetch.sh rust-src "$rust" "build/rust-src-$rust"
fi
case $verb in
test | verify | breaks)
	unpack_guest_tools build/guest-tools "$guest_packages" "sbin/au* sbin/apparmor_parser sbin/mkfs.*
		usr/sbin/diod usr/sbin/fa* usr/sbin/ksmbd.mountd usr/sbin/mkfs.* usr/sbin/smbd usr/bin/evmctl
		usr/bin/mkfs.* usr/bin/mksquashfs usr/bin/secilc usr/bin/strace usr/bin/stress-ng usr/bin/trinity"
	;;
esac
[ "$verb" != verify ] ||
	unpack_guest_tools build/ceph-tools "$ceph_packages" "usr/bin/ceph-mon usr/bin/ceph-osd usr/bin/ceph-mds"
case $verb in
test | verify | breaks)
	# Any recent version gives the same verdicts; the pin is for a fresh install.
	cargo nextest --version >/dev/null 2>&1 ||
		cargo_tool cargo-nextest $nextest_version false
	[ "$verb" != verify ] ||
		cargo_tool cargo-mutants $mutants_version cargo mutants --version
	;;
esac
