//! `imgctl up` as people meet it: from an empty home to a daemon that runs, under a `systemctl` of a
//! few lines and without any. No real manager is asked: nothing of the caller's environment is left.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test fails so.

#[path = "../stub/mod.rs"]
mod stub;

mod invited;
mod person;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use person::{Ended, Person};
use serde_json::Value;

/// A `systemctl` that knows one unit and starts what that says.
const SYSTEMCTL: &str = include_str!("../../../daemon/tests/service/systemctl.sh");

/// One that answers as where no manager is.
const NO_BUS: &str = "#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n";

const SERVE: [&str; 4] = ["up", "--serve", "--listen", "127.0.0.1:0"];

fn alone() -> Person {
    let mut person = Person::new(NO_BUS);
    person.inner = Some(person.path("repo"));
    person
}

/// A picture of a few bytes: PNM.
fn put_picture(path: &Path) {
    fs::write(path, b"P6\n2 1\n255\nabcdef").unwrap();
}

#[test]
fn from_nothing_to_a_server_with_a_folder_and_again() {
    let person = alone();
    let said = person.ok(&[&SERVE[..], &["--watch", "Pictures"]].concat());
    let folder = fs::canonicalize(person.path("Pictures")).unwrap();
    assert!(
        said.starts_with("daemon   started, but nothing starts it at the next login\n"),
        "{said}"
    );
    assert!(
        said.contains("(Failed to connect to bus): after a restart, imgctl up again"),
        "{said}"
    );
    assert!(said.contains("only this computer reaches it"), "{said}");
    assert!(said.contains(&format!("folders  {}  ", folder.display())), "{said}");
    assert!(said.contains("\ninvite "), "{said}");
    put_picture(&person.path("Pictures/a.pnm"));
    person.ok(&["watch", "rescan"]);
    person.ok(&["wait", "--timeout", "60"]);
    assert_eq!(person.ok(&["list"]), "a.pnm\n");

    // It runs by itself: its log is its owner's alone, and no terminal is its own.
    let process = person.process();
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[3], process.to_string(), "its session is another's: {stat}");
    let log = fs::metadata(person.path("repo/state/daemon.log")).unwrap();
    assert_eq!(log.permissions().mode() & 0o777, 0o600);
    assert!(!person.unit().exists());

    let again = person.ok(&[&SERVE[..], &["--watch", "Pictures"]].concat());
    assert!(again.starts_with("daemon   runs, but nothing starts it"), "{again}");
    assert_eq!(person.process(), process);
    // After a restart of the system it is the same again.
    person.ok(&["stop"]);
    let document: Value = serde_json::from_str(&person.ok(&["up", "--json"])).unwrap();
    assert_eq!(document["v"], 1);
    assert_eq!(document["started"], true);
    assert_eq!(document["at_login"], Value::Null);
    assert!(document["server"]["listen"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(document["folders"][0]["path"], folder.to_str().unwrap());
    assert_eq!(person.ok(&["list"]), "a.pnm\n");

    let other = person.imgctl(&["up", "--serve", "--listen", "127.0.0.1:1"]);
    assert_eq!(other.code, 8);
    assert!(other.complaint.contains("the server here listens on 127.0.0.1:"), "{other:?}");
}

#[test]
fn a_client_stays_one_until_it_is_told_otherwise() {
    let person = alone();
    let said = person.ok(&["up", "--user", "ana", "--watch", "Pictures"]);
    assert!(said.contains("\nsession  offline; take up an invitation: imgctl join\n"), "{said}");
    assert!(!said.contains("invite "), "{said}");
    let folders = &person.status().unwrap()["folders"];
    assert!(folders[0]["path"].as_str().unwrap().ends_with("/Pictures"), "{folders}");
    // What waits for the first session is there already; more cannot wait for it.
    person.ok(&["up", "--watch", "Pictures"]);
    let more = person.imgctl(&["up", "--watch", "More"]);
    assert_eq!(more.code, 7);
    assert!(more.complaint.contains("take up the invitation before: imgctl join"), "{more:?}");

    assert_eq!(person.imgctl(&["up", "--user", "bia"]).code, 8);
    for is_running in [true, false] {
        let refused = person.imgctl(&["up", "--serve", "--json"]);
        assert_eq!(refused.code, 8);
        let error = &serde_json::from_str::<Value>(&refused.said).unwrap()["error"];
        assert_eq!(error["code"], "conflict");
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.ends_with("imgrepod service uninstall && imgctl up --serve"), "{hint}");
        if is_running {
            person.ok(&["stop"]);
        }
    }
    person.ok(&["up"]);
    assert_eq!(person.end("imgrepod", &["service", "uninstall"]).code, 0);
    assert!(person.status().is_none());
    person.ok(&SERVE);
    assert!(person.status().unwrap()["server"].is_object());
}

