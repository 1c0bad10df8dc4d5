# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Machines that start from a template: what they share, what they must not, and when there is none.
load helpers

setup() {
	export CAISSON_TEMPLATES=$BATS_TEST_TMPDIR/templates
}

# from_template CONTAINER: true or false, of its machine.
from_template() {
	caisson inspect "$1" | jq '[.. | objects | select(has("template")) | .template][0]'
}

# The directories of finished templates.
templates() {
	find "$CAISSON_TEMPLATES" -mindepth 1 -maxdepth 1 -type d ! -name '*.new'
}

# expect_kept COUNT: so many templates, and nothing half-made.
expect_kept() {
	[ "$(templates | wc -l)" -eq "$1" ] || { echo "not $1 templates: $(find "$CAISSON_TEMPLATES")"; return 1; }
	[ -z "$(find "$CAISSON_TEMPLATES" -name '*.new')" ] || { echo "left: $(find "$CAISSON_TEMPLATES")"; return 1; }
}

# What a program takes to be its own: random bytes as for a key, a UUID, the boot, the machine, the host.
identities='head -c 32 /dev/urandom | od -An -tx1 | tr -d " \n"; echo
	cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id; hostname; cat /etc/machine-id 2>/dev/null; true'

@test "without CAISSON_TEMPLATES every machine boots" {
	unset CAISSON_TEMPLATES
	caisson run -d --name plain busybox sleep 1000 >/dev/null
	[ "$(from_template plain)" = false ]
}

@test "the first start makes the template, and all of the class start from it" {
	caisson run -d --name first busybox sleep 1000 >/dev/null
	caisson run -d --name second busybox sleep 1000 >/dev/null
	[ "$(from_template first)" = true ]
	[ "$(from_template second)" = true ]
	expect_kept 1
	[ "$(stat -c %a "$CAISSON_TEMPLATES")" = 700 ]
	run caisson exec second sh -c 'echo written >/file && cat /file'
	expect_line written
	run caisson exec first cat /file
	expect_status 1
	run caisson run --rm --timings busybox true
	expect_output 'machine restored'
}

@test "two machines of one template share nothing that is to be their own" {
	for name in one two three; do
		caisson run -d --name "$name" busybox sleep 1000 >/dev/null
		[ "$(from_template "$name")" = true ]
		caisson exec "$name" sh -c "$identities" >>"$BATS_TEST_TMPDIR/identities"
	done
	[ "$(wc -l <"$BATS_TEST_TMPDIR/identities")" -ge 12 ]
	run sort "$BATS_TEST_TMPDIR/identities"
	[ "$(uniq -d <<<"$output" | wc -l)" -eq 0 ] || { echo "shared: $(uniq -d <<<"$output")"; return 1; }
}

@test "the clock is the host's, whenever the template was made" {
	caisson run --rm busybox true
	local before after guest
	# Time that the template does not know of. Nothing happens in it that could be waited for.
	sleep 3
	before=$(date +%s)
	guest=$(caisson run --rm busybox date +%s)
	after=$(date +%s)
	[ "$guest" -ge "$before" ] && [ "$guest" -le "$after" ]
}

@test "a template that was changed, or is of another version, is refused and made again" {
	local file
	for file in memory state template.json; do
		caisson run --rm busybox true
		expect_kept 1
		file=$(templates)/$file
		local before
		before=$(stat -c %i "$(templates)/state")
		case $file in
		*.json) sed -i 's/"version":1/"version":2/' "$file" ;;
		*) printf X | dd of="$file" bs=1 seek=4096 conv=notrunc status=none ;;
		esac
		run caisson run --rm busybox echo works
		expect_line works
		expect_kept 1
		[ "$(stat -c %i "$(templates)/state")" -ne "$before" ]
	done
}

@test "caisson.conf names the directory of a class" {
	local conf=$BATS_TEST_TMPDIR/caisson.conf directory=$CAISSON_TEMPLATES
	unset CAISSON_TEMPLATES
	printf '[default]\n[class saved]\ntemplates = %s\n' "$directory" >"$conf"
	CAISSON_CONFIG=$conf caisson run -d --name booted busybox sleep 1000 >/dev/null
	[ "$(from_template booted)" = false ]
	CAISSON_CONFIG=$conf#saved caisson run -d --name saved busybox sleep 1000 >/dev/null
	[ "$(from_template saved)" = true ]
}

# hash_of_zeros COUNT: FNV-1a, as template.json has it of the state. In a shell that bats does not trace.
hash_of_zeros() {
	bash -c 'for ((hash = 0xcbf29ce484222325, i = 0; i < $1; i++)); do hash=$((hash * 0x100000001b3)); done; echo "$hash"' - "$1"
}

@test "a machine that does not start from its template boots, and the template is removed" {
	local state size
	caisson run --rm busybox true
	state=$(templates)/state
	size=$(stat -c %s "$state")
	head -c "$size" /dev/zero >"$state"
	sed -i -E "s/(\"hash\": ?)-?[0-9]+/\1$(hash_of_zeros "$size")/" "${state%/*}/template.json"
	caisson run -d --name booted busybox sleep 1000 >/dev/null
	[ "$(from_template booted)" = false ]
	expect_kept 0
	caisson run -d --name next busybox sleep 1000 >/dev/null
	[ "$(from_template next)" = true ]
	expect_kept 1
}

@test "what a template was made from decides which one it is" {
	caisson run --rm busybox true
	expect_kept 1
	caisson run --rm --memory 200m busybox true
	expect_kept 2
	cp "$CAISSON_DIST/lib/caisson/initrd" "$BATS_TEST_TMPDIR/initrd"
	CAISSON_INITRD=$BATS_TEST_TMPDIR/initrd caisson run --rm busybox true
	expect_kept 3
	touch "$BATS_TEST_TMPDIR/initrd"
	CAISSON_INITRD=$BATS_TEST_TMPDIR/initrd caisson run --rm busybox true
	expect_kept 4
}

@test "many first starts at once make one template" {
	local pids=() pid
	for _ in 1 2 3 4; do
		caisson run --rm busybox true 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	expect_kept 1
}

@test "what an interrupted making left is no hindrance" {
	caisson run --rm busybox true
	mv "$(templates)" "$(templates).new"
	caisson run -d --name after busybox sleep 1000 >/dev/null
	[ "$(from_template after)" = true ]
	expect_kept 1
}

@test "a container with volumes boots, and has them" {
	echo content >"$BATS_TEST_TMPDIR/file"
	caisson run -d --name shared -v "$BATS_TEST_TMPDIR/file:/file" busybox sleep 1000 >/dev/null
	[ "$(from_template shared)" = false ]
	run caisson exec shared cat /file
	expect_line content
}

@test "a network card comes with the machine that starts" {
	caisson run --rm busybox true
	caisson run -d --name connected --network user busybox sleep 1000 >/dev/null
	[ "$(from_template connected)" = true ]
	run caisson exec connected ip addr show eth0
	expect_output 10.0.2.15/24
	expect_kept 1
}

@test "a directory that others can enter holds no templates" {
	mkdir -m 755 "$CAISSON_TEMPLATES"
	caisson run -d --name careful busybox sleep 1000 >/dev/null
	[ "$(from_template careful)" = false ]
	[ -z "$(ls -A "$CAISSON_TEMPLATES")" ]
}
