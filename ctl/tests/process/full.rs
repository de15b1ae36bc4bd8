//! Disks that are full: the server's and the client's. On small file systems in memory, which only
//! root can mount; where that cannot be, it is said.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::house::House;
use crate::skipped;

/// What a server leaves free, and some room beside it.
const SERVER_ROOM: &str = "size=100m";

/// A small file system.
struct Small(PathBuf);

impl Small {
    /// Mounts one at a new folder; None, loudly, where that cannot be.
    fn mount(path: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Small(path)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                skipped("full disks", why.trim());
                None
            }
            Err(error) => {
                skipped("full disks", &format!("cannot run mount: {error}"));
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: the daemons on it may end only after this.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills a disk to its last byte.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let block = vec![1; 4096];
    while file.write_all(&block).is_ok() {}
}

/// Everybody who wants to store is refused, and told why.
fn is_full(house: &House, name: &str) {
    let (code, out, words) = house.run("ana", &["upload", name]);
    assert_eq!((code, out.as_str()), (7, ""), "{words}");
    assert!(words.contains(name) && words.contains("disk is full"), "{words}");
    let (code, document) = house.json("ana", &["upload", name]);
    assert_eq!(
        (code, &document["results"][0]["error"]["code"]),
        (7, &json!("storage_full")),
        "{document}"
    );
}

/// Uploads until no more fits; how many there are.
fn upload_until_full(house: &House, bytes: usize, most: u32) -> u32 {
    for number in 1..most {
        let name = format!("{number}.pnm");
        house.picture(&name, number, bytes);
        let (code, _, words) = house.run("ana", &["upload", &name]);
        if code != 0 {
            assert_eq!(code, 7, "{words}");
            return number - 1;
        }
    }
    panic!("{most} pictures of {bytes} bytes fit");
}

/// Whoever only reads notices nothing.
fn is_readable(house: &House, images: u32) {
    assert_eq!(house.ok("bruno", &["list"]).lines().count(), images as usize);
    house.ok("bruno", &["download", "1.pnm", "-o", "copy.pnm", "--force"]);
    let [copy, original] = ["copy.pnm", "1.pnm"].map(|name| fs::read(house.path(name)).unwrap());
    assert!(copy == original);
}

#[test]
fn a_server_without_room_refuses_contents_and_does_all_else() {
    let mut house = House::new();
    let data = house.path("server/data");
    let Some(_small) = Small::mount(data.clone(), SERVER_ROOM) else { return };
    start(&mut house);
    let images = upload_until_full(&house, 8_000_000, 14);
    assert!((2..8).contains(&images), "{images}");
    let next = format!("{}.pnm", images + 1);
    is_full(&house, &next);
    is_readable(&house, images);
    // The catalog has the room that was left for it.
    house.ok("ana", &["rename", "2.pnm", "other.pnm"]);

    // Somebody else fills the rest: to read still goes on, and nothing is lost.
    fill(&data.join("filler"));
    is_full(&house, &next);
    is_readable(&house, images);
    fs::remove_file(data.join("filler")).unwrap();

    // Room is made: it goes on by itself.
    house.ok("ana", &["rm", "other.pnm"]);
    house.ok("server", &["trash", "empty", "--yes"]);
    house.ok("ana", &["upload", &next]);
    is_readable(&house, images);
}

#[test]
fn a_server_without_room_for_more_files_is_full() {
    let mut house = House::new();
    let data = house.path("server/data");
    let Some(_small) = Small::mount(data, "size=200m,nr_inodes=400") else { return };
    start(&mut house);
    // Large enough that each has a file of its own at once: small ones wait in the journal, which
    // needs none.
    let images = upload_until_full(&house, 300_000, 400);
    let next = format!("{}.pnm", images + 1);
    is_full(&house, &next);
    is_readable(&house, images);
    for number in 2..12 {
        house.ok("ana", &["rm", &number.to_string()]);
    }
    house.ok("server", &["trash", "empty", "--yes"]);
    house.ok("ana", &["upload", &next]);
}

#[test]
fn a_download_without_room_leaves_nothing() {
    let mut house = House::new();
    let into = house.path("into");
    let Some(_small) = Small::mount(into.clone(), "size=4m") else { return };
    start(&mut house);
    house.picture("large.pnm", 1, 8_000_000);
    house.ok("ana", &["upload", "large.pnm"]);
    let (code, out, words) = house.run("bruno", &["download", "1", "-o", "into"]);
    assert_eq!((code, out.as_str()), (7, ""), "{words}");
    assert_eq!(words, "imgctl: cannot write `into/large.pnm`: no space left on device\n");
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
    let (code, document) = house.json("bruno", &["download", "1", "-o", "into"]);
    let error = &document["results"][0]["error"]["code"];
    assert_eq!((code, error), (7, &json!("storage_full")));
    // The daemon is as good as before.
    house.ok("bruno", &["download", "1", "-o", "copy.pnm"]);
}

#[test]
fn a_client_without_room_for_its_state_goes_on() {
    let mut house = House::new();
    let home = house.path("ana");
    let Some(_small) = Small::mount(home.clone(), "size=4m") else { return };
    start(&mut house);
    let content = house.picture("large.pnm", 1, 8_000_000);
    let (code, out, words) = house.feed("ana", &["upload", "-", "--name", "a.pnm"], &content);
    assert_eq!((code, out.as_str()), (7, ""), "{words}");
    assert!(words.contains("a.pnm") && words.to_lowercase().contains("no space left"), "{words}");
    // A file needs no room of its own on its way.
    fill(&home.join("filler"));
    house.ok("ana", &["upload", "large.pnm"]);
    assert_eq!(house.ok("ana", &["list"]), "large.pnm\n");
    fs::remove_file(home.join("filler")).unwrap();
    house.picture("small.pnm", 2, 300);
    let small = fs::read(house.path("small.pnm")).unwrap();
    house.feed("ana", &["upload", "-", "--name", "b.pnm"], &small);
    assert_eq!(house.ok("bruno", &["list"]), "b.pnm\nlarge.pnm\n");
}

/// A server, Ana and Bruno, on disks that are there already.
fn start(house: &mut House) {
    let url = house.server();
    for person in ["ana", "bruno"] {
        house.start(person, &["--connect", &url, "--user", person]);
    }
}
