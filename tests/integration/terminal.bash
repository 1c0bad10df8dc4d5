# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A person at a terminal, played by expect.

# dialogue: plays the Tcl on standard input. `await` fails the test where its pattern does not come, `finish`
# waits for the end and fails where the exit code is another. The prompt of the container's shell is "/ # ".
dialogue() {
	local script=$BATS_TEST_TMPDIR/dialogue
	cat - >"$script.body"
	cat - "$script.body" >"$script" <<-'END'
		set timeout 120
		set stty_init "rows 33 columns 101"
		set prompt "/ # "
		proc fail {text} {
			puts "\n$text"
			exit 1
		}
		proc await {pattern} {
			expect {
				-re $pattern {}
				timeout { fail "there was no \"$pattern\" in time" }
				eof { fail "it ended without \"$pattern\"" }
			}
		}
		proc finish {code} {
			expect {
				eof {}
				timeout { fail "it did not end" }
			}
			set ended [lindex [wait] 3]
			if {$ended != $code} { fail "it ended with $ended, not $code" }
		}
		# At a shell's prompt: until its terminal has that size. Clients tell it beside the input, so it may
		# come later than what is typed.
		proc await_size {rows columns} {
			send "until stty size | grep '$rows $columns'; do :; done\r"
			await "\n$rows $columns"
		}
		# A prompt that may have been written before anybody listened.
		proc await_prompt {} {
			global prompt
			for {set i 0} {$i < 24} {incr i} {
				send "\r"
				expect {
					-timeout 5 -re $prompt { return }
					timeout {}
					eof { fail "it ended without a prompt" }
				}
			}
			fail "there was no prompt in time"
		}
		# The size of the terminal that the spawned program has; the kernel tells it.
		proc resize {rows columns} {
			global spawn_out
			exec stty rows $rows columns $columns <$spawn_out(slave,name)
		}
	END
	run expect -f "$script" 3>&-
	expect_status 0
}
