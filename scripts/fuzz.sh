#!/usr/bin/env bash
# Feeds random texts to what reads strangers' words, each target for so many seconds:
# scripts/fuzz.sh [SECONDS [TARGET...]]. Needs a nightly compiler and a C++ compiler, and no cargo-fuzz:
# these are the flags that it would give. What is found is kept in daemon/fuzz/artifacts/.
set -euo pipefail
cd "$(dirname "$0")/../daemon/fuzz"
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || set -- session invitation config
if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    echo "*** NOT PROVEN HERE: fuzzing needs a nightly compiler: rustup toolchain install nightly"
    exit 0
fi
target=$(rustup run nightly rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# The target is named so that programs of the build are built without these flags.
rustup run nightly cargo build --release --target "$target"
for name in "$@"; do
    mkdir -p "corpus/$name" "artifacts/$name"
    "target/$target/release/$name" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="artifacts/$name/" -print_final_stats=1 \
        "corpus/$name" "seeds/$name"
done
