#!/usr/bin/env bash
# Generates into a folder of its own and compares, so that it works on a tree with
# changes and leaves the tree alone.
# Usage: checkgenerate.sh BUF-COMMAND...
set -euo pipefail

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$(dirname "$0")/generate.sh" "$out" "$@"
if ! diff -r proto/gen "$out/proto/gen"; then
	echo "proto/gen is not what the contract makes: run make generate and commit" >&2
	exit 1
fi
echo "generated files are current"
