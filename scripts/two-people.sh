#!/usr/bin/env bash
# Two people, two computers, from nothing to a shared picture: five actions, each as its person types it,
# with what it printed and how long it took. The computers are network namespaces with addresses of their
# own, the homes are empty. Needs root and `ip`, and the programs built: `make two-people`.
#
# Prints `first picture: N.N s`, and fails where the picture is not there, or is another.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${PROGRAMS:-${CARGO_TARGET_DIR:-target}/debug}
programs=$(realpath "$programs")
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null; then
    echo "*** NOT PROVEN HERE: two computers need root and iproute2 (network namespaces)"
    exit 0
fi

ground=$(mktemp -d "${TMPDIR:-/tmp}/imgrepo-two-XXXXXX")
ana=imgrepo-ana-$$ bruno=imgrepo-bruno-$$

# A command of one of them: at their computer, with a login's environment and nothing of ours.
as() { # computer home command...
    local computer=$1 home=$ground/$2
    shift 2
    ip netns exec "$computer" env -i HOME="$home" USER="$(basename "$home")" LANG=C.UTF-8 \
        PATH="$home/.local/bin:/usr/bin:/bin" TMPDIR="$home/tmp" "$@"
}
say() { printf '%s\n' "$*"; }
now() { date +%s%N; }
seconds() { awk -v from="$1" -v to="$2" 'BEGIN { printf "%.1f s", (to - from) / 1e9 }'; }

clean() {
    as "$ana" ana imgctl stop >/dev/null 2>&1 || true
    as "$bruno" bruno imgctl stop >/dev/null 2>&1 || true
    ip netns delete "$ana" 2>/dev/null || true
    ip netns delete "$bruno" 2>/dev/null || true
    if [ "${KEEP:-}" = 1 ]; then say "kept: $ground"; else rm -rf "$ground"; fi
}
trap clean EXIT

for computer in "$ana" "$bruno"; do
    ip netns add "$computer"
    ip -n "$computer" link set lo up
done
ip -n "$ana" link add lan type veth peer lan netns "$bruno"
ip -n "$ana" address add 192.168.77.20/24 dev lan
ip -n "$bruno" address add 192.168.77.30/24 dev lan
ip -n "$ana" link set lan up
ip -n "$bruno" link set lan up
mkdir -p "$ground"/{ana,bruno}/tmp

install_programs() { # home
    install -D -t "$ground/$1/.local/bin" "$programs/imgrepod" "$programs/imgctl"
}

began=$(now)
say "ana\$ make install        # 1"
install_programs ana

say "ana\$ imgctl up --serve --watch ~/Shared        # 2"
step=$(now)
as "$ana" ana bash -c 'cd && imgctl up --serve --watch ~/Shared' | tee "$ground/up"
say "  ($(seconds "$step" "$(now)"))"
link=$(grep -o "imgrepo://[^ ']*" "$ground/up" | head -n 1)

say "bruno\$ make install        # 3"
install_programs bruno

say "bruno\$ imgctl join        # 4, and pastes the link"
step=$(now)
printf '%s\n' "$link" | as "$bruno" bruno bash -c 'cd && imgctl join'
joined=$(now)
say "  ($(seconds "$step" "$joined"))"

# What Bruno looks at meanwhile: it is no action of theirs.
as "$bruno" bruno imgctl --json events -f --since 0 >"$ground/events" &
watcher=$!

say "ana\$ cp rocket.jpg ~/Shared        # 5"
cp ctl/assets/rocket.jpg "$ground/ana/Shared/rocket.jpg"
for _ in $(seq 300); do
    grep -q NEW_UPLOAD "$ground/events" && break
    sleep 0.05
done
seen=$(now)
kill "$watcher" 2>/dev/null || true
wait "$watcher" 2>/dev/null || true
grep -q NEW_UPLOAD "$ground/events" || { say "bruno saw nothing within 15 s"; exit 1; }

as "$bruno" bruno bash -c 'cd && imgctl list --long && imgctl download @last && imgctl status'
cmp "$ground/bruno/rocket.jpg" ctl/assets/rocket.jpg
say "the picture is the same, byte for byte"
say "join: $(seconds "$step" "$joined")"
say "first picture: $(seconds "$began" "$seen") (the programs given, five actions)"
