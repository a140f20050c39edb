#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Prints the commit that rows of results name, with a + if the checkout has changes that no commit
# has; nothing where git cannot tell.
set -eu
cd "$(dirname "$0")/.."
commit=$(git describe --always --exclude='*' 2>/dev/null) || exit 0
[ -z "$(git status --porcelain --untracked-files=normal)" ] || commit=$commit+
echo "$commit"
