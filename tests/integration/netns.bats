# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A network namespace carried into a machine, as CNI and Docker leave it. Real guests, real wires; everything in
# namespaces of the test's own.
# shellcheck disable=SC2154 # netns.bash sets world and box
load netns

: "${SHIM_CLIENT:?set it to BUILD/tests/integration/shim-client}"

setup() {
	make_namespaces "$world" "$box"
}

teardown() {
	processes 'containerd-shim-.*-id late' | xargs -r kill
	caisson rm --all --force >/dev/null || true
	remove_namespaces
	nothing_left
}

@test "addresses, hardware address, MTU and name are the interface's own; out over IPv4 and IPv6" {
	plug w0 eth0 1
	serve "$world" outside
	run in_box busybox sh -c 'cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu; ls /sys/class/net | wc -l
		ip -o addr show eth0; for gateway in 10.77.1.1 fd77:1::1; do printf "GET / HTTP/1.0\r\n\r\n" | nc $gateway 80; done'
	expect_status 0
	[ "${lines[0]}" = "$(hardware_address 1)" ]
	[ "${lines[1]}" = 1400 ]
	[ "${lines[2]}" = 2 ]
	expect_output 'inet 10.77.1.2/24'
	expect_output 'inet6 fd77:1::2/64'
	[ "$(grep -c outside <<<"$output")" = 2 ]
	namespace_is_clean
}

@test "packets of the whole MTU pass, larger ones are cut" {
	plug w0 eth0 1
	run in_box busybox ping -c 3 -W 60 -s 1372 10.77.1.1
	expect_status 0
	run in_box busybox ping -c 1 -W 60 -s 4000 10.77.1.1
	expect_status 0
}

@test "the guest is reached over IPv4 and IPv6, and streams arrive whole both ways" {
	plug w0 eth0 1
	head -c 20M /dev/urandom >"$BATS_TEST_TMPDIR/data"
	serve "$world" outside
	cp "$BATS_TEST_TMPDIR/data" "$BATS_TEST_TMPDIR/www-$world/"
	caisson run -d --name web --network "ns:/run/netns/$box" busybox sh -c \
		'mkdir /www; wget -q -O /www/data http://10.77.1.1/data; httpd -p 80 -h /www; echo ready; sleep 1000' >/dev/null
	wait_for_line "$CAISSON_DATA/containers/$(caisson ps -q --no-trunc)/log" ready
	ip netns exec "$world" busybox wget -q -O - http://10.77.1.2/data | cmp - "$BATS_TEST_TMPDIR/data"
	ip netns exec "$world" busybox wget -q -O - "http://[fd77:1::2]/data" | cmp - "$BATS_TEST_TMPDIR/data"
	caisson rm -f web
	namespace_is_clean
}

@test "several interfaces, each with its own name, route and metric" {
	plug w0 net1 1
	plug w1 eth0 2
	plug w2 net0 3
	ip -n "$box" route add default via 10.77.2.1 dev eth0 metric 100
	ip -n "$box" route add default via 10.77.1.1 dev net1 metric 200
	ip -n "$box" route add 10.99.0.0/16 via 10.77.3.1 src 10.77.3.2 mtu 1300
	ip -n "$box" route add default via fd77:2::1 dev eth0
	run in_box busybox sh -c 'for name in net1 eth0 net0; do cat /sys/class/net/$name/address; done; ip route; ip -6 route
		for n in 1 2 3; do ping -c 1 -W 60 10.77.$n.1 >/dev/null && ping -c 1 -W 60 fd77:$n::1 >/dev/null && echo "reached $n"; done'
	expect_status 0
	[ "${lines[0]}" = "$(hardware_address 1)" ]
	[ "${lines[1]}" = "$(hardware_address 2)" ]
	[ "${lines[2]}" = "$(hardware_address 3)" ]
	expect_output 'default via 10.77.2.1 dev eth0  metric 100'
	expect_output 'default via 10.77.1.1 dev net1  metric 200'
	expect_output '10.99.0.0/16 via 10.77.3.1 dev net0'
	expect_output 'default via fd77:2::1 dev eth0'
	[ "$(grep -c '^reached' <<<"$output")" = 3 ]
	namespace_is_clean
}

