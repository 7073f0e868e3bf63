#!/usr/bin/env bash
# Runs make targets one after the other, all of them even when one fails, and
# prints what each took. Exits 1 when any failed.
set -u
passed=0 failed=0 table=""
begin=$SECONDS
for target in "$@"; do
	echo "=== make $target"
	start=$SECONDS
	if make "$target"; then
		result="ok"
		passed=$((passed + 1))
	else
		result="FAILED"
		failed=$((failed + 1))
	fi
	table+=$(printf '%-15s %-7s %4d s' "$target" "$result" $((SECONDS - start)))$'\n'
done
echo
echo "=== summary"
printf '%s' "$table"
printf '%-15s %-7s %4d s\n' "all" "" $((SECONDS - begin))
echo "steps: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
