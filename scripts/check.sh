#!/usr/bin/env bash
# Says what is missing on this system for `make demo` or `make test`, and the exact fix for each.
# Installs nothing. Usage: scripts/check.sh demo|test [what was asked of make]
set -u
cd "$(dirname "$0")/.."
for_what=${1:-test}
asked=${2:-$for_what}
missing=0

miss() { # what, why, fix
    missing=1
    printf 'missing: %s (%s)\n    fix: %s\n' "$1" "$2" "$3" >&2
}

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
rustup_fix="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env"
if ! command -v cargo >/dev/null; then
    miss "cargo" "Rust builds everything here" "$rustup_fix"
else
    have=$(cargo --version 2>/dev/null | awk '{print $2}')
    if [ "$(printf '%s\n%s\n' "$wanted" "${have:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
        if command -v rustup >/dev/null; then fix="rustup update stable && rustup default stable"; else fix=$rustup_fix; fi
        miss "Rust $wanted" "this is ${have:-unknown}" "$fix"
    fi
fi
command -v cc >/dev/null || miss "cc" "a C compiler builds SQLite" "sudo apt-get install -y build-essential"
command -v make >/dev/null || miss "make" "it runs this" "sudo apt-get install -y make"

if [ "$for_what" = test ]; then
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        miss "python3 with venv" "independent clients are run against the server" \
            "sudo apt-get install -y python3 python3-venv"
    fi
    if ! pkg-config --exists webkit2gtk-4.1 2>/dev/null; then
        miss "WebKitGTK" "the window is built with it; everything else is without" \
            "sudo apt-get install -y libwebkit2gtk-4.1-dev pkg-config"
    fi
    for tool in WebKitWebDriver:webkit2gtk-driver Xvfb:xvfb xdotool:xdotool chromedriver:chromium-driver node:nodejs npm:npm; do
        command -v "${tool%%:*}" >/dev/null ||
            miss "${tool%%:*}" "the window and the page are driven by it" "sudo apt-get install -y ${tool##*:}"
    done
    if ! command -v cargo-nextest >/dev/null; then
        echo "note: cargo-nextest is absent, so cargo test is used (it is slower); cargo install cargo-nextest --locked"
    fi
fi

[ "$missing" = 0 ] || { echo "then run \`make $asked\` again" >&2; exit 1; }