# As Calico does it: a single address, and a gateway that is in no network but on the link.
@test "a gateway outside of every network, by routes of the link" {
	ip -n "$world" link add w0 type veth peer name eth0 netns "$box"
	ip -n "$world" addr add 169.254.1.1/32 dev w0
	ip -n "$world" addr add 10.5.5.5/32 dev lo
	ip -n "$world" link set w0 up
	ip -n "$world" route add 10.77.9.2/32 dev w0
	ip -n "$box" addr add 10.77.9.2/32 dev eth0
	ip -n "$box" link set eth0 up
	ip -n "$box" route add 169.254.1.1 dev eth0 scope link
	ip -n "$box" route add default via 169.254.1.1 dev eth0
	run in_box busybox sh -c 'ip route; ping -c 1 -W 60 10.5.5.5'
	expect_status 0
	expect_output '169.254.1.1 dev eth0 scope link'
	expect_output 'default via 169.254.1.1 dev eth0'
}

@test "a gateway with the onlink flag" {
	plug w0 eth0 1
	ip -n "$world" addr add 10.88.0.1/32 dev w0
	ip -n "$world" addr add 10.5.5.5/32 dev lo
	ip -n "$box" route add 10.5.0.0/16 via 10.88.0.1 dev eth0 onlink
	run in_box busybox ping -c 1 -W 60 10.5.5.5
	expect_status 0
}

# As CNI's ptp plugin does it: the address has a network, whose route was taken away.
@test "a network without a route stays without" {
	plug w0 eth0 1
	ip -n "$box" route del 10.77.1.0/24 dev eth0
	ip -n "$box" route add 10.77.1.1 dev eth0 scope link src 10.77.1.2
	ip -n "$box" route add 10.77.1.0/24 via 10.77.1.1 src 10.77.1.2
	run in_box busybox sh -c 'ip route; ping -c 1 -W 60 10.77.1.1'
	expect_status 0
	expect_output '10.77.1.0/24 via 10.77.1.1 dev eth0'
	[[ "$output" != *'10.77.1.0/24 dev eth0'* ]]
}

@test "permanent neighbours" {
	plug w0 eth0 1
	# Nobody answers for this address: only who knows the hardware address reaches it.
	ip -n "$world" link set w0 arp off
	ip -n "$world" neigh add 10.77.1.2 lladdr "$(hardware_address 1)" dev w0 nud permanent
	run in_box busybox ping -c 1 -W 1 10.77.1.1
	[ "$status" -ne 0 ]
	ip -n "$box" neigh add 10.77.1.1 lladdr "$(ip -n "$world" -j link show w0 | jq -r '.[0].address')" dev eth0 nud permanent
	run in_box busybox ping -c 1 -W 60 10.77.1.1
	expect_status 0
}

@test "a namespace with nothing but the loopback" {
	run in_box busybox sh -c 'ip -o link show up'
	expect_status 0
	[[ "$output" != *eth* ]]
	expect_output LOOPBACK
	namespace_is_clean
}

@test "a namespace that another machine has, that is the host's, or that is not there" {
	plug w0 eth0 1
	caisson run -d --name first --network "ns:/run/netns/$box" busybox sleep 1000 >/dev/null
	run in_box busybox true
	expect_status 125
	expect_output 'another virtual machine'
	run caisson run --rm --network ns:/proc/1/ns/net busybox true
	expect_status 125
	expect_output "the host's own"
	run caisson run --rm --network ns:/run/netns/nobody busybox true
	expect_status 125
	expect_output /run/netns/nobody
	# The first one goes on.
	ip netns exec "$world" busybox ping -c 1 -W 60 10.77.1.2
	caisson rm -f first
	namespace_is_clean
}

@test "what others have on the interface stays" {
	plug w0 eth0 1
	tc -n "$box" qdisc add dev eth0 clsact
	tc -n "$box" filter add dev eth0 egress pref 7 u32 match u32 0 0 flowid 1:1
	run in_box busybox ping -c 1 -W 60 10.77.1.1
	expect_status 0
	[ "$(tc -n "$box" filter show dev eth0 egress | grep -c 'pref 7')" -gt 0 ]
	[ -z "$(tc -n "$box" filter show dev eth0 ingress)" ]
	tc -n "$box" qdisc show dev eth0 | grep -q clsact
}

