//! `imgrepod service`, as a person runs it: with a `systemctl` of a few lines, and without any.
//!
//! No real manager is started: as root, systemd takes the processes of the whole machine into
//! control groups of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test fails so, and says what it left out.

mod person;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use imgrepo_proto::control::Request;
use imgrepo_proto::control::reply::SessionState;

use person::{Person, Process, until};

/// A `systemctl` that knows one unit and starts what that says. `show` answers as systemd does.
const SYSTEMCTL: &str = include_str!("systemctl.sh");

#[test]
fn a_life_of_a_service_under_a_systemctl() {
    let person = Person::new();
    let fake = person.home().join("bin/systemctl");
    std::fs::create_dir(person.home().join("bin")).unwrap();
    std::fs::write(&fake, SYSTEMCTL).unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let process = person.home().join("process");
    // Whatever fails, nothing is left running.
    let _left = person::Left(process.clone());

    assert_eq!(person.service("status").code, 3);
    assert_eq!(person.service("start").code, 5);
    let installed = person.service("install --serve --listen 127.0.0.1:0");
    assert_eq!(installed.code, 0, "{installed:?}");
    assert!(installed.said.contains("started the daemon"), "{installed:?}");
    // This build may itself lie in a temporary directory.
    let warned = ["where it was built", "in a temporary directory"];
    assert!(warned.iter().any(|why| installed.complaint.contains(why)), "{installed:?}");
    assert_eq!(person.status().daemon.autostart.as_deref(), Some("systemd"));
    let first = person.status().daemon.pid;

    let again = person.service("install --serve --listen 127.0.0.1:0");
    assert!(again.said.contains("says the same") && again.said.contains("it is running"));
    assert_eq!(person.status().daemon.pid, first);
    let changed = person.service("install --serve --listen 127.0.0.1:0 --user ana");
    assert!(changed.said.contains("restarted the daemon"), "{changed:?}");
    assert_eq!(person.status().session.user, "ana");

    assert_eq!(person.service("restart").code, 0);
    assert_eq!(person.service("stop").code, 0);
    assert!(person.service("stop").said.contains("it is not running"));
    assert_eq!(person.service("status").code, 3);
    // One that was started by hand is not the service, and in its way.
    let by_hand = person.run(&["--serve", "--listen", "127.0.0.1:0"]);
    let refused = person.service("start --json");
    assert_eq!(refused.code, 8);
    assert!(refused.said.contains(r#""code":"conflict""#), "{refused:?}");
    let status = person.service("status");
    assert!(status.complaint.contains("a daemon runs that was not started by"), "{status:?}");
    drop(by_hand);
    assert_eq!(person.service("start").code, 0);
    let status = person.service("status --json");
    assert_eq!(status.code, 0);
    assert!(status.said.starts_with(r#"{"v":1,"service":{"installed":true,"enabled":true,"#));

    assert_eq!(person.service("uninstall").code, 0);
    assert!(!person.unit().exists());
    assert!(person.connect().is_err());
    let asked = std::fs::read_to_string(person.home().join("asked")).unwrap();
    assert_eq!(asked.matches("daemon-reload").count(), 3, "{asked}");
}

#[test]
fn a_daemon_that_does_not_start_is_said() {
    let person = Person::new();
    let fake = person.home().join("bin/systemctl");
    std::fs::create_dir(person.home().join("bin")).unwrap();
    std::fs::write(&fake, "#!/bin/sh\necho ActiveState=failed\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = person.service("install");
    assert_eq!(refused.code, 1);
    assert!(refused.complaint.contains("ended as soon as it was started"), "{refused:?}");
    assert!(refused.complaint.contains("journalctl --user -u imgrepod"), "{refused:?}");
    let mut in_front = person.imgrepod(std::path::Path::new(env!("CARGO_BIN_EXE_imgrepod")));
    in_front.args(["--serve", "service", "install"]);
    assert_eq!(person.end(in_front).code, 2);
    // What cannot work at login is refused before anything is written.
    std::fs::remove_file(person.unit()).unwrap();
    for wrong in ["--listen 127.0.0.1:1", "--serve --tls-key x", "--user ../x/\u{7}"] {
        assert_eq!(person.service(&format!("install {wrong}")).code, 2, "{wrong}");
        assert!(!person.unit().exists());
    }
}

/// Ends the daemon of a person with the test.
struct Ends<'a>(&'a Person);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let _ = self.0.connect().map(|mut daemon| daemon.call(&Request::Stop));
    }
}

#[test]
fn a_life_in_the_background() {
    let person = Person::new();
    let ends = Ends(&person);
    let install = "install --background --serve --listen 127.0.0.1:0 --user ana";
    let installed = person.service(install);
    assert_eq!(installed.code, 0, "{installed:?}");
    assert!(installed.said.contains("started the daemon"), "{installed:?}");
    assert!(installed.complaint.contains("nothing starts it at login"), "{installed:?}");
    assert!(!person.unit().exists());
    let first = person.status().daemon.pid;
    assert!(person.service(install).said.contains("it is running"));
    assert_eq!((person.status().daemon.pid, person.status().daemon.autostart), (first, None));

    assert_eq!(person.service("restart").code, 0);
    assert_ne!(person.status().daemon.pid, first);
    assert_eq!(person.service("stop").code, 0);
    assert_eq!(person.service("status").code, 3);
    // What another shell has set changes nothing.
    let mut start = person.imgrepod(std::path::Path::new(env!("CARGO_BIN_EXE_imgrepod")));
    start.env("IMGREPO_USER", "bia").env("IMGREPO_CONFIG", "/gone").args(["service", "start"]);
    assert_eq!(person.end(start).code, 0);
    assert_eq!(person.status().session.user, "ana");

    assert_eq!(person.service("uninstall").code, 0);
    assert!(person.connect().is_err());
    assert_eq!(person.service("start").code, 5);
    drop(ends);
}

/// The machine ends and begins anew: the unit's command line is run with no variable but HOME.
#[test]
fn after_a_reboot_the_unit_brings_the_daemon_back_with_its_session() {
    let server = Person::new();
    let serving = server.run(&["--serve", "--listen", "127.0.0.1:0"]);
    let person = Person::new();
    let installed = person.service("install");
    assert_eq!(installed.code, 0, "{installed:?}");
    assert!(installed.complaint.contains("starts nothing now"), "{installed:?}");
    assert!(installed.complaint.contains("start the daemon by hand: "), "{installed:?}");

    let boot = || {
        let unit = std::fs::read_to_string(person.unit()).unwrap();
        let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env_clear().env("HOME", person.home());
        Process::start(command)
    };
    let before = boot();
    let url = serving.url();
    person.call(&Request::Connect { url: url.clone(), user: Some("bia".to_owned()) });
    drop(before);
    let after = boot();
    assert_eq!(after.ready, format!("imgrepod is ready: session to {url} as bia"));
    until(|| person.status().session.state == SessionState::Connected);
    let status = person.status();
    assert_eq!((status.session.user.as_str(), status.session.url), ("bia", Some(url)));
    assert_eq!(status.daemon.autostart.as_deref(), Some("systemd"));
}

/// What `systemd-analyze` says of the unit, where it is there.
#[test]
fn systemd_finds_no_fault_in_the_unit() {
    let person = Person::new();
    let odd = person.home().join("a b%h $x é/imgrepod");
    std::fs::create_dir(odd.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_imgrepod"), &odd).unwrap();
    let config = person.home().join("50% $HOME \"c\".toml");
    std::fs::write(&config, "").unwrap();
    let mut install = person.imgrepod(&odd);
    install.env("IMGREPO_CONFIG", &config).args([
        "service",
        "install",
        "--user",
        "a$b %u \"c\" \\",
    ]);
    assert!(install.output().unwrap().status.success());
    let verify = Command::new("systemd-analyze")
        .args(["--user", "verify"])
        .arg(person.unit())
        .env("HOME", person.home())
        .env("XDG_RUNTIME_DIR", person.home())
        .output();
    match verify {
        Ok(verify) => {
            let complaint = String::from_utf8_lossy(&verify.stderr);
            assert!(verify.status.success() && !complaint.contains("imgrepod"), "{complaint}");
        }
        Err(error) => eprintln!("*** NOT PROVEN HERE: systemd-analyze cannot be run: {error}"),
    }
}
