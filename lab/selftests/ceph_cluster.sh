#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Starts a cluster of Ceph's with one daemon of each kind, in the current directory
# and in memory, and returns when its filesystem can be mounted. The daemons end with
# the caller's group.
set -eu
usr=$(dirname "$(dirname "$(command -v ceph-mon)")")
lib=$usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}:$lib/ceph" PYTHONPATH="$usr/lib/python3/dist-packages"
export CEPH_CONF="$PWD/ceph.conf"
fsid=8c5dbb4b-0b2a-4b0e-8a5e-6a1c1a4f0a01
cat >ceph.conf <<END
[global]
fsid = $fsid
mon host = v1:127.0.0.1:6789
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
osd pool default size = 1
osd objectstore = memstore
memstore device bytes = 268435456
plugin dir = $lib
erasure code dir = $lib/ceph/erasure-code
osd class dir = $lib/rados-classes
run dir = $PWD
admin socket = $PWD/\$name.socket
log file = $PWD/\$name.log
mon cluster log file = $PWD/cluster.log
mon data avail crit = 1
mon data avail warn = 2
mon data = $PWD/mon
osd data = $PWD/osd
mds data = $PWD/mds
heartbeat file =
osd heartbeat grace = 600
mds beacon grace = 600
END

# until_true COMMAND...: an emulated machine is slow.
until_true() {
	for _ in $(seq 300); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 1
	done
	echo "never: $*" >&2
	exit 1
}

is_served() {
	ceph mds stat | grep -q up:active
}

mkdir mon osd mds
monmaptool --create --fsid $fsid --addv a '[v1:127.0.0.1:6789]' monmap
ceph-mon -i a --mkfs --monmap monmap
ceph-mon -i a -f &
until_true ceph mon stat
uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$uuid"
ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
ceph-osd -i 0 -f &
ceph osd pool create meta 1
ceph osd pool create data 1
ceph fs new cephfs meta data
ceph-mds -i a -f &
until_true is_served
# For whoever calls ceph(8) afterwards.
export -p >environment
