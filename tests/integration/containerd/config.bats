# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Classes and annotations under containerd: the runtime's ConfigPath, and what a container's maker may ask for.
load helpers

image=docker.io/library/busybox:latest
kata=io.katacontainers.config.hypervisor

setup() {
	needs_caisson
	configuration=$BATS_TEST_TMPDIR/caisson.conf
}

# processors CONFIG_PATH ANNOTATION...: of a container's machine.
processors() {
	local path=$1 annotation options=()
	shift
	for annotation; do options+=(--annotation "$annotation"); done
	run ctr run --rm --runtime "$TEST_RUNTIME" --runtime-config-path "$path" "${options[@]}" "$image" sized nproc
}

@test "ConfigPath names the file and, after #, the class" {
	printf '[default]\nvcpus = 2\n[class one]\nvcpus = 1\n' >"$configuration"
	processors "$configuration"
	expect_status 0
	expect_line 2
	processors "$configuration#one"
	expect_line 1
	processors "$configuration#two"
	expect_status 1
	expect_output "there is no class"
}

@test "a mistake in the file is in the client's error" {
	printf '[default]\nvcpu = 2\n' >"$configuration"
	processors "$configuration"
	expect_status 1
	expect_output "$configuration:2: there is no key \"vcpu\"; did you mean \"vcpus\"?"
}

@test "annotations count where the class lists them" {
	printf '[default]\n[class open]\nenable_annotations = default_vcpus vcpus\nvcpus_max = 2\n' >"$configuration"
	processors "$configuration" $kata.default_vcpus=2 io.caisson.vcpus=2
	expect_status 0
	expect_line 1
	processors "$configuration#open" $kata.default_vcpus=2
	expect_line 2
	processors "$configuration#open" io.caisson.vcpus=2
	expect_line 2
	processors "$configuration#open" io.caisson.vcpus=3
	expect_status 1
	expect_output "vcpus is 3, vcpus_max only 2"
}

@test "a ConfigPath of Kata's is left aside" {
	processors /opt/kata/share/defaults/kata-containers/configuration-qemu.toml
	expect_status 0
	expect_line 1
}
