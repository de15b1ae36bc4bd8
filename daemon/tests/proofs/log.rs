//! The log for programs: each line that a daemon writes to stderr is one JSON object, from its start
//! to its end, whatever it logs and however it ends.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::control::{control, upload};
use crate::picture::Picture;
use crate::process::{Daemon, imgrepod};

const SERVE: [&str; 4] = ["--serve", "--listen", "127.0.0.1:0", "--log-format=json"];

/// Every line that is in the file, each with what an event always has.
fn events(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("there is a log");
    let event = |line: &str| {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(text("timestamp").parse::<Timestamp>().is_ok(), "{line}");
        assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&text("level")), "{line}");
        assert!(!text("target").is_empty() && event["fields"].is_object(), "{line}");
        event
    };
    text.lines().map(event).collect()
}

fn with<'a>(events: &'a [Value], message: &str) -> &'a Value {
    let found = events.iter().find(|event| {
        let told = event["fields"]["message"].as_str();
        told.is_some_and(|told| told.starts_with(message))
    });
    found.unwrap_or_else(|| panic!("no `{message}` in {events:#?}"))
}

fn start(scene: &TempDir, filter: &str) -> Result<Daemon, String> {
    let (home, log) = (scene.path().join("home"), scene.path().join("log"));
    Daemon::start(&imgrepod(), &home, &log, &SERVE, &[("IMGREPO_LOG", filter)])
}

#[test]
fn every_line_of_a_serving_daemon_is_an_object_with_its_fields() {
    let scene = tempfile::tempdir().expect("a temporary directory");
    let server = start(&scene, "trace").expect("it starts");
    let picture = Picture::new("pier.bmp".to_owned(), 1, 5000);
    let mut client = control(&scene.path().join("home"));
    upload(&mut client, scene.path(), &picture).expect("it is stored");
    drop(client);
    let ready = server.ready.clone();
    assert!(server.stop().success());
    let events = events(&scene.path().join("log"));
    assert_eq!(with(&events, "imgrepod is ready: ")["fields"]["message"], ready);
    assert_eq!(with(&events, "stopping")["fields"]["signal"], 15, "a number is one");
}

#[test]
fn what_it_says_of_itself_is_there_whatever_else_is_shown() {
    let scene = tempfile::tempdir().expect("a temporary directory");
    let server = start(&scene, "off").expect("it starts");
    let log = scene.path().join("log");
    let told = events(&log);
    assert_eq!(told.len(), 1, "{told:?}");
    with(&told, "imgrepod is ready: ");
    // Why it does not start, too.
    let second = start(&scene, "off").map(|daemon| daemon.ready.clone());
    assert!(second.is_err(), "{second:?}");
    let told = events(&log);
    assert_eq!((told.len(), told[1]["level"].as_str()), (2, Some("ERROR")), "{told:?}");
    assert!(told[1]["fields"]["message"].is_string(), "{told:?}");
    assert!(server.stop().success());
}
