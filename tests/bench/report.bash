# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# What the measuring programs share: looking at processes, and the report from $work/facts and $work/rows.

# descendants PID: it and all that come from it.
descendants() {
	local child
	echo "$1"
	cat "/proc/$1/task/"*/children 2>/dev/null | tr ' ' '\n' | while read -r child; do
		[ -z "$child" ] || descendants "$child"
	done
}

# What started through /proc/self/exe has no name but its first argument.
process_name() {
	local name
	name=$(cat "/proc/$1/comm")
	[ "$name" != exe ] || name=$(tr '\0' '\n' <"/proc/$1/cmdline" | head -n 1)
	basename "${name:-exe}"
}

cgroup_mode() {
	case $(stat -f -c %T /sys/fs/cgroup) in
	cgroup2fs) echo v2 ;;
	*) if [ -d /sys/fs/cgroup/unified ]; then echo hybrid; else echo v1; fi ;;
	esac
}

stolen() { awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; printf "%.1f %%", 100 * $9 / all }' /proc/stat; }

print_facts() { awk -F '\t' '$2 != "" { printf "%-14s %s\n", $1, $2 }' "$work/facts"; }

print_rows() {
	awk -F '\t' '
		$1 != last { printf "\n%-8s %-34s %10s %10s %10s %5s %9s %6s\n", $1, "", "median", "p95", "min", "unit", "failed", "ratio"; last = $1 }
		{ printf "%-8s %-34s %10s %10s %10s %5s %9s %6s\n", "", $2, $6, $7, $8, $3, $5 "/" $4 + $5, $9 }' "$work/rows"
}

write_json() {
	jq -n --rawfile facts "$work/facts" --rawfile rows "$work/rows" '
		def number: if . == "-" then null else tonumber end;
		{facts: [$facts | split("\n")[] | select(. != "") | split("\t") | {(.[0]): .[1]}] | add,
		 results: [$rows | split("\n")[] | select(. != "") | split("\t")
			| {measure: .[0], subject: .[1], unit: .[2], count: .[3] | tonumber, failures: .[4] | tonumber,
			   median: .[5] | number, p95: .[6] | number, min: .[7] | number, ratio_to_runc: .[8] | number}]}' >"$1"
}
