#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Tests the patches for other projects: interpreters that open with O_MAYEXEC, and who
# knows the flag's name. For each project this fetches the upstream source that Debian
# has, builds it as it is and with the patches of patches/projects/NAME/, runs the
# project's own test suite on both and compares.
#
# Usage: scripts/projects.sh [--build|--debian] [NAME...]      without names: every project
#
# --build makes the patched programs and runs no suite. --debian makes those that shall take
# the place of Debian's: where modules must fit them, as Debian builds them.
# A step that takes longer than LIMIT seconds (3,600, unless the caller says otherwise) is
# ended.
# patches/projects/NAME/project has one `key: value` a line:
#   source     `crate` if cargo fetches it, `debian` if Debian's own patches belong to it, else it
#              is what upstream made of a source package of Debian 12 or 13
#   package    its name there
#   version    its upstream version, which the patches are made for
#   header     where open_code.h goes, seen from the top of the source (absent: nowhere)
#   needs      packages that the build wants and the host may not have (may be absent)
#   build      shell commands that configure and build, run at the top of the source
#   test       shell commands that print the suite's results (absent: it has no suite, and is
#              built with the patches alone)
#   failed     a regular expression for the lines of that output that name a failure
#   check      shell commands that must succeed with the patches
#   binary     what the build makes
#   debian     shell commands that build the same source with Debian's patches and words (absent:
#              what `build` makes takes the place of Debian's)
#   contains   patches of Debian that ours do the work of (may be absent)
#   replaces   FILE PATH...: what of that build takes the place of which files of Debian
#   file, code, refuse, map, open: what scripts/projects-try.sh tries with it
# The commands run below build/projects/NAME/plain, .../patched and .../debian. What
# neither the project's file nor its patches changed since is not built again.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
out=$top/build/projects
logs=$top/build/logs
header=$top/userspace/open_code/open_code.h
# Asked for before anything runs, as the checkout may change meanwhile.
commit=${LAB_COMMIT-$(scripts/commit.sh)}
export LC_ALL=C MAKEFLAGS=

say() {
	printf '%-10s %s\n' "$name" "$*"
}

fail() {
	printf 'projects: %s\n' "$@" >&2
	exit 1
}

# field KEY: its value in the project's file, or nothing.
field() {
	sed -n "s/^$1: *//p" "$dir/project"
}

