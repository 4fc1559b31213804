#!/usr/bin/env bash
# Usage: Scripts/count-allocations.sh
#
# Counts how often enginebench asks for memory in a lookup: of keys in memory, of keys in segments whose
# blocks are cached, and of keys that are absent. Ends with 1 when that is more than once in 100 lookups.
# Needs a C compiler, and enginebench built for release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

enginebench=$PWD/.build/release/enginebench
num=100000
fail() {
    echo "FAILED: $1" >&2
    exit 1
}
[[ -x $enginebench ]] || fail "no $enginebench; run 'make release'"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/count.c" <<'C'
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
static atomic_ulong count;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
void *malloc(size_t size) { count++; return __libc_malloc(size); }
void *calloc(size_t items, size_t size) { count++; return __libc_calloc(items, size); }
void *realloc(void *old, size_t size) { count++; return __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **result, size_t alignment, size_t size) {
    *result = aligned_alloc(alignment, size);
    return *result ? 0 : 12;
}
__attribute__((destructor)) static void report(void) {
    char text[32];
    int size = snprintf(text, sizeof text, "allocations %lu\n", count);
    if (write(2, text, size) < 0) _exit(9);
}
C
"${CC:-cc}" -O2 -shared -fPIC -o "$work/count.so" "$work/count.c"

# allocations READS FLAG...: of a run with so many lookups.
allocations() {
    LD_PRELOAD=$work/count.so "$enginebench" --db "$work/db" --num "$num" --reads "$@" \
        --format json 2>&1 >/dev/null | sed -nE 's/^allocations ([0-9]+)$/\1/p'
}

# check NAME FLAG...: compares a run with one that has 400,000 lookups more.
check() {
    local name=$1 few many
    shift
    # The first run fills the cache; each process begins with an empty one, which counts in both.
    few=$(allocations 200000 "$@")
    many=$(allocations 600000 "$@")
    [[ $few && $many ]] || fail "$name: nothing was counted"
    awk -v name="$name" -v few="$few" -v many="$many" 'BEGIN {
        printf "%-28s %.4f allocations a lookup\n", name, (many - few) / 400000
        exit (many - few) / 400000 > 0.01
    }' || fail "$name asks for memory"
}

check "in memory" --benchmarks fillseq,readrandom --ack memory
"$enginebench" --db "$work/db" --num "$num" --benchmarks fillseq,compact --ack memory \
    --format json >/dev/null
check "in segments, cached" --use-existing-db --benchmarks readrandom
check "absent" --use-existing-db --benchmarks readmissing
