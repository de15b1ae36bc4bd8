//! What is said of people, invitations and devices, to the letter.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::io::Write as _;
use std::process::Stdio;

use imgrepo_proto::control::people::PeopleRequest;
use imgrepo_proto::control::reply::{
    Left, LimitStatus, ServerStatus, SessionState, Status, Transport,
};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::people::DeviceId;
use imgrepo_proto::{ErrorCode, Refusal};
use stub::admin::{CANARY, EVIL, PIN, admin, link};
use stub::{Stub, done, refused, status, transcript, transcripts};

#[test]
fn invitations() {
    insta::assert_snapshot!(transcripts(
        &Stub::new(admin),
        &[
            &["invite"],
            &["invite", "--json"],
            &["invite", "--role", "viewer", "--uses", "30", "--expires", "12h"],
            &["-q", "invite", "--uses", "30"],
            &["invite", "--guest", "bruno", "--json"],
            &["invite", "ls"],
            &["invite", "ls", "--json"],
            &["invite", "revoke", "3"],
            &["invite", "revoke", "3", "--json"],
            &["invite", "revoke", "4"],
            &["invite", "--role", "owner"],
            &["invite", "--uses", "0"],
            &["invite", "--expires", "1y"],
            &["invite", "--expires", "1000d", "--json"],
            &["invite", "--guest", "bruno", "--uses", "2"],
        ]
    ));
}

#[test]
fn what_is_asked_for_an_invitation() {
    let stub = Stub::new(|request, bytes| {
        let known = match request {
            Request::People(PeopleRequest::Invite(invite)) => Some(invite),
            _ => None,
        };
        let Some(invite) = known else { return admin(request, bytes) };
        // Said back in a field that is shown.
        refused(Refusal::new(ErrorCode::Denied, format!("{invite:?}")))
    });
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["invite"],
            &["invite", "--role", "admin", "--uses", "2", "--expires", "2w"],
            &["invite", "--guest", "bruno"],
            &["devices", "add"],
            &["devices", "add", "--expires", "30m"],
            &["login-link"],
        ]
    ));
}

#[test]
fn joining() {
    let stub = Stub::new(admin);
    let link = link();
    let line = |args: &[&str]| {
        let said = stub.transcript(args);
        assert_eq!(said.matches(CANARY).count(), usize::from(args.contains(&&*link)), "{said}");
        said.replace(&link, "LINK")
    };
    let mut said = String::new();
    said += &line(&["join", &link]);
    said += &line(&["join", &link, "--json"]);
    said += &line(&["join", &link, "--user", "ana"]);
    said += &line(&["join", &link, "--user", "late"]);
    said += &line(&["join", &link, "--user", "ana", "--device", "laptop"]);
    said += &line(&["join"]);
    said += &line(&["join", "https://photos.example/"]);
    said += &line(&["connect", &link]);
    insta::assert_snapshot!(said);
}

#[test]
fn who_joins_hears_what_to_do_next() {
    for (role, next) in [("viewer", "imgctl list"), ("member", "imgctl watch add DIR")] {
        let stub = Stub::new(move |_, _| {
            let mut told = status(SessionState::Connected);
            told.session.role = Some(role.into());
            done(Outcome::Status(Box::new(told)))
        });
        let output = stub.imgctl(&["join", &link()]).output().unwrap();
        let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(words.contains(&format!("({role})")), "{words}");
        assert!(words.ends_with(&format!("next: {next}\n")), "{role}: {words}");
    }
}

#[test]
fn what_is_no_invitation_is_refused_before_a_daemon_is_looked_for() {
    let home = tempfile::tempdir().unwrap();
    let say = |args: &[&str]| transcript(stub::imgctl(home.path(), args), args, home.path());
    assert!(say(&["join", "imgrepo://h/#cut"]).ends_with("exit 2\n\n"));
    assert!(std::fs::read_dir(home.path()).unwrap().next().is_none(), "nothing was started");
}

