//! Files that are not what they should be: each gets a clear error, and nothing is stored of it.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;

use serde_json::json;

use crate::house::House;
use crate::skipped;
use crate::starts::NOBODY;
use crate::under_way::{Frozen, transfers};

#[test]
fn a_file_that_changes_while_it_is_sent_is_not_stored() {
    let house = House::of_two();
    let path = house.path("large.pnm");
    let other = house.path("other.pnm");
    house.picture("other.pnm", 2, 50_000_000);
    let changes: [(&str, &dyn Fn()); 4] = [
        ("changed", &|| {
            let file = fs::File::options().append(true).open(&path).unwrap();
            std::io::Write::write_all(&mut &file, b"more").unwrap();
        }),
        ("changed", &|| fs::File::options().write(true).open(&path).unwrap().set_len(9).unwrap()),
        ("deleted", &|| fs::remove_file(&path).unwrap()),
        ("replaced", &|| fs::rename(&other, &path).unwrap()),
    ];
    for (says, change) in changes {
        house.picture("large.pnm", 1, 50_000_000);
        let frozen = Frozen::new(&house, "server");
        let upload = house.imgctl("ana", &["upload", "large.pnm"]).spawn().unwrap();
        transfers(&house, "ana", 1);
        change();
        drop(frozen);
        let output = upload.wait_with_output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{says}: {words}");
        assert!(words.contains("large.pnm") && words.contains(says), "{says}: {words}");
        assert_eq!(house.ok("bruno", &["list"]), "", "{says}");
    }
}

#[test]
fn two_files_of_one_content_are_one_image() {
    let house = House::of_two();
    fs::create_dir(house.path("album")).unwrap();
    for copy in 0..8 {
        house.picture(&format!("album/copy{copy}.pnm"), 1, 2_000_000);
    }
    let (code, document) = house.json("ana", &["upload", "album"]);
    assert_eq!(code, 0, "{document}");
    let results = document["results"].as_array().unwrap();
    let count = |status: &str| results.iter().filter(|one| one["status"] == status).count();
    assert_eq!((count("stored"), count("duplicate")), (1, 7), "{document}");
    assert_eq!(house.json("bruno", &["list"]).1["total"], 1);
}

#[test]
fn what_is_no_image_is_said_for_each_file() {
    let house = House::of_two();
    fs::write(house.path("empty.jpg"), "").unwrap();
    fs::write(house.path("text.jpg"), "no image at all").unwrap();
    std::os::unix::fs::symlink("nowhere", house.path("dangling.jpg")).unwrap();
    for (name, code, says) in [
        ("empty.jpg", "not_an_image", "it is empty"),
        ("text.jpg", "not_an_image", "not an image"),
        ("gone.jpg", "file_error", "no such file"),
        ("dangling.jpg", "file_error", "no such file"),
    ] {
        let (exit, out, words) = house.run("ana", &["upload", name]);
        assert_eq!((exit, out.as_str()), (1, ""), "{name}: {words}");
        assert!(words.contains(name) && words.contains(says), "{name}: {words}");
        let (exit, document) = house.json("ana", &["upload", name]);
        let result = &document["results"][0];
        assert_eq!(
            (exit, &result["status"], &result["error"]["code"]),
            (1, &json!("failed"), &json!(code)),
        );
    }
    // Standard input, too.
    let (exit, _, words) = house.feed("ana", &["upload", "-", "--name", "a.jpg"], b"");
    assert!(exit == 1 && words.contains("empty"), "{words}");
    let (exit, _, words) = house.feed("ana", &["upload", "-", "--name", "a.jpg"], b"no image");
    assert!(exit == 1 && words.contains("not an image"), "{words}");
}

#[test]
fn names_that_no_image_can_have_are_refused() {
    let house = House::of_two();
    house.picture("a.pnm", 1, 300);
    for name in ["", ".", "..", "a/b", "a\\b", &"y".repeat(256)] {
        let (exit, out, words) = house.run("ana", &["upload", "a.pnm", "--name", name]);
        assert_eq!((exit, out.as_str()), (1, ""), "{name}: {words}");
        assert!(words.contains("a name must not"), "{name}: {words}");
    }
    let longest = "y".repeat(255);
    house.ok("ana", &["upload", "a.pnm", "--name", &longest]);
    assert_eq!(house.ok("bruno", &["list"]), format!("{longest}\n"));

    // Not text, and text that would deceive: what is shown is escaped, what is saved is harmless.
    house.picture("x", 2, 300);
    let bytes = std::ffi::OsStr::from_bytes(b"bad\xff.pnm");
    fs::rename(house.path("x"), house.root.path().join(bytes)).unwrap();
    house.picture("a\u{202e}gpj\u{1b}[31m.pnm", 3, 300);
    house.picture("NUL.jpg", 4, 300);
    let upload = house.imgctl("ana", &["upload", "a\u{202e}gpj\u{1b}[31m.pnm", "NUL.jpg"]);
    assert_eq!({ upload }.arg(bytes).status().unwrap().code(), Some(0));
    let list = house.ok("bruno", &["list", "--limit", "3"]);
    let mut names: Vec<_> = list.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["NUL.jpg", "a\\u202egpj\\u001b[31m.pnm", "bad%FF.pnm"]);
    fs::create_dir(house.path("into")).unwrap();
    house.ok("bruno", &["download", "NUL.jpg", "bad%FF.pnm", "-o", "into"]);
    assert!(house.path("into/_NUL.jpg").exists() && house.path("into/bad%FF.pnm").exists());
}

#[test]
fn what_the_daemon_may_not_read_imgctl_reads() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        skipped("a daemon of another person", "needs root");
        return;
    }
    let mut house = House::new();
    let url = house.server();
    // The daemon is nobody's, and so is its home; imgctl is root and may ask it.
    let open = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(house.path(""), 0o755);
    fs::create_dir(house.path("nobody")).unwrap();
    std::os::unix::fs::chown(house.path("nobody"), Some(NOBODY), Some(NOBODY)).unwrap();
    house.picture("mine.pnm", 1, 300_000);
    house.picture("closed.pnm", 2, 300);
    for name in ["mine.pnm", "closed.pnm"] {
        open(house.path(name), 0o600);
    }
    let mut daemon = house.imgrepod("nobody", &["--connect", &url, "--user", "nobody"]);
    daemon.uid(NOBODY).gid(NOBODY);
    house.start_as("nobody", daemon);
    // Nobody's imgctl cannot read it, nor can nobody's daemon.
    let mut theirs = house.imgctl("nobody", &["upload", "closed.pnm"]);
    let output = theirs.uid(NOBODY).gid(NOBODY).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert_eq!(words, "imgctl: cannot read `closed.pnm`: permission denied\n");
    // A descriptor that it is given is enough.
    let mut handed = house.imgctl("nobody", &["upload", "-", "--name", "mine.pnm"]);
    handed.stdin(fs::File::open(house.path("mine.pnm")).unwrap());
    let output = handed.uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(house.ok("server", &["list"]), "mine.pnm\n");
}
