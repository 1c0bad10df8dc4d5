# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a container is kept from, as runc keeps it: the virtual machine is the second wall, not an excuse.
load helpers

@test "capabilities are docker's fourteen, and what --cap-add and --cap-drop make of them" {
	run caisson run --rm busybox grep CapEff /proc/self/status
	expect_output 00000000a80425fb
	run caisson run --rm --cap-drop ALL busybox grep CapEff /proc/self/status
	expect_output 0000000000000000
	run caisson run --rm --cap-drop ALL --cap-add NET_ADMIN busybox grep CapEff /proc/self/status
	expect_output 0000000000001000
	run caisson run --rm --cap-add NO_SUCH busybox true
	expect_status 125
	expect_output NO_SUCH
}

@test "seccomp is on by default, off when unconfined, and a profile of one's own counts" {
	run caisson run --rm busybox grep -w Seccomp /proc/self/status
	[[ "$output" == *2 ]]
	run caisson run --rm --security-opt seccomp=unconfined busybox grep -w Seccomp /proc/self/status
	[[ "$output" == *0 ]]
	cat >"$BATS_TEST_TMPDIR/profile.json" <<-END
		{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}
	END
	run caisson run --rm --security-opt "seccomp=$BATS_TEST_TMPDIR/profile.json" busybox mkdir /x
	expect_status 1
	expect_output "Permission denied"
}

@test "no new privileges" {
	run caisson run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status
	[[ "$output" == *1 ]]
}

@test "masked and read-only paths" {
	# What docker masks and this kernel has.
	run caisson run --rm busybox sh -c 'cat /proc/interrupts /proc/timer_list | wc -c; ls /sys/firmware | wc -l'
	expect_status 0
	[ "$output" = $'0\n0' ]
	run caisson run --rm busybox sh -c 'echo 1 >/proc/sys/kernel/panic'
	expect_status 1
	expect_output "Read-only"
}

@test "a read-only root, with places to write" {
	run caisson run --rm --read-only --tmpfs /tmp busybox sh -c 'echo x >/tmp/x && echo x >/x'
	expect_status 1
	expect_output "Read-only file system"
}

@test "limits of resources and of the kernel" {
	run caisson run --rm --ulimit nofile=123:456 --sysctl net.ipv4.ip_forward=1 --pids-limit 20 busybox \
		sh -c 'ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /sys/fs/cgroup/pids.max'
	expect_status 0
	[ "$output" = $'123\n456\n1\n20' ]
}

@test "more processes than --pids-limit cannot be" {
	run caisson run --rm --pids-limit -1 busybox cat /sys/fs/cgroup/pids.max
	expect_line max
	run caisson run --rm --pids-limit 5 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait'
	expect_output "fork"
}

@test "devices are the usual ones, and others are refused" {
	run caisson run --rm busybox sh -c 'ls /dev; cat /dev/null; echo x >/dev/full'
	expect_output "No space left"
	run caisson run --rm --cap-add MKNOD busybox sh -c 'mknod /vda b 254 0 && head -c 1 /vda'
	expect_status 1
	run caisson run --rm --device /dev/sda busybox true
	expect_status 125
	expect_one_sentence
}

@test "the same program finds the same confinement under runc" {
	command -v runc >/dev/null || skip "runc is not installed"
	bundle=$BATS_TEST_TMPDIR/bundle
	mkdir -p "$bundle/rootfs"
	skopeo copy -q "oci-archive:$BUSYBOX_ARCHIVE" "oci:$BATS_TEST_TMPDIR/layout:it"
	umoci raw unpack --image "$BATS_TEST_TMPDIR/layout:it" "$bundle/rootfs"
	# Limits that config.json does not name are the starting shell's; what is masked must exist to be seen.
	probe='grep -E "^(Cap|NoNew|Seccomp:|Uid|Gid|Groups)" /proc/self/status; ulimit -a | grep -vE "open files|processes|pending"; umask; pwd; cat /proc/self/oom_score_adj;
		awk "{ print \$5, \$6 }" /proc/self/mountinfo | grep -vE "^/ |/etc/|/sys/fs/cgroup|/proc/(acpi|keys|kcore|latency_stats|sched_debug|scsi|sysrq-trigger|timer_stats)" | sort'
	id=$(caisson run -d busybox sleep 100)
	cp "$CAISSON_STATE/containers/$id/config.json" "$bundle/config.json.ours"
	jq --arg probe "$probe" '.process.args = ["sh", "-c", $probe] | .root.path = "rootfs" | .process.terminal = false
		| del(.linux.cgroupsPath, .linux.resources) | .mounts |= map(select(.type != "cgroup" and (.destination | startswith("/etc/") | not)))
		| del(.process.user.username)' "$bundle/config.json.ours" >"$bundle/config.json"
	caisson exec "$id" sh -c "$probe" >"$BATS_TEST_TMPDIR/ours"
	runc run --bundle "$bundle" "caisson-test-$$" >"$BATS_TEST_TMPDIR/theirs"
	diff -u "$BATS_TEST_TMPDIR/theirs" "$BATS_TEST_TMPDIR/ours"
}
