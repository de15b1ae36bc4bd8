//! Who follows the status, or waits for the queue, sees the daemon go and come.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use crate::house::House;

#[test]
fn a_status_that_is_followed_lives_through_a_restart_of_the_daemon() {
    let mut house = House::new();
    let (code, _, words) = house.run("server", &["status", "-f"]);
    assert_eq!(code, 3, "without one to begin with: {words}");
    let url = house.server();
    let listen = url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    let mut follower = house.imgctl("server", &["status", "-f", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let process = |status: &Value| status["daemon"]["pid"].as_u64();
    let first = process(&next());
    assert_eq!(first, Some(house.process("server").id().into()));
    house.kill("server");
    // What it did in between may have been told too.
    while next()["error"]["code"] != "not_running" {}
    house.start("server", &["--serve", "--listen", &listen]);
    let again = loop {
        let status = next();
        if process(&status).is_some() {
            break process(&status);
        }
    };
    assert_eq!(again, Some(house.process("server").id().into()));
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn who_waits_for_the_queue_waits_through_a_restart_of_the_daemon() {
    let mut house = House::new();
    let (code, _, words) = house.run("ana", &["wait"]);
    assert_eq!(code, 3, "without one to begin with: {words}");
    let url = house.server();
    let args = ["--connect", &url, "--user", "ana"];
    house.start("ana", &args);
    house.picture("a.pnm", 1, 300);
    house.ok("ana", &["queue", "pause"]);
    house.ok("ana", &["upload", "--queue", "a.pnm"]);
    let mut waiting = house.imgctl("ana", &["wait"]).spawn().unwrap();
    let mut words = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let mut said = |what: &str| {
        let line = words.next().unwrap().unwrap();
        assert!(line.contains(what), "{line}");
    };
    said("the queue is paused");
    house.kill("ana");
    said("the daemon has ended");
    house.start("ana", &args);
    house.ok("ana", &["queue", "resume"]);
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}
