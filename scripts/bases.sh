#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Applies the series to the newest source of each kernel that Debian has, and prints a table.
# It fails if the series does not apply to the kernel that it is made for.
#
# Usage: scripts/bases.sh RELEASE      the kernel that the series is made for
set -eu
made_for=${1:?usage: scripts/bases.sh RELEASE}
cd "$(dirname "$0")/.."
patches=$PWD/patches
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Linux GIT_AUTHOR_EMAIL=linux@localhost
export GIT_COMMITTER_NAME=Linux GIT_COMMITTER_EMAIL=linux@localhost

mkdir -p build/tmp
work=$(mktemp -d build/tmp/XXXXXX)
trap 'rm -rf "$work"' EXIT
work=$(realpath "$work")
mkdir "$work/linux"
git() {
	command git -C "$work/linux" -c advice.detachedHead=false "$@"
}
git init -q -b none

# In a pipe, nobody would hear that it failed.
scripts/fetch.sh sources >"$work/fetched"
sort -rV "$work/fetched" >"$work/sources"
[ -s "$work/sources" ] || exit 1
sed -n 's,^diff --git a/\(.*\) b/\(.*\),\1\n\2,p' "$patches"/*.patch "$patches"/security/*.patch |
	sort -u >"$work/touched"
echo Kbuild >>"$work/touched"

# Commits what each kernel has of the files that the series touches. All are in one repository,
# so that git am -3 finds what the patches were made for.
while read -r release version deb; do
	echo "unpack linux-source-$release $version" >&2
	package=linux-source-$release
	dpkg-deb -x "$deb" "$work/deb"
	git checkout -q --orphan "$package"
	git rm -rqf --ignore-unmatch .
	# No kernel has the files that the series adds.
	sed "s,^,$package/," "$work/touched" | tar -C "$work/linux" --strip-components=1 --no-same-owner \
		-xf "$work/deb/usr/src/$package.tar.xz" --verbatim-files-from -T - 2>"$work/said" ||
		! grep -v -e 'Not found in archive' -e 'Exiting with failure' "$work/said"
	[ -f "$work/linux/Kbuild" ] || {
		echo "bases: $deb holds no kernel below $package/" >&2
		exit 1
	}
	git add -Af .
	git commit -qm "$package"
	rm -rf "$work/deb"
done <"$work/sources"

# applied KERNEL OPTION: what git am does. Patches after one that does not apply are tried without it.
applied() {
	git checkout -qf --detach "linux-source-$1"
	count=0 total=0 refused=
	for patch in "$patches"/*.patch "$patches"/security/*.patch; do
		total=$((total + 1))
		! git am -q "$2" "$patch" >/dev/null 2>&1 || continue
		git am --abort
		count=$((count + 1))
		name=${patch#"$patches/"}
		refused="$refused${refused:+, }$(echo "${name%%-*}" | sed 's,0*\([0-9]*\)$,\1,')"
	done
	if [ $count = 0 ]; then
		echo all
	elif [ $count -lt $((total / 2)) ]; then
		echo "all but $refused"
	else
		echo "$((total - count)) of $total"
	fi
}

# shellcheck disable=SC2016 # code in Markdown
echo '| kernel | `git am` | `git am -3` |'
echo '|---|---|---|'
good=1
while read -r release version _; do
	plain=$(applied "$release" --no-3way)
	echo "| $release ($version) | $plain | $(applied "$release" --3way) |"
	[ "$release $plain" != "$made_for all" ] || good=0
done <"$work/sources"
exit $good
