//! How the daemons end, and what that does to those who are waiting.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Child;

use rustix::process::Signal;

use crate::house::House;
use crate::under_way::{Frozen, signal, transfers};

/// Large enough not to fit into any window or socket on its way.
const LARGE_BYTES: usize = 100_000_000;

fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn daemons_that_idle_end_with_0() {
    for told in [Signal::TERM, Signal::INT] {
        let mut house = House::of_two();
        for home in ["ana", "bruno", "server"] {
            signal(&house, home, told);
            assert_eq!(house.ended(home), Some(0), "{home} {told:?}");
            assert!(!house.path(home).join("run/control.sock").exists());
        }
    }
}

#[test]
fn a_daemon_ends_with_0_whatever_is_under_way() {
    let mut house = House::of_two();
    house.picture("large.pnm", 1, LARGE_BYTES);
    let frozen = Frozen::new(&house, "server");
    let upload = house.imgctl("ana", &["upload", "large.pnm"]).spawn().unwrap();
    transfers(&house, "ana", 1);
    signal(&house, "ana", Signal::TERM);
    assert_eq!(house.ended("ana"), Some(0));
    let (code, _, words) = end(upload);
    // It can be done again: a passing fault, or no daemon any more.
    assert!(matches!(code, Some(3 | 7)), "{code:?}: {words}");
    drop(frozen);
    assert_eq!(house.ok("bruno", &["list"]), "");
}

#[test]
fn a_second_signal_ends_a_daemon_at_once() {
    let mut house = House::of_two();
    house.ok("ana", &["list"]);
    // It says BYE to a server that does not answer: that takes a while.
    let _frozen = Frozen::new(&house, "server");
    signal(&house, "ana", Signal::TERM);
    let log = house.path("ana.log");
    while !fs::read_to_string(&log).unwrap().contains("once more stops at once") {}
    signal(&house, "ana", Signal::TERM);
    assert_eq!(house.ended("ana"), Some(128 + 15));
}

#[test]
fn uploads_and_followers_live_through_a_server_that_comes_back() {
    let mut house = House::new();
    let url = house.server();
    let listen = url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    for person in ["ana", "bruno"] {
        house.start(person, &["--connect", &url, "--user", person]);
    }
    let large = house.picture("large.pnm", 1, LARGE_BYTES);
    let mut follower = house.imgctl("bruno", &["events", "-f"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();

    let frozen = Frozen::new(&house, "server");
    let upload = house.imgctl("ana", &["upload", "large.pnm"]).spawn().unwrap();
    transfers(&house, "ana", 1);
    // Told to end while it stands still: it ends in the middle of the transfer.
    signal(&house, "server", Signal::TERM);
    drop(frozen);
    assert_eq!(house.ended("server"), Some(0));
    house.start("server", &["--serve", "--listen", &listen]);

    let (code, words, why) = end(upload);
    assert_eq!((code, words.as_str()), (Some(0), "stored        1  large.pnm\n"), "{why}");
    assert!(lines.next().unwrap().unwrap().ends_with("ana  uploaded  1  large.pnm"));
    follower.kill().unwrap();
    follower.wait().unwrap();

    // And a download the same way, the hard way.
    let frozen = Frozen::new(&house, "server");
    let download = house.imgctl("bruno", &["download", "1", "-o", "copy.pnm"]);
    let download = { download }.spawn().unwrap();
    drop(frozen);
    transfers_or_done(&house, &download);
    house.kill("server");
    house.start("server", &["--serve", "--listen", &listen]);
    let (code, words, why) = end(download);
    assert_eq!((code, words.as_str()), (Some(0), "saved         1  copy.pnm\n"), "{why}");
    assert!(fs::read(house.path("copy.pnm")).unwrap() == large);
}

/// Waits until the download has begun: its file is there, or the one that it becomes.
fn transfers_or_done(house: &House, _download: &Child) {
    let begun = |name: &str| name.starts_with(".imgrepo-") || name == "copy.pnm";
    let names = || fs::read_dir(house.root.path()).unwrap().map(|entry| entry.unwrap().file_name());
    while !names().any(|name| begun(&name.to_string_lossy())) {}
}

#[test]
fn an_upload_is_given_up_with_its_imgctl() {
    let house = House::of_two();
    house.picture("large.pnm", 1, LARGE_BYTES);
    let frozen = Frozen::new(&house, "server");
    let args = ["--timeout", "2", "upload", "large.pnm"];
    let upload = house.imgctl("ana", &args).spawn().unwrap();
    transfers(&house, "ana", 1);
    let (code, out, words) = end(upload);
    assert_eq!((code, out.as_str()), (Some(9), ""), "{words}");
    assert!(words.contains("the time given by `--timeout` is over"), "{words}");
    transfers(&house, "ana", 0);

    let upload = house.imgctl("ana", &["upload", "large.pnm"]).spawn().unwrap();
    transfers(&house, "ana", 1);
    rustix::process::kill_process(rustix::process::Pid::from_child(&upload), Signal::INT).unwrap();
    assert_eq!(end(upload).0, Some(130));
    transfers(&house, "ana", 0);
    drop(frozen);
    assert_eq!(house.ok("bruno", &["list"]), "");
    house.ok("ana", &["upload", "large.pnm"]);
}
