#!/usr/bin/env bash
# Installs the programs and what a person expects beside them: completions, manual pages, an entry in
# the desktop's menu, an icon. Or takes all of that away again, and nothing else.
#
#   scripts/install.sh install|uninstall
#   PREFIX   where to (/usr/local as root, else ~/.local)
#   DESTDIR  put before it, for who makes packages
#   PROFILE  release, or dev: what is built and installed
#   WINDOW   no: without the window; yes: fail where WebKit is missing
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-install}
if [ -z "${PREFIX:-}" ]; then
    if [ "$(id -u)" = 0 ]; then PREFIX=/usr/local; else PREFIX=$HOME/.local; fi
fi
case $PREFIX in /*) ;; *) echo "PREFIX has to be an absolute path, not \`$PREFIX\`" >&2; exit 2 ;; esac
root=${DESTDIR:-}$PREFIX
# What was put where, so that it can be taken away: paths below the prefix.
record=$root/share/imgrepo/installed

take_away() { # a record
    while IFS= read -r file; do
        case $file in /* | *..*) continue ;; esac
        rm -f -- "$root/$file"
    done <"$1"
}
# The desktop's own lists of what is there, where it keeps any; a package does that by itself.
tell_desktop() {
    [ -z "${DESTDIR:-}" ] || return 0
    if command -v update-desktop-database >/dev/null; then
        update-desktop-database -q "$root/share/applications" 2>/dev/null || true
    fi
    if command -v gtk-update-icon-cache >/dev/null && [ -f "$root/share/icons/hicolor/index.theme" ]; then
        gtk-update-icon-cache -q "$root/share/icons/hicolor" 2>/dev/null || true
    fi
}

if [ "$what" = uninstall ]; then
    if ! [ -f "$record" ]; then
        echo "nothing is installed below $root (or not by this); for another place: PREFIX=... make uninstall" >&2
        exit 1
    fi
    take_away "$record"
    rm -f "$record"
    rmdir "$root/share/imgrepo" 2>/dev/null || true
    tell_desktop
    echo "removed from $root; images, queues and settings are where they were"
    exit 0
fi
[ "$what" = install ] || { echo "usage: scripts/install.sh install|uninstall" >&2; exit 2; }

scripts/check.sh demo install
profile=${PROFILE:-release}
built=${CARGO_TARGET_DIR:-target}/$profile
[ "$profile" != dev ] || built=${CARGO_TARGET_DIR:-target}/debug
packages=(-p imgrepod -p imgctl)
programs=(imgrepod imgctl)
webkit=$(pkg-config --exists webkit2gtk-4.1 2>/dev/null && echo yes || echo no)
window=${WINDOW:-$webkit}
if [ "$window" = yes ]; then
    packages+=(-p imgview)
    programs+=(imgview)
fi
cargo build --locked --profile "$profile" "${packages[@]}"

# First all of it beside its place, so that a failure half-way has installed nothing.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
install -D -m 755 -t "$stage/bin" "${programs[@]/#/$built/}"
# The lines of the sources are for who works on these: four fifths of the bytes.
if [ "$profile" = release ] && command -v strip >/dev/null; then
    strip --strip-debug "${programs[@]/#/$stage/bin/}"
fi
"$built/imgctl" man "$stage"
"$built/imgrepod" man "$stage"
if [ "$window" = yes ]; then
    "$built/imgview" --man "$stage"
    install -D -m 644 viewer/assets/imgrepo.svg "$stage/share/icons/hicolor/scalable/apps/imgrepo.svg"
    install -D -m 644 viewer/assets/imgrepo-256.png "$stage/share/icons/hicolor/256x256/apps/imgrepo.png"
    mkdir -p "$stage/share/applications"
    # By its path: a desktop's PATH need not be the shell's.
    sed "s|^Exec=imgview|Exec=\"$PREFIX/bin/imgview\"|; s|^TryExec=imgview|TryExec=$PREFIX/bin/imgview|" \
        viewer/assets/imgview.desktop >"$stage/share/applications/imgview.desktop"
fi
files=$(cd "$stage" && find . -type f | sed 's|^\./||' | LC_ALL=C sort)
# What an earlier version had and this one has not goes away with it.
if [ -f "$record" ]; then take_away "$record"; fi
while IFS= read -r file; do
    mode=644
    case $file in bin/*) mode=755 ;; esac
    install -D -m "$mode" "$stage/$file" "$root/$file"
done <<<"$files"
mkdir -p "$(dirname "$record")"
printf '%s\n' "$files" >"$record"
tell_desktop

count() { grep -c "^$1" <<<"$files" || true; }
echo "installed below $root:"
echo "  bin/           ${programs[*]}"
echo "  share/man/     $(count share/man/) manual pages (man imgctl)"
echo "  share/         completions for bash, zsh and fish"
if [ "$window" = yes ]; then
    echo "  share/         an entry in the desktop's menu, and its icon"
else
    echo "without the window (imgctl view), which needs WebKit:"
    echo "    sudo apt-get install -y libwebkit2gtk-4.1-dev pkg-config && make install"
fi
case :$PATH: in
    *":$PREFIX/bin:"*) ;;
    *) echo "$PREFIX/bin is not in PATH: add it in ~/.profile, or log in again where that does so" ;;
esac
echo "next: imgctl up --help    (to take all of this away: make uninstall)"
