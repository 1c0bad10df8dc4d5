# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
load helpers

setup() {
	ip link set lo up
}

# An HTTP server of this test on the loopback, ready when this returns; its pid is in $server.
serve() {
	mkdir -p "$BATS_TEST_TMPDIR/www"
	echo "hello from the host" >"$BATS_TEST_TMPDIR/www/index.html"
	busybox httpd -f -p 127.0.0.1:18080 -h "$BATS_TEST_TMPDIR/www" 3>&- &
	server=$!
	patiently bash -c 'until : </dev/tcp/127.0.0.1/18080; do :; done' 2>/dev/null
}

# The host's socat with its libraries, for a container without any: mounted at /tools.
socat='/tools/ld-* --library-path /tools /tools/socat'
gather_tools() {
	mkdir "$BATS_TEST_TMPDIR/tools"
	ldd "$(command -v socat)" | grep -oE '/[^ )]+' | xargs cp -Lt "$BATS_TEST_TMPDIR/tools" "$(command -v socat)"
}

@test "none: the loopback and nothing else" {
	run caisson run --rm --net none busybox sh -c 'ls /sys/class/net; ping -c 1 -W 2 127.0.0.1 >/dev/null && echo up'
	expect_status 0
	[ "$output" = $'lo\nup' ]
}

@test "user: the way out" {
	serve
	run caisson run --rm --net user busybox wget -q -O - http://10.0.2.2:18080/
	kill "$server"
	expect_status 0
	expect_output "hello from the host"
}

@test "a published TCP port" {
	caisson run -d --name web -p 127.0.0.1:18081:80 busybox sh -c \
		'mkdir /www; echo inside >/www/index.html; httpd -p 80 -h /www; echo ready; sleep 1000' >/dev/null
	wait_for_line "$CAISSON_DATA/containers/$(caisson ps -q --no-trunc)/log" ready
	run busybox wget -q -O - http://127.0.0.1:18081/
	[ "$output" = inside ]
	caisson rm -f web
	# It is free again at once.
	run caisson run --rm -p 127.0.0.1:18081:80 busybox true
	expect_status 0
}

@test "a published UDP port" {
	gather_tools
	caisson run -d --name echo -v "$BATS_TEST_TMPDIR/tools:/tools:ro" -p 127.0.0.1:18082:9000/udp busybox \
		sh -c "exec $socat UDP4-LISTEN:9000,fork PIPE" >/dev/null
	# A datagram may come before the listener: sent again until it is answered. bash's own read would take one
	# byte of it and lose the rest.
	run patiently bash -c 'exec {udp}<>/dev/udp/127.0.0.1/18082
		until echo datagram >&$udp && timeout 1 head -n 1 <&$udp; do :; done' 2>/dev/null
	expect_status 0
	expect_output datagram
	caisson rm -f echo
}

@test "a port that is taken is named" {
	serve
	run caisson run --rm --net user -p 127.0.0.1:18080:80 busybox true
	kill "$server"
	expect_status 125
	expect_output 18080
	expect_one_sentence
}

# A name server that gives every name the address 10.9.8.7; mounts are this suite's own.
answer_names() {
	cat >"$BATS_TEST_TMPDIR/answer" <<-'END'
		#!/bin/sh
		query=$(dd bs=512 count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
		printf %s "$(printf %s "$query" | cut -c 1-4)81800001000100000000$(printf %s "$query" | cut -c 25-)c00c000100010000003c00040a090807" | busybox xxd -r -p
	END
	chmod +x "$BATS_TEST_TMPDIR/answer"
	socat UDP4-RECVFROM:53,bind=127.0.0.77,fork EXEC:"$BATS_TEST_TMPDIR/answer" 3>&- &
	server=$!
	eventually grep -q ' 4D00007F:0035 ' /proc/net/udp
	echo "nameserver 127.0.0.77" >"$BATS_TEST_TMPDIR/resolv.conf"
	mount --bind "$BATS_TEST_TMPDIR/resolv.conf" /etc/resolv.conf
}

@test "names are looked up where the host looks them up" {
	answer_names
	run caisson run --rm --net user busybox nslookup -type=a some.name.test
	umount /etc/resolv.conf
	kill "$server"
	expect_status 0
	expect_output 10.9.8.7
}

@test "name servers of one's own" {
	run caisson run --rm --net user --dns 192.0.2.1 --dns 192.0.2.2 busybox cat /etc/resolv.conf
	expect_status 0
	[ "$(grep -c ^nameserver <<<"$output")" = 2 ]
	expect_output "nameserver 192.0.2.2"
}
