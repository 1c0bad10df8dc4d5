# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a user of nerdctl does all day.
load helpers
load ../terminal

setup() {
	needs_program nerdctl
}

# run_detached NAME OPTION... -- COMMAND...
run_detached() {
	local name=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	nerdctl run -d --runtime "$TEST_RUNTIME" --name "$name" "${options[@]}" busybox "$@" >/dev/null
}

# status_of NAME
status_of() { nerdctl inspect --format '{{.State.Status}}' "$1"; }

# await_log NAME PATTERN: through `logs -f`, which tells as it comes.
await_log() {
	nerdctl logs -f "$1" >"$BATS_TEST_TMPDIR/$1.log" 2>&1 3>&- &
	local reader=$! status=0
	wait_for_line "$BATS_TEST_TMPDIR/$1.log" "$2" || status=1
	kill "$reader" 2>/dev/null || true
	return $status
}

@test "run --rm -it IMAGE uname -a: a kernel of its own" {
	dialogue <<-END
		spawn nerdctl run --rm -it --runtime $TEST_RUNTIME busybox uname -a
		await "Linux \[0-9a-f]{12} "
		finish 0
	END
	run nerdctl run --rm --runtime "$TEST_RUNTIME" busybox uname -r
	expect_status 0
	! caisson_is_tested || [[ "$output" != *"$(uname -r)"* ]]
}

@test "run: exit codes and both streams" {
	run nerdctl run --rm --runtime "$TEST_RUNTIME" busybox sh -c 'echo good; echo bad >&2; exit 7'
	expect_status 7
	expect_output good
	expect_output bad
	run bash -c 'seq 400000 | nerdctl run --rm -i --runtime "$TEST_RUNTIME" busybox wc -l'
	expect_status 0
	expect_line 400000
	run nerdctl run --rm --runtime "$TEST_RUNTIME" busybox /no/such/program
	[ "$status" -ne 0 ]
}

@test "run -i: input that ends before the start" {
	needs_caisson "a race that runc's shim loses"
	run bash -c 'echo typed | nerdctl run --rm -i --runtime "$TEST_RUNTIME" busybox cat'
	expect_status 0
	expect_line typed
}

# nerdctl stops following at once when a task ends, whatever it has still to show: so the task lasts until it has.
@test "run -d and logs -f: every line, as it comes, and the end" {
	local log=$BATS_TEST_TMPDIR/teller.log reader
	run_detached teller -- sh -c 'for i in $(seq 200); do echo line $i; done; echo bad >&2; echo last; sleep 1000'
	nerdctl logs -f teller >"$log" 2>&1 3>&- &
	reader=$!
	wait_for_line "$log" ^last
	wait_for_line "$log" ^bad
	[ "$(grep -c '^line ' "$log")" -eq 200 ]
	nerdctl kill teller >/dev/null
	timeout 60 tail -s 0.05 --pid="$reader" -f /dev/null
	run nerdctl logs teller
	[ "$(grep -c '^line ' <<<"$output")" -eq 200 ]
	expect_output bad
	expect_output last
}

@test "wait tells the exit code, ps -a the status" {
	run_detached ending -- sh -c 'exit 5'
	run nerdctl wait ending
	expect_line 5
	run nerdctl ps -a --format '{{.Names}} {{.Status}}'
	expect_output "ending Exited (5)"
}

@test "exec, exec -i, exec -it, exec -d" {
	run_detached held -- sleep 1000
	# nerdctl itself turns the code of an exec into a sentence.
	run nerdctl exec -w /tmp -e A=b held sh -c 'pwd; echo $A; exit 3'
	[ "$status" -ne 0 ]
	expect_output "exit code 3"
	expect_output $'/tmp\nb'
	run bash -c 'echo typed | nerdctl exec -i held cat'
	expect_status 0
	expect_output typed
	dialogue <<-'END'
		spawn nerdctl exec -it held sh
		await $prompt
		await_size 33 101
		await $prompt
		send "exit 6\r"
		await "exit code 6"
		finish 1
	END
	nerdctl exec -d held sh -c 'echo done >/tmp/done'
	patiently bash -c 'until nerdctl exec held cat /tmp/done; do :; done'
}