#[test]
fn an_invitation_may_come_through_a_pipe() {
    let stub = Stub::new(admin);
    for (given, code) in [
        (format!("{}\n", link()), 0),
        (format!("  {}\r\nand more", link()), 0),
        (link(), 0),
        ("\n".to_owned(), 2),
        (format!("{}\n", link().replace(PIN, "")), 2),
        (format!("imgrepo://{CANARY}{}", "x".repeat(100_000)), 2),
        (format!("\0{}\u{202e}", link()), 2),
    ] {
        let mut command = stub.imgctl(&["join"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It does not read what can be no link to its end.
        let _ = child.stdin.take().unwrap().write_all(given.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains(CANARY), "{said}");
    }
}

#[test]
fn people_devices_and_the_record() {
    insta::assert_snapshot!(transcripts(
        &Stub::new(admin),
        &[
            &["people", "ls"],
            &["people", "ls", "--json"],
            &["people", "role", "ana", "admin"],
            &["people", "role", "ana", "admin", "--json"],
            &["people", "role", "bruno", "viewer"],
            &["people", "role", "ana", "owner"],
            &["people", "disable", "ana"],
            &["people", "disable", "ana", "--json"],
            &["people", "enable", "ana"],
            &["devices", "ls"],
            &["devices", "ls", "--json"],
            &["devices", "ls", "--user", "bruno"],
            &["devices", "revoke", "6"],
            &["devices", "revoke", "7"],
            &["devices", "revoke", "7", "--json"],
            &["devices", "add"],
            &["devices", "add", "--json"],
            &["devices", "add", "--user", "bruno", "--json"],
            &["login-link"],
            &["login-link", "--json"],
            &["audit"],
            &["audit", "--limit", "3"],
            &["audit", "--limit", "1", "--json"],
            &["audit", "--json"],
        ]
    ));
}

#[test]
fn a_record_that_breaks_off_is_still_a_document() {
    let stub = Stub::new(|request, bytes| match request {
        Request::People(PeopleRequest::Audit(audit)) if audit.before == Some(3) => {
            refused(Refusal::new(ErrorCode::NotConnected, "the session is away"))
        }
        _ => admin(request, bytes),
    });
    let said = stub.transcript(&["audit", "--json"]);
    assert!(said.contains(r#"],"error":{"code":"not_connected","#), "{said}");
    assert!(said.ends_with("exit 7\n\n"), "{said}");
}

#[test]
fn who_leaves_for_good_hears_whether_the_device_is_revoked() {
    let left = |device: Option<u64>, revoked| Left {
        url: format!("wss://{EVIL}/"),
        user: "ana".into(),
        device: device.map(DeviceId),
        revoked,
    };
    let all = [left(Some(7), true), left(Some(7), false), left(None, false)];
    let said: String = all
        .into_iter()
        .map(|left| {
            let stub = Stub::new(move |request, _| {
                assert_eq!(*request, Request::Leave);
                done(Outcome::Left(left.clone()))
            });
            transcripts(
                &stub,
                &[&["disconnect", "--forget"], &["disconnect", "--forget", "--json"]],
            )
        })
        .collect();
    insta::assert_snapshot!(said);
}

#[test]
fn how_a_session_goes_and_what_a_server_takes() {
    let stub = Stub::new(|_, _| {
        let limit = |key: &str, value: &str, used: Option<&str>, fixed| LimitStatus {
            key: key.into(),
            value: value.into(),
            used: used.map(str::to_owned),
            fixed,
            in_file: key == "max_sessions",
        };
        let server = ServerStatus {
            listen: "[::]:8765".into(),
            guests: false,
            guests_may: "no".into(),
            fingerprint: Some(PIN.into()),
            addresses: vec!["photos.example:8765".into(), EVIL.into()],
            limits: vec![
                limit("max_sessions", "10,000", Some("3"), false),
                limit("person_quota", "none", None, false),
                limit("handshake", "5 s", None, true),
            ],
            sessions: 3,
            images: 1200,
            pictures: None,
            data: "/home/ana/.local/share/imgrepo".into(),
        };
        let mut status = Status { server: Some(server), ..status(SessionState::Connected) };
        status.session.transport = Some(Transport::Plain);
        status.session.role = Some("viewer".into());
        done(Outcome::Status(Box::new(status)))
    });
    insta::assert_snapshot!(transcripts(
        &stub,
        &[&["status"], &["status", "--long"], &["status", "--long", "--json"]]
    ));
}