# sources upstream|debian: what Debian has of the source comes to $out/dl; apt verified it.
sources() {
	rm -rf "$out/dl/part"
	scripts/fetch.sh "$1" "$package" "$version" "$out/dl/part" >"$logs/projects-$name-fetch.log" 2>&1 ||
		fail "$(tail -n 3 "$logs/projects-$name-fetch.log")" \
			"next: if Debian has another version (apt-cache showsrc $package), rebase the patches and change $dir/project" \
			"log: build/logs/projects-$name-fetch.log"
	mv "$out/dl/part"/* "$out/dl/"
}

# fetch: sets $tarball to the upstream source, or $dsc to what describes Debian's.
fetch() {
	if [ "$(field source)" = debian ]; then
		fetch_debian
		return 0
	fi
	tarball=$(find "$out/dl" -name "${package}_$version.orig.tar.*" 2>/dev/null)
	[ -z "$tarball" ] || return 0
	if [ "$(field source)" = crate ]; then
		fetch_crate
		return 0
	fi
	sources upstream
	tarball=$(find "$out/dl" -name "${package}_$version.orig.tar.*")
}

# fetch_crate: the same as cargo fetches it; cargo verified it.
fetch_crate() {
	rm -rf "$out/dl/part"
	mkdir -p "$out/dl/part/src"
	: >"$out/dl/part/src/lib.rs"
	printf '[package]\nname = "fetch"\nversion = "0.0.0"\n[dependencies]\n%s = "=%s"\n[workspace]\n' \
		"$package" "$version" >"$out/dl/part/Cargo.toml"
	(cd "$out/dl/part" && cargo vendor --versioned-dirs vendored) >"$logs/projects-$name-fetch.log" 2>&1 ||
		fail "cannot fetch the crate $package $version" "log: build/logs/projects-$name-fetch.log"
	tarball=$out/dl/${package}_$version.orig.tar.gz
	tar -czf "$out/dl/part/source.tar.gz" -C "$out/dl/part/vendored" "$package-$version"
	mv "$out/dl/part/source.tar.gz" "$tarball"
}

# fetch_debian: sets $dsc to what describes the same source with Debian's patches.
fetch_debian() {
	dsc=$(find "$out/dl" -name "${package}_$version-*.dsc")
	[ -z "$dsc" ] || return 0
	sources debian
	dsc=$(find "$out/dl" -name "${package}_$version-*.dsc")
}

# git_as_source TREE ARGUMENT...: commits in nobody's name, whatever the user's settings are.
git_as_source() {
	source_tree=$1
	shift
	git -C "$source_tree" -c user.name=source -c user.email=source@localhost -c commit.gpgsign=false "$@"
}

# unpack TREE: the source as one commit, so that the patches are applied by git am.
unpack() {
	rm -rf "$1"
	if ! {
		if [ "$dsc" ]; then
			dpkg-source --no-check --no-copy -x "$dsc" "$1" && take_back "$1"
		else
			mkdir -p "$1" && tar -xf "$tarball" -C "$1" --strip-components=1
		fi &&
			git -C "$1" init -q &&
			git -C "$1" add -Af . &&
			git_as_source "$1" commit -qm "$package $version"
	} >"$logs/projects-$name-unpack.log" 2>&1; then
		fail "cannot unpack ${dsc:-$tarball}: is there space left?" \
			"$(tail -n 3 "$logs/projects-$name-unpack.log")" "log: build/logs/projects-$name-unpack.log"
	fi
}

# take_back TREE: those of Debian's patches that ours contain.
take_back() {
	for patch in $(field contains); do
		patch -R -s -p1 -d "$1" -i "debian/patches/$patch" || {
			echo "Debian's source of $package $version has not the patch $patch, which $dir/project names"
			echo "next: if Debian has dropped it, take it out of there"
			return 1
		}
	done
}

# make_tree plain|patched|debian: builds one of these, and tests it.
make_tree() {
	kind=$1
	[ "$kind" != plain ] || [ -n "$(field test)" ] || return 0
	tree=$out/$name/$kind
	stamp=$out/$name/$kind.$last
	inputs=
	[ "$kind" = plain ] || inputs="$header $(echo "$dir"/*.patch)"
	inputs="$inputs $dsc"
	# What the guest tries changes no build.
	others="file|code|refuse|map|open"
	if [ "$kind" = debian ]; then
		others="$others|build|test|failed|check|binary"
		made=$(field replaces | cut -d ' ' -f 1)
	else
		others="$others|debian|contains|replaces"
		made=$(field binary)
	fi
	# shellcheck disable=SC2086 # a list
	sum=$(grep -vE "^($others):" "$dir/project" | cat - $inputs | sha256sum)
	for old in "$stamp" "$out/$name/$kind.test"; do
		[ "$(cat "$old" 2>/dev/null)" != "$sum" ] || return 0
	done
	# Neither is true of the tree any more.
	rm -f "$out/$name/$kind.build" "$out/$name/$kind.test"
	unpack "$tree"
	if [ "$kind" != plain ]; then
		git_as_source "$tree" am -q "$top/$dir"/*.patch \
			>"$logs/projects-$name-am.log" 2>&1 ||
			fail "the patches of $name do not apply to $package $version" \
				"log: build/logs/projects-$name-am.log; tree: build/projects/$name/$kind"
		[ -z "$(field header)" ] || cp "$header" "$tree/$(field header)"
	fi
	for step in $steps; do
		command=$(field "$step")
		[ "$kind" != debian ] || command=$(field debian)
		[ -n "$command" ] || continue
		say "$kind: $step"
		log=projects-$name-$kind-$step.log
		code=0
		limited "$limit" "$tree" "$command" >"$logs/$log" 2>&1 || code=$?
		[ "$code" != 124 ] || fail "$name, $kind: $step did not end in $limit seconds" "log: build/logs/$log"
		[ "$step" != build ] || [ "$code" = 0 ] ||
			fail "$name, $kind: build failed" "log: build/logs/$log" \
				"the build needs: a C compiler, make $(field needs)"
		[ "$step" != test ] || {
			echo "exit code $code" >>"$logs/$log"
			failures "$logs/$log" >"$out/$name/$kind.failures"
		}
	done
	for file in $made; do
		[ -e "$tree/$file" ] || fail "$name, $kind: the build made no $file"
	done
	echo "$sum" >"$stamp"
}

# limited SECONDS DIR COMMAND: ends it with all that it has started, when that time is over or when
# this script is ended. timeout is the leader of a group of its own, which nobody else ends. What
# runs in the background ignores SIGINT and SIGQUIT, which a suite may be about.
limited() {
	rm -rf "$out/$name/tmp"
	mkdir "$out/$name/tmp"
	(cd "$2" && exec nice env --default-signal=INT,QUIT TMPDIR="$out/$name/tmp" \
		timeout --kill-after=60 "$1" sh -c "$3") </dev/null &
	limited=$! ended=0
	wait "$limited" || ended=$?
	limited=
	return $ended
}

# end_limited: what a signal to this script does.
end_limited() {
	[ -z "$limited" ] || kill -s TERM -- "-$limited" 2>/dev/null || kill "$limited" 2>/dev/null || true
	fail "ended by a signal"
}

# failures LOG: the failed tests, one a line, without what differs between runs.
failures() {
	grep -aE "$(field failed)|^exit code" "$1" | sed "s,$tree,,g; s/[0-9]\{4,\}/N/g" | sort
}

# passed TEXT: what is said of a project, and left for docs/results.md.
passed() {
	say "$@"
	mkdir -p "$top/build/results/projects"
	printf '| %s | %s | %s %s |\n' "$name" "$*" "$(date -u +%F)" "$commit" \
		>"$top/build/results/projects/$name"
}

# check: with the patches, what the project's file demands holds.
check() {
	log=projects-$name-check.log
	limited 600 "$out/$name/patched" "$(field check)" >"$logs/$log" 2>&1 ||
		fail "$name: the patches do not do what $dir/project demands" "log: build/logs/$log" \
			"$(tail -n 20 "$logs/$log")"
}

compare() {
	changed=$(git apply --numstat "$dir"/*.patch | awk '{ lines += $1 + $2 } END { print lines }')
	check
	if [ -z "$(field test)" ]; then
		says="it has no suite here"
		[ -z "$(field check)" ] || says="its checks pass"
		passed "built; $changed changed lines; $says"
		return 0
	fi
	worse=$(comm -13 "$out/$name/plain.failures" "$out/$name/patched.failures")
	[ -z "$worse" ] || {
		rm -f "$out/$name/patched.test"
		fail "$name: the suite is worse with the patch:" "$worse" \
			"logs: build/logs/projects-$name-plain-test.log and ...-patched-test.log" \
			"next: run it again, which tests the patched tree anew"
	}
	passed "built; $changed changed lines; suite as before ($(grep -vc '^exit code' "$out/$name/plain.failures") lines name a failure in both)"
}

limited=
trap end_limited HUP INT TERM
steps="build test"
limit=${LIMIT:-3600}
as_debian=
case ${1-} in
--build | --debian)
	steps=build
	[ "$1" = --build ] || as_debian=yes
	shift
	;;
esac
last=${steps##* }
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(cd patches/projects && echo */project | sed 's,/project,,g')
[ -e "$header" ] || fail "userspace/open_code/open_code.h is missing"
mkdir -p "$out/dl" "$logs"
for name; do
	dir=patches/projects/$name
	[ -e "$dir/project" ] || fail "no such project: $name" "there are: $(cd patches/projects && echo */project | sed 's,/project,,g')"
	mkdir -p "$out/$name"
	package=$(field package)
	version=$(field version)
	if [ "$as_debian" ] && [ -n "$(field debian)" ]; then
		fetch_debian
		make_tree debian
		continue
	fi
	dsc=
	fetch
	make_tree patched
	[ "$last" = build ] || make_tree plain
	[ "$last" = build ] || compare
done
