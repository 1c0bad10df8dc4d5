# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What ctr does with a runtime: the Task API, call by call.
load helpers
load ../terminal

image=docker.io/library/busybox:latest

# start ID COMMAND...: a detached container that runs.
start() {
	local id=$1
	shift
	ctr run -d --runtime "$TEST_RUNTIME" "$image" "$id" "$@"
}

# status_of ID
status_of() { ctr tasks ls | awk -v id="$1" '$1 == id { print $3 }'; }

# await_status ID STATUS
await_status() {
	patiently bash -c 'until ctr tasks ls | grep -q "^$1 .*$2"; do :; done' - "$1" "$2"
}

# kill_and_delete ID
kill_and_delete() {
	ctr tasks kill -s KILL "$1"
	await_status "$1" STOPPED
	ctr tasks delete "$1" >/dev/null 2>&1 || true
}

# watch_events: what containerd tells goes to $events from when this returns; its reader is $watcher.
watch_events() {
	events=$BATS_TEST_TMPDIR/events
	: >"$events"
	ctr events >"$events" 2>"$events.err" 3>&- &
	watcher=$!
	# Subscribed when the event of a harmless change comes through.
	patiently bash -c 'until grep -q /namespaces/ "$1"; do ctr namespaces label default "watch=$RANDOM"; done' - "$events"
}

@test "run: output, exit code, arguments and environment" {
	run ctr run --rm --runtime "$TEST_RUNTIME" --env GREETING="good morning" "$image" one sh -c 'echo "$GREETING, $1"; echo bad >&2; exit 7' sh "dear reader"
	expect_status 7
	expect_output "good morning, dear reader"
	expect_output bad
}

@test "run: a kernel of its own" {
	needs_caisson
	run ctr run --rm --runtime "$TEST_RUNTIME" "$image" kernel uname -r
	expect_status 0
	[ "${lines[-1]}" != "$(uname -r)" ]
}

@test "run: standard input to its end" {
	run bash -c 'seq 400000 | ctr run --rm --runtime "$TEST_RUNTIME" "$1" counted wc -l' - "$image"
	expect_status 0
	expect_line 400000
}

# ctr and nerdctl cannot call CloseIO during Create; with runc such a container hangs now and then.
@test "run: input that ends before the start" {
	needs_caisson "a race that runc's shim loses"
	run bash -c 'seq 10 | ctr run --rm --runtime "$TEST_RUNTIME" "$1" short wc -l' - "$image"
	expect_status 0
	expect_line 10
}

@test "create: a program that is not there, or may not be executed" {
	local program
	for program in /no/such/program no-such-program /etc/passwd; do
		run ctr run --rm --runtime "$TEST_RUNTIME" "$image" missing "$program"
		[ "$status" -ne 0 ]
		# What runc says, which clients look for; and they are told by Create, so no task is ever seen.
		expect_output "failed to create shim task"
		expect_output "exec: \"$program\": "
		[[ "$output" == *"no such file or directory"* || "$output" == *"executable file not found in \$PATH"* ||
			"$output" == *"permission denied"* ]]
		[ -z "$(ctr tasks ls -q)" ]
	done
}

@test "run: at a terminal" {
	dialogue <<-END
		spawn ctr run --rm -t --runtime $TEST_RUNTIME $image terminal sh
		await \$prompt
		await_size 33 101
		resize 50 120
		await_size 50 120
		send "exit 9\r"
		finish 9
	END
}

@test "exec: output, input, exit code, user and directory" {
	start held sleep 1000
	run ctr tasks exec --exec-id a held sh -c 'echo from the exec; exit 3'
	expect_status 3
	expect_output "from the exec"
	run bash -c 'echo typed | ctr tasks exec --exec-id b held cat'
	expect_status 0
	expect_line typed
	run ctr tasks exec --exec-id c --cwd /tmp --user 65534 held sh -c 'pwd; id -u'
	expect_status 0
	expect_output $'/tmp\n65534'
	run ctr tasks exec --exec-id d held /no/such/program
	[ "$status" -ne 0 ]
	[ "$(status_of held)" = RUNNING ]
}

@test "exec: at a terminal" {
	start held sleep 1000
	dialogue <<-END
		spawn ctr tasks exec -t --exec-id tty held sh
		await \$prompt
		send "tty\r"
		await "/dev/pts/"
		await_size 33 101
		send "exit 4\r"
		finish 4
	END
}

# run_in_background ID COMMAND...: until it says "ready"; its pid is $front.
run_in_background() {
	local id=$1
	shift
	ctr run --rm --runtime "$TEST_RUNTIME" "$image" "$id" "$@" >"$BATS_TEST_TMPDIR/$id" 2>&1 3>&- &
	front=$!
	wait_for_line "$BATS_TEST_TMPDIR/$id" ^ready
}

# expect_code N: of what was run in the background.
expect_code() {
	local code=0
	wait "$front" || code=$?
	[ "$code" -eq "$1" ] || { echo "code $code, not $1"; return 1; }
}

