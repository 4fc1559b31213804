#!/usr/bin/env bash
# Usage: Scripts/replication-kill.sh [ROUNDS [SEED]]
#
# Five enginenode processes on loopback under ROUNDS faults (200 without arguments): kill -9, SIGSTOP
# and SIGCONT, links that are ended or go silent, of a random node, under a load that notes what was
# acknowledged on the disks of the leader and of one follower; when the leader is hit, mostly another
# one is promoted. In the end every acknowledged write is there, and all nodes have the same. With
# FAULTS=kill,cut only those happen (kill, empty: without its directory, pause, cut, silence); with
# WRITERS=32 ACK=wal so many write, and wait for logs instead of disks. With
# NAMESPACES=yes each node is in a network namespace of its own, and members and drill speak TLS; that
# needs root, unshare, ip and openssl; NAMESPACES=auto does nothing where it is not possible.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${1:-200}
seed=${2:-$((EPOCHSECONDS % 32768))}
if [[ ! $rounds =~ ^[1-9][0-9]*$ || ! $seed =~ ^[0-9]+$ ]]; then
    echo "usage: $0 [ROUNDS [SEED]]" >&2
    exit 1
fi
drill=${ENGINEDRILL:-.build/release/enginedrill}
if [[ ! -x $drill ]]; then
    echo "FAILED: no $drill; run 'make replication-kill'" >&2
    exit 1
fi

# Whether a namespace can be made here, and a cable to it.
probe='ip netns add drill-$$ && ip link add type veth peer name a netns drill-$$; s=$?
    ip netns delete drill-$$; exit $s'
if [[ ${NAMESPACES:-no} == auto ]] && ! unshare --net sh -c "$probe" >/dev/null 2>&1; then
    echo "nothing done: no network namespaces can be made here"
    exit 0
fi

work=$(mktemp -d)
arguments=(--rounds "$rounds" --seed "$seed" --directory "$work/nodes")
if [[ -n ${FAULTS:-} ]]; then arguments+=(--faults "$FAULTS"); fi
if [[ -n ${WRITERS:-} ]]; then arguments+=(--writers "$WRITERS"); fi
if [[ -n ${ACK:-} ]]; then arguments+=(--ack "$ACK"); fi
command=("$drill")
if [[ ${NAMESPACES:-no} != no ]]; then
    command=(unshare --net "$drill" --namespaces)
fi
if "${command[@]}" "${arguments[@]}" >"$work/output"; then
    tail -n 1 "$work/output"
    rm -rf "$work"
else
    status=$?
    tail -n 5 "$work/output"
    echo "FAILED: seed $seed; output, directories and logs of the nodes are in $work" >&2
    exit "$status"
fi
