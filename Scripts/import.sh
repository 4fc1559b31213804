# shellcheck shell=bash disable=SC2034
# Sourced by the scripts that import records with enginectl and kill it on the way.

export LC_ALL=C

# The tool under test, as `make` builds it.
enginectl=${ENGINECTL:-.build/release/enginectl}

# fail MESSAGE: ends the script.
fail() {
    echo "FAILED: $1" >&2
    exit 1
}

# now: the time, in microseconds.
now() { echo "${EPOCHREALTIME/./}"; }

# export_store DB FILE: writes what the store holds, as TSV in key order.
export_store() {
    "$enginectl" --db "$1" export >"$2" || fail "cannot export the store $1, exit status $?"
}

# count_lines FILE: how many lines a file has.
count_lines() { wc -l <"$1"; }

# append_pass RECORDS PASS INPUT: appends all records to an input; from pass 2 on, under new keys.
append_pass() {
    awk -F '\t' -v OFS='\t' -v pass="$2" 'pass > 1 { $1 = $1 " #" pass } { print }' "$1" >>"$3"
}

# check_prefix INPUT EXPORT COUNT: fails unless an export is the input's first COUNT records.
check_prefix() {
    head -n "$3" "$1" | sort -t $'\t' -k1,1 | cmp - "$2" ||
        fail "the store's $3 records are not the first $3 of the input"
}

# Further flags of the import; set by the script.
import_flags=()

# import_records DB FILE SKIP [KILL_AT DELAY]: imports a file at .wal, one put a frame.
#
# With KILL_AT, sends SIGKILL: DELAY seconds after KILL_AT records of this run are acked; where
# KILL_AT is 0, DELAY seconds after the start. Sets:
#   acked         the highest count that this run acked
#   microseconds  how long it took, up to the kill
#   killed        1, or 0 when the import was through before it could be killed
import_records() {
    local db=$1 file=$2 skip=$3 kill_at=${4:-} delay=${5:-0}
    local acks errors line pid start status=0 sent=0
    errors=$(mktemp)
    start=$(now)
    exec {acks}< <(
        exec "$enginectl" --db "$db" import "$file" --ack wal --format json --skip "$skip" \
            ${import_flags[@]+"${import_flags[@]}"} 2>"$errors"
    )
    pid=$!
    acked=0
    if [[ $kill_at == 0 ]]; then
        sleep "$delay"
        kill -KILL "$pid" 2>/dev/null || true
        microseconds=$(($(now) - start))
        sent=1
    fi
    # What the import printed before it died still waits in the pipe.
    while IFS= read -r line <&"$acks"; do
        [[ $line =~ \"acked\":\ ?([0-9]+) ]] || fail "import printed '$line'"
        acked=${BASH_REMATCH[1]}
        if [[ -n $kill_at ]] && ((!sent && acked >= kill_at)); then
            [[ $delay == 0 ]] || sleep "$delay"
            kill -KILL "$pid" 2>/dev/null || true
            microseconds=$(($(now) - start))
            sent=1
        fi
    done
    exec {acks}<&-
    wait "$pid" || status=$?
    ((sent)) || microseconds=$(($(now) - start))
    killed=$((status == 137))
    if ((status != 0 && !(sent && killed))); then
        cat "$errors" >&2
        fail "import ended with exit status $status"
    fi
    rm -f "$errors"
}
