#!/bin/sh
set -e
exec "./$1"
