#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
use strict;
use warnings;
use File::Basename;

print "Content-Type: text/plain\r\n\r\n", basename("/bin/perl"), " says hello\n";
