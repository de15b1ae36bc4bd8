//! Who follows the status sees the daemon go and come.

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
