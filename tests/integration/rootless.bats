# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# All of it as an ordinary user: one without a name, without capabilities, and for whom setuid does not work.
load helpers

uid=23456

# as_user COMMAND...: what a user's login would give it, and nothing of ours.
as_user() {
	setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
		env -i -C "$home" PATH="$home/dist/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME="$home" LANG=C.UTF-8 \
		XDG_RUNTIME_DIR="$home/run" XDG_DATA_HOME="$home/data" "$@"
}

setup_file() {
	# Programs and archive where the user reaches them, wherever this tree stands.
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/file" "$BATS_FILE_TMPDIR"
	export home=$BATS_FILE_TMPDIR/home
	mkdir -m 755 "$home"
	mkdir -m 700 "$home/run" "$home/data"
	cp -r "$CAISSON_DIST" "$home/dist"
	cp "$BUSYBOX_ARCHIVE" "$home/busybox.tar"
	chmod a+r "$home/busybox.tar"
	chown "$uid:$uid" "$home" "$home/run" "$home/data"
	# Where these come to be; nothing_left looks there. The user is not told.
	export CAISSON_STATE=$home/run/caisson CAISSON_DATA=$home/data/caisson
	as_user caisson load --name busybox -i "$home/busybox.tar" >/dev/null
}

teardown() {
	as_user caisson rm --all --force >/dev/null || true
	nothing_left
}

@test "run: output, exit code, root inside" {
	run as_user caisson run --rm busybox sh -c 'id -u; id -g; uname -r; exit 9'
	expect_status 9
	[ "${lines[0]}" = 0 ]
	[ "${lines[1]}" = 0 ]
	[[ "${lines[2]}" == *-caisson* ]]
}

@test "input, exec, logs and stop" {
	run bash -c "$(declare -f as_user); uid=$uid home=$home; echo through | as_user caisson run --rm -i busybox cat"
	[ "$output" = through ]
	id=$(as_user caisson run -d --name box busybox sh -c 'trap "exit 5" TERM; echo started; while :; do sleep 0.1; done')
	wait_for_line "$CAISSON_DATA/containers/$id/log" started
	run as_user caisson exec -u 1000 box id -u
	expect_status 0
	[ "$output" = 1000 ]
	run as_user caisson logs box
	[ "$output" = started ]
	run as_user caisson stop -t 60 box
	expect_status 0
	run as_user caisson wait box
	[ "$output" = 5 ]
	as_user caisson rm box
}

@test "every process is the user's" {
	as_user caisson run -d --name box -v "$home/run:/v" busybox sleep 1000 >/dev/null
	pids=$(pgrep -d, -f 'containerd-shim-|qemu-system-|virtiofsd')
	run ps -o uid=,euid= -p "$pids"
	[ "$(grep -c . <<<"$output")" -ge 3 ]
	[ "$(tr -s ' ' '\n' <<<"$output" | grep . | sort -u)" = "$uid" ]
	run find "$home/run" "$home/data" ! -uid "$uid"
	[ -z "$output" ]
	as_user caisson rm -f box
}

@test "published ports" {
	ip link set lo up
	as_user caisson run -d --name web -p 127.0.0.1:18091:80 busybox sh -c \
		'mkdir /www; echo inside >/www/index.html; httpd -p 80 -h /www; echo ready; sleep 1000' >/dev/null
	wait_for_line "$(echo "$CAISSON_DATA"/containers/*/log)" ready
	run busybox wget -q -O - http://127.0.0.1:18091/
	[ "$output" = inside ]
	as_user caisson rm -f web
}

@test "own files: read, written, and the user's afterwards" {
	as_user sh -c 'mkdir -p own && echo mine >own/file'
	run as_user caisson run --rm -v "$home/own:/own" busybox sh -c 'cat /own/file; echo new >/own/new; mkdir /own/sub; stat -c %u:%g /own/file'
	expect_status 0
	[ "${lines[0]}" = mine ]
	# The user is the container's root, as under podman.
	[ "${lines[1]}" = 0:0 ]
	run stat -c %u:%g "$home/own/new" "$home/own/sub"
	[ "$output" = "$uid:$uid"$'\n'"$uid:$uid" ]
}

