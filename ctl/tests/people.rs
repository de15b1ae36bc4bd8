//! What is said of people, invitations and devices, to the letter, and that what lets in is handed
//! over by the commands that are for that, and by nothing else.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::io::Write as _;
use std::process::Stdio;

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::reply::{LimitStatus, ServerStatus, SessionState, Status, Transport};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::command::Invite;
use imgrepo_proto::session::people::{
    AccountRole, AuditEntry, AuditReply, Device, DeviceId, DeviceKind, DeviceReply, DevicesReply,
    Invitation, InvitationId, InvitationReply, InvitationsReply, InviteReply, PeopleReply, Person,
    PersonKind, PersonReply,
};
use imgrepo_proto::{ErrorCode, Refusal, Secret};
use jiff::Timestamp;
use stub::{Say, Stub, done, refused, status, transcript, transcripts};

/// A name that would act on a terminal and turn the text around.
const EVIL: &str = "e\x1b[31mv\u{202e}li";

/// Found nowhere but where it is asked for.
const CANARY: &str = "c4n4ry-0f-an-invitation";
const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn link() -> String {
    format!("imgrepo://photos.example:8765,10.0.0.7:8765/#{CANARY},{PIN}")
}

fn at(minute: u32) -> Timestamp {
    format!("2026-11-23T06:{minute:02}:01Z").parse().unwrap()
}

fn invitation(id: u64) -> Invitation {
    Invitation {
        id: InvitationId(id),
        role: Some(AccountRole::Member),
        person: None,
        guest: None,
        uses: 1,
        by: "ana".into(),
        since: at(20),
        expires: "2100-01-01T00:00:00Z".parse().unwrap(),
        revoked: None,
    }
}

fn person(name: &str, kind: PersonKind, role: Option<AccountRole>) -> Person {
    let (images, bytes) = (12, 1_234_567);
    Person {
        name: name.into(),
        kind,
        role,
        disabled: false,
        since: at(20),
        images,
        bytes,
        devices: 2,
    }
}

fn device(id: u64, label: &str) -> Device {
    Device {
        id: DeviceId(id),
        person: "ana".into(),
        label: label.into(),
        kind: DeviceKind::Program,
        since: at(20),
        seen: Some(at(30)),
        revoked: None,
        this: false,
    }
}

fn told(outcome: PeopleOutcome) -> Vec<Say> {
    done(Outcome::People(Box::new(outcome)))
}

fn invited(invite: &Invite) -> Vec<Say> {
    let secret = |text: String| Secret::parse(&text).unwrap();
    let invitation = Invitation {
        role: invite.role,
        person: invite.person.clone(),
        guest: invite.guest.clone(),
        uses: invite.uses.unwrap_or(1),
        ..invitation(3)
    };
    let notice = invite.uses.map(|_| format!("it listens on the loopback alone {EVIL}"));
    told(PeopleOutcome::Invited(InviteReply {
        invitation,
        link: secret(link()),
        page: secret(format!("https://photos.example:8765/#{CANARY}")),
        notice,
    }))
}

