#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh SECONDS: builds every fuzz target with clang and runs each for SECONDS on its seeds.
# A crash stays in build/fuzz/crashes; the exit code is non-zero when there was one.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-30}
[ -f build/fuzz/build.ninja ] || CC=clang meson setup build/fuzz -Dfuzz=true \
	-Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized
ninja -C build/fuzz
mkdir -p build/fuzz/crashes
failed=0
passed=0
for target in build/fuzz/tests/fuzz/fuzz-*; do
	[ -f "$target" ] && [ -x "$target" ] || continue
	name=${target##*/fuzz-}
	corpus=build/fuzz/corpus/$name
	mkdir -p "$corpus"
	seeds=
	[ -d "tests/fuzz/corpus/$name" ] && seeds=tests/fuzz/corpus/$name
	echo "fuzz-$name: $seconds s"
	# shellcheck disable=SC2086
	if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/crashes/$name-" "$corpus" $seeds >"build/fuzz/$name.log" 2>&1; then
		passed=$((passed + 1))
		grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$name.log" || true
	else
		failed=$((failed + 1))
		tail -n 40 "build/fuzz/$name.log"
	fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
