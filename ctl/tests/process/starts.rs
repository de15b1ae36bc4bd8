//! How `imgrepod` starts, and why it does not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::house::House;
use crate::skipped;
use crate::under_way::signal;

const SERVE: [&str; 3] = ["--serve", "--listen", "127.0.0.1:0"];

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    files
}

/// A server's home with one image, its server ended by SIGTERM.
fn kept() -> House {
    let mut house = House::new();
    house.server();
    house.picture("a.pnm", 1, 3_000);
    house.ok("server", &["upload", "a.pnm"]);
    signal(&house, "server", Signal::TERM);
    assert_eq!(house.ended("server"), Some(0));
    house
}

#[test]
fn wrong_usage_is_2_and_says_what_is_right() {
    let mut house = House::new();
    for (args, says) in [
        (&["--serve", "--connect", "x"][..], "--serve and --connect exclude each other"),
        (&["--listen", "127.0.0.1:0"], "--listen needs --serve"),
        (&["--allow-guests"], "--allow-guests needs --serve"),
        (&["--behind-proxy", "10.0.0.1"], "--behind-proxy needs --serve"),
        (&["--serve", "--behind-proxy", "proxy"], "give it as 127.0.0.1 or 10.0.0.0/8"),
        (&["--serve", "--tls-cert", "c.pem"], "--tls-cert and --tls-key belong together"),
        (&["--serve", "--listen", "127.0.0.1:99999"], "give it as HOST:PORT"),
        (&["--serve", "--user", " "], "--user cannot be ` `"),
        (&["--connect", "http://x/"], "must begin with `ws://`"),
        (&["--connect", ""], "`ws://host:8765/`"),
        (&["--bogus"], "--bogus"),
    ] {
        let (code, words) = house.refused("home", args);
        assert_eq!(code, 2, "{args:?}: {words}");
        assert!(words.contains(says), "{args:?}: {words}");
    }
    // Nothing that would hinder a right start is left.
    house.server();
}

#[test]
fn it_listens_elsewhere_encrypted() {
    let mut house = House::new();
    let ready = house.start("wide", &["--serve", "--listen", "0.0.0.0:0"]);
    assert!(ready.contains("serving wss://0.0.0.0:"), "{ready}");
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        skipped("listening on IPv6", "this system has none");
        return;
    }
    let ready = house.start("six", &["--serve", "--listen", "[::1]:0"]);
    let url = ready.split_whitespace().find(|word| word.starts_with("ws://")).unwrap().to_owned();
    assert!(url.starts_with("ws://[::1]:"), "{url}");
    house.start("ana", &["--connect", &url, "--user", "ana"]);
    assert_eq!(house.ok("ana", &["list"]), "");
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() {
    let mut house = House::new();
    fs::create_dir_all(house.path("home/config")).unwrap();
    let file = house.path("home/config/config.toml");
    for (text, says) in [
        ("[server", "line 1: "),
        ("[server]\nlissten = 'x'", "line 2: unknown field `lissten`"),
        (
            "[server]\n\nmax_image_size = '12 parsecs'",
            "line 3: `max_image_size`: `12 parsecs` is no size",
        ),
        ("[server]\ntrash_days = -1", "line 2: "),
        ("[server]\nlisten = 7", "line 2: "),
    ] {
        fs::write(&file, text).unwrap();
        let (code, words) = house.refused("home", &["--serve"]);
        assert_eq!(code, 1, "{words}");
        let begins = format!("imgrepod: cannot use the configuration file `{}`", file.display());
        assert!(words.starts_with(&begins) && words.contains(says), "{text:?}: {words}");
    }
    let gone = house.path("gone.toml");
    let (code, words) = house.refused("home", &["--config", gone.to_str().unwrap()]);
    assert!(code == 1 && words.contains(gone.to_str().unwrap()), "{words}");
}

