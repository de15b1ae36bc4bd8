#!/usr/bin/env bash
# Feeds random bytes to what reads strangers' words, each target for so many seconds, so many at once:
# scripts/fuzz.sh [SECONDS [TARGET...]] (FUZZ_JOBS=2). Needs a nightly compiler and a C++ compiler, and no
# cargo-fuzz: these are the flags that it would give. What is found is kept in daemon/fuzz/artifacts/, and
# each target's own words in daemon/fuzz/artifacts/TARGET.log.
set -euo pipefail
cd "$(dirname "$0")/../daemon/fuzz"
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || set -- session frames control classic names invitation config api catalog picture draw
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

fuzz() { # target
    local name=$1 seeds=seeds/$1
    # What is decoded is what is looked at.
    [ "$name" != draw ] || seeds=seeds/picture
    mkdir -p "corpus/$name" "artifacts/$name"
    # An input of draw may be a picture of 100 megapixels, which takes seconds.
    if "target/$target/release/$name" -max_total_time="$seconds" -max_len=8192 -timeout=30 \
        -rss_limit_mb=2048 -artifact_prefix="artifacts/$name/" -print_final_stats=1 \
        "corpus/$name" "$seeds" >"artifacts/$name.log" 2>&1; then
        printf '%-12s %12s inputs, nothing found\n' "$name" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "artifacts/$name.log")"
    else
        printf '%-12s *** FOUND something: daemon/fuzz/artifacts/%s.log\n' "$name" "$name"
        tail -n 25 "artifacts/$name.log"
        return 1
    fi
}

found=0
running=0
for name in "$@"; do
    if [ "$running" -ge "${FUZZ_JOBS:-2}" ]; then
        wait -n || found=1
        running=$((running - 1))
    fi
    fuzz "$name" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || found=1
    running=$((running - 1))
done
exit "$found"
