# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# `caisson setup containerd`: what it makes of containerd's configuration, in the opinion of real containerds.
load helpers

tools=$BATS_TEST_DIRNAME/../tools/get

# Programs once for all tests; one that cannot be had skips its tests.
setup_file() {
	local name
	for name in bookworm forky module; do
		"$tools" "containerd-$name" >"$BATS_FILE_TMPDIR/$name" || rm "$BATS_FILE_TMPDIR/$name"
	done
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	config=$BATS_TEST_TMPDIR/config.toml
	v2='plugins."io.containerd.grpc.v1.cri"'
	v3='plugins."io.containerd.cri.v1.runtime"'
	# Without a containerd in PATH the new text is not tried out, except where a test wants it to be.
	PATH=$CAISSON_DIST/bin:/usr/bin:/bin
}

teardown() { :; }

# needs_containerd NAME: skips the rest of a test where it could not be had.
needs_containerd() {
	[ -s "$BATS_FILE_TMPDIR/$1" ] || skip "containerd-$1 could not be had on this machine"
}

# containerd NAME: the directory of its programs.
containerd() { cat "$BATS_FILE_TMPDIR/$1"; }

set_up() {
	run caisson setup containerd --config "$config" --bin "$BATS_TEST_TMPDIR/bin" "$@" </dev/null
}

# dump NAME: the effective configuration, with quotes of one kind and no indentation.
dump() {
	local programs
	programs=$(containerd "$1")
	"$programs/containerd" --config "$config" config dump 2>/dev/null | sed "s/'/\"/g; s/^ *//"
}

# expect_runtimes NAME PLUGIN: ours and runc, as containerd understands them.
expect_runtimes() {
	local name dumped
	[ -s "$BATS_FILE_TMPDIR/$1" ] || return 0
	dumped=$(dump "$1")
	for name in caisson kata kata-qemu runc; do
		grep -qxF "[$2.containerd.runtimes.$name]" <<<"$dumped" ||
			{ echo "containerd-$1 has no runtime $name: $dumped"; return 1; }
	done
	grep -qxF 'runtime_type = "io.containerd.caisson.v2"' <<<"$dumped"
	[ "$(grep -cxF 'runtime_type = "io.containerd.kata.v2"' <<<"$dumped")" -eq 2 ]
	grep -qxF 'runtime_type = "io.containerd.runc.v2"' <<<"$dumped"
	grep -qxF 'pod_annotations = ["io.caisson.*", "io.katacontainers.*"]' <<<"$dumped"
}

write_version_2() {
	cat >"$config" <<-END
		version = 2
		[$v2] # the section
		  sandbox_image = "own/pause:1"
		  [$v2.containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
		    [$v2.containerd.runtimes.runc.options]
		      SystemdCgroup = true
		[timeouts]
		  "io.containerd.timeout.shim.load" = "7s"
	END
}

write_version_3() {
	cat >"$config" <<-END
		version = 3
		[$v3.containerd.runtimes.runc]
		  runtime_type = 'io.containerd.runc.v2'
		  [$v3.containerd.runtimes.runc.options]
		    SystemdCgroup = true
	END
}

@test "version 2: every containerd has the runtimes, and what was there" {
	write_version_2
	set_up --yes
	expect_status 0
	expect_runtimes bookworm "$v2"
	expect_runtimes forky "$v3"
	expect_runtimes module "$v3"
	needs_containerd bookworm
	run dump bookworm
	expect_output 'sandbox_image = "own/pause:1"'
	expect_output 'SystemdCgroup = true'
	expect_output '"io.containerd.timeout.shim.load" = "7s"'
	needs_containerd forky
	run dump forky
	expect_output 'sandbox = "own/pause:1"'
	expect_output 'SystemdCgroup = true'
}

@test "version 3" {
	write_version_3
	set_up --yes
	expect_status 0
	expect_runtimes forky "$v3"
	expect_runtimes module "$v3"
	needs_containerd forky
	run dump forky
	expect_output 'SystemdCgroup = true'
}

@test "no file at all: one that keeps containerd's own defaults" {
	set_up --yes
	expect_status 0
	expect_runtimes bookworm "$v2"
	expect_runtimes forky "$v3"
	set_up --undo --yes
	expect_status 0
	[ ! -e "$config" ]
}

@test "what containerd prints as its default configuration is understood" {
	local name programs
	for name in bookworm forky module; do
		[ -s "$BATS_FILE_TMPDIR/$name" ] || continue
		programs=$(containerd "$name")
		"$programs/containerd" config default >"$config"
		cp "$config" before
		set_up --yes
		expect_status 0
		case $name in bookworm) expect_runtimes "$name" "$v2" ;; *) expect_runtimes "$name" "$v3" ;; esac
		set_up --undo --yes
		expect_status 0
		cmp "$config" before
	done
}

@test "the change is shown, and nothing is done without a yes" {
	write_version_2
	cp "$config" before
	set_up
	expect_status 125
	expect_output "+[$v2.containerd.runtimes.kata]"
	expect_output "--yes does it"
	set_up --dry-run
	expect_status 0
	expect_output "+++ $config"
	cmp "$config" before
	[ ! -e bin ]
	# What is shown is a patch that makes what --yes makes.
	set_up --dry-run
	sed -n '/^---/,$p' <<<"$output" >change.patch
	cp "$config" patched
	patch -s patched change.patch
	set_up --yes
	cmp "$config" patched
}

