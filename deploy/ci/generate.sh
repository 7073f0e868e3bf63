#!/usr/bin/env bash
# Generates proto/gen below OUT: Go code and a Swagger document by buf, and from
# the latter the OpenAPI 3 document that is served.
# Usage: generate.sh OUT BUF-COMMAND...
set -euo pipefail

out=$(realpath "$1")
shift
"$@" generate -o "$out"
go run -C tools/openapi . "$out/proto/gen/openapi"
