# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
load helpers

@test "detached: listed, executed in, logged, stopped, waited for, removed" {
	id=$(caisson run -d --name web busybox sh -c 'trap "echo bye; exit 7" TERM; echo started; while :; do sleep 0.1; done')
	[[ $id =~ ^[0-9a-f]{32}$ ]]
	run caisson ps --format '{{.Names}} {{.Status}}'
	expect_output "web"
	run caisson exec web echo inside
	[ "$output" = inside ]
	wait_for_line "$CAISSON_DATA/containers/$id/log" started
	run caisson logs web
	[ "$output" = started ]
	run caisson stop -t 60 web
	expect_status 0
	run caisson wait web
	[ "$output" = 7 ]
	run caisson logs web
	[ "$output" = $'started\nbye' ]
	run caisson ps
	[[ "$output" != *web* ]]
	run caisson ps -a
	expect_output web
	run caisson rm web
	expect_status 0
}

@test "logs -f follows to the end" {
	caisson run -d --name talker busybox sh -c 'for i in 1 2 3; do echo line $i; sleep 0.2; done' >/dev/null
	run timeout 180 caisson logs -f talker
	expect_status 0
	[ "$output" = $'line 1\nline 2\nline 3' ]
	caisson rm talker
}

@test "a name is taken once, and free again afterwards" {
	caisson run -d --name one busybox sleep 100 >/dev/null
	run caisson run -d --name one busybox true
	expect_status 125
	expect_output one
	expect_one_sentence
	caisson rm -f one
	run caisson run --rm --name one busybox true
	expect_status 0
}

@test "kill sends the signal that was named" {
	caisson run -d --name target busybox sh -c 'trap "exit 9" USR1; echo ready; while :; do sleep 0.1; done' >/dev/null
	wait_for_line "$CAISSON_DATA/containers/$(caisson inspect target | jq -r '.[0].Id // .[0].id')/log" ready
	caisson kill -s USR1 target
	run caisson wait target
	[ "$output" = 9 ]
	run caisson kill target
	expect_status 125
	expect_one_sentence
	caisson rm target
}

@test "stop kills what does not listen" {
	caisson run -d --name deaf busybox sh -c 'trap "" TERM; while :; do sleep 1; done' >/dev/null
	run caisson stop -t 1 deaf
	expect_status 0
	run caisson wait deaf
	[ "$output" = 137 ]
	caisson rm deaf
}

@test "paused is still, and goes on when unpaused" {
	caisson run -d --name clock busybox sh -c 'while :; do date +%s%N >/t; done' >/dev/null
	caisson pause clock
	run caisson ps --format '{{.Status}}'
	[[ "${output,,}" == *paused* ]]
	run caisson exec clock true
	[ "$status" -ne 0 ]
	caisson unpause clock
	run caisson exec clock sh -c 'old=$(cat /t); until [ -s /t ] && [ "$(cat /t)" != "$old" ]; do :; done'
	expect_status 0
	caisson rm -f clock
}

@test "exec: user, directory, environment, exit codes, input" {
	caisson run -d --name box busybox sleep 1000 >/dev/null
	run caisson exec -u 1000 -w /tmp -e X=y box sh -c 'echo $(id -u) $PWD $X'
	[ "$output" = "1000 /tmp y" ]
	run caisson exec box sh -c 'exit 5'
	expect_status 5
	run -127 caisson exec box no-such-command
	run caisson exec box /etc/passwd
	expect_status 126
	run bash -c 'echo hello | caisson exec -i box cat'
	[ "$output" = hello ]
	run caisson exec nobody-here true
	expect_status 125
	expect_one_sentence
	caisson rm -f box
}

@test "stats show one line, and JSON" {
	caisson run -d --name busy busybox sleep 1000 >/dev/null
	run caisson stats --no-stream --format '{{json .}}' busy
	expect_status 0
	jq -e . <<<"$output"
	caisson rm -f busy
}

@test "inspect says which hypervisor runs it, and why" {
	caisson run -d --name where --vcpus 2 busybox sleep 1000 >/dev/null
	run caisson inspect -f '{{.Machine.hypervisor}} {{.Machine.vcpus}} {{.Machine.reason}}' where
	expect_status 0
	[[ "$output" == "qemu-"*" 2 "?* ]]
	caisson rm -f where
}

@test "inspect says how it ended" {
	caisson run --name short busybox sh -c 'exit 3' || true
	run caisson inspect short
	expect_status 0
	jq -e '.. | numbers | select(. == 3)' <<<"$output" >/dev/null
	caisson rm short
}

@test "the front end may die: the container does not notice" {
	caisson run --name lives busybox sh -c 'echo up; sleep 1000' >"$BATS_TEST_TMPDIR/out" 3>&- &
	front=$!
	wait_for_line "$BATS_TEST_TMPDIR/out" up
	kill -9 "$front"
	wait "$front" || true
	run caisson exec lives echo still
	[ "$output" = still ]
	caisson rm -f lives
}

@test "twenty at once" {
	for i in $(seq 20); do
		caisson run --rm busybox echo "number $i" >"$BATS_TEST_TMPDIR/$i" 3>&- &
		pids[i]=$!
	done
	for i in $(seq 20); do
		wait "${pids[i]}"
		[ "$(cat "$BATS_TEST_TMPDIR/$i")" = "number $i" ]
	done
}