@test "others' files stay others'" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	chmod a+x "$BATS_TEST_TMPDIR"
	echo secret >"$BATS_TEST_TMPDIR/closed/file"
	run as_user caisson run --rm -v "$BATS_TEST_TMPDIR/closed:/v" busybox cat /v/file
	[ "$status" -ne 0 ]
	[[ "$output" != *secret* ]]
}

@test "owners in the image are those of the image" {
	layout=$BATS_TEST_TMPDIR/layout
	skopeo copy -q "oci-archive:$BUSYBOX_ARCHIVE" "oci:$layout:owned" >/dev/null
	mkdir "$BATS_TEST_TMPDIR/root"
	touch "$BATS_TEST_TMPDIR/root/"{zero,thousand,high}
	chown 1000:2000 "$BATS_TEST_TMPDIR/root/thousand"
	chown 65534:65534 "$BATS_TEST_TMPDIR/root/high"
	chmod 4755 "$BATS_TEST_TMPDIR/root/zero"
	tar -C "$BATS_TEST_TMPDIR/root" --numeric-owner -cf "$BATS_TEST_TMPDIR/layer.tar" zero thousand high
	umoci raw add-layer --image "$layout:owned" "$BATS_TEST_TMPDIR/layer.tar"
	skopeo copy -q "oci:$layout:owned" "oci-archive:$home/owned.tar:owned" >/dev/null
	chmod a+r "$home/owned.tar"
	as_user caisson load --name owned -i "$home/owned.tar" >/dev/null
	run as_user caisson run --rm owned stat -c %u:%g:%a /zero /thousand /high
	expect_status 0
	[ "$output" = $'0:0:4755\n1000:2000:644\n65534:65534:644' ]
	as_user caisson rmi owned >/dev/null
}

@test "--scratch" {
	run as_user caisson run --rm --scratch 200m --memory 100m busybox sh -c 'dd if=/dev/zero of=/big bs=1M count=150 2>/dev/null; stat -c %s /big'
	expect_status 0
	[ "$output" = $((150 << 20)) ]
}

@test "memory, processors and processes are limited all the same" {
	run as_user caisson run --rm --memory 100m --cpus 1 --pids-limit 30 busybox \
		sh -c 'cd /sys/fs/cgroup; cat memory.max cpu.max pids.max'
	expect_status 0
	[ "$output" = $'104857600\n100000 100000\n30' ]
}

@test "a port for which root is needed is named" {
	[ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 80 ] || skip "every port is anybody's here"
	run as_user caisson run --rm -p 127.0.0.1:80:80 busybox true
	expect_status 125
	expect_one_sentence
	expect_output 80
}

@test "two users do not see each other's containers" {
	as_user caisson run -d --name mine busybox sleep 1000 >/dev/null
	run env -u CAISSON_STATE CAISSON_DATA="$BATS_TEST_TMPDIR/data" CAISSON_STATE="$BATS_TEST_TMPDIR/state" caisson ps -a --format '{{.Names}}'
	[[ "$output" != *mine* ]]
	as_user caisson rm -f mine
}

@test "without XDG_RUNTIME_DIR state lives in a directory that only the user can open" {
	run as_user env -u XDG_RUNTIME_DIR caisson run --rm busybox echo fine
	expect_status 0
	[ "$output" = fine ]
	[ "$(stat -c %u:%a "/tmp/caisson-$uid")" = "$uid:700" ]
	rm -rf "/tmp/caisson-$uid"
	mkdir -m 777 "/tmp/caisson-$uid"
	run as_user env -u XDG_RUNTIME_DIR caisson run --rm busybox true
	rm -rf "/tmp/caisson-$uid"
	expect_status 125
	expect_one_sentence
}

@test "no program of ours asks for more than its user has" {
	run find "$CAISSON_DIST" -type f -perm /6000
	[ -z "$output" ]
	run getcap -r "$CAISSON_DIST"
	[ -z "$output" ]
}
