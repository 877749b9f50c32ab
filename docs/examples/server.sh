#!/usr/bin/env bash
# A server as its users meet it: a ledger that was imported, the lines of README.md, a command that runs
# in a second shell and is followed in a third, and all that once more by TCP with a token and TLS.
#
#     docs/examples/server.sh [PROGRAM]     default target/debug/taskledger
#
# Needs bash and curl, and openssl for TLS. Each step is held against what it must show.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:-$root/target/debug/taskledger}")
if ! command -v curl >/dev/null; then
    echo 'SKIPPED: the server as its users meet it, for want of curl' >&2
    exit 0
fi

work=$(mktemp -d)
# The shells that go on; the last one ends first.
shells=()
end() {
    for shell in "${shells[@]}"; do
        kill "$shell" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/taskledger"
export PATH=$work/bin:$PATH
unset TASKLEDGER_DB TASKLEDGER_TOKEN_FILE TASKLEDGER_SERVER
cd "$work"

step() {
    printf '\n# %s\n' "$*"
}

# Fails unless a text holds all of these.
holds() {
    local text=$1 part
    shift
    for part in "$@"; do
        if [[ $text != *"$part"* ]]; then
            printf 'FAILED: %q is not in:\n%s\n' "$part" "$text" >&2
            exit 1
        fi
    done
}

# Waits until a command succeeds.
until_true() {
    local try
    for try in {1..600}; do
        if "$@" >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.1
    done
    printf 'FAILED: waited in vain for %s (%s times)\n' "$*" "$try" >&2
    exit 1
}

step 'A recording is imported'
taskledger demo --keep here >demo.txt
cd here
holds "$(taskledger tasks --status failed)" 'Build for macOS'

step 'The lines of README.md'
# The block of shell after its heading. A line that follows is cut after a second.
readme=$(sed -n '/^## Serving it$/,/^## /p' "$root/README.md" | sed -n '/^```sh$/,/^```$/{/^```/d;p}')
holds "$readme" 'taskledger serve &' 'curl --unix-socket'
answers=''
command=''
while IFS= read -r line; do
    command+=$line
    if [[ $command == *\\ ]]; then
        command=${command%\\}
        continue
    fi
    printf '$ %s\n' "$command"
    case $command in
    'taskledger serve &')
        taskledger serve >/dev/null &
        shells+=($!)
        until_true curl -sf --unix-socket ledger/ledger.sock http://localhost/readyz
        ;;
    'curl -N '*) answers+=$(eval "curl -sS --fail-with-body --max-time 1 ${command#curl}" 2>/dev/null || [[ $? == 28 ]]) ;;
    *) answers+=$(eval "${command/#curl/curl -sS --fail-with-body}") ;;
    esac
    command=''
done <<<"$readme"
holds "$answers" taskledger.tasks/v1 toolu_build_macos taskledger.receipt/v1 '"action":"upserted"'

step 'A command in a second shell, followed in a third, and as a stream'
taskledger log -f -o jsonl >log.jsonl 2>log.err &
shells+=($!)
curl -sSN --unix-socket ledger/ledger.sock 'http://localhost/v1/log?follow=true&thread=live' >stream.jsonl &
shells+=($!)
(taskledger run --thread live --name compile -- sh -c 'echo compiling; exit 3') >run.txt && exit 1 || [[ $? == 3 ]]
holds "$(<run.txt)" compiling
ended='"thread_id":"live".*"outcome":"failed"'
until_true grep -q "$ended" log.jsonl
until_true grep -q "$ended" stream.jsonl
live=$(curl -sS --fail-with-body --unix-socket ledger/ledger.sock http://localhost/v1/threads/live/tree)
holds "$live" '"status":"failed"' '"name":"compile"'
holds "$(taskledger show "$(taskledger tasks --thread live -o name)")" 'exit status 3'

step 'The server stops in order'
kill "${shells[0]}"
wait "${shells[0]}"
[[ ! -e ledger/ledger.sock ]]

# The same by TCP: by this scheme, with this certificate if there is one, and these options of the server.
by_tcp() {
    local scheme=$1 certificate=$2 thread=by-$1
    shift 2
    local tokens=$work/tokens token reader url
    rm -f "$tokens"
    token=$(taskledger token --token-file "$tokens" new writer --role append)
    reader=$(taskledger token --token-file "$tokens" new reader --role read)
    taskledger serve -o jsonl --listen 127.0.0.1:0 --token-file "$tokens" "$@" >serving &
    local server=$!
    shells+=("$server")
    until_true grep -q '"url":' serving
    url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' serving)
    holds "$url" "$scheme://127.0.0.1:"
    local trusted=(${certificate:+--cacert "$certificate"})
    until_true curl -sf "${trusted[@]}" "$url/readyz"
    # Asks with a token, which goes by standard input: arguments can be read by others.
    ask() {
        local by=$1 path=$2
        shift 2
        curl -sS --fail-with-body "${trusted[@]}" -H @- "$@" "$url$path" <<<"Authorization: Bearer $by"
    }
    holds "$(ask "$reader" '/v1/tasks?status=failed')" toolu_build_macos
    ask "$reader" "/v1/log?follow=true&thread=$thread" -N >stream.jsonl &
    shells+=($!)
    local spawn="{\"thread_id\":\"$thread\",\"task_type\":\"shell\",\"description\":\"make all\"}"
    local post=(-H 'Content-Type: application/json' -H "Idempotency-Key: $thread 1" -d "$spawn")
    local receipt
    receipt=$(ask "$token" /v1/tasks "${post[@]}")
    holds "$receipt" '"repeated":false' '"durable":true'
    receipt=$(ask "$token" /v1/tasks "${post[@]}")
    holds "$receipt" '"repeated":true'
    (taskledger run --thread "$thread" -- true) || exit 1
    until_true grep -q '"outcome":"completed"' stream.jsonl
    local there=(taskledger --server "$url" ${certificate:+--ca "$certificate"})
    holds "$(TASKLEDGER_TOKEN=$reader "${there[@]}" tree "$thread")" 'make all'
    TASKLEDGER_TOKEN=$token "${there[@]}" run --thread "$thread" --name afar -- true
    holds "$(TASKLEDGER_TOKEN=$reader "${there[@]}" tasks --thread "$thread")" afar
    local refused
    refused=$(ask wrong /v1/threads 2>/dev/null || [[ $? == 22 ]])
    holds "$refused" '"code":"unauthorized"'
    refused=$(ask "$reader" /v1/tasks "${post[@]}" 2>/dev/null || [[ $? == 22 ]])
    holds "$refused" '"code":"role"'
    kill "$server"
    wait "$server"
}

step 'By TCP with a token'
by_tcp http ''

if ! taskledger serve --help | grep -q -- --tls-cert; then
    echo 'SKIPPED: TLS, which this program does not have' >&2
elif ! command -v openssl >/dev/null; then
    echo 'SKIPPED: TLS, for want of openssl' >&2
else
    step 'By TLS with a token'
    key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
    openssl req -x509 "${key[@]}" -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
    openssl req -x509 -CA ca.pem -CAkey ca.key "${key[@]}" -subj /CN=ledger \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
        -keyout key.pem -out cert.pem 2>/dev/null
    by_tcp https ca.pem --tls-cert cert.pem --tls-key key.pem
fi

step 'And the ledger is what it should be'
holds "$(taskledger verify)" sound
printf '\nok\n'
