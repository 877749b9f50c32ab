#!/usr/bin/env bash
# Records a small tree of tasks over HTTP and reads it back: a parent, two children, one that fails.
#
#     TASKLEDGER_TOKEN=.. record.sh http://127.0.0.1:7300     a token with the role append
#     record.sh unix:ledger/ledger.sock                       no token, as the same user
#
# Needs bash and curl. CURL_CA_BUNDLE names the certificate of an https server of your own.
set -euo pipefail

target=${1:?usage: record.sh URL|unix:PATH}
case $target in
unix:*) where=(--unix-socket "${target#unix:}") base=http://localhost ;;
*) where=() base=${target%/} ;;
esac
thread="example-$$-$RANDOM"

# Asks. The token goes by standard input, since arguments can be read by others.
ask() {
    local path=$1
    shift
    curl -sS --fail-with-body "${where[@]}" -H @- "$@" "$base$path" \
        <<<"${TASKLEDGER_TOKEN:+Authorization: Bearer $TASKLEDGER_TOKEN}"
}

# Records. What a request is for is its key: sent again, it is recorded once.
record() {
    local path=$1 key=$2 json=$3
    ask "$path" -H 'Content-Type: application/json' -H "Idempotency-Key: $thread $key" -d "$json"
}

spawn() {
    record /v1/tasks "spawn $1" "{\"thread_id\":\"$thread\",\"task_type\":\"shell\",\"task_id\":\"$thread-$1\",\"description\":\"$2\"${3:-}}"
}

spawn build 'Build the release'
below=",\"parent_task_id\":\"$thread-build\""
spawn compile 'Compile' "$below"
spawn test 'Run the tests' "$below"
record "/v1/tasks/$thread-compile/end" 'end compile' '{"status":"completed","result":{"warnings":0}}'
record "/v1/tasks/$thread-test/end" 'end test' '{"status":"failed","error":"2 of 31 tests failed"}'
record "/v1/tasks/$thread-build/end" 'end build' '{"status":"failed","error":"the tests failed"}'
# The answer did not come? The same request has the same receipt.
again=$(record "/v1/tasks/$thread-build/end" 'end build' '{"status":"failed","error":"the tests failed"}')
[[ $again == *'"repeated":true'* ]]

tree=$(ask "/v1/threads/$thread/tree?format=jsonl")
printf '%s\n' "$tree"
[[ $(grep -c . <<<"$tree") == 3 ]]
[[ $(grep -c '"status":"failed"' <<<"$tree") == 2 ]]
[[ $(grep -c "\"parent_task_id\":\"$thread-build\"" <<<"$tree") == 2 ]]