@test "leave a container at a terminal running, and come back" {
	dialogue <<-END
		spawn nerdctl run -it --runtime $TEST_RUNTIME --name shell busybox sh
		await \$prompt
		send "echo for\"\"ty\r"
		await "forty\r\n"
		send "\020\021"
		finish 0
	END
	[ "$(status_of shell)" = running ]
	dialogue <<-'END'
		spawn nerdctl attach shell
		await_prompt
		send "echo fif\"\"ty\r"
		await "fifty\r\n"
		send "exit 8\r"
		finish 8
	END
}

@test "cp into a running container and out of it, and out of a stopped one" {
	run_detached held -- sleep 1000
	echo "to the guest" >"$BATS_TEST_TMPDIR/in"
	nerdctl cp "$BATS_TEST_TMPDIR/in" held:/root/in
	run nerdctl exec held cat /root/in
	expect_output "to the guest"
	nerdctl exec held sh -c 'mkdir /root/d; echo "from the guest" >/root/d/out; ln -s out /root/d/link; sync'
	nerdctl cp held:/root/d "$BATS_TEST_TMPDIR/d"
	[ "$(cat "$BATS_TEST_TMPDIR/d/out")" = "from the guest" ]
	[ "$(readlink "$BATS_TEST_TMPDIR/d/link")" = out ]
}

@test "stats and top" {
	run_detached busy -- sh -c 'while :; do :; done'
	run nerdctl stats --no-stream --format '{{json .}}' busy
	expect_status 0
	jq -e '.Name == "busy" and (.MemUsage | test("[1-9]"))' <<<"${lines[-1]}"
	run nerdctl top busy
	expect_status 0
}

@test "pause, unpause, kill" {
	run_detached held -- sleep 1000
	nerdctl pause held >/dev/null
	[ "$(status_of held)" = paused ]
	nerdctl unpause held >/dev/null
	run nerdctl exec held echo awake
	expect_output awake
	nerdctl kill held >/dev/null
	run nerdctl wait held
	expect_line 137
}

@test "stop, start and restart" {
	run_detached counted -- sh -c 'trap "exit 0" TERM; echo x >>/count; echo up; while :; do sleep 0.1; done'
	await_log counted up
	nerdctl stop counted >/dev/null
	[ "$(status_of counted)" = exited ]
	nerdctl start counted >/dev/null
	patiently bash -c 'until [ "$(nerdctl exec counted wc -l /count 2>/dev/null)" = "2 /count" ]; do :; done'
	nerdctl restart counted >/dev/null
	patiently bash -c 'until [ "$(nerdctl exec counted wc -l /count 2>/dev/null)" = "3 /count" ]; do :; done'
}

@test "commit of a changed container makes an image of it" {
	run_detached changed -- sleep 1000
	nerdctl exec changed sh -c 'echo kept >/etc/kept; rm /bin/vi; sync'
	nerdctl commit changed localhost/changed:1 >/dev/null
	run nerdctl run --rm --runtime "$TEST_RUNTIME" localhost/changed:1 sh -c 'cat /etc/kept; ls /bin/vi'
	expect_output kept
	expect_output "No such file"
	nerdctl rmi -f localhost/changed:1 >/dev/null
}

@test "volumes: named ones, directories, tmpfs, and read-only" {
	mkdir "$BATS_TEST_TMPDIR/d"
	echo here >"$BATS_TEST_TMPDIR/d/file"
	run nerdctl run --rm --runtime "$TEST_RUNTIME" -v kept:/kept -v "$BATS_TEST_TMPDIR/d:/d:ro" --tmpfs /fast busybox \
		sh -c 'echo stays >/kept/a; cat /d/file; touch /fast/x && echo tmpfs; touch /d/no'
	[ "$status" -ne 0 ]
	expect_output here
	expect_output tmpfs
	run nerdctl run --rm --runtime "$TEST_RUNTIME" -v kept:/kept busybox cat /kept/a
	expect_output stays
	nerdctl volume rm kept >/dev/null
	run nerdctl run --rm --read-only --runtime "$TEST_RUNTIME" busybox touch /no
	[ "$status" -ne 0 ]
}

