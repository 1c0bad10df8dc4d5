# SPDX-License-Identifier: Apache-2.0
#
# Samples in, one row a subject out, tab-separated:
#     measure subject unit count failures median p95 min ratio
# A sample is "measure subject unit value", the value "failed" where there is none. The ratio is that of the
# medians to runc's of the same measure, "-" where runc was not measured. Rows keep the order of appearance.
BEGIN { FS = OFS = "\t" }

{
	row = $1 FS $2 FS $3
	if (!(row in seen)) {
		seen[row] = 1
		rows[++row_count] = row
	}
	if ($4 == "failed")
		failures[row]++
	else
		values[row, ++count[row]] = $4 + 0
}

# Shell's simplest: there are some dozens of values.
function sort_values(row,    i, j, value) {
	for (i = 2; i <= count[row]; i++) {
		value = values[row, i]
		for (j = i - 1; j >= 1 && values[row, j] > value; j--)
			values[row, j + 1] = values[row, j]
		values[row, j + 1] = value
	}
}

function median(row,    n) {
	n = count[row]
	return n % 2 ? values[row, (n + 1) / 2] : (values[row, n / 2] + values[row, n / 2 + 1]) / 2
}

# The smallest value that at least 95 of 100 do not exceed.
function p95(row,    rank) {
	rank = int(count[row] * 0.95)
	if (rank < count[row] * 0.95)
		rank++
	return values[row, rank]
}

END {
	for (i = 1; i <= row_count; i++)
		sort_values(rows[i])
	for (i = 1; i <= row_count; i++) {
		row = rows[i]
		split(row, part, FS)
		if (!count[row]) {
			print row, 0, failures[row] + 0, "-", "-", "-", "-"
			continue
		}
		runc = part[1] FS "runc" FS part[3]
		ratio = count[runc] && median(runc) > 0 ? sprintf("%.2f", median(row) / median(runc)) : "-"
		print row, count[row], failures[row] + 0, sprintf("%.1f", median(row)), sprintf("%.1f", p95(row)), \
			sprintf("%.1f", values[row, 1]), ratio
	}
}
