//! Downloads that are cut by the end of `imgctl` or of the daemon, and gone on with: only the rest
//! comes, and the bytes are the same.

use std::fs;
use std::path::PathBuf;

use crate::house::House;
use crate::house::wire::Wire;

const LARGE_BYTES: usize = 30_000_000;

/// What is let through before the cut.
const HALF_BYTES: u64 = 15_000_000;

/// What the daemon may hold of it for a program that is slow.
const WINDOW_BYTES: u64 = 3_000_000;

const DOWNLOAD: [&str; 4] = ["download", "1", "-o", "into"];

/// What comes beside the rest: a window of the download that was killed, and what a session says.
const BESIDE_BYTES: u64 = 1_500_000;

/// A server with one large image, and Bruno behind a wire.
fn house() -> (House, Wire, Vec<u8>) {
    let mut house = House::new();
    let url = house.server();
    house.start("ana", &["--connect", &url, "--user", "ana"]);
    let large = house.picture("large.pnm", 1, LARGE_BYTES);
    house.ok("ana", &["upload", "large.pnm"]);
    let wire = Wire::new(&url);
    house.start("bruno", &["--connect", &wire.url, "--user", "bruno"]);
    fs::create_dir(house.path("into")).unwrap();
    (house, wire, large)
}

fn files(house: &House) -> Vec<PathBuf> {
    fs::read_dir(house.path("into")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The size of the partial that is there, alone.
fn partial(house: &House) -> Option<u64> {
    let files = files(house);
    let [path] = &files[..] else { return None };
    let name = path.file_name()?.to_str()?;
    assert!(name.starts_with(".imgrepo-") && name.ends_with(".part"), "{name}");
    Some(fs::metadata(path).ok()?.len())
}

/// Waits until nearly all that the wire let through is in the partial.
fn half(house: &House, wire: &Wire) {
    wire.spent();
    while partial(house).is_none_or(|size| size < HALF_BYTES - WINDOW_BYTES) {
        std::thread::yield_now();
    }
}

/// The same download again: it fetches no more than the rest.
fn rest(house: &House, wire: &Wire, large: &[u8]) {
    let there = partial(house).unwrap();
    assert!((HALF_BYTES - WINDOW_BYTES..=HALF_BYTES).contains(&there), "{there}");
    wire.allow(u64::MAX);
    assert_eq!(house.ok("bruno", &DOWNLOAD), "saved         1  into/large.pnm\n");
    let rest = large.len() as u64 - there;
    assert!(wire.passed() <= rest + BESIDE_BYTES, "{} for {rest}", wire.passed());
    assert!(fs::read(house.path("into/large.pnm")).unwrap() == large);
    assert_eq!(files(house).len(), 1);
}

#[test]
fn a_download_goes_on_after_its_imgctl_was_killed() {
    let (house, wire, large) = house();
    wire.allow(HALF_BYTES);
    let mut download = house.imgctl("bruno", &DOWNLOAD).spawn().unwrap();
    half(&house, &wire);
    download.kill().unwrap();
    download.wait().unwrap();
    rest(&house, &wire, &large);
}

#[test]
fn a_download_goes_on_after_the_daemon_was_killed() {
    let (mut house, wire, large) = house();
    wire.allow(HALF_BYTES);
    let download = house.imgctl("bruno", &DOWNLOAD).spawn().unwrap();
    half(&house, &wire);
    house.kill("bruno");
    let output = download.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    wire.allow(u64::MAX);
    house.start("bruno", &["--connect", &wire.url, "--user", "bruno"]);
    rest(&house, &wire, &large);
}

#[test]
fn a_download_goes_on_after_ctrl_c_and_what_was_left_is_not_believed() {
    let (house, wire, large) = house();
    wire.allow(HALF_BYTES);
    let download = house.imgctl("bruno", &DOWNLOAD).spawn().unwrap();
    half(&house, &wire);
    let process = rustix::process::Pid::from_child(&download);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let output = download.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("hint: the same download later goes on where this one"), "{words}");

    // A power cut may leave anything in it.
    let path = files(&house).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000..5000].fill(0);
    fs::write(&path, bytes).unwrap();
    wire.allow(u64::MAX);
    house.ok("bruno", &DOWNLOAD);
    assert!(wire.passed() >= large.len() as u64);
    assert!(fs::read(house.path("into/large.pnm")).unwrap() == large);
    assert_eq!(files(&house).len(), 1);
}

#[test]
fn two_downloads_of_one_content_do_not_meet() {
    let (house, wire, large) = house();
    wire.allow(HALF_BYTES);
    let first = house.imgctl("bruno", &DOWNLOAD).spawn().unwrap();
    half(&house, &wire);
    let args = ["download", "1", "-o", "into/other.pnm"];
    let second = house.imgctl("bruno", &args).spawn().unwrap();
    // Enough for the answer to the second one's question, and not for all of the first.
    wire.allow(HALF_BYTES / 2);
    while files(&house).len() < 2 {
        std::thread::yield_now();
    }
    wire.allow(u64::MAX);
    for download in [first, second] {
        let output = download.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for name in ["into/large.pnm", "into/other.pnm"] {
        assert!(fs::read(house.path(name)).unwrap() == large, "{name}");
    }
    assert_eq!(files(&house).len(), 2);
}
