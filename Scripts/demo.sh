#!/usr/bin/env bash
# Usage: Scripts/demo.sh [--short]
#
# Imports every package record that the system's own lists offer, measures it, kills an import in
# the middle, and compares what the store holds with the source, byte for byte.
# With --short, only the first 3,000 records.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source Scripts/import.sh

count=0
case ${1:-} in
    "") ;;
    --short) count=3000 ;;
    *)
        echo "usage: $0 [--short]" >&2
        exit 1
        ;;
esac
[[ -x $enginectl ]] || fail "no $enginectl; run 'make demo'"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

# check_complete DB INPUT: the store holds every record of an input.
check_complete() {
    export_store "$1" "$work/export.tsv"
    sort -t $'\t' -k1,1 "$2" | cmp - "$work/export.tsv" || fail "the export differs from the input"
    echo "    the export equals the sorted input"
}

# check_source: the values of the last export are the source's stanzas.
check_source() {
    cut -f2- "$work/export.tsv" |
        perl -pe 'BEGIN { %byte = ("\\" => "\\", t => "\t", n => "\n", r => "\r") }
                  s/\\([\\tnr])/$byte{$1}/g' |
        cmp - "$work/source.txt" || fail "the unescaped values differ from the source"
    echo "    the unescaped values equal the source"
}

# stat_of NAME: a number among the lines that stats printed.
stat_of() {
    sed -nE "s/.*\"$1\": ?([0-9]+).*/\1/p" "$work/stats.json" | head -n 1
}

Scripts/package-records.sh "$work" "$count"
input=$work/records.tsv
total=$(count_lines "$input")
bytes=$(wc -c <"$input")
echo "package records: $total, $bytes bytes as TSV"

echo "import of all, acked at .wal, one put a frame"
import_records "$work/whole" "$input" 0
((acked == total)) || fail "import acked $acked records of $total"
awk -v records="$total" -v bytes="$bytes" -v us="$microseconds" 'BEGIN {
    printf "    %.2f s: %.0f records/s, %.1f MB/s\n", us / 1e6, records * 1e6 / us, bytes / us }'
"$enginectl" --db "$work/whole" stats --format json >"$work/stats.json" ||
    fail "stats ended with exit status $?"
raw=$(stat_of walBytesRaw)
stored=$(stat_of walBytesStored)
[[ -n $raw && -n $stored ]] || fail "stats has no walBytesRaw and walBytesStored"
((raw > 0)) || fail "stats counts no byte in the log"
awk -v raw="$raw" -v stored="$stored" 'BEGIN {
    printf "    stored / raw: %d / %d bytes = %.3f\n", stored, raw, stored / raw }'
check_complete "$work/whole" "$input"
check_source

# An import acks every 1,000 records: with few of them, it is through at its first ack.
repeated=0
if ((total < 3000)); then
    repeated=1
    for ((pass = 1; total * pass < 3000 + total; pass++)); do
        append_pass "$input" "$pass" "$work/repeated.tsv"
    done
    input=$work/repeated.tsv
    total=$(count_lines "$input")
    echo "few package records: repeated under other keys, $total in all"
fi

echo "import killed with SIGKILL when acked passes half"
for attempt in {1..10}; do
    rm -rf "$work/killed"
    import_records "$work/killed" "$input" 0 $((total / 2 + 1))
    export_store "$work/killed" "$work/export.tsv"
    held=$(count_lines "$work/export.tsv")
    ((held < total)) && break
    echo "    attempt $attempt: the import was through before the signal; once more"
done
((killed && held < total)) || fail "no import could be killed before it was through"
echo "    acked $acked, the store holds $held"
((held >= acked)) || fail "$acked records were acked, the store holds $held"
check_prefix "$input" "$work/export.tsv" "$held"
echo "    nothing acked is lost; the store is a prefix of the input"

echo "import of the rest, with --skip $held"
import_records "$work/killed" "$input" "$held"
((acked == total - held)) || fail "import acked $acked records of $((total - held))"
check_complete "$work/killed" "$input"
((repeated)) || check_source
echo "demo passed"
