# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
load helpers

@test "a directory is shared both ways, and live" {
	mkdir "$BATS_TEST_TMPDIR/shared"
	echo from-host >"$BATS_TEST_TMPDIR/shared/a"
	caisson run -d --name v -v "$BATS_TEST_TMPDIR/shared:/data" busybox sleep 1000 >/dev/null
	run caisson exec v cat /data/a
	[ "$output" = from-host ]
	caisson exec v sh -c 'echo from-guest >/data/b'
	[ "$(cat "$BATS_TEST_TMPDIR/shared/b")" = from-guest ]
	echo later >"$BATS_TEST_TMPDIR/shared/c"
	run caisson exec v cat /data/c
	[ "$output" = later ]
	caisson rm -f v
}

@test "programs on a share run, one after the other" {
	mkdir -p "$BATS_TEST_TMPDIR/v"
	cp "$(command -v busybox)" "$BATS_TEST_TMPDIR/v/"
	# The file server fills pages in which emulated code has run before; QEMU must not run that code again.
	run caisson run --rm -v "$BATS_TEST_TMPDIR/v:/v" busybox sh -c '
		for i in 1 2 3; do
			/v/busybox sh -c "/v/busybox id && /v/busybox cat /proc/uptime && /v/busybox md5sum /v/busybox" >/dev/null || exit
		done
		/v/busybox md5sum /v/busybox'
	expect_status 0
	[ "${output%% *}" = "$(md5sum <"$BATS_TEST_TMPDIR/v/busybox" | cut -d " " -f 1)" ]
}

@test "a single file, and two directories" {
	mkdir "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
	echo 1 >"$BATS_TEST_TMPDIR/one/f"
	echo 2 >"$BATS_TEST_TMPDIR/two/f"
	echo 3 >"$BATS_TEST_TMPDIR/file"
	run caisson run --rm -v "$BATS_TEST_TMPDIR/one:/one" --mount "type=bind,source=$BATS_TEST_TMPDIR/two,target=/two" \
		-v "$BATS_TEST_TMPDIR/file:/etc/file" busybox cat /one/f /two/f /etc/file
	expect_status 0
	[ "$output" = $'1\n2\n3' ]
}

@test "read-only is read-only" {
	mkdir "$BATS_TEST_TMPDIR/ro"
	run caisson run --rm -v "$BATS_TEST_TMPDIR/ro:/ro:ro" busybox touch /ro/x
	expect_status 1
	expect_output "Read-only"
	[ ! -e "$BATS_TEST_TMPDIR/ro/x" ]
}

@test "a missing source of --mount is named" {
	run caisson run --rm --mount type=bind,source=/no/such/place,target=/x busybox true
	expect_status 125
	expect_output /no/such/place
	expect_one_sentence
}

@test "the guest cannot leave its share" {
	mkdir "$BATS_TEST_TMPDIR/in"
	echo secret >"$BATS_TEST_TMPDIR/secret"
	ln -s ../secret "$BATS_TEST_TMPDIR/in/link"
	run caisson run --rm -v "$BATS_TEST_TMPDIR/in:/in" busybox cat /in/link /in/../secret
	[ "$status" -ne 0 ]
	[[ "$output" != *secret$'\n'* ]]
}

@test "a named volume outlives its container, an anonymous one does not" {
	caisson run --rm -v keep:/data busybox sh -c 'echo kept >/data/file'
	run caisson run --rm --mount type=volume,source=keep,target=/data busybox cat /data/file
	expect_status 0
	[ "$output" = kept ]
	caisson run --rm -v /data busybox sh -c 'echo x >/data/file'
	[ "$(find "$CAISSON_DATA/volumes" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
}

@test "owners, modes and links are the host's" {
	mkdir "$BATS_TEST_TMPDIR/d"
	caisson run --rm -v "$BATS_TEST_TMPDIR/d:/d" busybox sh -c \
		'cd /d; echo 1 >a; chown 12:34 a; chmod 640 a; ln a b; ln -s a c; mkdir -m 1777 t; mkfifo f'
	cd "$BATS_TEST_TMPDIR/d"
	run stat -c '%n %u:%g %a %h %F' a b c t f
	diff -u - <(echo "$output") <<-'END'
		a 12:34 640 2 regular file
		b 12:34 640 2 regular file
		c 0:0 777 1 symbolic link
		t 0:0 1777 2 directory
		f 0:0 644 1 fifo
	END
	[ "$(readlink c)" = a ]
}
