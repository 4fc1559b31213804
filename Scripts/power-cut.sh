#!/usr/bin/env bash
# Usage: Scripts/power-cut.sh [--kill] [CUTS [SEED]]
#
# Cuts the power of a real file system, CUTS times (200 without arguments): several threads write to
# a store on an ext4 image; at a random moment ext4 is shut down, the writer killed, the image
# mounted again, and the store judged: it opens, holds a prefix of whole batches with every batch
# that was acknowledged at .disk, and `verify` finds nothing. Every other cut throws the journal's
# last transactions away, the others write them. Needs root and a loop device; says so in one line
# and succeeds where there is none.
#
# With --kill, SIGKILL alone, on any file system, without root: every batch acknowledged at .wal is
# there as well.
#
# With CRASH_JSON=FILE the counts are added to that file, as those of `enginesim --json FILE`.
#
# The store stays from cut to cut, so that recoveries are cut too; every twentieth is a new one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

point=disk
if [[ ${1:-} == --kill ]]; then
    point=wal
    shift
fi
cuts=${1:-200}
seed=${2:-$((EPOCHSECONDS % 32768))}
if [[ ! $cuts =~ ^[1-9][0-9]*$ || ! $seed =~ ^[0-9]+$ ]]; then
    echo "usage: $0 [--kill] [CUTS [SEED]]" >&2
    exit 1
fi
RANDOM=$seed
enginesim=${ENGINESIM:-.build/release/enginesim}
if [[ ! -x $enginesim ]]; then
    echo "FAILED: no $enginesim; run 'make power-cut'" >&2
    exit 1
fi

work=$(mktemp -d)
disk=$work/disk
loop=
writer=
trap clean_up EXIT
clean_up() {
    if [[ -n $writer ]]; then kill -KILL "$writer" 2>/dev/null || true; fi
    if mountpoint -q "$disk"; then umount "$disk" || umount --lazy "$disk"; fi
    if [[ -n $loop ]]; then losetup --detach "$loop"; fi
    rm -rf "$work"
}

skip() {
    echo "power cuts skipped: $1"
    exit 0
}
fail() {
    echo "FAILED: $1; seed $seed, cut $cut" >&2
    exit 1
}

mkdir "$disk"
if [[ $point == disk ]]; then
    ((EUID == 0)) || skip "they need root"
    command -v mkfs.ext4 >/dev/null || skip "there is no mkfs.ext4"
    truncate --size 256M "$work/image"
    mkfs.ext4 -q "$work/image"
    loop=$(losetup --find --show "$work/image" 2>/dev/null) || { loop=; skip "no loop device"; }
    mount -t ext4 "$loop" "$disk" 2>/dev/null || skip "an ext4 image cannot be mounted"
fi

# shut_down FLAG: ext4 does nothing from now on; with 2 it loses its journal's unwritten end, with 1
# it writes that. Keeps only what was acknowledged before: an fdatasync that is under way when ext4 is
# shut down may return success for bytes that are lost (seen on Linux 6.18 without the engine too),
# whereas no process sees anything after a power cut. EXT4_IOC_SHUTDOWN = _IOR('X', 125, u32).
shut_down() {
    local size
    size=$(perl -e '
        my ($directory, $flag, $acks) = @ARGV;
        open my $handle, "<", $directory or die "opening $directory: $!\n";
        my $argument = pack "L", $flag;
        my $size = -s $acks;
        ioctl $handle, 0x8004587d, $argument or die "shutting down: $!\n";
        print $size || 0;
    ' "$disk" "$1" "$work/acks") || return 1
    end_writer
    truncate --size "$size" "$work/acks"
}

# end_writer: kills it, and waits.
end_writer() {
    [[ -n $writer ]] || return 0
    kill -KILL "$writer" 2>/dev/null || true
    wait "$writer" 2>/dev/null || true
    writer=
}

# cut_power: what the round does to the disk and the writer.
cut_power() {
    if [[ $point == wal ]]; then
        end_writer
        return
    fi
    shut_down $((1 + cut % 2)) || fail "ext4 cannot be shut down"
    umount "$disk" || fail "the image cannot be unmounted"
    mount -t ext4 "$loop" "$disk" || fail "the image cannot be mounted again"
}

# A shutdown that does nothing would make every promise look kept.
if [[ $point == disk ]]; then
    cut=0
    : >"$work/acks"
    echo unsynced >"$disk/probe"
    shut_down 2 2>/dev/null || skip "ext4 cannot be shut down here"
    ! touch "$disk/after" 2>/dev/null || fail "a file was made after the shutdown"
    umount "$disk"
    mount -t ext4 "$loop" "$disk"
    [[ ! -s $disk/probe ]] || fail "what was never synced survived the shutdown"
    rm -f "$disk/probe"
fi

name=cut
[[ $point == disk ]] || name=kill
echo "$name test: $cuts ${name}s, seed $seed"
begin=$EPOCHREALTIME
acked=0 torn=0 lost=0 orphans=0 openings=0
for ((cut = 1; cut <= cuts; cut++)); do
    if ((cut % 20 == 1)); then
        # Synced, or a cut would bring the old store back.
        rm -rf "$disk/store" "$work/floor"
        sync --file-system "$disk"
    fi
    : >"$work/acks"
    "$enginesim" crash-writer "$disk/store" >>"$work/acks" &
    writer=$!
    # Every fourth within the first 40 ms: on the way through opening and recovery.
    if ((cut % 4)); then limit=400000; else limit=40000; fi
    sleep "$(printf '0.%06d' $((RANDOM * limit / 32768)))"
    kill -0 "$writer" 2>/dev/null || fail "the writer ended: $(tail -n 1 "$work/acks")"
    cut_power

    found=$("$enginesim" crash-check "$disk/store" "$work/acks" "$work/floor" "$point") ||
        fail "the store breaks a promise: $found"
    read -r _ _ _ a _ t _ l _ o <<<"$found"
    grep -q ^open "$work/acks" || openings=$((openings + 1))
    acked=$((acked + a)) lost=$((lost + l)) orphans=$((orphans + o))
    ((t == 0)) || torn=$((torn + 1))
    ((cut % 50)) || echo "    $cut: $found"
done

awk -v name="$name" -v cuts="$cuts" -v begin="$begin" -v end="$EPOCHREALTIME" -v acked="$acked" \
    -v lost="$lost" -v torn="$torn" -v orphans="$orphans" -v openings="$openings" 'BEGIN {
    printf "%s test passed: %d %ss (%d before the store was open, %d amid a flush or compaction, which left files), " \
        "%d batches acknowledged, %d of them lost as they may be, %d torn tails, %.0f s\n",
        name, cuts, name, openings, orphans, acked, lost, torn, end - begin }'

# The counts of `make crash`.
if [[ ${CRASH_JSON:-} ]]; then
    "$enginesim" crash-report "$CRASH_JSON" "$cuts ${name}s, seed $seed" "${name}s=$cuts" \
        "${name}s before the store was open=$openings" "${name}s amid a flush or compaction=$orphans" \
        "torn tails after ${name}s=$torn" "batches acknowledged before ${name}s=$acked"
fi
