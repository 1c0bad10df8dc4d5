# SPDX-License-Identifier: Apache-2.0
# From "#define __NR_name number" to initializers of an array of names.
/^#define[ \t]+__NR_[a-z]/ && $3 ~ /^[0-9]+$/ { sub(/^__NR_/, "", $2); printf "[%s] = \"%s\",\n", $3, $2 }
