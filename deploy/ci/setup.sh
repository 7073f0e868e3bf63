#!/usr/bin/env bash
# Installs what the tests need and a bare machine may lack: Java 17 and Maven,
# which start a real Apache Kafka broker from its jars, and a real Redis server.
# Go, Node and npm must be there already. Uses apt-get where there is one; elsewhere it says what to
# install. Does nothing when all is there.
set -euo pipefail

missing=()
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v redis-server >/dev/null || missing+=(redis-server)

for tool in go node npm git; do
	if ! command -v "$tool" >/dev/null; then
		echo "setup: $tool is missing; install Go 1.26, Node 20 with npm, and git" >&2
		exit 1
	fi
done

if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "setup: install these and run again: ${missing[*]}" >&2
	exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
