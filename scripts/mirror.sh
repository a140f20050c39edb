#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Prints the mirror of Debian that this machine's apt knows.
#
# Usage: scripts/mirror.sh [RELEASE]      of this release; without one: of any
set -eu
# shellcheck disable=SC2016 # apt expands these
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
	awk -v release="${1-}" '(release == "" && $2 ~ /^(bookworm|trixie|forky|stable|testing|sid)$/) ||
		(release != "" && $2 == release) { print $1; exit }')
if [ -z "$mirror" ]; then
	echo "apt's configuration names no mirror of Debian ${1-} (see apt-get indextargets)" >&2
	exit 1
fi
echo "$mirror"