@test "kill: a signal that is caught, one that is not" {
	run_in_background trapper sh -c 'trap "echo caught; exit 12" TERM; echo ready; while :; do sleep 0.1; done'
	ctr tasks kill -s TERM trapper
	expect_code 12
	grep -q caught "$BATS_TEST_TMPDIR/trapper"
	run_in_background sleeper sh -c 'echo ready; sleep 1000'
	ctr tasks kill -s KILL sleeper
	expect_code 137
	run ctr tasks kill nobody
	[ "$status" -ne 0 ]
	expect_output "not found"
}

@test "pause stops everything, resume lets it go on" {
	start ticker sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/tmp/ticks; done'
	ctr tasks pause ticker
	[ "$(status_of ticker)" = PAUSED ]
	run ctr tasks exec --exec-id no ticker true
	[ "$status" -ne 0 ]
	ctr tasks resume ticker
	[ "$(status_of ticker)" = RUNNING ]
	run ctr tasks exec --exec-id yes ticker true
	expect_status 0
}

@test "metrics: memory, processor and processes are counted" {
	start busy sh -c 'while :; do :; done'
	case $(stat -f -c %T /sys/fs/cgroup) in
	cgroup2fs) memory=.memory.usage processor=.cpu.usage_usec processes=.pids.current ;;
	*) memory=.memory.usage.usage processor=.cpu.usage.total processes=.pids.current ;;
	esac
	# It has only just begun.
	counted() { ctr tasks metrics --format json busy | jq -e "$memory > 100000 and $processor > 0 and $processes >= 1"; }
	eventually counted
}

@test "ps: the processes of a container" {
	start held sh -c 'sleep 1000 & wait'
	run ctr tasks ps held
	expect_status 0
	[ "$(grep -cE '^[0-9]+' <<<"$output")" -ge 1 ]
	ctr tasks exec --exec-id beside held sleep 1000 >/dev/null 2>&1 3>&- &
	local front=$!
	patiently bash -c 'until ctr tasks ps held | grep -q "^[0-9].*beside"; do :; done'
	ctr tasks kill -s KILL --exec-id beside held
	wait "$front" || [ $? -eq 137 ]
	patiently bash -c 'until ! ctr tasks ps held | grep -q beside; do :; done'
}

@test "checkpoint: refused, and the container goes on" {
	needs_caisson "runc and criu are no matter of these tests"
	start held sleep 1000
	run ctr tasks checkpoint held
	[ "$status" -ne 0 ]
	[ "$(status_of held)" = RUNNING ]
}

@test "events come in their order, the exit of the first process after those of all others" {
	watch_events
	start told sleep 1000
	ctr tasks exec -d --exec-id extra told sleep 1000
	kill_and_delete told
	wait_for_line "$events" /tasks/delete || { cat "$events.err"; kill -0 $watcher; false; }
	kill "$watcher"
	run grep -oE '/tasks/[a-z-]+' "$events"
	[ "$(head -n 4 <<<"$output")" = $'/tasks/create\n/tasks/start\n/tasks/exec-added\n/tasks/exec-started' ]
	[ "$(tail -n 1 <<<"$output")" = /tasks/delete ]
	run grep /tasks/exit "$events"
	[ "$(tail -n 1 <<<"$output" | grep -c '"id":"told"')" -eq 1 ]
}

@test "a limit of memory holds, and its end is told" {
	watch_events
	run ctr run --rm --runtime "$TEST_RUNTIME" --memory-limit 33554432 "$image" greedy tail /dev/zero
	expect_status 137
	wait_for_line "$events" /tasks/oom
	kill "$watcher"
}

@test "mounts: a directory of the host, read-only and read-write" {
	mkdir "$BATS_TEST_TMPDIR/d"
	echo here >"$BATS_TEST_TMPDIR/d/file"
	run ctr run --rm --runtime "$TEST_RUNTIME" --mount "type=bind,src=$BATS_TEST_TMPDIR/d,dst=/d,options=rbind:ro" \
		"$image" reads sh -c 'cat /d/file; echo no >/d/file'
	[ "$status" -ne 0 ]
	expect_output here
	run ctr run --rm --runtime "$TEST_RUNTIME" --mount "type=bind,src=$BATS_TEST_TMPDIR/d,dst=/d,options=rbind:rw" \
		"$image" writes sh -c 'echo there >/d/file'
	expect_status 0
	[ "$(cat "$BATS_TEST_TMPDIR/d/file")" = there ]
}

@test "what a container changes is in its snapshot" {
	start changed sleep 1000
	ctr tasks exec --exec-id write changed sh -c 'echo kept >/etc/kept; rm /bin/vi; sync'
	kill_and_delete changed
	ctr snapshots diff changed >"$BATS_TEST_TMPDIR/diff.tar"
	run tar -tf "$BATS_TEST_TMPDIR/diff.tar"
	expect_output etc/kept
	expect_output bin/.wh.vi
}

@test "the native snapshotter: a plain directory as root" {
	local options=(--snapshotter native)
	! containerd_is_at_least 2.0 || options+=(--local)
	ctr images import "${options[@]}" "$IMAGES/busybox.tar" >/dev/null
	run ctr run --rm --runtime "$TEST_RUNTIME" --snapshotter native "$image" native sh -c 'echo x >/etc/x && cat /etc/x'
	expect_status 0
	expect_line x
}