# start_shim: a bundle with the container's namespace, and a shim for it; $address is where it listens.
start_shim() {
	bundle=$BATS_TEST_TMPDIR/bundle
	mkdir -p "$bundle"
	jq -n --arg network "/run/netns/$box" --args '{ociVersion: "1.0.2", hostname: "box", root: {path: "rootfs"},
		process: {user: {uid: 0, gid: 0}, capabilities: {bounding: ["CAP_NET_RAW"], effective: ["CAP_NET_RAW"], permitted: ["CAP_NET_RAW"]}, args: $ARGS.positional, cwd: "/", env: ["PATH=/bin:/sbin:/usr/bin"]},
		mounts: [{destination: "/proc", type: "proc", source: "proc"}, {destination: "/sys", type: "sysfs", source: "sysfs"}],
		linux: {namespaces: [{type: "pid"}, {type: "mount"}, {type: "network", path: $network}]}}' \
		-- "$@" >"$bundle/config.json"
	address=$(cd "$bundle" && containerd-shim-caisson-v2 -namespace caisson -id late -address "" start 3>&-)
}

call() {
	"$SHIM_CLIENT" "$address" "$@"
}

create() {
	: >"$bundle/out"
	call create late "$bundle" "file://$bundle/out" "erofs,$(find "$CAISSON_DATA" -name '*.erofs')"
}

run_to_the_end() {
	call start late
	call wait late
	call delete late
	call shutdown late
}

@test "interfaces that come between Create and Start" {
	start_shim sh -c 'cat /sys/class/net/eth0/address /sys/class/net/net1/address /sys/class/net/eth0/mtu; ip route
		ping -c 1 -W 60 10.77.1.1 && ping -c 1 -W 60 fd77:1::1 && ping -c 1 -W 60 10.77.2.1'
	create
	plug w0 eth0 1
	plug w1 net1 2
	ip -n "$box" route add default via 10.77.1.1
	run run_to_the_end
	expect_status 0
	expect_output 0
	run cat "$bundle/out"
	[ "${lines[0]}" = "$(hardware_address 1)" ]
	[ "${lines[1]}" = "$(hardware_address 2)" ]
	[ "${lines[2]}" = 1400 ]
	expect_output 'default via 10.77.1.1 dev eth0'
	namespace_is_clean
}

@test "more interfaces come than the machine has cards for" {
	start_shim true
	create
	for n in 1 2 3; do plug "w$n" "net$n" "$n"; done
	run call start late
	expect_status 1
	expect_output 'no network card left'
	call delete late
	call shutdown late
	namespace_is_clean
}

@test "the shim is killed: what it left in the namespace goes with its container" {
	plug w0 eth0 1
	caisson run -d --name victim --network "ns:/run/netns/$box" busybox sleep 1000 >/dev/null
	kill_all containerd-shim-
	caisson wait victim || true
	caisson rm -f victim
	namespace_is_clean
	run in_box busybox ping -c 1 -W 60 10.77.1.1
	expect_status 0
}

@test "30 at once on one bridge" {
	local pids=() failed=0 n
	ip -n "$world" link add br0 type bridge
	ip -n "$world" addr add 10.78.0.1/16 dev br0
	ip -n "$world" link set br0 up
	serve "$world" outside
	for n in $(seq 30); do
		make_namespaces "caisson-n$n-$$"
		ip -n "$world" link add "w$n" type veth peer name eth0 netns "caisson-n$n-$$"
		ip -n "$world" link set "w$n" master br0 up
		ip -n "caisson-n$n-$$" addr add "10.78.1.$n/16" dev eth0
		ip -n "caisson-n$n-$$" link set eth0 up
	done
	for n in $(seq 30); do
		caisson run --rm --network "ns:/run/netns/caisson-n$n-$$" busybox wget -q -O - http://10.78.0.1/ \
			>"$BATS_TEST_TMPDIR/out.$n" 2>&1 3>&- &
		pids+=($!)
	done
	for n in "${pids[@]}"; do wait "$n" || failed=$((failed + 1)); done
	[ "$failed" = 0 ] || { cat "$BATS_TEST_TMPDIR"/out.*; return 1; }
	[ "$(cat "$BATS_TEST_TMPDIR"/out.* | grep -c outside)" = 30 ]
	for n in $(seq 30); do namespace_is_clean "caisson-n$n-$$"; done
}

