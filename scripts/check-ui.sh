#!/usr/bin/env bash
# Checks the page (viewer/ui): the types of its modules by TypeScript, then its tests in node.
# Needs node 18 or newer and npm; TypeScript comes by npm to target/ and nowhere else. The page itself
# needs none of it. Usage: scripts/check-ui.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# The version is pinned: another one finds other faults.
typescript=5.9.3
tools=${CARGO_TARGET_DIR:-target}/ui-tools

for program in node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "missing: $program (it checks the page); fix: sudo apt-get install -y nodejs npm" >&2
        exit 1
    fi
done
if [ "$(cat "$tools/node_modules/typescript/package.json" 2>/dev/null | sed -n 's/^ *"version": "\(.*\)".*/\1/p')" != "$typescript" ]; then
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$tools" "typescript@$typescript"
fi
"$tools/node_modules/.bin/tsc" --project viewer/ui
node --test viewer/ui/tests/*.test.js
