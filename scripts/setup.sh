#!/usr/bin/env bash
# Installs what the tests need beside Rust: Debian packages as root or by sudo (or says the one line that
# does), Python packages in a venv of their own, npm packages and nginx, all under the target directory.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

# A venv of the packages that a file names, made anew when the file changes.
venv() { # folder, file, module that shows that it is whole, options of pip
    local folder=$1 file=$2 module=$3
    shift 3
    if cmp -s "$file" "$folder/installed-requirements.txt" && "$folder/bin/python" -c "import $module" 2>/dev/null; then
        return
    fi
    mkdir -p "$target"
    rm -rf "$folder"
    if ! python3 -m venv "$folder"; then
        echo "cannot make a Python venv: sudo apt-get install -y python3-venv" >&2
        exit 1
    fi
    if ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" -r "$file"; then
        echo "cannot install the Python packages of $file from PyPI: look at the network, then run this again" >&2
        exit 1
    fi
    cp "$file" "$folder/installed-requirements.txt"
}

# What one command alone needs, and nothing else: scripts/setup.sh autobahn|peers
if [ $# -gt 0 ]; then
    venv "$target/venv-$1" "scripts/requirements-$1.txt" "$(sed -n 's/^# module: //p' "scripts/requirements-$1.txt")" \
        --require-hashes
    exit
fi

packages=()
command -v cc >/dev/null || packages+=(build-essential)
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
# Tools of the power-cut and full-disk tests live in sbin, which is not on everybody's PATH.
sbin() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }
sbin mkfs.ext4 || packages+=(e2fsprogs)
sbin losetup && sbin mount || packages+=(mount util-linux)
sbin ps || packages+=(procps)
# The window: WebKit to build and to run it, its driver, a screen that nobody sees, hands for it, letters.
pkg-config --exists webkit2gtk-4.1 2>/dev/null || packages+=(libwebkit2gtk-4.1-dev pkg-config)
command -v WebKitWebDriver >/dev/null || packages+=(webkit2gtk-driver)
command -v Xvfb >/dev/null || packages+=(xvfb)
command -v xdotool >/dev/null || packages+=(xdotool)
command -v import >/dev/null || packages+=(imagemagick)
[ -n "$(ls /usr/share/fonts 2>/dev/null)" ] || packages+=(fonts-dejavu-core)
command -v desktop-file-validate >/dev/null || packages+=(desktop-file-utils)
# The same page in a browser, and its own tests.
command -v chromium >/dev/null || packages+=(chromium)
command -v chromedriver >/dev/null || packages+=(chromium-driver)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

if [ ${#packages[@]} -gt 0 ]; then
    line="apt-get install -y ${packages[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "the tests need what Debian calls: ${packages[*]}; install it by this system's own means" >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        sudo apt-get update -q && sudo apt-get install -y -q --no-install-recommends "${packages[@]}"
    else
        printf 'the tests need a few Debian packages; install them as root and run this again:\n    %s\n' "$line" >&2
        exit 1
    fi
fi

venv "$target/venv" scripts/requirements.txt "websockets, blake3"

# What checks the page, under the target directory too.
if ! scripts/check-ui.sh tools; then
    echo "cannot fetch the npm packages that scripts/check-ui.sh names: look at the network, then \`make setup\`" >&2
    exit 1
fi

# nginx for the recipe of a server behind a proxy. Unpacked and not installed: Debian's package would start
# a service on this computer, on ports that may be somebody's, and the tests need the program alone.
nginx=$target/nginx
unpack_nginx() {
    rm -rf "$nginx" && mkdir -p "$nginx/package" &&
        (cd "$nginx/package" && apt-get download -q nginx) && dpkg -x "$nginx"/package/nginx_*.deb "$nginx" &&
        rm -r "$nginx/package" && "$nginx/usr/sbin/nginx" -v
}
update_lists() { [ "$(id -u)" = 0 ] && apt-get update -q; }
if ! sbin nginx && ! [ -x "$nginx/usr/sbin/nginx" ]; then
    # Again where the lists of packages are missing, or older than what the mirrors have.
    if ! { unpack_nginx || { update_lists && unpack_nginx; }; } >/dev/null 2>&1; then
        rm -rf "$nginx"
        echo "*** NOT PROVEN HERE: a server behind a proxy: install nginx by this system's own means" >&2
    fi
fi
