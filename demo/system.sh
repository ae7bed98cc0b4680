# SPDX-License-Identifier: LGPL-2.1-or-later
# A Debian that systemd boots in a container, dumped and restored; sourced by demo/run, with `nestor`,
# `top`, `STATE`, say and die. Its root is made once, in the build folder. Returns 1, after a word
# why, where the machine cannot.

system_name=nestor-demo-$$

# Once in each hierarchy that systemd takes part in, for nspawn is to stay where it is started.
make_cgroups() {
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
		if [ -e "$hierarchy/cgroup.procs" ]; then
			mkdir -p "$hierarchy/$system_name"
			printf '%s ' "$hierarchy/$system_name"
		fi
	done
}

inside() {
	nsenter -t "$system_pid" -a "$@" </dev/null
}

find_system() {
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ]; then
			system_pid=$child
		fi
		find_system "$child"
	done
}

system_is_up() {
	find_system "$supervisor"
	[ -n "$system_pid" ] || return 1
	case $(inside systemctl is-system-running 2>/dev/null) in
	running | degraded) return 0 ;;
	esac
	return 1
}

boot_system() {
	groups=$(make_cgroups)
	# shellcheck disable=SC2016 # for the other shell
	setsid sh -c 'for group in $1; do echo $$ >"$group/cgroup.procs"; done; shift; exec "$@"' sh \
		"$groups" systemd-nspawn --quiet --register=no --keep-unit --boot --private-network \
		--console=passive -D "$STATE/root" -M "$system_name" >"$STATE/nspawn.log" 2>&1 </dev/null &
	supervisor=$!
	attempts=0
	until system_is_up; do
		attempts=$((attempts + 1))
		if [ "$attempts" -gt 150 ] || [ ! -d "/proc/$supervisor" ]; then
			return 1
		fi
		sleep 0.2
	done
}

show_system() {
	printf '  systemd says: %s\n' "$(inside systemctl is-system-running)"
	printf '  redis counts: %s\n' "$(inside redis-cli incr visits)"
}

end_system() {
	if [ -n "${system_pid:-}" ] && [ -d "/proc/$system_pid" ]; then
		kill -KILL "$system_pid" 2>/dev/null || true
	fi
	if [ -n "${supervisor:-}" ]; then
		wait "$supervisor" 2>/dev/null || true
	fi
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
		find "$hierarchy/$system_name" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	done
}

show_whole_system() {
	system_pid=
	supervisor=
	say "a Debian system from packages (tools/make-system-root)"
	mkdir -p "$top/build/systems"
	if ! why=$("$top/tools/make-system-root" "$top/build/systems/root" 2>"$STATE/root.log"); then
		echo "  not on this machine: $why"
		return 1
	fi
	cp -a --reflink=auto "$top/build/systems/root" "$STATE/root"
	began=$(date +%s%N)
	if ! boot_system; then
		echo "  systemd-nspawn cannot boot one here"
		tail -n 3 "$STATE/nspawn.log"
		return 1
	fi
	echo "  booted in $((($(date +%s%N) - began) / 1000000)) ms"
	"$nestor" tree "$system_pid"
	show_system
	mkdir "$STATE/system-images"
	say "nestor dump --tree $system_pid --external auto"
	began=$(date +%s%N)
	"$nestor" dump --tree "$system_pid" --images-dir "$STATE/system-images" --external auto ||
		die "it is not dumped"
	echo "  dumped in $((($(date +%s%N) - began) / 1000000)) ms; the system is gone"
	wait "$supervisor" 2>/dev/null || true
	supervisor=
	say "nestor restore"
	began=$(date +%s%N)
	"$nestor" restore --images-dir "$STATE/system-images" --restore-detached --pidfile pid \
		--external auto || die "it is not restored"
	echo "  restored in $((($(date +%s%N) - began) / 1000000)) ms"
	system_pid=$(cat "$STATE/system-images/pid")
	show_system
	[ "$(inside redis-cli get visits)" = 2 ] || die "redis has lost count"
	inside systemd-run -q --wait -p PrivateTmp=yes -p PrivateNetwork=yes true ||
		die "no new unit starts"
	echo "  a new unit in namespaces of its own has run"
	inside systemctl poweroff >/dev/null 2>&1 || true
	attempts=0
	while [ -d "/proc/$system_pid" ] && [ "$attempts" -lt 100 ]; do
		attempts=$((attempts + 1))
		sleep 0.1
	done
	[ ! -d "/proc/$system_pid" ] || die "it does not shut down"
	echo "  and it has shut down"
}
