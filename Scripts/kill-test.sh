#!/usr/bin/env bash
# Usage: Scripts/kill-test.sh [ROUNDS [SEED]]
#
# Kills an importing enginectl with SIGKILL, ROUNDS times in a row (50 without arguments), on one
# growing store. Each run goes on from what the one before left. Two rounds of four have so little
# memory that log files change, indexes are flushed and segments compacted every few hundred records.
# Now and then a range of keys is deleted. After each kill, every record ever acked is there but for
# those, and the store is a prefix of the whole input; every open succeeds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source Scripts/import.sh

rounds=${1:-50}
seed=${2:-$((EPOCHSECONDS % 32768))}
if [[ ! $rounds =~ ^[1-9][0-9]*$ || ! $seed =~ ^[0-9]+$ ]]; then
    echo "usage: $0 [ROUNDS [SEED]]" >&2
    exit 1
fi
[[ -x $enginectl ]] || fail "no $enginectl; run 'make kill'"
RANDOM=$seed

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

store=$work/store
input=$work/input.tsv
# An import acks at least every 1,000 records; leave room for what it does until the signal arrives.
slice_max=10000
passes=0
total=0
# Records of the input up to a line, from one key up to another, are deleted: LINE TAB FROM TAB TO.
deletes=$work/deletes
: >"$deletes"
tiny=(--write-buffer-size 65536 --log-file-size 65536)

# delete_range: deletes a part of all keys, of those that are in the store now.
delete_range() {
    local from to
    pick_letter
    from=$letter
    pick_letter
    to=$from$letter
    "$enginectl" --db "$store" delete --from "$from" --to "$to" --ack wal ||
        fail "a range delete ended with exit status $?"
    printf '%s\t%s\t%s\n' "$held" "$from" "$to" >>"$deletes"
}

# pick_letter: sets `letter`; in no subshell, which would not move RANDOM on.
pick_letter() {
    local letters=abcdefghijklmnopqrstuvwxyz
    letter=${letters:RANDOM % 26:1}
}

# expect COUNT: prints what a store with the input's first COUNT records holds.
expect() {
    head -n "$1" "$input" | awk -F '\t' -v deletes="$deletes" '
        BEGIN {
            while ((getline line < deletes) > 0) {
                split(line, part, "\t")
                count++; through[count] = part[1]; from[count] = part[2]; to[count] = part[3]
            }
        }
        {
            for (i = 1; i <= count; i++)
                if (NR <= through[i] && $1 "" >= from[i] && $1 "" < to[i]) next
            print
        }' | sort -t $'\t' -k1,1
}

# sequence: how many writes the store holds: one a record, one a range delete.
sequence() {
    "$enginectl" --db "$store" stats --format json | sed -E 's/.*"lastSequence":([0-9]+).*/\1/'
}

# extend_input: appends all package records once more.
extend_input() {
    passes=$((passes + 1))
    append_pass "$work/records.tsv" "$passes" "$input"
    total=$(count_lines "$input")
}

Scripts/package-records.sh "$work"
echo "kill test: $rounds rounds, seed $seed"
begin=$(now)
held=0       # how many records the store holds
floor=0      # how many were ever acked
first_ack=0  # microseconds from the start to the first ack of the last such round
by_time=0
through=0    # runs that ended before the signal; they count as no round
round=1
while ((round <= rounds)); do
    while ((total - held < slice_max)); do extend_input; done

    # Every other round is killed shortly after an ack; the rest at any moment before or about it:
    # on the way through opening, recovery and the first records.
    if ((round % 2)); then
        kill_at=1
        delay=$(printf '0.%06d' $((RANDOM % 4 * 1000)))
    else
        kill_at=0
        delay=$(awk -v us="$first_ack" -v share="$RANDOM" \
            'BEGIN { printf "%.6f", us / 1e6 * share / 32768 * 1.2 }')
    fi
    import_flags=()
    if ((round % 4 >= 2)); then import_flags=("${tiny[@]}"); fi
    import_records "$store" "$input" "$held" "$kill_at" "$delay"
    ((floor >= held + acked)) || floor=$((held + acked))

    before=$held
    export_store "$store" "$work/export.tsv"
    held=$(($(sequence) - $(count_lines "$deletes")))
    ((held >= floor)) || fail "round $round: $floor records were acked, the store holds $held"
    ((held >= before)) || fail "round $round: the store shrank from $before to $held records"
    expect "$held" | cmp - "$work/export.tsv" ||
        fail "round $round: the store is not what the first $held records give"
    if ((round % 5 == 0)); then delete_range; fi

    if ((!killed)); then
        through=$((through + 1))
        ((through <= rounds + 10)) || fail "imports are through before the signal, again and again"
        continue
    fi
    if ((kill_at)); then first_ack=$microseconds; else by_time=$((by_time + 1)); fi
    ((round % 10)) || echo "    round $round: ever acked $floor, the store holds $held"
    round=$((round + 1))
done

"$enginectl" --db "$store" verify >/dev/null || fail "verify ended with exit status $?"
segments=$("$enginectl" --db "$store" stats --format json | sed -E 's/.*"segments":([0-9]+).*/\1/')
((rounds < 10 || segments > 0)) || fail "nothing was ever flushed"
deleted=$((held - $(count_lines "$work/export.tsv")))
((rounds < 10 || deleted > 0)) || fail "nothing was ever deleted"
awk -v segments="$segments" -v deletes="$(count_lines "$deletes")" -v deleted="$deleted" \
    -v rounds="$rounds" -v by_time="$by_time" -v held="$held" -v us=$(($(now) - begin)) 'BEGIN {
    printf "kill test passed: %d kills (%d before or about the first ack), %d records, ",
        rounds, by_time, held
    printf "%d of them deleted in %d ranges, %d segments, %.0f s\n",
        deleted, deletes, segments, us / 1e6 }'