#[test]
fn what_another_has_is_not_taken() {
    let mut house = House::new();
    let url = house.server();
    let listen = url.trim_start_matches("ws://").trim_end_matches('/');

    let (code, words) = house.refused("other", &["--serve", "--listen", listen]);
    assert_eq!(code, 1);
    assert!(words.contains(&format!("cannot listen on `{listen}`")), "{words}");
    assert!(words.contains("choose one with --listen"), "{words}");

    let (code, words) = house.refused("server", &SERVE);
    let process = house.process("server").id();
    assert_eq!(code, 1);
    assert!(words.contains(&format!("already running (process {process})")), "{words}");

    fs::create_dir(house.path("third")).unwrap();
    std::os::unix::fs::symlink(house.path("server/data"), house.path("third/data")).unwrap();
    let (code, words) = house.refused("third", &SERVE);
    assert!(code == 1 && words.contains("another imgrepod has it open"), "{words}");

    // The one that was there has not noticed.
    house.picture("a.pnm", 1, 3_000);
    house.ok("server", &["upload", "a.pnm"]);
}

#[test]
fn the_socket_of_a_dead_daemon_is_taken_over() {
    let mut house = House::new();
    house.server();
    house.kill("server");
    assert!(house.path("server/run/control.sock").exists());
    assert_eq!(house.run("server", &["status"]).0, 3);
    house.server();
    house.ok("server", &["status"]);
}

#[test]
fn a_catalog_that_cannot_be_trusted_is_left_as_it_is() {
    let mut house = kept();
    let catalog = house.path("server/data/catalog.db");
    let whole = fs::read(&catalog).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..8192].fill(0xaa);
    let mut future = whole.clone();
    // SQLite's user_version: four bytes from the 60th on, big endian (its file format, 1.3).
    future[60..64].copy_from_slice(&99_u32.to_be_bytes());
    for (content, says) in [
        (&damaged[..], "is damaged"),
        (&whole[..100], "is damaged"),
        (&b"not a database at all"[..], "is damaged"),
        (&b""[..], "is damaged"),
        (&future[..], "is of version 99"),
    ] {
        fs::write(&catalog, content).unwrap();
        let before = files(&house.path("server/data"));
        let (code, words) = house.refused("server", &SERVE);
        assert_eq!(code, 1);
        let shown = format!("`{}`", catalog.display());
        assert!(words.contains(&shown) && words.contains(says), "{words}");
        assert!(words.trim_end().ends_with("nothing was changed"), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
        assert!(files(&house.path("server/data")) == before, "{says}: a file was changed");
    }
    fs::remove_file(&catalog).unwrap();
    let before = files(&house.path("server/data"));
    let (code, words) = house.refused("server", &SERVE);
    assert!(code == 1 && words.contains("no catalog.db"), "{words}");
    assert!(files(&house.path("server/data")) == before, "a file was changed");

    // With the file back all is back.
    fs::write(&catalog, whole).unwrap();
    house.server();
    assert_eq!(house.ok("server", &["list"]), "a.pnm\n");
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let mut house = House::new();
    for name in ["data", "state", "run"] {
        fs::create_dir(house.path(name)).unwrap();
        let in_the_way = house.path(name).join(name);
        fs::write(&in_the_way, "no folder").unwrap();
        let (code, words) = house.refused(name, &SERVE);
        assert_eq!(code, 1);
        assert!(words.contains(in_the_way.to_str().unwrap()), "{words}");
    }
    // A disk that is not mounted is not replaced by a new repository.
    fs::create_dir(house.path("away")).unwrap();
    std::os::unix::fs::symlink(house.path("disk"), house.path("away/data")).unwrap();
    let (code, words) = house.refused("away", &SERVE);
    assert!(code == 1 && words.contains("a link to none"), "{words}");
    assert!(!house.path("disk").exists());

    let mut nowhere = house.imgrepod("nowhere", &SERVE);
    nowhere.env_clear();
    let (code, words) = house.refused_as("nowhere", nowhere);
    assert!(code == 1 && words.contains("hint: set HOME, or IMGREPO_HOME"), "{words}");

    if !rustix::process::geteuid().is_root() {
        skipped("another person's folder", "needs root");
        return;
    }
    // Somebody else's, in a place where everybody may look.
    fs::set_permissions(house.root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    fs::create_dir(house.path("theirs")).unwrap();
    let mut stranger = house.imgrepod("theirs", &SERVE);
    stranger.uid(NOBODY).gid(NOBODY);
    let (code, words) = house.refused_as("theirs", stranger);
    assert_eq!(code, 1);
    let theirs = house.path("theirs");
    assert!(words.contains(theirs.to_str().unwrap()), "{words}");
    assert!(words.to_lowercase().contains("permission denied"), "{words}");
}

/// The number of the user `nobody`, who owns nothing.
pub(crate) const NOBODY: u32 = 65534;
