#!/usr/bin/env bash
# A program that depends on this package with `traits: []` resolves only what the engine needs,
# links, and runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/client/Sources/client"
cat >"$work/client/Package.swift" <<SWIFT
// swift-tools-version:6.2
import PackageDescription

let package = Package(
    name: "client",
    dependencies: [.package(name: "storage-engine", path: "$PWD", traits: [])],
    targets: [
        .executableTarget(
            name: "client",
            dependencies: [.product(name: "StorageEngine", package: "storage-engine")])
    ]
)
SWIFT
cat >"$work/client/Sources/client/main.swift" <<'SWIFT'
import StorageEngine
let codes: [EngineError.Code] = EngineError.Code.allCases
print("linked", codes.isEmpty)
SWIFT

swift package --package-path "$work/client" resolve
resolved=$work/client/Package.resolved
[[ -s $resolved ]] || fail "the client resolved nothing; swift-log was expected"
for unwanted in swift-argument-parser hdrhistogram-swift; do
    ! grep -qi "\"identity\" : \"$unwanted\"" "$resolved" || fail "the client resolved $unwanted"
done
pins=$(sed -n 's/.*"identity" : "\(.*\)".*/\1/p' "$resolved" | paste -sd ' ')
[[ $pins == swift-log ]] || fail "the client resolved '$pins'; only swift-log was expected"

swift build --quiet --package-path "$work/client"
output=$("$work/client/.build/debug/client")
[[ $output == "linked false" ]] || fail "the client printed '$output'"
echo "client check passed: resolved $pins, linked and ran"
