#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What ccache runs the preprocessor with (prefix_command_cpp), to compare the result with what it
# compiled before. A comment or a macro in a header moves the lines after it. Only debug
# information has their numbers, and a BUG() or WARN() whose instructions ask for its [line].
set -eu
"$@"
case " $* " in *" -g"*) exit ;; esac
while [ "$1" != -o ]; do shift; done
sed -i -E '/^(# [0-9]+ "[^"]*")?$/d; s/^# [0-9]+ /# 1 /
	/%c?\[line\]/!s/\[line\] "i" \([0-9]+\)//g' "$2"
