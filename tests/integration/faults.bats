# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Whatever dies, the user gets one sentence and the right code, soon, and nothing stays.
load helpers

# start_sleeper: a foreground run in the background that has started; its output in $out, its pid in $front.
start_sleeper() {
	out=$BATS_TEST_TMPDIR/out
	: >"$out"
	caisson run --rm "$@" busybox sh -c 'echo up; sleep 1000' >"$out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	front=$!
	wait_for_line "$out" up
}

# ends_with CODE: the sleeper's front end ends with that code and one sentence.
ends_with() {
	local code=0
	wait_for_end "$front"
	wait "$front" || code=$?
	output=$(cat "$BATS_TEST_TMPDIR/err")
	[ "$code" -eq "$1" ] || { echo "code $code, not $1: $output"; return 1; }
	expect_one_sentence
}

@test "QEMU is killed" {
	start_sleeper
	kill_all qemu-system-
	ends_with 137
}

@test "the shim is killed" {
	start_sleeper
	kill_all containerd-shim-
	ends_with 125
}

@test "the file server is killed" {
	mkdir "$BATS_TEST_TMPDIR/v"
	start_sleeper -v "$BATS_TEST_TMPDIR/v:/v"
	kill_all virtiofsd
	ends_with 137
}

@test "QEMU is killed under a detached container and an exec in it" {
	caisson run -d --name lost busybox sleep 1000 >/dev/null
	caisson exec lost sh -c 'echo up; sleep 1000' >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	front=$!
	wait_for_line "$BATS_TEST_TMPDIR/out" up
	kill_all qemu-system-
	ends_with 137
	run caisson wait lost
	[ "$output" = 137 ]
	run caisson inspect lost
	jq -e '.[0].State | .ExitCode == 137 and (.Error | test("virtual machine"))' <<<"$output" >/dev/null
	caisson rm lost
}

@test "the guest's kernel panics" {
	start_sleeper --name victim --cap-add SYS_ADMIN --cap-add SYS_BOOT --security-opt seccomp=unconfined
	caisson exec victim sh -c 'mount -o remount,rw /proc/sysrq-trigger 2>/dev/null; mount -t proc proc /tmp && echo c >/tmp/sysrq-trigger' || true
	ends_with 137
}

@test "out of memory in the guest: 137, and the reason" {
	run caisson run --name hungry --memory 64m busybox tail /dev/zero
	expect_status 137
	run caisson inspect hungry
	[[ "${output,,}" == *"memory"* ]]
	caisson rm hungry
}

@test "a missing command, in an image without it" {
	run -127 caisson run --rm busybox /no/such/program
	expect_one_sentence
}

@test "Ctrl-C at every stage of the start" {
	for tenths in 0 1 2 3 4 5 6 8; do
		# Once it runs, the signal is the process's; as the first of its namespace it would have to ask for it.
		# What a script starts in the background is born ignoring SIGINT; nobody at a terminal has that.
		env --default-signal=INT caisson run --rm --init busybox sleep 100 >/dev/null 2>&1 3>&- &
		front=$!
		until [ "/proc/$front/exe" -ef "$CAISSON_DIST/bin/caisson" ]; do :; done
		# The stage is chosen by time: whatever is under way then is what gets interrupted.
		read -rt "0.$tenths" <> <(:) || true
		kill -INT "$front"
		code=0
		wait_for_end "$front" || { echo "interrupted after 0.$tenths s: it did not end"; return 1; }
		wait "$front" || code=$?
		[ "$code" -eq 130 ] || { echo "interrupted after 0.$tenths s: code $code"; return 1; }
		nothing_left
	done
}

@test "an image damaged after its conversion" {
	image=$(find "$CAISSON_DATA/images" -type f -size +500k | head -n 1)
	cp -a "$image" "$BATS_TEST_TMPDIR/whole"
	chmod u+w "$image"
	dd if=/dev/urandom of="$image" bs=4096 count=100 conv=notrunc 2>/dev/null
	run caisson run --rm busybox true
	cp -a "$BATS_TEST_TMPDIR/whole" "$image"
	expect_status 125
	expect_output damaged
	run caisson run --rm busybox true
	expect_status 0
}

@test "a full disk" {
	mkdir "$BATS_TEST_TMPDIR/small"
	mount -t tmpfs -o size=300k tmpfs "$BATS_TEST_TMPDIR/small"
	CAISSON_DATA=$BATS_TEST_TMPDIR/small run caisson load --name busybox -i "$BUSYBOX_ARCHIVE"
	left=$(find "$BATS_TEST_TMPDIR/small" -size +100k)
	umount "$BATS_TEST_TMPDIR/small"
	[ "$status" -ne 0 ]
	expect_one_sentence
	[ -z "$left" ]
}

@test "what a power cut left is swept up" {
	caisson run -d --name gone busybox sleep 1000 >/dev/null
	kill_all_and_wait 'containerd-shim-|qemu-system-'
	run caisson ps -a
	expect_status 0
	run caisson rm --all
	expect_status 0
	nothing_left
}
