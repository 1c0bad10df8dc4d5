# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
load helpers

# An HTTP server of this test on the loopback; its port is in $port.
serve() {
	mkdir -p "$BATS_TEST_TMPDIR/www"
	echo "hello from the host" >"$BATS_TEST_TMPDIR/www/index.html"
	busybox httpd -f -p 127.0.0.1:18080 -h "$BATS_TEST_TMPDIR/www" 3>&- &
	server=$!
}

@test "none: the loopback and nothing else" {
	run caisson run --rm --net none busybox sh -c 'ls /sys/class/net; ping -c 1 -W 2 127.0.0.1 >/dev/null && echo up'
	expect_status 0
	[ "$output" = $'lo\nup' ]
}

@test "user: the way out" {
	ip link set lo up
	serve
	run caisson run --rm --net user busybox wget -q -O - http://10.0.2.2:18080/
	kill "$server"
	expect_status 0
	expect_output "hello from the host"
}

@test "published ports, TCP and UDP" {
	caisson run -d --name web --net user -p 127.0.0.1:18081:80 -p 127.0.0.1:18082:9000/udp busybox sh -c \
		'mkdir /www; echo inside >/www/index.html; httpd -p 80 -h /www; echo ready; nc -u -l -p 9000 >/got; cat /got; sleep 1000' >/dev/null
	wait_for_line "$CAISSON_DATA/containers/$(caisson ps -q --no-trunc)/log" ready
	run busybox wget -q -O - http://127.0.0.1:18081/
	[ "$output" = inside ]
	caisson rm -f web
}

@test "a port that is taken is named" {
	ip link set lo up
	serve
	timeout 10 bash -c 'until busybox nc -z 127.0.0.1 18080; do :; done'
	run caisson run --rm --net user -p 127.0.0.1:18080:80 busybox true
	kill "$server"
	expect_status 125
	expect_output 18080
	expect_one_sentence
}

@test "names are looked up where the host looks them up" {
	run caisson run --rm --net user busybox cat /etc/resolv.conf
	expect_status 0
	expect_output nameserver
}
