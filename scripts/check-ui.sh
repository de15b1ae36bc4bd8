#!/usr/bin/env bash
# Checks the page (viewer/ui): the types of its modules by TypeScript, then its tests in node.
# Needs node 18 or newer and npm; TypeScript, and axe-core for the tests in browsers, come by npm to
# target/ and nowhere else. The page itself needs none of it.
#
#   scripts/check-ui.sh [tools]    tools: fetches what it needs and checks nothing
set -euo pipefail
cd "$(dirname "$0")/.."
# The versions are pinned: others find other faults.
wanted="typescript@5.9.3 axe-core@4.11.0"
tools=${CARGO_TARGET_DIR:-target}/ui-tools

for program in node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "missing: $program (it checks the page); fix: sudo apt-get install -y nodejs npm" >&2
        exit 1
    fi
done
if [ "$(cat "$tools/fetched" 2>/dev/null)" != "$wanted" ]; then
    # Words without spaces, one a package.
    # shellcheck disable=SC2086
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$tools" $wanted
    printf '%s\n' "$wanted" >"$tools/fetched"
fi
[ "${1:-}" != tools ] || exit 0
"$tools/node_modules/.bin/tsc" --project viewer/ui
node --test viewer/ui/tests/*.test.js