#[test]
fn a_start_that_fails_is_shown_and_leaves_nothing_in_the_way() {
    let person = alone();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let failed = person.imgctl(&["up", "--serve", "--listen", &listen]);
    assert_eq!(failed.code, 1);
    assert!(failed.complaint.contains("repo/state/daemon.log:\n"), "{failed:?}");
    assert!(failed.complaint.contains(&format!("cannot listen on `{listen}`")), "{failed:?}");
    assert!(failed.complaint.contains("the daemon ended as soon as it was started"), "{failed:?}");
    assert!(!person.path("repo/state/background.json").exists());
    // What makes no sense is said before anything is made.
    let wrong = person.imgctl(&["up", "--user", "a\u{7}"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert_eq!(person.imgctl(&["up", "--listen", "127.0.0.1:0"]).code, 2);
    person.ok(&SERVE);
    // What is kept and cannot be read is not replaced.
    person.ok(&["stop"]);
    let kept = person.path("repo/state/background.json");
    fs::write(&kept, "{").unwrap();
    let refused = person.imgctl(&["up"]);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "{");
}

#[test]
fn where_to_listen_is_the_configurations_to_say() {
    let person = alone();
    fs::create_dir_all(person.path("repo/config")).unwrap();
    let text = "[server]\nlisten = '127.0.0.1:0'\n";
    fs::write(person.path("repo/config/config.toml"), text).unwrap();
    let said = person.ok(&["up", "--serve"]);
    assert!(said.contains("server   on 127.0.0.1:"), "{said}");
}

#[test]
fn several_at_once_start_one() {
    let person = alone();
    let up = || person.command("imgctl", &SERVE).stdout(Stdio::null()).spawn().unwrap();
    let mut ups: Vec<_> = (0..4).map(|_| up()).collect();
    for up in &mut ups {
        assert!(up.wait().unwrap().success());
    }
    assert!(person.status().is_some());
}

#[test]
fn one_that_was_started_by_hand_is_left_as_it_is() {
    let person = alone();
    let mut by_hand = person.command("imgrepod", &["--serve", "--listen", "127.0.0.1:0"]);
    let mut by_hand = by_hand.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut ready = String::new();
    let said = by_hand.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut ready).unwrap();
    let said = person.ok(&["up", "--serve"]);
    assert!(said.starts_with("daemon   runs, but nothing starts it"), "{said}");
    assert!(said.contains("by hand; to change that: imgctl stop && imgctl up --serve"), "{said}");
    assert!(!person.path("repo/state/background.json").exists());
    let refused = person.end("imgrepod", &["service", "install", "--background"]);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert_eq!(person.process(), i32::try_from(by_hand.id()).unwrap());
    person.ok(&["stop"]);
    by_hand.wait().unwrap();
}

#[test]
fn where_a_manager_answers_it_is_a_service() {
    let person = Person::new(SYSTEMCTL);
    let said = person.ok(&SERVE);
    assert!(said.starts_with("daemon   started, and starts at every login (systemd)\n"), "{said}");
    let process = person.process();
    let again = person.ok(&["up"]);
    assert!(again.starts_with("daemon   runs, and starts at every login (systemd)\n"), "{again}");
    assert_eq!(person.process(), process);
    let unit = fs::read_to_string(person.unit()).unwrap();
    assert!(unit.contains("--serve") && unit.contains("--listen=127.0.0.1:0"), "{unit}");
    person.ok(&["stop"]);
    person.ok(&["up"]);
    assert!(person.status().unwrap()["server"].is_object());

    // One unit is all that a user has: the daemon of a further home runs without.
    let further = Further(&person);
    let said = further.end(&["up"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.said.starts_with("daemon   started, but nothing starts it"), "{said:?}");
    assert_eq!(fs::read_to_string(person.unit()).unwrap(), unit);
    assert!(further.end(&["up"]).said.starts_with("daemon   runs, but nothing"));
    assert_eq!(further.end(&["stop"]).code, 0);
    drop(further);
    assert_eq!(person.end("imgrepod", &["service", "uninstall"]).code, 0);
}

/// A further home of a person, whose daemon ends with the test.
struct Further<'a>(&'a Person);

impl Further<'_> {
    fn end(&self, args: &[&str]) -> Ended {
        let mut command = self.0.command("imgctl", args);
        let output = command.env("IMGREPO_HOME", self.0.path("further")).output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            said: String::from_utf8(output.stdout).unwrap(),
            complaint: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Further<'_> {
    fn drop(&mut self) {
        self.end(&["stop", "--timeout", "30"]);
    }
}
