#!/usr/bin/env bash
# Usage: Scripts/write-amplification.sh [--num N] [--dir DIR]
#
# Puts N random keys (20,000,000 without arguments) with RocksDB's db_bench, then with enginebench:
# equal keys and values, write buffers of 64 MiB, LZ4, and each tool's own compaction until nothing is
# left to do. Prints the bytes that each wrote to log and segments for each byte of keys and values,
# and ends with 1 when enginebench wrote more. db_bench must be on the PATH, enginebench be built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

enginebench=.build/release/enginebench
key_size=16
value_size=100
write_buffer=67108864
num=20000000
parent=${TMPDIR:-/tmp}

fail() {
    echo "error: $1" >&2
    exit "${2:-1}"
}

while (($#)); do
    (($# > 1)) || fail "$1 needs a value, or is unknown; usage: see the top of $0"
    case $1 in
        --num) [[ $2 =~ ^[1-9][0-9]{0,17}$ ]] || fail "--num $2: expected a number above 0"; num=$2 ;;
        --dir) parent=$2 ;;
        *) fail "unknown flag $1; usage: see the top of $0" ;;
    esac
    shift 2
done

command -v db_bench >/dev/null ||
    fail "no db_bench on the PATH; install it with: sudo apt-get install -y rocksdb-tools" 5
[[ -x $enginebench ]] || fail "no $enginebench; run 'make release'" 5

work=$(mktemp -d "$parent/write-amplification-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# run COMMAND...: what it prints on standard output goes to $work/output.
run() { "$@" >"$work/output" 2>"$work/errors" || fail "$1 failed: $(tail -n 3 "$work/errors")" 5; }

run db_bench --db="$work/rocksdb" --benchmarks=fillrandom,waitforcompaction,stats --num="$num" \
    --key_size="$key_size" --value_size="$value_size" --compression_ratio=0.5 \
    --compression_type=lz4 --bloom_bits=10 --write_buffer_size="$write_buffer" --seed=301
# GB are 2^30 bytes there.
read -r rocksdb_log rocksdb_flushed rocksdb_all < <(
    awk '/^Cumulative WAL:/ { sub(/.*written: /, ""); log_bytes = $1 * 2 ^ 30 }
        /^Flush\(GB\): cumulative/ { flushed = $3 * 2 ^ 30 }
        /^Cumulative compaction:/ { all = $3 * 2 ^ 30 }
        END { printf "%.0f %.0f %.0f\n", log_bytes, flushed, all }' "$work/output"
)
[[ $rocksdb_log != 0 && $rocksdb_all != 0 ]] || fail "db_bench printed no figures" 5
rm -rf "$work/rocksdb"

run "$enginebench" --db "$work/engine" --benchmarks fillrandom --num "$num" --settle \
    --key-size "$key_size" --value-size "$value_size" --compression-ratio 0.5 --ack wal \
    --write-buffer-size "$write_buffer" --format json
# member NAME: a number of the row.
member() { sed -nE "s|.*\"$1\":([0-9]+).*|\\1|p" "$work/output"; }
engine_log=$(member walBytesStored)
engine_flushed=$(member flushedBytes)
engine_all=$((engine_flushed + $(member compactedBytes)))

awk -v user=$((num * (key_size + value_size))) \
    -v rocksdb_log="$rocksdb_log" -v rocksdb_flushed="$rocksdb_flushed" \
    -v rocksdb_all="$rocksdb_all" -v engine_log="$engine_log" \
    -v engine_flushed="$engine_flushed" -v engine_all="$engine_all" '
    function row(name, rocksdb, engine) {
        printf "%-22s %12.3f %12.3f %8.2f\n", name, rocksdb / user, engine / user, engine / rocksdb
    }
    BEGIN {
        printf "bytes written for each byte of keys and values\n\n"
        printf "%-22s %12s %12s %8s\n", "", "rocksdb", "enginebench", "ratio"
        row("log", rocksdb_log, engine_log)
        row("flushes", rocksdb_flushed, engine_flushed)
        row("compactions", rocksdb_all - rocksdb_flushed, engine_all - engine_flushed)
        row("all", rocksdb_log + rocksdb_all, engine_log + engine_all)
        exit engine_log + engine_all > rocksdb_log + rocksdb_all
    }'