@test "identity: user, host name, environment, working directory, limits" {
	run nerdctl run --rm --runtime "$TEST_RUNTIME" -u 65534:5 -h nameful -w /tmp -e A=b --ulimit nofile=77 \
		--add-host friend:10.1.2.3 busybox \
		sh -c 'id -u; id -g; hostname; pwd; echo $A; ulimit -n; grep friend /etc/hosts; cat /etc/resolv.conf | head -c 1 >/dev/null'
	expect_status 0
	expect_output $'65534\n5\nnameful\n/tmp\nb\n77\n10.1.2.3'
	run nerdctl run --rm --runtime "$TEST_RUNTIME" -m 32m busybox tail /dev/zero
	expect_status 137
}

@test "network: an address of the bridge, the way to the host, and a published port" {
	run_detached web -p 127.0.0.1:18080:80 -- sh -c 'echo hello >/tmp/index.html; echo up; exec httpd -f -p 80 -h /tmp'
	await_log web up
	run patiently bash -c 'until wget -q -O - http://127.0.0.1:18080/ 2>/dev/null; do :; done'
	expect_output hello
	address=$(nerdctl inspect --format '{{.NetworkSettings.IPAddress}}' web)
	run nerdctl exec web ip -4 addr show dev eth0
	expect_output "$address"
	run nerdctl run --rm --runtime "$TEST_RUNTIME" busybox wget -q -O - "http://$address/"
	expect_status 0
	expect_output hello
	run nerdctl port web
	expect_output "80/tcp -> 127.0.0.1:18080"
	# The other direction: a server of the host, on the bridge's own address.
	gateway=$(ip -4 -o addr show dev nerdctl0 | awk '{ sub("/.*", "", $4); print $4 }')
	mkdir "$BATS_TEST_TMPDIR/www"
	echo "of the host" >"$BATS_TEST_TMPDIR/www/index.html"
	busybox httpd -f -p "$gateway:18090" -h "$BATS_TEST_TMPDIR/www" 3>&- &
	server=$!
	patiently bash -c 'until : <"/dev/tcp/$1/18090"; do :; done' - "$gateway" 2>/dev/null
	run nerdctl exec web wget -q -O - "http://$gateway:18090/"
	kill "$server"
	expect_output "of the host"
}

@test "network none" {
	run nerdctl run --rm --net none --runtime "$TEST_RUNTIME" busybox ls /sys/class/net
	expect_status 0
	expect_line lo
}

@test "the host's network is refused with its reason" {
	needs_caisson
	run nerdctl run --rm --net host --runtime "$TEST_RUNTIME" busybox true
	[ "$status" -ne 0 ]
	expect_output "network"
}

@test "compose: two services that talk, by name" {
	cat >"$BATS_TEST_TMPDIR/compose.yaml" <<-END
		services:
		  web:
		    image: busybox
		    runtime: $TEST_RUNTIME
		    stop_signal: KILL
		    command: sh -c "echo hello from web >/tmp/index.html; exec httpd -f -p 80 -h /tmp"
		  asker:
		    image: busybox
		    runtime: $TEST_RUNTIME
		    stop_signal: KILL
		    command: sh -c "until wget -q -O - http://web/; do :; done; sleep 1000"
	END
	cd "$BATS_TEST_TMPDIR"
	nerdctl compose -p pair up -d --quiet-pull
	await_log pair-asker-1 "hello from web"
	run nerdctl compose -p pair ps
	expect_output pair-web-1
	nerdctl compose -p pair down
	[ -z "$(nerdctl ps -aq)" ]
}
