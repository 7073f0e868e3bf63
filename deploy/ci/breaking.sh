#!/usr/bin/env bash
# Compares the contract with its previous state: where this branch left
# origin/main, or the commit before when this is main itself. In a clone without
# history there is nothing to compare with but the commit at hand.
# Usage: breaking.sh BUF-COMMAND...
set -euo pipefail

head=$(git rev-parse HEAD)
base=$(git merge-base origin/main HEAD 2>/dev/null || true)
if [ -z "$base" ] || [ "$base" = "$head" ]; then
	base=$(git rev-parse -q --verify HEAD~1 || echo "$head")
fi
"$@" breaking --against ".git#ref=$base"
echo "no breaking change since ${base:0:12}"
