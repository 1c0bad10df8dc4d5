# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A person at a terminal, played by expect.
load helpers
load terminal

@test "a terminal has its size from the first instruction on" {
	dialogue <<-'END'
		spawn caisson run --rm -it busybox stty size
		await "33 101"
		finish 0
	END
	dialogue <<-'END'
		spawn caisson run --rm -it busybox sh -c {tty; stty -a; test -t 0 && test -t 1 && test -t 2 && echo three}
		await "/dev/(pts/0|console)"
		await "isig icanon"
		await three
		finish 0
	END
}

@test "a new size arrives, and the process is told" {
	dialogue <<-'END'
		spawn caisson run --rm -it busybox sh -c {trap "stty size" WINCH; echo ready; while :; do sleep 0.1; done}
		await ready
		resize 50 120
		await "50 120"
		resize 20 70
		await "20 70"
		send "\003"
		finish 130
	END
}

@test "Ctrl-C interrupts what runs in the container, not the front end" {
	dialogue <<-'END'
		spawn caisson run --rm -it busybox sh
		await $prompt
		send "echo go\"\"ing; sleep 1000\r"
		await "going\r\n"
		send "\003"
		await $prompt
		send "echo code \$?\r"
		await "code 130"
		await $prompt
		send "exit 5\r"
		finish 5
	END
}

@test "keys arrive as they are typed, a lone Ctrl-P too" {
	dialogue <<-'END'
		spawn caisson run --rm -it busybox sh
		await $prompt
		send "stty -isig -echo; echo rea\"\"dy; exec cat -v\r"
		await "ready\r\n"
		send "a\003b\032c\020d\r"
		await {a\^Cb\^Zc\^Pd\r\n}
		send "\004"
		finish 0
	END
}

@test "line ends are the terminal's" {
	dialogue <<-'END'
		spawn caisson run --rm -it busybox printf {one\ntwo\n}
		await "one\r\ntwo\r\n"
		finish 0
	END
}

@test "Ctrl-P Ctrl-Q leaves, and the container lives" {
	dialogue <<-'END'
		spawn caisson run -it --name kept busybox sh
		await $prompt
		send "echo before\r"
		await "before\r\n.*$prompt"
		send "\020\021"
		finish 0
	END
	run caisson exec kept echo still
	expect_status 0
	[ "$output" = still ]
	run caisson ps --format '{{.Names}}'
	expect_output kept
	caisson rm -f kept
}

@test "keys of one's own leave" {
	dialogue <<-'END'
		spawn caisson run -it --name kept --detach-keys ctrl-x,q busybox sh
		await $prompt
		send "\030q"
		finish 0
	END
	caisson exec kept true
	caisson rm -f kept
}

# modes_around COMMAND: a shell at a terminal runs the Tcl; the terminal's modes must be as before.
same_modes() {
	cmp "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "the terminal is as it was after an exit" {
	export BATS_TEST_TMPDIR
	dialogue <<-'END'
		spawn bash --norc --noprofile
		send "PS1='host> '\r"
		await "host> $"
		send "stty -g >$env(BATS_TEST_TMPDIR)/before; caisson run --rm -it busybox sh\r"
		await $prompt
		send "exit 3\r"
		await "host> $"
		send "echo code \$?; stty -g >$env(BATS_TEST_TMPDIR)/after; exit\r"
		await "code 3"
		finish 0
	END
	same_modes
}

@test "the terminal is as it was after the shim is killed" {
	export BATS_TEST_TMPDIR
	dialogue <<-'END'
		spawn bash --norc --noprofile
		send "PS1='host> '\r"
		await "host> $"
		send "stty -g >$env(BATS_TEST_TMPDIR)/before; caisson run --rm -it busybox sh\r"
		await $prompt
		exec kill -9 {*}[exec pgrep -f containerd-shim-]
		await "caisson: .*\r\n.*host> $"
		send "echo code \$?; stty -g >$env(BATS_TEST_TMPDIR)/after; exit\r"
		await "code 125"
		finish 0
	END
	same_modes
}

@test "the terminal is as it was after the front end is told to end" {
	export BATS_TEST_TMPDIR
	dialogue <<-'END'
		spawn bash --norc --noprofile
		send "PS1='host> '\r"
		await "host> $"
		send "stty -g >$env(BATS_TEST_TMPDIR)/before; caisson run --rm -it --name told busybox sh\r"
		await $prompt
		exec kill -HUP [exec pgrep -f "^caisson run .*told"]
		await "host> $"
		send "stty -g >$env(BATS_TEST_TMPDIR)/after; exit\r"
		finish 0
	END
	same_modes
}

@test "exec at a terminal: its own size, keys and exit code" {
	caisson run -d --name box busybox sleep 1000 >/dev/null
	dialogue <<-'END'
		spawn caisson exec -it box sh
		await $prompt
		send "stty size\r"
		await "33 101"
		resize 44 90
		await_size 44 90
		send "echo go\"\"ing; sleep 1000\r"
		await "going\r\n"
		send "\003"
		await $prompt
		send "exit 7\r"
		finish 7
	END
	dialogue <<-'END'
		spawn caisson exec -it box sh
		await $prompt
		send "\020\021"
		finish 0
	END
	caisson rm -f box
}

@test "a terminal with a pipe behind it" {
	run bash -c 'echo "echo from the pipe; exit 4" | timeout 180 caisson run --rm -i busybox sh'
	expect_status 4
	[ "$output" = "from the pipe" ]
	# The process may have a terminal without the caller having one, but nobody can type at it.
	run timeout 180 caisson run --rm -t busybox sh -c 'tty; exit 6' </dev/null
	expect_status 6
	expect_output /dev/
	run timeout 180 caisson run --rm -it busybox sh </dev/null
	expect_status 125
	expect_one_sentence
}
