#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What somebody does who can write files and start programs, and wants to run code of
# their own: tries each way of each interpreter in each directory that this user can
# write. Prints a line for each way, for the host to count:
#   try: WHO PLACE exec|noexec PROJECT WAY refuse|open 0644-RESULT 0755-RESULT
# with tabs between.
#
# Usage: attack.sh WHO [PLACE]      in that place only
set -u
who=$1
lib=${0%/*}

# places [PLACE]: directories that can be written, without those below another one.
places() {
	[ $# -eq 0 ] || {
		echo "$1"
		return
	}
	find / \( -path /proc -o -path /sys \) -prune -o -type d -writable -print -prune 2>/dev/null
}

tab=$(printf '\t')
shift
places "$@" | while IFS= read -r place; do
	# One of its own, as others attack at the same time.
	probe=$place/probe-$who
	mkdir "$probe" 2>/dev/null || {
		printf 'place: %s\t%s\tholds no files\n' "$who" "$place"
		continue
	}
	case ,$(findmnt -no OPTIONS -T "$place" | tail -n 1), in
	*,noexec,*) mount="noexec" ;;
	*) mount="exec" ;;
	esac
	for project in "$lib"/projects/*; do
		name=${project##*/}
		binary=$(command -v "$(sed -n 's/^installed: *//p' "$project")") || continue
		# An emulated processor is slow, and a busy host makes it slower: the limit is for
		# all ways of an interpreter, and only for one that hangs.
		said=$(TMPDIR=$probe LIMIT='' timeout 3600 "$lib/projects-try.sh" "$project" "$binary" 2>/dev/null) ||
			said="each way${tab}refuse${tab}late${tab}late"
		printf '%s\n' "$said" | sed "s|^|try: $who$tab$place$tab$mount$tab$name$tab|"
	done
	rm -rf "$probe"
done
