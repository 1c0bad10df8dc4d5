# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Network namespaces for tests: made here, named after the test process, and gone after each test.
load helpers

world=caisson-world-$$ # stands for everything outside the container
box=caisson-box-$$     # the container's

# make_namespaces NAME...: with their loopback up.
make_namespaces() {
	local name
	for name; do
		ip netns add "$name"
		ip -n "$name" link set lo up
	done
}

# remove_namespaces: all of this test process.
remove_namespaces() {
	local name
	for name in $(ip netns list | grep -oE "^caisson-[a-z0-9]+-$$\b"); do
		ip netns pids "$name" | xargs -r kill -9
		ip netns del "$name"
	done
}

# plug OUTSIDE INSIDE NUMBER [BOX] [WORLD]: a wire between the two, 10.77.NUMBER.1 and fd77:NUMBER::1 outside, .2 and
# ::2 inside, where the hardware address ends with the number and the MTU is 1400.
plug() {
	local outside=$1 inside=$2 number=$3 to=${4:-$box} from=${5:-$world}
	ip -n "$from" link add "$outside" mtu 1400 type veth peer name "$inside" netns "$to"
	ip -n "$to" link set "$inside" mtu 1400 address "$(hardware_address "$number")"
	ip -n "$from" addr add "10.77.$number.1/24" dev "$outside"
	ip -n "$from" addr add "fd77:$number::1/64" dev "$outside" nodad
	ip -n "$from" link set "$outside" up
	ip -n "$to" addr add "10.77.$number.2/24" dev "$inside"
	ip -n "$to" addr add "fd77:$number::2/64" dev "$inside" nodad
	ip -n "$to" link set "$inside" up
}

hardware_address() {
	printf '02:11:22:33:44:%02x' "$1"
}

# serve NAMESPACE TEXT [PORT]: a web server on all addresses there; returns when it answers.
serve() {
	local directory=$BATS_TEST_TMPDIR/www-$1
	mkdir -p "$directory"
	echo "$2" >"$directory/index.html"
	ip netns exec "$1" busybox httpd -f -p "${3:-80}" -h "$directory" 3>&- &
	patiently ip netns exec "$1" bash -c "until : </dev/tcp/127.0.0.1/${3:-80}; do :; done" 2>/dev/null
}

# in_box OPTION... IMAGE COMMAND...: caisson run with the container's namespace.
in_box() {
	caisson run --rm --network "ns:/run/netns/$box" "$@"
}

# namespace_is_clean [NAME]: no tap, queueing discipline or filter of ours is left. A hypervisor that was killed
# may need a moment to end.
namespace_is_clean() {
	local name=${1:-$box} left pid
	for pid in $(processes qemu-system-); do wait_for_end "$pid" || true; done
	left=$(ip -n "$name" -o link | cut -d: -f2 | grep -F caisson || true)
	[ -z "$left" ] || { echo "taps left: $left"; return 1; }
	left=$(tc -n "$name" qdisc show | grep -E 'ingress|clsact' || true)
	[ -z "$left" ] || { echo "queueing disciplines left: $left"; return 1; }
}
