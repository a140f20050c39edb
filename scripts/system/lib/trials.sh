#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs in the guest when multi-user.target is reached: makes the system do what a Debian
# does all day, has it attacked, and prints KTAP for the host. The word trial= of the
# kernel's command line says what to do:
#   works     the day's work, what is known to break, and each way once
#   attack    the same with the attackers
#   home      logins with a noexec /home
#   observe   the day's work, and what FILE would have refused, by package
#   short     what make test has time for, and a user who attacks
# The shells that the trials start expand these.
# shellcheck disable=SC2016
set -u
lib=${0%/*}
scene=$(sed -n 's/.*trial=\([a-z]*\).*/\1/p' /proc/cmdline)
policy=$(cat /proc/sys/fs/open_mayexec_enforce)
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d /root/trials.XXXXXX)
number=0

# ok NAME COMMAND...: one case; what a failed one printed follows it.
ok() {
	name=$1
	shift
	number=$((number + 1))
	if "$@" >"$work/out" 2>&1 </dev/null; then
		echo "ok $number - $name"
	else
		sed 's/^/# /' "$work/out"
		echo "not ok $number - $name"
	fi
}

# says TEXT COMMAND...: whether the output has the text.
says() {
	text=$1
	shift
	said=$("$@" 2>&1)
	printf '%s\n' "$said"
	case $said in *"$text"*) return 0 ;; esac
	return 1
}

# refuses COMMAND...: under MOUNT the command must not print "ran", without it it must.
refuses() {
	said=$("$@" 2>&1)
	printf '%s\n' "$said"
	case $policy:$said in
	1:*ran* | 3:*ran*) return 1 ;;
	[13]:* | *:*ran*) return 0 ;;
	esac
	return 1
}

# as USER PROPERTY... -- COMMAND...: in a unit of its own.
as() {
	user=$1
	shift
	options=
	while [ "$1" != -- ]; do
		options="$options -p $1"
		shift
	done
	shift
	# shellcheck disable=SC2086 # a list of options
	systemd-run --quiet --wait --collect --pipe -p User="$user" $options -- "$@"
}

session="PAMName=login"

# until_true SECONDS COMMAND...: waits for something that happens by itself.
until_true() {
	left=$1
	shift
	while ! "$@" 2>/dev/null; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 1
	done
}

rotate() {
	echo line >/var/log/trial.log
	logrotate -f /etc/logrotate.d/trial &&
		[ -e /var/log/trial.log.1 ] && [ -e /run/trial-rotated ]
}

install_package() {
	apt-get install -y "$lib/trial.deb" || return 1
	[ "$(cat /run/trial-preinst /run/trial-postinst)" = "sh
perl" ]
}

remove_package() {
	apt-get purge -y mayexec-trial && [ -e /run/trial-prerm ] && [ -e /run/trial-postrm ]
}

reconfigure() {
	rm -f /run/trial-postinst
	echo "mayexec-trial mayexec-trial/word string reconfigured" | debconf-set-selections &&
		dpkg-reconfigure mayexec-trial && [ -e /run/trial-postinst ]
}

# packaged: whether the kernel came by its package, with an initramfs that loaded the
# modules of this machine's disk.
packaged() {
	says "install ok installed" dpkg-query -W -f '${Status}' "linux-image-$(uname -r)" &&
		says "virtio_blk " cat /proc/modules && [ -d /run/initramfs ]
}

initramfs() {
	image=/boot/initrd.img-$(uname -r)
	mv "$image" "$image.old"
	update-initramfs -c -k "$(uname -r)" && says scripts/functions lsinitramfs "$image"
}

# required: whether mayexec says of MOUNT for the whole system what the policy says.
required() {
	code=0
	mayexec status --require kernel:1 || code=$?
	echo "exit code $code, policy $policy"
	case $policy:$code in 1:0 | 0:1 | 7:1) return 0 ;; esac
	return 1
}

# fails COMMAND...: whether the command ends with 1.
fails() {
	code=0
	"$@" || code=$?
	[ "$code" = 1 ]
}

# perl_modules, python_modules: whether the interpreter loads what Debian built for its own.
perl_modules() {
	for dir in $(perl -e 'print "@INC"'); do
		find "$dir/auto" -name '*.so' -printf '%P\n' 2>/dev/null
	done | sed 's,/[^/]*$,,; s,/,::,g' | sort -u >"$work/modules"
	says "all loaded" perl -e 'chomp(my @names = <STDIN>); @names or die;
		foreach (@names) { eval "require $_; 1" or die "$_: $@" } print "all loaded\n"' <"$work/modules"
}

python_modules() {
	says "all loaded" python3 -c 'import importlib, os, sysconfig
there = os.listdir(sysconfig.get_path("stdlib") + "/lib-dynload")
assert there
for name in there: importlib.import_module(name.split(".")[0])
print("all loaded")'
}

