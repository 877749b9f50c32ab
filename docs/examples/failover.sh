#!/usr/bin/env bash
# A primary and two standbys: load, the primary is killed, a standby is promoted, the old primary comes back
# and rejoins; then a planned switch back, which loses nothing. As docs/replication.md says.
#
#     docs/examples/failover.sh [PROGRAM]     default target/debug/taskledger
#
# Needs bash, and curl for the probes. Each step is held against what it must show.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:-$root/target/debug/taskledger}")
if ! command -v curl >/dev/null; then
    echo 'SKIPPED: a primary that is lost, for want of curl' >&2
    exit 0
fi

work=$(mktemp -d)
declare -A servers=()
end() {
    for server in "${servers[@]}"; do
        kill -9 "$server" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/taskledger"
export PATH=$work/bin:$PATH
unset TASKLEDGER_DB TASKLEDGER_TOKEN_FILE TASKLEDGER_SERVER TASKLEDGER_CA
cd "$work"

step() {
    printf '\n# %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# Fails unless a text holds all of these.
holds() {
    local text=$1 part
    shift
    for part in "$@"; do
        [[ $text == *"$part"* ]] || fail "$part is not in: $text"
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
    tail -n 3 ./*.log >&2 2>/dev/null || true
    fail "waited in vain for $* ($try times)"
}

# Three nodes on one machine. Between machines each has a certificate instead: `taskledger cert`.
# Ports below those that the system gives to clients, which would take one while its server is away.
base=$((20000 + RANDOM % 12000))
declare -A port=([a]=$base [b]=$((base + 1)) [c]=$((base + 2)) [older]=$((base + 3))) url=()
TASKLEDGER_TOKEN=$(taskledger token --token-file tokens new nodes --role replicate)
export TASKLEDGER_TOKEN

# Starts the server of a node, again while its port is taken.
start() {
    local node=$1 try
    shift
    for try in {1..20}; do
        taskledger --db "$node" "$@" --listen "127.0.0.1:${port[$node]}" --token-file tokens \
            -o json >"$node.serving" 2>"$node.log" &
        servers[$node]=$!
        until grep -q '"url":' "$node.serving" || ! kill -0 "${servers[$node]}" 2>/dev/null; do
            sleep 0.1
        done
        if grep -q '"url":' "$node.serving"; then
            url[$node]=http://127.0.0.1:${port[$node]}
            return 0
        fi
        grep -q 'Address already in use' "$node.log" || break
        # At first any port will do.
        [[ -n ${url[$node]:-} ]] || port[$node]=$((port[$node] + 7))
        sleep 0.5
    done
    cat "$node.log" >&2
    fail "the server of $node does not start ($try tries)"
}

stop() {
    kill "$1" "${servers[$2]}"
    wait "${servers[$2]}" 2>/dev/null || true
    unset "servers[$2]"
}

# A field of the state of a node.
state_of() {
    taskledger --db "$1" standby status -o json | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}

is() {
    [[ $(state_of "$1" "$2") == "$3" ]]
}

# Two nodes have the same events.
same() {
    local one other
    one=$(taskledger --db "$1" checkpoint | sed -n 2,3p)
    other=$(taskledger --db "$2" checkpoint | sed -n 2,3p)
    [[ $one == "$other" ]]
}

record() {
    taskledger --db "$1" record spawn --thread "$2" --type shell --id "$3" -o name
}

step 'A primary, and two standbys that make themselves'
taskledger --db a init >/dev/null
record a before first >/dev/null
start a serve
start b standby run --from "${url[a]}"
start c standby run --from "${url[a]}" --from "${url[b]}"
until_true same a b
until_true same a c
until_true is b state following
holds "$(curl -sf "${url[b]}/readyz?max_lag=1m")" ready

step 'Events under load reach both, and can be read there'
for number in {1..40}; do
    record a load "task-$number" >/dev/null
done
until_true same a b
until_true same a c
holds "$(taskledger --db b tasks --thread load -o name)" task-1 task-40
(record b load elsewhere >refused.txt 2>&1) && fail 'a standby recorded'
holds "$(<refused.txt)" 'takes no appends'

step 'The primary is killed, with an event that no standby has'
stop -TERM b
stop -TERM c
record a load nobody-else >/dev/null
stop -9 a
cp -a a older
start b standby run --from "${url[a]}" --from "${url[c]}"
start c standby run --from "${url[a]}" --from "${url[b]}"
until_true is b state disconnected

step 'A promotion without the primary is a loss that has to be accepted'
(taskledger --db b standby promote >refused.txt 2>&1) && fail 'it was promoted'
holds "$(<refused.txt)" '--accept-loss'
promoted=$(taskledger --db b standby promote --accept-loss)
holds "$promoted" primary lost
record b load after-it >/dev/null
until_true same b c

step 'The old primary comes back, hears of its successor, and records nothing more'
start a serve --from "${url[b]}"
until_true is a role fenced
(record a load too-late >refused.txt 2>&1) && fail 'a fenced node recorded'
holds "$(<refused.txt)" fenced
stop -TERM a

step 'It rejoins; the event that nobody else has is kept beside it'
rejoined=$(taskledger --db a standby rejoin --from "${url[b]}")
holds "$rejoined" 'nobody else has'
holds "$(taskledger --db a divergent list)" a.divergent-
holds "$(taskledger --db a divergent show)" nobody-else
start a standby run --from "${url[b]}" --from "${url[c]}"
until_true same a b

step 'A planned switch back loses nothing'
record b load last-of-b >/dev/null
holds "$(taskledger --db a standby promote)" 'no acknowledged event'
is b role fenced || fail 'the old primary is not fenced'
holds "$(taskledger --db a tasks --thread load -o name)" last-of-b
record a load first-of-a >/dev/null
stop -TERM b
taskledger --db b standby rejoin --from "${url[a]}" >/dev/null
start b standby run --from "${url[a]}"
until_true same a b
until_true same a c

step 'An older copy of the primary hears of its successor before it records anything'
start older serve --from "${url[a]}"
is older role fenced || fail 'two primaries'
stop -TERM older

for node in a b c; do
    stop -TERM "$node"
    holds "$(taskledger --db "$node" verify)" sound
done
printf '\na primary was lost, replaced, and taken back\n'