/// Answers like the daemon of an admin.
fn admin(request: &Request, _: &[u8]) -> Vec<Say> {
    let joined = || {
        let mut status = Box::new(status(SessionState::Connected));
        status.session.role = Some("member".into());
        status.session.transport = Some(Transport::Pinned);
        done(Outcome::Status(status))
    };
    let request = match request {
        Request::Status => return joined(),
        Request::People(request) => request,
        other => panic!("not asked here: {other:?}"),
    };
    let nobody = |name: &str| {
        refused(Refusal::new(ErrorCode::NotFound, format!("nobody here is called `{name}`")))
    };
    match request {
        PeopleRequest::Join { link: given, user, device } => {
            assert_eq!(given.expose(), link());
            match (user.as_deref(), device.as_deref()) {
                (Some("ana"), None) => refused(
                    Refusal::new(ErrorCode::Conflict, "the name `ana` is taken")
                        .hint("take another: --user NAME"),
                ),
                (Some("late"), None) => {
                    done(Outcome::Status(Box::new(status(SessionState::Waiting))))
                }
                _ => joined(),
            }
        }
        PeopleRequest::Invite(invite) => invited(invite),
        PeopleRequest::Invitations => {
            let device = Some("ana".to_owned());
            let past = "2001-01-01T00:00:00Z".parse().unwrap();
            told(PeopleOutcome::Invitations(InvitationsReply {
                invitations: vec![
                    Invitation { guest: Some(EVIL.into()), ..invitation(9) },
                    Invitation { role: None, person: device, expires: past, ..invitation(8) },
                    Invitation { uses: 0, by: EVIL.into(), ..invitation(7) },
                    Invitation { revoked: Some(at(30)), uses: 30, ..invitation(6) },
                ],
            }))
        }
        PeopleRequest::Uninvite(which) if which.invitation.0 == 3 => {
            let invitation = Invitation { revoked: Some(at(30)), ..invitation(3) };
            told(PeopleOutcome::Invitation(InvitationReply { invitation }))
        }
        PeopleRequest::Uninvite(_) => {
            refused(Refusal::new(ErrorCode::NotFound, "there is no such invitation"))
        }
        PeopleRequest::Ls(page) => told(PeopleOutcome::People(match page.cursor.as_deref() {
            None => PeopleReply {
                people: vec![
                    person("root", PersonKind::Owner, Some(AccountRole::Admin)),
                    person("ana", PersonKind::Account, Some(AccountRole::Member)),
                ],
                next: Some("c2".into()),
            },
            Some(_) => PeopleReply {
                people: vec![
                    Person { disabled: true, ..person(EVIL, PersonKind::Guest, None) },
                    person("old", PersonKind::Imported, None),
                ],
                next: None,
            },
        })),
        PeopleRequest::Role(role) if role.person == "bruno" => nobody("bruno"),
        PeopleRequest::Role(role) => {
            let person = person(&role.person, PersonKind::Account, Some(role.role));
            told(PeopleOutcome::Person(PersonReply { person }))
        }
        PeopleRequest::Disable(disable) => {
            let ana = person(&disable.person, PersonKind::Account, Some(AccountRole::Member));
            let person = Person { disabled: disable.disabled, ..ana };
            told(PeopleOutcome::Person(PersonReply { person }))
        }
        PeopleRequest::Devices(devices) if devices.person.as_deref() == Some("bruno") => {
            told(PeopleOutcome::Devices(DevicesReply::default()))
        }
        PeopleRequest::Devices(_) => {
            let browser = Device { kind: DeviceKind::Browser, seen: None, ..device(8, EVIL) };
            let revoked = Device { revoked: Some(at(40)), ..device(6, "old laptop") };
            let this = Device { this: true, ..device(7, "laptop") };
            told(PeopleOutcome::Devices(DevicesReply { devices: vec![browser, this, revoked] }))
        }
        PeopleRequest::Revoke(revoke) => {
            let this = revoke.device.0 == 7;
            let device =
                Device { revoked: Some(at(40)), this, ..device(revoke.device.0, "laptop") };
            told(PeopleOutcome::Device(DeviceReply { device }))
        }
        PeopleRequest::Audit(audit) => {
            // Four in all, in pages of at most two.
            let last = audit.before.unwrap_or(5) - 1;
            let first = last.saturating_sub(u64::from(audit.page_size().min(2)) - 1).max(1);
            let entry = |id: u64| AuditEntry {
                id,
                at: at(20 + id as u32),
                by: "ana".into(),
                from: if id == 1 { "local" } else { "10.0.0.7" }.into(),
                act: "revoke".into(),
                object: format!("device {id} ({EVIL}) of ana"),
            };
            let entries = (first..=last).rev().map(entry).collect();
            told(PeopleOutcome::Audit(AuditReply { entries, next: (first > 1).then_some(first) }))
        }
    }
}

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
fn how_a_session_goes_and_what_a_server_takes() {
    let stub = Stub::new(|_, _| {
        let limit = |key: &str, value: &str, used: Option<&str>, fixed| LimitStatus {
            key: key.into(),
            value: value.into(),
            used: used.map(str::to_owned),
            fixed,
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

/// Every word that may be said of people, and some that may not.
fn every_line(link: &str) -> Vec<Vec<&str>> {
    let lines: [&[&str]; 25] = [
        &["status"],
        &["status", "--long"],
        &["connect", link],
        &["join", link],
        &["join", link, link],
        &["join", "--user", "ana", "--device", "laptop", link],
        &["join", "--link", link],
        &["people", "ls"],
        &["people", "role", "ana", "admin"],
        &["people", "role", "ana", link],
        &["people", "disable", "ana"],
        &["people", "enable", "ana"],
        &["people", link],
        &["devices", "ls"],
        &["devices", "ls", "--user", "ana"],
        &["devices", "revoke", "7"],
        &["devices", "revoke", link],
        &["invite", "ls"],
        &["invite", "revoke", "3"],
        &["invite", link],
        &["audit"],
        &["audit", "--limit", link],
        &["--timeout", link, "join"],
        &["list"],
        &[link],
    ];
    lines.into_iter().map(<[&str]>::to_vec).collect()
}

#[test]
fn what_lets_in_is_said_by_nothing_that_was_not_asked_for_it() {
    // Whatever is asked, it answers with what lets in.
    let confused = Stub::new(|_, _| invited(&Invite::default()));
    let right = Stub::new(|request, bytes| match request {
        Request::List(_) => refused(Refusal::new(ErrorCode::NotConnected, "there is no session")),
        _ => admin(request, bytes),
    });
    let nobody = tempfile::tempdir().unwrap();
    let link = link();
    for line in every_line(&link) {
        for more in [&[][..], &["--json"], &["-v"], &["--json", "-q"]] {
            // Before the words: clap may end at a wrong one.
            let args = [more, &line].concat();
            let there_is_no_daemon =
                transcript(stub::imgctl(nobody.path(), &args), &args, nobody.path());
            for said in [confused.transcript(&args), right.transcript(&args), there_is_no_daemon] {
                let (asked, said) = said.split_once('\n').unwrap();
                assert!(!said.contains(CANARY), "{asked}\n{said}");
                assert!(!said.contains("panicked"), "{asked}\n{said}");
            }
        }
    }
    // The stub has it: it is told where it is asked for.
    for args in [&["invite"][..], &["devices", "add"], &["login-link"]] {
        assert!(right.transcript(args).contains(CANARY));
    }
}