cgi() {
	until_true 60 busybox wget -q -O "$work/page" http://127.0.0.1:8080/cgi-bin/hello &&
		says "perl says hello" cat "$work/page"
}

# What each boot does.
basics() {
	ok "multi-user.target is reached" systemctl is-active multi-user.target
	ok "a timer starts a service of sh -c" until_true 60 [ -e /run/trial-timer ]
	ok "sh -l reads ~/.profile" says "profile" as alice $session -- /bin/sh -lc 'echo $from_profile'
	# Every unit sees this place, whatever PrivateTmp= says.
	echo 'echo ran' >/dev/shm/drop.sh
	chmod 0755 /dev/shm/drop.sh
	ok "sh drop.sh" refuses sh /dev/shm/drop.sh
}

day() {
	basics
	ok "the kernel is that of its package, with modules from its initramfs" packaged
	ok "a login shell reads ~/.profile and ~/.bashrc" \
		says "profile bashrc" as alice $session -- /bin/bash -lic 'echo $from_profile $from_bashrc'
	ok "su - reads ~/.profile" says "profile" su - alice -c 'echo $from_profile'
	ok "logrotate runs a postrotate script" rotate
	ok "apt-get installs a package whose scripts are in sh and perl" install_package
	ok "dpkg-reconfigure asks debconf" reconfigure
	ok "apt-get removes and purges the package" remove_package
	ok "update-initramfs writes an initramfs" initramfs
	ok "a service in python runs" says "python says hello" as www-data -- /usr/bin/python3 "$lib/hello.py"
	ok "a web server runs a CGI in perl" cgi
	ok "perl loads each of its modules in C" perl_modules
	ok "python loads each of its modules in C" python_modules
	ok "make builds a program of several makefiles" \
		says built as alice $session -- make -C /home/alice/project
	ok "make -f - reads its standard input" \
		says built as alice $session -- /bin/sh -c 'printf "all:\n\t@echo built\n" | make -f -'
	ok "a service with DynamicUser= runs a script of the system" \
		says "python says hello" as probe DynamicUser=yes -- /usr/bin/python3 "$lib/hello.py"
	ok "cron starts a job" until_true 100 [ -e /run/trial-cron ]
	failed_units
}

failed_units() {
	systemctl list-units --failed --plain --no-legend | sed 's/^\([^ ]*\).*/failed: \1/'
}

# first: whether the policy was in force when the first process tried it.
first() {
	case $policy in
	0) says ran cat /root/first ;;
	*) says "Permission denied" cat /root/first ;;
	esac
}

short() {
	basics
	ok "the policy is the one of the command line" \
		says "open_mayexec_enforce=$policy" cat /proc/cmdline
	ok "the policy is in force for the first process" first
	ok "sh <drop.sh" says ran sh -c 'exec sh </dev/shm/drop.sh'
	failed_units
}

# What is known to break, and what to write instead.
breakers() {
	echo 'print "ran";' >/dev/shm/drop.pl
	ok "perl with its library as a shared object" \
		refuses perl5.36-x86_64-linux-gnu /dev/shm/drop.pl
	ok "source <(command)" refuses bash -c 'source <(echo echo ran)'
	ok "eval instead of source <(command)" says ran bash -c 'eval "$(echo echo ran)"'
	echo 'DEVICE=ran' >/run/net-eth0.conf
	ok "initramfs-tools sources /run/net-*.conf" \
		refuses busybox ash -c '. /run/net-eth0.conf; echo $DEVICE'
	ok "eval instead of sourcing /run/net-*.conf" \
		says ran busybox ash -c 'eval "$(cat /run/net-eth0.conf)"; echo $DEVICE'
	for property in RestrictSUIDSGID=yes DynamicUser=yes; do
		for command in dash bash "busybox ash"; do
			# shellcheck disable=SC2086 # words
			ok "$property: $command drop.sh" \
				refuses as www-data $property -- $command /dev/shm/drop.sh
		done
	done
	ok "mayexec status --require tells whether MOUNT is in force" required
	ok "mayexec status --require fails a unit with RestrictSUIDSGID=" \
		fails as www-data RestrictSUIDSGID=yes -- mayexec status --require kernel:1
	echo 'print("ran")' >/dev/shm/drop.py
	ok "python3 -m mayexec drop.py" refuses python3 -m mayexec /dev/shm/drop.py
}

# An ordinary user, a compromised service, a container's root, all at once. Each writes
# its lines whole.
attackers() {
	as alice $session -- "$lib/attack.sh" user </dev/null 2>&1 &
	as www-data PrivateTmp=yes RuntimeDirectory=web StateDirectory=web \
		NoExecPaths=/var/lib/web -- "$lib/attack.sh" service </dev/null 2>&1 &
	as alice $session -- unshare --user --map-root-user --mount --pid --fork \
		"$lib/container.sh" </dev/null 2>&1 &
	wait
	echo 0 >/proc/sys/user/max_user_namespaces
	ok "user.max_user_namespaces=0 leaves nobody a user namespace to mount in" \
		says "No space left" as alice -- unshare --user --map-root-user --mount true
}

