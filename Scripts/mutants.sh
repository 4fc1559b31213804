#!/usr/bin/env bash
# Usage: Scripts/mutants.sh [--check] [NAME ...]
#
# Breaks the engine on purpose, and sees that it is noticed. Each Tests/Mutants/NN-NAME.patch breaks
# one promise and says which, and what must notice:
#
#     Broken: the promise, and how it is broken
#     Killed by: sim | replicationsim | test SUITE
#
# A patch is applied to a scratch copy ($MUTANTS_DIR, kept between runs), built there incrementally,
# and a simulation is run seed by seed, or a suite of tests, until something fails. Prints what killed
# it and after how many seeds; a mutant that survives SEEDS seeds (300) fails the script.
# With names, only those patches. CONFIGURATION=debug builds the simulation faster, and runs it slower.
#
# --check applies every patch, and runs only three that are killed by the same means; which ones, the
# number of commits decides. Ends with the mutant at hand after four minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds=${SEEDS:-300}
configuration=${CONFIGURATION:-release}
scratch=${MUTANTS_DIR:-${TMPDIR:-/tmp}/storage-engine-mutants}
check=0
if [[ ${1:-} == --check ]]; then
    check=1
    shift
fi

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

# copy: brings the scratch copy to what is here. Files that are the same keep their times.
copy() {
    local file
    mkdir -p "$scratch"
    git ls-files -z --cached --others --exclude-standard -- \
        Package.swift Sources Tests README.md docs >"$scratch/files"
    while IFS= read -r -d '' file; do
        [[ -f $file ]] || continue
        cmp -s "$file" "$scratch/$file" && continue
        mkdir -p "$scratch/$(dirname "$file")"
        cp "$file" "$scratch/$file"
    done <"$scratch/files"
    while IFS= read -r -d '' file; do
        [[ -f ${file#"$scratch/"} ]] || rm "$file"
    done < <(find "$scratch/Sources" "$scratch/Tests" -type f -print0)
}

# leg PATCH: what must kill it.
leg() { sed -n 's/^Killed by: //p' "$1"; }

# program LEG: the simulation that the leg runs; nothing for tests.
program() {
    case $1 in
    sim) echo enginesim ;;
    replicationsim) echo replicationsim ;;
    esac
}

# build LEG: builds what the leg needs, in the scratch copy.
build() {
    local product
    product=$(program "$1")
    if [[ $product ]]; then
        swift build --package-path "$scratch" --quiet -c "$configuration" --product "$product"
    else
        swift build --package-path "$scratch" --quiet --build-tests
    fi >"$scratch/build.log" 2>&1
}

# run LEG: succeeds when the leg finds fault; `how` says what was found, `count` after how many seeds.
run() {
    local product seed status=0
    count=0
    product=$(program "$1")
    if [[ $product ]]; then
        for ((seed = 0; seed < ${SEEDS_MAX:-$seeds}; seed++)); do
            timeout 60 "$scratch/.build/$configuration/$product" --seeds "$seed..<$((seed + 1))" \
                >"$scratch/run.log" 2>&1 || status=$?
            ((status)) || continue
            count=$((seed + 1))
            how=$(sed -n 's/^FAILED: \(seed [0-9]*, \)*//p' "$scratch/run.log" | head -n 1)
            [[ $how ]] || how="exit status $status"
            return 0
        done
        how="$seed seeds passed"
        return 1
    fi
    (cd "$scratch" && timeout 180 swift test --skip-build --disable-xctest \
        --filter "\.${1#test }/" >run.log 2>&1) || status=$?
    how="the tests passed"
    ((status)) || return 1
    how=$(sed -n 's/.*Test \([a-zA-Z]*\)(.*recorded an issue.*/\1/p' "$scratch/run.log" | head -n 1)
    [[ $how ]] || how="exit status $status"
}

mapfile -t patches < <(printf '%s\n' Tests/Mutants/*.patch)
if ((!check && $#)); then
    patches=()
    for name in "$@"; do
        found=(Tests/Mutants/*"$name"*.patch)
        [[ -f ${found[0]} ]] || fail "there is no mutant $name"
        patches+=("${found[@]}")
    done
fi
for patch in "${patches[@]}"; do
    git apply --check "$patch" || fail "$patch does not apply"
    [[ $(leg "$patch") =~ ^(sim|replicationsim|test\ [A-Za-z]+)$ ]] ||
        fail "$patch does not say what kills it"
    grep -q '^Broken: ' "$patch" || fail "$patch does not say what it breaks"
done
echo "${#patches[@]} mutants apply"

if ((check)); then
    # Three at a time, of one means.
    turns=()
    for kind in sim replicationsim test; do
        mapfile -t found < <(grep -l "^Killed by: $kind" "${patches[@]}")
        for ((index = 0; index < ${#found[@]}; index += 3)); do
            turns+=("${found[*]:index:3}")
        done
    done
    turn=$(($(git rev-list --count HEAD) % ${#turns[@]}))
    read -ra patches <<<"${turns[turn]}"
    echo "turn $turn of ${#turns[@]}: $(basename -a -s .patch "${patches[@]}" | xargs)"
fi

copy
# What fails without a mutant would kill every one.
for kind in sim replicationsim test; do
    mapfile -t filters < <(for patch in "${patches[@]}"; do leg "$patch"; done |
        grep "^$kind" | sort -u)
    ((${#filters[@]})) || continue
    if ! build "$kind"; then
        tail -n 20 "$scratch/build.log"
        fail "the scratch copy does not build"
    fi
    for filter in "${filters[@]}"; do
        if SEEDS_MAX=10 run "$filter"; then
            tail -n 5 "$scratch/run.log"
            fail "without any mutant, '$filter' fails: $how"
        fi
    done
done

begin=$SECONDS
killed=0
survivors=()
counts=()
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    if ((check && SECONDS - begin > 240)); then
        echo "left out for lack of time: $name"
        continue
    fi
    filter=$(leg "$patch")
    start=$SECONDS
    patch --directory="$scratch" --strip=1 --silent <"$patch"
    status=0
    build "$filter" || status=$?
    built=$((SECONDS - start))
    if ((status == 0)) && run "$filter"; then
        killed=$((killed + 1))
        ((count == 0)) || counts+=("$count")
        printf 'killed    %-34s build %3d s, run %3d s, %s: %.90s\n' "$name" "$built" \
            $((SECONDS - start - built)) "$( ((count)) && echo "$count seeds" || echo test)" "$how"
    elif ((status)); then
        tail -n 20 "$scratch/build.log"
        survivors+=("$name")
        printf 'UNBUILT   %s\n' "$name"
    else
        survivors+=("$name")
        printf 'SURVIVED  %-34s %s\n' "$name" "$how"
    fi
    patch --directory="$scratch" --strip=1 --silent --reverse <"$patch"
done

median=$(printf '%s\n' "${counts[@]:-0}" | sort -n | awk '{ a[NR] = $1 }
    END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }')
echo "mutants: $killed killed, ${#survivors[@]} survived; simulated: ${#counts[@]}, median $median seeds"
((${#survivors[@]} == 0)) || fail "not killed: ${survivors[*]}"
