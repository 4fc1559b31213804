#!/usr/bin/env bash
# Usage: Scripts/fuzz.sh SECONDS [DECODER ...]
#
# Fuzzes each decoder for SECONDS, as many at a time as there are processors. Each begins with real
# bytes from a real store, made anew, and with what earlier runs found interesting (.build-fuzz/corpus).
# What breaks is kept in .build-fuzz/found, and the script fails; to run it again:
#
#     .build-fuzz/release/enginefuzz DECODER FILE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

enginefuzz=${ENGINEFUZZ:-.build-fuzz/release/enginefuzz}
seconds=${1:-}
if [[ ! $seconds =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 SECONDS [DECODER ...]" >&2
    exit 1
fi
shift
if [[ ! -x $enginefuzz ]]; then
    echo "FAILED: no $enginefuzz; run 'make fuzz'" >&2
    exit 1
fi
mapfile -t decoders < <((($#)) && printf '%s\n' "$@" || "$enginefuzz" list)

export enginefuzz seconds
export work=.build-fuzz
# What Swift keeps for ever is no leak of ours.
export ASAN_OPTIONS=detect_leaks=0
rm -rf "$work/seeds"
mkdir -p "$work/seeds" "$work/found" "$work/log"
"$enginefuzz" seeds "$work/seeds"

# fuzz DECODER: ends with a line of what was done. An input over 64 KiB is no better than a short one;
# one allocation over 64 MiB, or 2 GiB in all, is more than any such input may take.
fuzz() {
    local corpus=$work/corpus/$1 status=0
    mkdir -p "$corpus"
    "$enginefuzz" "$1" -max_total_time="$seconds" -timeout=20 -max_len=65536 -malloc_limit_mb=64 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$work/found/$1-" \
        "$corpus" "$work/seeds/$1" >"$work/log/$1" 2>&1 || status=$?
    if ((status)); then
        grep -E 'ERROR|SUMMARY|Fatal error|Precondition failed|Test unit written' "$work/log/$1" |
            cut -c1-200
        echo "FAILED: the decoder of a '$1' breaks, see $work/log/$1"
        return 1
    fi
    sed -n 's/^stat::number_of_executed_units: *//p' "$work/log/$1" |
        awk -v name="$1" -v inputs="$(find "$corpus" -type f | wc -l)" -v cover="$(
            sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$work/log/$1"
        )" '{ printf "%-12s %9d inputs tried, %6d edges covered, corpus of %d\n",
            name, $1, cover, inputs }'
}
export -f fuzz

printf '%s\n' "${decoders[@]}" |
    xargs --max-procs="$(nproc)" --replace bash -euo pipefail -c 'fuzz {}' ||
    { echo "FAILED: fuzzing" >&2; exit 1; }
