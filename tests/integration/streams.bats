# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Nothing that a process says is lost, and nothing grows while it is said.
load helpers

# 256 MiB by default; STREAM_BYTES=1073741824 for the whole measure.
bytes=${STREAM_BYTES:-268435456}

# Not random enough to be secret, random enough not to be repeated: a keyed stream.
noise() {
	openssl enc -aes-128-ctr -K 000102030405060708090a0b0c0d0e0f -iv 0 -nosalt </dev/zero 2>/dev/null | head -c "$1"
}

largest_shim() {
	ps -o rss= -p "$(pgrep -d, -f containerd-shim-)" | sort -n | tail -n 1
}

@test "what goes in comes out of cat whole" {
	sent=$(noise "$bytes" | sha256sum)
	got=$(noise "$bytes" | caisson run --rm -i busybox cat | sha256sum)
	[ "$sent" = "$got" ]
}

@test "and through standard error" {
	sent=$(noise "$bytes" | sha256sum)
	got=$(noise "$bytes" | caisson run --rm -i busybox sh -c 'cat >&2' 2>&1 >/dev/null | sha256sum)
	[ "$sent" = "$got" ]
}

@test "a slow reader gets everything and makes nobody grow" {
	caisson run --rm --name flood busybox sh -c 'dd if=/dev/zero bs=1M count=64 2>/dev/null; echo end' |
		{ head -c 100000 >/dev/null; caisson exec flood true; largest_shim >"$BATS_TEST_TMPDIR/rss"; tail -c 4; } >"$BATS_TEST_TMPDIR/tail"
	[ "$(cat "$BATS_TEST_TMPDIR/tail")" = end ]
	[ "$(cat "$BATS_TEST_TMPDIR/rss")" -lt 20000 ]
}

@test "the last line is never lost: execs" {
	caisson run -d --name box busybox sleep 10000 >/dev/null
	for i in $(seq "${EXECS:-200}"); do
		[ "$(caisson exec box echo "last $i")" = "last $i" ]
	done
	caisson rm -f box
}

@test "the last line is never lost: runs" {
	for i in $(seq "${RUNS:-10}"); do
		[ "$(caisson run --rm busybox echo "last $i")" = "last $i" ]
	done
}

@test "a closed input reaches the process" {
	run timeout 180 caisson run --rm -i busybox sh -c 'cat; echo closed' </dev/null
	[ "$output" = closed ]
}

@test "a closed output gives the process EPIPE" {
	run bash -c 'timeout 180 caisson run --rm busybox sh -c "yes; echo yes ended with \$? >&2" 2>'"$BATS_TEST_TMPDIR/err"' | head -n 1; true'
	[ "$output" = y ]
	grep -q "yes ended with" "$BATS_TEST_TMPDIR/err"
}
