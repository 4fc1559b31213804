#!/usr/bin/env bash
# The README is short and names the two commands; what a document points to is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failures=0
complain() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}

documents=(README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs/ARCHITECTURE.md docs/STYLE.md)
for document in "${documents[@]}"; do
    [[ -s $document ]] || complain "$document is missing"
done

if [[ -s README.md ]]; then
    lines=$(wc -l <README.md)
    ((lines <= 150)) || complain "README.md has $lines lines, at most 150 are allowed"
    for command in "make bench" "make test"; do
        grep -qF "$command" README.md || complain "README.md does not name '$command'"
    done
fi

while IFS= read -r document; do
    folder=$(dirname "$document")

    # Relative links: [text](path), [text](path#anchor).
    while IFS= read -r link; do
        [[ -e $folder/$link ]] || complain "$document links to $link, which is not there"
    done < <(grep -oE '\]\([^)#: ]+[)#]' "$document" | sed -E 's/^\]\(//; s/[)#]$//' | sort -u)

    # Scripts and make targets that it names.
    while IFS= read -r script; do
        [[ -x $script ]] || complain "$document names $script, which is not there"
    done < <(grep -oE '\bScripts/[a-z-]+\.sh\b' "$document" | sort -u)
    while IFS= read -r target; do
        grep -qE "^$target:" Makefile || complain "$document names 'make $target'; no such target"
    done < <(
        grep -oE '`make [a-z-]+|^( *|\$ )make [a-z-]+( *#.*| +[A-Z_]+=.*)?$' "$document" |
            sed -E 's/^[^m]*make ([a-z-]+).*/\1/' | sort -u
    )
done < <(git ls-files --cached --others --exclude-standard -- '*.md')

((failures == 0)) || exit 1
echo "documents checked"
