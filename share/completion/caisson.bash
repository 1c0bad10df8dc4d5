# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion of caisson for bash. Verbs and flags come from the program's own help, so that the two cannot
# differ; containers and images from its listings.

# _caisson_verbs: the names in the overview.
_caisson_verbs() {
	caisson --help 2>/dev/null | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# _caisson_flags VERB: its long options; one that takes a value ends with "=".
_caisson_flags() {
	caisson "$1" --help 2>/dev/null |
		sed -nE 's/^ +(-., )?(--[a-z-]+) [^ ].*/\2=/p; s/^ +(-., )?(--[a-z-]+)( .*)?$/\2/p'
}

_caisson_containers() {
	caisson ps "$@" --format '{{.Name}}' 2>/dev/null
}

_caisson_images() {
	caisson images --format '{{.Name}}' 2>/dev/null
}

# _caisson_values FLAG: what may follow it, one a line; nothing where files may.
_caisson_values() {
	case $1 in
	--network | --net) printf '%s\n' none user ;;
	--pull) printf '%s\n' never missing always ;;
	--hypervisor) printf '%s\n' auto caisson-vmm qemu-kvm qemu-tcg ;;
	--signal | --stop-signal) compgen -A signal SIG ;;
	--security-opt) printf '%s\n' seccomp= seccomp=unconfined no-new-privileges ;;
	--tls-verify) printf '%s\n' true false ;;
	--format) printf '%s\n' json table ;;
	--cap-add | --cap-drop) printf '%s\n' ALL CHOWN DAC_OVERRIDE FOWNER KILL MKNOD NET_ADMIN NET_BIND_SERVICE \
		NET_RAW SETGID SETUID SYS_ADMIN SYS_CHROOT SYS_PTRACE SYS_TIME ;;
	*) return 1 ;;
	esac
}

# _caisson_arguments VERB: what its arguments are.
_caisson_arguments() {
	case $1 in
	run | rmi | images) _caisson_images ;;
	exec | stop | kill | wait | pause | stats) _caisson_containers ;;
	unpause) _caisson_containers --filter status=paused ;;
	logs | inspect | rm) _caisson_containers -a ;;
	setup) echo containerd ;;
	esac
}

# _caisson_offer WORDS CURRENT: those that begin like the current word; a space follows unless "=" ends them.
_caisson_offer() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
	[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null || true
}

_caisson() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]-} values
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		_caisson_offer "$(_caisson_verbs)" "$current"
	elif [[ $current == -* ]]; then
		_caisson_offer "$(_caisson_flags "$verb")" "$current"
	else
		[ "$previous" != = ] || previous=${COMP_WORDS[COMP_CWORD - 2]}
		if values=$(_caisson_values "$previous"); then
			_caisson_offer "$values" "${current#=}"
		else
			_caisson_offer "$(_caisson_arguments "$verb")" "$current"
		fi
	fi
	return 0
}

complete -o default -F _caisson caisson
