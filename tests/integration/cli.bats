# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The command line itself: help, suggestions, listings for programs, exit codes, completion, manual.
load helpers

verbs='check exec images inspect kill load logs pause ps pull rm rmi run stats stop unpause version wait'

@test "every verb explains itself, with an example that names it" {
	for verb in $verbs; do
		run --separate-stderr caisson "$verb" --help
		expect_status 0
		[ -z "$stderr" ]
		grep -q "^Usage: caisson $verb" <<<"$output"
		sed -n '/^Example/,$p' <<<"$output" | grep -q "caisson $verb" || { echo "no example: $verb"; return 1; }
		run caisson help "$verb"
		expect_status 0
	done
	run caisson --help
	for verb in $verbs; do grep -qE "^  $verb " <<<"$output"; done
	[[ "$output" != *publish* ]]
}

@test "what is misspelt is answered with what was meant" {
	run caisson rnu busybox
	expect_status 125
	expect_one_sentence
	expect_output '"run"'
	run caisson imags
	expect_output '"images"'
	run caisson run --interactiv busybox
	expect_status 125
	expect_one_sentence
	expect_output --interactive
	run caisson ps --quite
	expect_output --quiet
	run caisson xyzzy
	expect_status 125
	expect_one_sentence
	[[ "$output" != *"did you mean"* ]]
}

@test "arguments that are missing, too many or out of range" {
	for arguments in '' run exec 'exec x' 'rm' 'version more' 'stop -t x y' 'run --memory lots busybox' \
		'run --cpus none busybox' 'run --cpus 4096 busybox' 'run --vcpus 4096 busybox' 'run -p 99999:1 busybox' 'run --ulimit nofile busybox' 'run --network host busybox' \
		'run --hypervisor none-such busybox' 'run -v not/a/name:/x busybox' 'run --mount type=odd busybox' \
		'run --security-opt odd busybox' 'run --add-host nonsense busybox' 'run --restart always busybox' \
		'run --name -x busybox' 'logs nobody-here' 'stop nobody-here' 'inspect nobody-here' 'rm nobody-here'; do
		# shellcheck disable=SC2086 # a list of words
		run caisson $arguments
		[ "$status" -ne 0 ] || { echo "no complaint: $arguments"; return 1; }
		expect_one_sentence || { echo "arguments: $arguments"; return 1; }
	done
}

@test "flags in every spelling that people use" {
	run caisson run --rm -e A=1 -eB=2 --env C=3 --env=D=4 --hostname=h --read-only=false busybox sh -c 'echo $A $B $C $D $(hostname)'
	expect_status 0
	[ "$output" = "1 2 3 4 h" ]
	run caisson run --rm -- busybox echo -n --rm
	[ "$output" = --rm ]
	# What follows the image is the command's.
	run caisson run --rm busybox echo --help
	[ "$output" = --help ]
}

@test "listings are JSON when asked, and fields in a template" {
	id=$(caisson run -d --name listed --label a=b -p 127.0.0.1:18077:80 busybox sleep 1000)
	for listing in 'ps' 'ps -a' images 'stats --no-stream' check version inspect\ listed; do
		# shellcheck disable=SC2086 # a list of words
		[[ $listing == inspect* ]] && run --separate-stderr caisson $listing || run --separate-stderr caisson $listing --json
		expect_status 0
		jq -e . <<<"$output" >/dev/null || { echo "$listing: $output"; return 1; }
	done
	for listing in ps images 'stats --no-stream'; do
		# shellcheck disable=SC2086
		run --separate-stderr caisson $listing --format json
		jq -e . <<<"$output" >/dev/null || { echo "$listing: $output"; return 1; }
		# shellcheck disable=SC2086
		run --separate-stderr caisson $listing --format '{{json .}}'
		jq -e . <<<"$output" >/dev/null || { echo "$listing: $output"; return 1; }
	done
	run caisson ps --no-trunc --format '{{.ID}} {{.Names}} {{.Image}} {{.Ports}}'
	expect_output "$id listed busybox"
	expect_output 18077
	run caisson ps -q --no-trunc
	[ "$output" = "$id" ]
	run caisson ps --format '{{.NoSuchField}}'
	[ "$status" -ne 0 ]
	expect_one_sentence
	caisson rm -f listed
}

@test "check: every back end, why, and what to do" {
	run caisson check
	expect_status 0
	for name in qemu-kvm qemu-tcg; do expect_output "$name"; done
	run caisson check --json
	[ "$(jq -r '.. | objects | select((.name // .Name) == "qemu-tcg") | (.usable // .Usable)' <<<"$output")" = true ]
}

@test "an id may be shortened, a name may not" {
	id=$(caisson run -d --name longname busybox sleep 1000)
	run caisson exec "${id:0:6}" echo found
	[ "$output" = found ]
	run caisson exec longnam true
	expect_status 125
	caisson rm -f longname
}

@test "a closed output ends a listing, a full one is told" {
	run bash -c 'caisson --help | head -n 1'
	expect_status 0
	run bash -c 'caisson version >/dev/full'
	[ "$status" -ne 0 ]
	expect_one_sentence
	run bash -c 'caisson version <&- 2>&-'
	expect_status 0
}

@test "bash completes verbs, flags, containers and images" {
	caisson run -d --name completed busybox sleep 1000 >/dev/null
	cat >"$BATS_TEST_TMPDIR/complete" <<-'END'
		source "$1"
		shift
		# The function that bash calls, as bash calls it.
		function=$(complete -p caisson | sed -E 's/.*-F ([^ ]+).*/\1/')
		COMP_WORDS=(caisson "$@") COMP_CWORD=$# COMP_LINE="caisson $*" COMP_POINT=$((8 + ${#COMP_LINE}))
		"$function" caisson "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf '%s\n' "${COMPREPLY[@]}"
	END
	completed() {
		run bash "$BATS_TEST_TMPDIR/complete" "$BATS_TEST_DIRNAME/../../share/completion/caisson.bash" "$@"
		expect_status 0
	}
	completed ru
	grep -qx 'run *' <<<"$output"
	completed run --inter
	grep -qx -- '--interactive *' <<<"$output"
	completed exec compl
	grep -qx 'completed *' <<<"$output"
	completed run busy
	grep -q '^busybox' <<<"$output"
	# Every verb of the help, and every flag of each.
	completed ''
	for verb in $verbs; do grep -qx "$verb *" <<<"$output"; done
	for verb in $verbs; do
		completed "$verb" --
		offered=$output
		for flag in $(caisson "$verb" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
			grep -qx -- "$flag=\\? *" <<<"$offered" || { echo "$verb: $flag is not completed"; return 1; }
		done
	done
	caisson rm -f completed
}

@test "every verb has its manual page, and every flag is in it" {
	man=$BATS_TEST_DIRNAME/../../docs/man
	[ -f "$man/caisson.1" ]
	for verb in $verbs; do
		page=$man/caisson-$verb.1
		[ -f "$page" ] || { echo "no $page"; return 1; }
		text=$(mandoc -T ascii "$page" | sed $'s/.\b//g') # bold is overstruck
		for flag in $(caisson "$verb" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | grep -vx -- --help); do
			grep -qF -- "$flag" <<<"$text" || { echo "$page says nothing of $flag"; return 1; }
		done
	done
}

@test "version says what, and from which parts" {
	run caisson version
	expect_status 0
	expect_output 0.1
	run caisson --version
	expect_status 0
}
