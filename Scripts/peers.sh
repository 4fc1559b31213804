#!/usr/bin/env bash
# Usage: Scripts/peers.sh [--num N] [--reads N] [--threads T] [--rounds R] [--cache-size BYTES]
#                         [--write-rate OPS] [--dir DIR]
#
# Runs RocksDB's db_bench and enginebench in turns, with equal keys, values and threads, and prints
# the medians of their operations a second. db_bench must be on the PATH, enginebench be built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

enginebench=.build/release/enginebench
# fillrandom leaves gaps, so the keys that are read are those of fillseq.
benchmarks=(fillrandom fillseq overwrite readrandom readseq readreverse seekrandom)
beside=readwhilewriting
key_size=16
value_size=100
num=1000000
reads=
threads=1
rounds=3
cache_size=8388608
write_rate=
parent=${TMPDIR:-/tmp}

fail() {
    echo "error: $1" >&2
    exit "${2:-1}"
}

while (($#)); do
    (($# > 1)) || fail "$1 needs a value, or is unknown; usage: see the top of $0"
    [[ $1 == --dir || $2 =~ ^[1-9][0-9]{0,17}$ ]] || fail "$1 $2: expected a number above 0"
    case $1 in
        --num) num=$2 ;;
        --reads) reads=$2 ;;
        --threads) threads=$2 ;;
        --rounds) rounds=$2 ;;
        --cache-size) cache_size=$2 ;;
        --write-rate) write_rate=$2 ;;
        --dir) parent=$2 ;;
        *) fail "unknown flag $1; usage: see the top of $0" ;;
    esac
    shift 2
done
reads=${reads:-$num}

command -v db_bench >/dev/null ||
    fail "no db_bench on the PATH; install it with: sudo apt-get install -y rocksdb-tools" 5
[[ -x $enginebench ]] || fail "no $enginebench; run 'make release'" 5

work=$(mktemp -d "$parent/peers-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
results=$work/results

join() { (IFS=, && echo "$*"); }

# run COMMAND...: what it prints on standard output goes to $work/output.
run() { "$@" >"$work/output" 2>"$work/errors" || fail "$1 failed: $(tail -n 3 "$work/errors")" 5; }

# rocksdb FLAG...: writes are logged and not synced, as at the ack point wal.
rocksdb() {
    run db_bench --db="$work/rocksdb" --num="$num" --reads="$reads" --threads="$threads" \
        --key_size="$key_size" --value_size="$value_size" --compression_ratio=0.5 \
        --compression_type=lz4 --bloom_bits=10 --cache_size="$cache_size" --seed=301 "$@"
    sed -nE 's|^([a-z]+) *: .* micros/op ([0-9]+) ops/sec.*|rocksdb \1 \2|p' "$work/output" \
        >>"$results"
}

# engine FLAG...
engine() {
    run "$enginebench" --db "$work/engine" --num "$num" --reads "$reads" --threads "$threads" \
        --key-size "$key_size" --value-size "$value_size" --compression-ratio 0.5 --ack wal \
        --cache-size "$cache_size" --format json "$@"
    sed -nE 's|^\{"benchmark":"([a-z]+)".*"operationsPerSecond":([0-9.]+).*|engine \1 \2|p' \
        "$work/output" >>"$results"
}

# The writer's rate is one of bytes in db_bench and holds for every write: a run of its own.
rocksdb_rate=()
engine_rate=()
if [[ $write_rate ]]; then
    rocksdb_rate=(--benchmark_write_rate_limit=$((write_rate * (key_size + value_size))))
    engine_rate=(--write-rate "$write_rate")
fi

for ((round = 1; round <= rounds; round++)); do
    [[ -t 2 ]] && echo "round $round of $rounds" >&2
    rm -rf "$work/rocksdb" "$work/engine"
    rocksdb --benchmarks="$(join "${benchmarks[@]}")"
    engine --benchmarks "$(join "${benchmarks[@]}")"
    rocksdb --benchmarks=$beside --use_existing_db=1 ${rocksdb_rate[@]+"${rocksdb_rate[@]}"}
    engine --benchmarks $beside --use-existing-db ${engine_rate[@]+"${engine_rate[@]}"}
done

# median TOOL BENCHMARK
median() {
    awk -v tool="$1" -v name="$2" '$1 == tool && $2 == name { print $3 }' "$results" | sort -n |
        awk '{ all[NR] = $1 }
            END { if (NR) printf "%.0f", (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'
}

echo "operations a second, medians of $rounds rounds in turns: $num keys of $key_size bytes, values"
echo "of $value_size, $reads reads, threads: $threads, a cache of $cache_size bytes,"
echo "${write_rate:-unlimited} writes a second beside reads"
echo
printf '%-18s %12s %12s %8s\n' benchmark rocksdb enginebench ratio
for name in "${benchmarks[@]}" "$beside"; do
    theirs=$(median rocksdb "$name")
    ours=$(median engine "$name")
    [[ $theirs && $ours ]] || fail "no figures for $name" 5
    ratio=$(awk -v ours="$ours" -v theirs="$theirs" 'BEGIN { printf "%.2f", ours / theirs }')
    printf '%-18s %12s %12s %8s\n' "$name" "$theirs" "$ours" "$ratio"
done
