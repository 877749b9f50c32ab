#!/usr/bin/env bash
# A client that openapi-python-client makes of docs/openapi.json calls every operation of a server.
#
#     tools/server/tests/client/run.sh [PROGRAM]     default target/debug/taskledger
#
# Installs the generator from PyPI into target/openapi-client; says so where it cannot, and ends with 0.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../../.." && pwd)
program=$(realpath "${1:-$root/target/debug/taskledger}")
place=$root/target/openapi-client
generator=openapi-python-client==0.29.1 validator=openapi-spec-validator==0.9.0

skip() {
    printf 'SKIPPED: the generated client, %s\n' "$1" >&2
    exit 0
}

command -v python3 >/dev/null || skip 'python3 is not installed'
mkdir -p "$place"
if [[ ! -x $place/venv/bin/openapi-python-client ]]; then
    python3 -m venv --clear "$place/venv" || skip 'python3 has no venv'
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check \
        "$generator" "$validator" || skip "$generator cannot be installed from PyPI"
fi
"$place/venv/bin/openapi-spec-validator" "$root/docs/openapi.json"
rm -rf "$place/client"
# No hooks: they only format what is generated.
printf 'post_hooks: []\n' >"$place/config.yaml"
"$place/venv/bin/openapi-python-client" generate --path "$root/docs/openapi.json" \
    --config "$place/config.yaml" --meta none --output-path "$place/client/taskledger_client" \
    --fail-on-warning

work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
tokens=$work/tokens
append=$("$program" token --token-file "$tokens" new append --role append)
admin=$("$program" token --token-file "$tokens" new admin --role admin)
node=$("$program" token --token-file "$tokens" new node --role replicate)
"$program" --db "$work/ledger" init >/dev/null
"$program" --db "$work/ledger" serve --listen 127.0.0.1:0 --token-file "$tokens" -o jsonl \
    >"$work/serving" &
server=$!
for _ in {1..300}; do
    grep -q url "$work/serving" && break
    sleep 0.1
done
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$work/serving")
APPEND_TOKEN=$append ADMIN_TOKEN=$admin NODE_TOKEN=$node PYTHONPATH=$place/client \
    "$place/venv/bin/python" "$here/calls.py" "$url"
kill "$server"
wait "$server"
