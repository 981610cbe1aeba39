#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# size.sh SIZE-PROGRAM ELF…: a table of text (flash) and RAM (data, bss and the reserved stack) by image.
set -eu
size=$1
shift
printf '%-32s %8s %8s\n' image text ram
"$size" -B "$@" | awk 'NR > 1 {
	sub(".*/", "", $6); sub("\\.elf$", "", $6)
	printf "%-32s %8d %8d\n", $6, $1 + $2, $2 + $3
}'