# cni COMMAND PLUGIN NAMESPACE: run by the plugin's own contract, with the world as its host.
cni() {
	jq -n --arg type "$2" --arg data "$BATS_TEST_TMPDIR/cni" '{cniVersion: "0.4.0", name: "net", type: $type,
		bridge: "cni0", isGateway: true, mtu: 1420, ipam: {type: "host-local", dataDir: $data,
		routes: [{dst: "0.0.0.0/0"}, {dst: "::/0"}],
		ranges: [[{subnet: "10.79.0.0/16"}], [{subnet: "fd79::/64"}]]}}' |
		ip netns exec "$world" env CNI_COMMAND="$1" CNI_CONTAINERID="$3" CNI_NETNS="/run/netns/$3" CNI_IFNAME=eth0 \
			CNI_PATH=/usr/lib/cni "/usr/lib/cni/$2"
}

# address_of FAMILY: of the container's eth0, without its prefix.
address_of() {
	ip -n "$box" -j "-$1" addr show dev eth0 scope global | jq -r '.[0].addr_info[0].local'
}

@test "CNI's bridge plugin: from machine to machine and to the gateway" {
	[ -x /usr/lib/cni/bridge ] || skip "containernetworking-plugins is not installed"
	local other=caisson-other-$$
	make_namespaces "$other"
	cni ADD bridge "$box" >/dev/null
	cni ADD bridge "$other" >/dev/null
	caisson run -d --name web --network "ns:/run/netns/$box" busybox sh -c \
		'mkdir /www; echo from the other pod >/www/index.html; httpd -p 80 -h /www; echo ready; sleep 1000' >/dev/null
	wait_for_line "$CAISSON_DATA/containers/$(caisson ps -q --no-trunc)/log" ready
	run caisson run --rm --network "ns:/run/netns/$other" busybox sh -c "cat /sys/class/net/eth0/mtu
		ip route; ip -6 route; wget -q -O - http://$(address_of 4)/; wget -q -O - 'http://[$(address_of 6)]/'
		ping -c 1 -W 60 10.79.0.1 && ping -c 1 -W 60 fd79::1 && echo gateway"
	expect_status 0
	[ "${lines[0]}" = 1420 ]
	expect_output 'default via 10.79.0.1 dev eth0'
	expect_output 'default via fd79::1 dev eth0'
	[ "$(grep -c 'from the other pod' <<<"$output")" = 2 ]
	expect_output gateway
	caisson rm -f web
	namespace_is_clean
	namespace_is_clean "$other"
	cni DEL bridge "$box"
	cni DEL bridge "$other"
}

@test "CNI's ptp plugin: only the gateway is on the link" {
	[ -x /usr/lib/cni/ptp ] || skip "containernetworking-plugins is not installed"
	cni ADD ptp "$box" >/dev/null
	run in_box busybox sh -c 'ip route; ip -6 route; ping -c 1 -W 60 10.79.0.1 && ping -c 1 -W 60 fd79::1 && echo gateway'
	expect_status 0
	expect_output '10.79.0.0/16 via 10.79.0.1 dev eth0'
	[[ "$output" != *'10.79.0.0/16 dev eth0'* ]]
	expect_output gateway
	cni DEL ptp "$box"
}

# over KIND...: a container on an interface over one end of a wire reaches the other end.
over() {
	ip -n "$world" link add up0 type veth peer name up1
	ip -n "$world" addr add 10.80.0.1/24 dev up0
	ip -n "$world" link set up0 up
	ip -n "$world" link set up1 up
	ip -n "$world" link add eth0 link up1 netns "$box" type "$@" 2>/dev/null || skip "this kernel has no $1"
	ip -n "$box" addr add 10.80.0.2/24 dev eth0
	ip -n "$box" link set eth0 up
	run in_box busybox ping -c 2 -W 60 10.80.0.1
	expect_status 0
}

@test "a macvlan interface" {
	over macvlan mode bridge
}

@test "an ipvlan interface" {
	over ipvlan mode l2
}