@test "a second time there is nothing to do; undo gives back the very same file" {
	write_version_2
	printf '# no line end' >>"$config"
	chmod 640 "$config"
	cp "$config" before
	set_up --yes
	expect_status 0
	cmp config.toml.before-caisson before
	[ "$(stat -c %a "$config")" = 640 ]
	cp "$config" after
	set_up --yes
	expect_status 0
	[ "$output" = "There is nothing to do." ]
	cmp "$config" after
	set_up --undo --yes
	expect_status 0
	cmp "$config" before
	[ "$(stat -c %a "$config")" = 640 ]
	[ ! -e config.toml.before-caisson ]
	[ -z "$(ls bin)" ]
	set_up --undo --yes
	[ "$output" = "There is nothing to do." ]
}

@test "what others changed since stays when it is undone" {
	write_version_2
	set_up --yes
	sed -i 's/7s/9s/' "$config"
	printf '[debug]\nlevel = "info"\n' >>"$config"
	set_up --undo --yes
	expect_status 0
	expect_output "before-caisson, as it was before, is kept"
	grep -q 9s "$config"
	grep -q '^level' "$config"
	run grep -c caisson "$config"
	[ "$output" = 0 ]
}

@test "an import that has the section gets the runtimes, not the main file" {
	mkdir conf.d
	printf 'version = 2\nimports = ["%s/conf.d/*.toml"]\n' "$PWD" >"$config"
	write_imported() { cat >conf.d/cri.toml; }
	write_imported <<-END
		version = 2
		[$v2]
		  sandbox_image = "own/pause:2"
		[$v2.containerd.runtimes.runc]
		  runtime_type = "io.containerd.runc.v2"
	END
	cp "$config" before
	set_up --yes
	expect_status 0
	cmp "$config" before
	expect_runtimes bookworm "$v2"
	expect_runtimes forky "$v3"
	needs_containerd bookworm
	run dump bookworm
	expect_output 'sandbox_image = "own/pause:2"'
	set_up --undo --yes
	run grep -rc caisson conf.d/cri.toml
	[ "$output" = 0 ]
}

@test "a runtime that is there already stays as it is" {
	write_version_2
	printf '[%s.containerd.runtimes.kata]\n  runtime_type = "io.containerd.kata-clh.v2"\n' "$v2" >>"$config"
	set_up --yes
	expect_status 0
	expect_output "the runtime kata is there already ($config:10)"
	[ "$(grep -c 'runtimes.kata]' "$config")" -eq 1 ]
	grep -q 'runtimes.kata-qemu]' "$config"
}

@test "where CRI is off there is nothing to add" {
	printf 'disabled_plugins = ["cri"]\n' >"$config"
	set_up --yes
	expect_status 0
	expect_output "the CRI plugin is off ($config:1)"
	[ "$(cat "$config")" = 'disabled_plugins = ["cri"]' ]
}

# refused TEXT PLACE WORDS
refused() {
	printf '%b' "$1" >"$config"
	cp "$config" before
	set_up --yes
	expect_status 125
	expect_output "$config:$2: "
	expect_output "$3"
	cmp "$config" before
	[ ! -e bin ] && [ ! -e config.toml.before-caisson ]
}

@test "what cannot be understood or added to is refused with its line" {
	refused 'root = "/x"\n' 1 'version 1'
	refused 'version = 1\n[plugins.cri]\n' 1 'version 1'
	refused '\nversion = 9\n' 2 'version 9'
	refused 'version = 2\nroot = "/x\n' 2 'a string is not closed'
	refused 'version = 2\nroot = [1,\n2\n' 4 'a bracket is not closed'
	refused 'version = 2\n[plugins\n' 2 "a table's name is not closed"
	refused 'version = 2\nroot\n' 2 '"=" was expected'
	refused 'version = 2\nx = """\n\n' 4 'not closed'
	refused 'version = 2\nimports = "x"\n' 2 'a list of strings was expected'
	refused 'version = 2\nimports = ["none.toml"]\n' 2 'none.toml'
	refused "version = 2\\n[$v2]\\ncontainerd = { x = 1 }\\n" 3 'write it as tables'
	refused "version = 2\\n[$v2]\\ncontainerd.runtimes.runc.runtime_type = 'x'\\n" 3 'write it as tables'
	refused "version = 2\\nplugins = {}\\n" 2 'write it as tables'
	refused 'version = 2\n# >>> added by caisson setup containerd; --undo removes it\n' 2 'damaged'
}

@test "containerd itself is asked before anything is written" {
	local programs
	needs_containerd bookworm
	programs=$(containerd bookworm)
	PATH=$programs:$PATH
	printf 'version = 2\n[%s.containerd]\n[%s.containerd]\n' "$v2" "$v2" >"$config"
	cp "$config" before
	set_up --yes
	expect_status 125
	expect_output "containerd does not accept the new $config"
	cmp "$config" before
	[ -z "$(find . -name '*trial*')" ] && [ ! -e bin ]
}

@test "the shims are linked where containerd looks, by both names" {
	set_up --yes
	expect_status 0
	local shim
	shim=$(realpath "$CAISSON_DIST/bin/containerd-shim-caisson-v2")
	[ "$(readlink bin/containerd-shim-caisson-v2)" = "$shim" ]
	[ "$(readlink bin/containerd-shim-kata-v2)" = "$shim" ]
	run bin/containerd-shim-kata-v2 -v
	expect_status 0
	expect_output io.containerd.kata.v2
}

@test "a shim of Kata's own stays, and its names with it" {
	mkdir bin
	printf '#!/bin/sh\n' >bin/containerd-shim-kata-v2
	chmod +x bin/containerd-shim-kata-v2
	set_up --yes
	expect_status 0
	expect_output "bin/containerd-shim-kata-v2 is another program and stays as it is"
	grep -q runtimes.caisson "$config"
	run grep -c runtimes.kata "$config"
	[ "$output" = 0 ]
	set_up --undo --yes
	[ -x bin/containerd-shim-kata-v2 ] && [ ! -e bin/containerd-shim-caisson-v2 ]
}
