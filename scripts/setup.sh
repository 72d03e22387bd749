#!/usr/bin/env bash
# Installs what this machine lacks, and only that. Usage: scripts/setup.sh [build] [index] [lint] [browser] [instructions]
#   build    cmake and a C++ compiler, for whisper.cpp
#   index    pip, unless an index is configured: pip knows where packages with weights come from
#   lint     rustfmt and clippy
#   browser  Chromium, its driver and a Chinese font, for the browser test
#   instructions  valgrind, which counts them
# Root is asked for only when a Debian package is missing.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

packages=()
want() { # want PACKAGE COMMAND: the package is missing if the command is
    has "$2" || packages+=("$1")
}

for part in "${@:-build}"; do
    case "$part" in
        build)
            want cmake cmake
            want g++ g++
            if ! has cargo; then
                say "cargo is not on the PATH; install Rust 1.95 or newer with rustup, then run this again"
                exit 1
            fi
            ;;
        index)
            if [ -z "${VISITSCRIBE_MODELS__INDEX:-}${PIP_INDEX_URL:-}" ]; then
                python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
            fi
            ;;
        lint)
            want python3 python3
            if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
                if ! has rustup; then
                    say "cargo fmt or cargo clippy is missing, and there is no rustup to add it"
                    exit 1
                fi
                say "adding rustfmt and clippy"
                rustup component add rustfmt clippy
            fi
            ;;
        browser)
            want chromium chromium
            want chromium-driver chromedriver
            dpkg-query -W -f '${Status}' fonts-noto-cjk 2>/dev/null | grep -q 'ok installed' ||
                packages+=(fonts-noto-cjk)
            ;;
        instructions)
            want valgrind valgrind
            ;;
        *)
            say "unknown part '$part': give build, index, lint, browser or instructions"
            exit 2
            ;;
    esac
done

[ "${#packages[@]}" -eq 0 ] && exit 0

if ! has apt-get; then
    say "missing: ${packages[*]} (names of Debian packages); install them with this system's own tool"
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! has sudo; then
        say "missing: ${packages[*]}; as root run: apt-get install --no-install-recommends ${packages[*]}"
        exit 1
    fi
    as_root=(sudo)
fi
say "installing ${packages[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
