# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# dockerd of Docker 26 beside the private containerd: it takes a shim by its name, puts the network's interfaces into
# the namespace by a hook, and has its own ideas of logs and of /etc/hosts. DOCKER is the directory of its programs.
load helpers
load ../terminal

setup_file() {
	[ -n "${DOCKER:-}" ] || skip "docker could not be had on this machine"
	start_containerd
	DOCKER_HOST=unix://$INSTANCE/docker.sock
	DOCKER_CONFIG=$INSTANCE/docker-client
	PATH=$PATH:$DOCKER
	export DOCKER_HOST DOCKER_CONFIG PATH
	# docker-init is looked for, and said to be missing, by every command.
	setsid dockerd --host "$DOCKER_HOST" --containerd "$CONTAINERD_ADDRESS" --data-root "$INSTANCE/docker" \
		--exec-root "$INSTANCE/docker-state" --pidfile "$INSTANCE/docker.pid" </dev/null >"$INSTANCE/docker.log" 2>&1 3>&- &
	wait_for_line "$INSTANCE/docker.log" "API listen on"
	docker load --quiet --input "$IMAGES/busybox.tar" >/dev/null
}

teardown_file() {
	[ -n "${DOCKER:-}" ] || return 0
	local pid
	pid=$(cat "$INSTANCE/docker.pid")
	kill "$pid"
	wait_for_end "$pid"
	stop_containerd
}

teardown() {
	# shellcheck disable=SC2046 # ids are words
	docker rm --force $(docker ps --all --quiet) >/dev/null 2>&1 || true
	docker network prune --force >/dev/null
	nothing_left
}

# run_docker OPTION... IMAGE COMMAND...
run_docker() { timeout --foreground -s KILL 60 docker run --runtime "$TEST_RUNTIME" "$@"; }

# address NAME: of a container.
address() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }

@test "docker run: output, exit code, and a machine of its own" {
	run run_docker --rm busybox sh -c 'uname -r; echo to the other >&2; exit 7'
	expect_status 7
	expect_line "to the other"
	! caisson_is_tested || expect_output caisson
}

@test "docker run -i: what comes in goes out" {
	run bash -c 'seq 5000 | timeout 60 docker run --rm -i --runtime "$TEST_RUNTIME" busybox md5sum'
	expect_status 0
	expect_output "$(seq 5000 | md5sum | cut -d ' ' -f 1)"
}

@test "docker run -it: a terminal of the client's size" {
	dialogue <<-END
		spawn docker run --rm -it --runtime $TEST_RUNTIME busybox sh
		await_prompt
		await_size 33 101
		send "exit 5\r"
		finish 5
	END
}

@test "the interface that a hook brings, with its address, route and names" {
	run run_docker --rm --hostname guest --add-host other:10.9.8.7 --dns 10.88.0.53 busybox \
		sh -c 'ip -4 addr show dev eth0; ip route; cat /etc/hosts /etc/resolv.conf; hostname'
	expect_status 0
	expect_output "inet 172.17.0."
	expect_output "default via 172.17.0.1 dev eth0"
	expect_output "nameserver 10.88.0.53"
	expect_line guest
	[[ "$output" =~ 10\.9\.8\.7[[:space:]]other ]]
}

@test "no network: a loopback, and nobody waits" {
	run run_docker --rm --network none busybox ip -o link show up
	expect_status 0
	[ "${#lines[@]}" -eq 1 ]
	expect_output " lo:"
}

@test "detached: a published port, logs, exec, stats, pause, stop" {
	run_docker -d --name web -p 18091:80 busybox sh -c 'echo hello >/tmp/index.html; echo up; exec httpd -f -p 80 -h /tmp' >/dev/null
	eventually wget -q -O "$BATS_TEST_TMPDIR/page" http://127.0.0.1:18091/
	[ "$(cat "$BATS_TEST_TMPDIR/page")" = hello ]
	[ "$(docker logs web)" = up ]
	run docker exec web sh -c 'cat /tmp/index.html; exit 3'
	expect_status 3
	expect_line hello
	run docker stats --no-stream --format '{{.PIDs}}' web
	expect_line 1
	docker pause web
	docker unpause web
	docker stop --time 1 web >/dev/null
	[ "$(docker inspect --format '{{.State.Status}}' web)" = exited ]
	docker start web >/dev/null
	eventually wget -q -O "$BATS_TEST_TMPDIR/page" http://127.0.0.1:18091/
}

@test "one container asks another by its address" {
	run_docker -d --name server busybox sh -c 'echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp' >/dev/null
	run run_docker --rm busybox timeout 20 sh -c "until wget -q -O - http://$(address server)/; do :; done"
	expect_line hello
}

@test "files: a bind mount, a volume that stays, cp" {
	mkdir "$BATS_TEST_TMPDIR/d"
	run_docker --rm -v "$BATS_TEST_TMPDIR/d:/d" -v kept:/v busybox sh -c 'echo one >/d/file; echo two >/v/file'
	[ "$(cat "$BATS_TEST_TMPDIR/d/file")" = one ]
	run run_docker --rm -v kept:/v:ro busybox sh -c 'cat /v/file; touch /v/no'
	[ "$status" -ne 0 ]
	expect_line two
	docker volume rm kept >/dev/null
	run_docker -d --name held busybox sleep 1000 >/dev/null
	docker cp "$BATS_TEST_TMPDIR/d/file" held:/tmp/copied
	[ "$(docker exec held cat /tmp/copied)" = one ]
}

@test "limits: the machine is made for them" {
	needs_caisson
	# shellcheck disable=SC2016 # the guest's shell expands it
	run run_docker --rm --cpus 1.5 --memory 96m busybox \
		sh -c 'nproc; cat "/sys/fs/cgroup$(cut -d : -f 3 /proc/self/cgroup)/memory.max"'
	expect_status 0
	expect_line 2
	expect_line 100663296
}

@test "the network of another container is refused with its reason" {
	needs_caisson
	run_docker -d --name first busybox sleep 1000 >/dev/null
	run run_docker --rm --network container:first busybox true
	[ "$status" -ne 0 ]
	expect_output "another virtual machine already"
}
