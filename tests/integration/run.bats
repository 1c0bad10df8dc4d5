# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
load helpers

@test "a command runs under the guest's kernel and says what it says" {
	run caisson run --rm busybox uname -r
	expect_status 0
	expect_output -caisson
	[ "$output" != "$(uname -r)" ]
}

@test "exit codes are the command's, 128 and the signal, 126, 127 and 125" {
	run caisson run --rm busybox sh -c 'exit 42'
	expect_status 42
	# The first process of a pid namespace ignores its own signals, so it needs an init above it.
	run caisson run --rm --init busybox sh -c 'kill -TERM $$; sleep 100'
	expect_status 143
	run -127 caisson run --rm busybox no-such-command
	expect_output no-such-command
	expect_one_sentence
	run caisson run --rm busybox /etc/passwd
	expect_status 126
	expect_one_sentence
	run caisson run --rm no-such-image:1 true
	expect_status 125
	run caisson run --no-such-flag busybox true
	expect_status 125
	expect_one_sentence
}

@test "standard input, output and error are three streams" {
	echo in | caisson run --rm -i busybox sh -c 'cat; echo err >&2' >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
	[ "$(cat "$BATS_TEST_TMPDIR/out")" = in ]
	[ "$(cat "$BATS_TEST_TMPDIR/err")" = err ]
}

@test "without -i standard input is empty" {
	run timeout 180 caisson run --rm busybox cat </dev/zero
	expect_status 0
	[ -z "$output" ]
}

@test "environment, working directory, user, host name and entry point" {
	run caisson run --rm -e A=1 -e B="two words" -w /var/tmp -u 1234:5678 --hostname box --entrypoint sh busybox \
		-c 'echo "$A,$B,$PWD,$(id -u):$(id -g),$(hostname)"'
	expect_status 0
	[ "$output" = "1,two words,/var/tmp,1234:5678,box" ]
}

@test "a user by name gets its groups and home" {
	run caisson run --rm -u nobody busybox sh -c 'id -un'
	expect_status 0
	[ "$output" = nobody ]
	run caisson run --rm -u no-such-user busybox true
	expect_status 125
	expect_output no-such-user
}

@test "an environment file, and a variable taken from here" {
	printf '# comment\nX=1\nFROM_HERE\n' >"$BATS_TEST_TMPDIR/env"
	FROM_HERE=yes run caisson run --rm --env-file "$BATS_TEST_TMPDIR/env" busybox sh -c 'echo $X $FROM_HERE'
	expect_status 0
	[ "$output" = "1 yes" ]
}

@test "extra hosts and name servers are in the container's files" {
	run caisson run --rm --add-host db:10.1.2.3 --dns 9.9.9.9 --hostname web busybox cat /etc/hosts /etc/resolv.conf /etc/hostname
	expect_status 0
	expect_output "10.1.2.3"
	expect_output "nameserver 9.9.9.9"
	expect_output web
}

@test "processors and memory are those that were asked for" {
	run caisson run --rm --cpus 2 --memory 200m busybox sh -c 'nproc; cat /sys/fs/cgroup/memory.max; cat /sys/fs/cgroup/cpu.max'
	expect_status 0
	[ "${lines[0]}" = 2 ]
	[ "${lines[1]}" = $((200 << 20)) ]
	[ "${lines[2]}" = "200000 100000" ]
}

@test "--init reaps what is left to it and passes signals on" {
	run caisson run --rm --init busybox sh -c 'ps -o pid,comm | sed -n 2p; exit 3'
	expect_status 3
	[[ "$output" != *" sh" ]]
}

@test "the container's own changes are gone with it, and do not reach the image" {
	caisson run --rm busybox sh -c 'rm -rf /bin/vi; echo x >/new'
	run caisson run --rm busybox sh -c 'ls /new'
	expect_status 1
}

@test "--scratch gives the container a disk to write on" {
	run caisson run --rm --scratch 300m --memory 128m busybox sh -c \
		'dd if=/dev/zero of=/big bs=1M count=200 2>&1 | tail -n 1; ls -l /big | cut -c 1-10'
	expect_status 0
	expect_output "-rw-r--r--"
}

@test "a small tmpfs and a full one" {
	run caisson run --rm --tmpfs /small:size=1m busybox sh -c 'dd if=/dev/zero of=/small/x bs=1M count=2'
	expect_status 1
	expect_output "No space left"
}

@test "--timings names the phases" {
	run caisson run --rm --timings busybox true
	expect_status 0
	expect_output ms
}
