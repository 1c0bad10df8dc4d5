# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# caisson.conf, seen from inside the machines that it describes.
load helpers

setup() {
	CAISSON_CONFIG=$BATS_TEST_TMPDIR/caisson.conf
	export CAISSON_CONFIG
}

@test "a class makes the machine: processors, memory, kernel parameters, seccomp" {
	cat >"$CAISSON_CONFIG" <<-END
		[default]
		vcpus = 2
		memory = 256m
		kernel_params = caisson.test=1
		[class open]
		vcpus = 1
		guest_seccomp = false
	END
	run caisson run --rm busybox sh -c 'nproc; cat /proc/cmdline; grep Seccomp: /proc/self/status; grep MemTotal /proc/meminfo'
	expect_status 0
	[ "${lines[0]}" = 2 ]
	[[ "${lines[1]}" == *" caisson.test=1"* ]]
	[ "${lines[2]}" = $'Seccomp:\t2' ]
	[ "$(tr -dc 0-9 <<<"${lines[3]}")" -lt 262144 ]
	run caisson run --rm --annotation io.caisson.class=open busybox sh -c 'nproc; grep Seccomp: /proc/self/status'
	expect_status 0
	[ "${lines[0]}" = 1 ]
	[ "${lines[1]}" = $'Seccomp:\t0' ]
}

@test "the user's own options go over the class, files of conf.d over the main one" {
	printf '[default]\nvcpus = 3\n' >"$CAISSON_CONFIG"
	mkdir "$BATS_TEST_TMPDIR/conf.d"
	printf '[default]\nvcpus = 2\n' >"$BATS_TEST_TMPDIR/conf.d/a.conf"
	run caisson run --rm busybox nproc
	[ "$output" = 2 ]
	run caisson run --rm --cpus 1 busybox nproc
	[ "$output" = 1 ]
}

@test "a kernel of the class's own is the one that is started" {
	cp "$CAISSON_DIST/lib/caisson/vmlinux" "$BATS_TEST_TMPDIR/vmlinux"
	printf '[default]\nkernel = %s/vmlinux\n' "$BATS_TEST_TMPDIR" >"$CAISSON_CONFIG"
	run caisson run --rm busybox true
	expect_status 0
	rm "$BATS_TEST_TMPDIR/vmlinux"
	run caisson run --rm busybox true
	expect_status 125
	expect_output "$BATS_TEST_TMPDIR/vmlinux"
}

@test "a mistake is an error with file and line, and leaves nothing" {
	printf '[default]\n\nvcpu = 2\n' >"$CAISSON_CONFIG"
	run caisson run --rm busybox true
	expect_status 125
	expect_output "$CAISSON_CONFIG:3: there is no key \"vcpu\"; did you mean \"vcpus\"?"
	printf '[class small]\nmemory = 128m\n' >"$CAISSON_CONFIG"
	run caisson run --rm --annotation io.caisson.class=smal busybox true
	expect_status 125
	expect_output 'did you mean "small"?'
	rm "$CAISSON_CONFIG"
	run caisson run --rm busybox true
	expect_status 125
	expect_output "$CAISSON_CONFIG"
}
