# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What make install puts somewhere works there, and make uninstall takes it away.
load helpers

source_dir=$BATS_TEST_DIRNAME/../..

setup() {
	root=$BATS_TEST_TMPDIR/root
	"$source_dir/scripts/install" "$CAISSON_DIST" "$root/opt/caisson"
}

@test "the installed programs run, wherever they stand" {
	run env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$root/opt/caisson/bin/caisson" run --rm busybox uname -r
	expect_status 0
	expect_output -caisson
	mv "$root/opt/caisson" "$BATS_TEST_TMPDIR/elsewhere"
	run env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$BATS_TEST_TMPDIR/elsewhere/bin/caisson" run --rm busybox echo moved
	expect_status 0
	[ "$output" = moved ]
}

@test "all that belongs is there, for everybody to read" {
	cd "$root/opt/caisson"
	[ -x bin/caisson ] && [ -x bin/containerd-shim-caisson-v2 ]
	[ "$(readlink bin/containerd-shim-kata-v2)" = containerd-shim-caisson-v2 ]
	[ -s lib/caisson/vmlinux ] && [ -s lib/caisson/initrd ]
	[ -s share/bash-completion/completions/caisson ] && [ -s share/man/man1/caisson.1 ]
	run find . ! -perm -a+r
	[ -z "$output" ]
	# Stripped.
	run file bin/caisson bin/containerd-shim-caisson-v2
	[[ "$output" != *"not stripped"* ]]
}

@test "uninstalled, nothing of it stays, and what is others' does" {
	touch "$root/opt/caisson/bin/of-others"
	"$source_dir/scripts/install" --remove "$root/opt/caisson"
	run find "$root" ! -type d
	[ "$output" = "$root/opt/caisson/bin/of-others" ]
	run find "$root" -name '*caisson*' ! -path "$root/opt/caisson"
	[ -z "$output" ]
	# A second time there is nothing to do.
	"$source_dir/scripts/install" --remove "$root/opt/caisson"
}

@test "a configuration is put where there is none, and never over another" {
	"$source_dir/scripts/install" "$CAISSON_DIST" "$root/opt/caisson" "$root/etc"
	cmp "$root/etc/caisson/caisson.conf" "$source_dir/share/caisson.conf"
	printf '[default]\nvcpus = 2\n' >"$root/etc/caisson/caisson.conf"
	"$source_dir/scripts/install" "$CAISSON_DIST" "$root/opt/caisson" "$root/etc"
	grep -q 'vcpus = 2' "$root/etc/caisson/caisson.conf"
	"$source_dir/scripts/install" --remove "$root/opt/caisson" "$root/etc"
	grep -q 'vcpus = 2' "$root/etc/caisson/caisson.conf"
	cp "$source_dir/share/caisson.conf" "$root/etc/caisson/caisson.conf"
	"$source_dir/scripts/install" --remove "$root/opt/caisson" "$root/etc"
	[ ! -e "$root/etc/caisson" ]
}

@test "make honours DESTDIR and PREFIX" {
	run make -n -C "$source_dir" install DESTDIR=/staging PREFIX=/opt/x BUILD=/some/build
	expect_status 0
	expect_output 'scripts/install /some/build/dist "/staging/opt/x" "/staging/etc"'
	run make -n -C "$source_dir" uninstall DESTDIR=/staging PREFIX=/opt/x
	expect_output 'scripts/install --remove "/staging/opt/x" "/staging/etc"'
}

@test "a program that misses its guest says what and where" {
	rm "$root/opt/caisson/lib/caisson/vmlinux"
	run "$root/opt/caisson/bin/caisson" run --rm busybox true
	expect_status 125
	expect_one_sentence
	expect_output vmlinux
}