# What a login with each rc file on a noexec /home costs: one line.
home() {
	mount -o bind,noexec,nosuid,nodev /home /home
	for case in '.profile:sh -lc "echo done"' '.profile:bash -lc "echo done"' \
		'.bashrc:bash -ic "echo done"' '.shinit:env ENV=/home/alice/.shinit dash -ic "echo done"' \
		'.profile:busybox ash -lc "echo done"'; do
		file=${case%%:*}
		command=${case#*:}
		plain=$(as alice -- sh -c "mv ~/$file ~/aside; $command 2>&1 >/tmp/home.out; mv ~/aside ~/$file" | wc -l)
		as alice -- sh -c "$command 2>&1 >/tmp/home.out; echo status \$?" >"$work/home"
		cost=$(($(wc -l <"$work/home") - 1 - plain))
		ok "noexec /home: $command costs one line" says "1 done status 0" \
			echo "$cost $(cat /tmp/home.out) $(tail -n 1 "$work/home") ($(grep "$file" "$work/home"))"
		rm -f /tmp/home.out
	done
}

# What the trace says that FILE would have refused: names of packages and numbers of files.
observed() {
	sed -n "s/.*dev=$(mountpoint -d /)"' ino=\([0-9]*\) .*denied=[A-Z|]*FILE.*/\1/p' /sys/kernel/tracing/trace |
		sort | uniq -c | sed 's/^ *\([0-9]*\) \(.*\)/\2 \1/' | sort >"$work/denied"
	find / -xdev -type f -printf '%i %p\n' | sort >"$work/names"
	join "$work/denied" "$work/names" >"$work/both"
	while read -r _ opens file; do
		package=$(dpkg -S "$file" 2>/dev/null | sed 's/:.*//;q')
		# Debian 12 has merged /usr; its packages name /bin and /lib.
		[ -n "$package" ] || package=$(dpkg -S "${file#/usr}" 2>/dev/null | sed 's/:.*//;q')
		printf 'file: %s\t%s\t%s\n' "${package:-no package}" "$opens" "$file"
	done <"$work/both"
}

# watched: whether the installed mayexec watch names what FILE would refuse.
watched() {
	echo 'echo ran' >/usr/local/lib/watched.sh
	chmod 0644 /usr/local/lib/watched.sh
	mayexec watch >"$work/watch" 2>&1 &
	watch=$!
	until_true 600 grep -q '^watching' "$work/watch"
	dash /usr/local/lib/watched.sh
	until_true 600 grep -q watched.sh "$work/watch"
	kill -INT $watch
	wait $watch
	code=$?
	grep -A 3 watched.sh "$work/watch"
	[ $code = 0 ] && says "FILE" grep watched.sh "$work/watch"
}

# One service under the securebit, without the sysctl.
one_service() {
	echo 0 >/proc/sys/fs/open_mayexec_enforce
	echo 'echo ran' >/usr/local/lib/report.sh
	chmod 0644 /usr/local/lib/report.sh
	bits="/sbin/capsh --secbits=0x300 --shell=/bin/dash -- /usr/local/lib/report.sh"
	# shellcheck disable=SC2086 # words
	set -- $bits
	policy=3
	ok "the securebit refuses a script of mode 0644 to one service" refuses as www-data NoNewPrivileges=yes -- "$@"
	chmod 0755 /usr/local/lib/report.sh
	ok "the securebit lets the service run it with mode 0755" says ran as www-data NoNewPrivileges=yes -- "$@"
	chmod 0644 /usr/local/lib/report.sh
	ok "the other services run it" says ran as www-data -- dash /usr/local/lib/report.sh
}

{
	echo "KTAP version 1"
	echo "# policy $policy, $(systemctl --version | head -n 1), $(uname -r)"
	case $scene in
	works)
		day
		breakers
		# Each way runs here, or its refusal elsewhere would say nothing.
		as alice $session -- "$lib/attack.sh" control /tmp </dev/null 2>&1
		;;
	attack)
		day
		breakers
		attackers
		;;
	home)
		home
		;;
	short)
		short
		attacker=user
		[ "$policy" != 0 ] || attacker=control
		as alice $session -- "$lib/attack.sh" $attacker </dev/null 2>&1
		;;
	observe)
		day
		observed
		ok "mayexec status --require takes no logged check for one in force" required
		ok "mayexec watch names a script that FILE would refuse" watched
		one_service
		;;
	esac
	echo "1..$number"
} >/dev/hvc0 2>&1
rm -rf "$work"
systemctl poweroff
