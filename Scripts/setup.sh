#!/usr/bin/env bash
# Installs the system packages that the build needs. Does nothing when all of them are there.
# As root it installs them; otherwise it prints the command to run and exits 1.
set -euo pipefail

# The one list of what the project needs from the system, Swift aside.
# openssl makes the certificates of the tests.
packages=(liblz4-dev libxxhash-dev pkgconf openssl)

if ! command -v swift >/dev/null; then
    echo "error: no 'swift' on the PATH; install Swift 6.3 (https://www.swift.org/install)" >&2
    exit 1
fi

is_installed() {
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
    echo "error: system packages are missing; install them with:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
    exit 1
fi

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
        "$@" </dev/null
}
install_missing() { apt install -y --no-install-recommends "${missing[@]}" >/dev/null; }

echo "installing ${missing[*]}"
# Package lists may be absent, or so old that the files they name are gone.
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
    apt update
    install_missing
elif ! install_missing; then
    apt update
    install_missing
fi
