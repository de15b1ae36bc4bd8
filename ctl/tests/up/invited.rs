//! The first invitation of a server, by a daemon whose every answer is given.

use std::sync::{Arc, Mutex};

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::reply::{ServerStatus, SessionState, Status};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::people::{
    Invitation, InvitationId, InvitationsReply, InviteReply, PeopleReply, Person, PersonKind,
};
use imgrepo_proto::{ErrorCode, Refusal, Secret};
use serde_json::Value;

use crate::stub::{self, Stub};

/// A server whose people are given, and what was asked of people.
fn server_of(people: Vec<Person>, invitations: Vec<Invitation>) -> (Stub, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let stub = Stub::new(move |request, _| match request {
        Request::Status => {
            let server = ServerStatus {
                listen: "[::]:8765".into(),
                guests: false,
                guests_may: "no".into(),
                fingerprint: None,
                addresses: Vec::new(),
                limits: Vec::new(),
                sessions: 1,
                images: 0,
                pictures: None,
                data: "/d".into(),
            };
            let status = stub::status(SessionState::Connected);
            stub::done(Outcome::Status(Box::new(Status { server: Some(server), ..status })))
        }
        Request::People(request) => {
            let (word, outcome) = match request {
                PeopleRequest::Ls(_) => {
                    let reply = PeopleReply { people: people.clone(), next: None };
                    ("ls", PeopleOutcome::People(reply))
                }
                PeopleRequest::Invitations => {
                    let invitations = invitations.clone();
                    let reply = InvitationsReply { invitations };
                    ("invitations", PeopleOutcome::Invitations(reply))
                }
                _ => {
                    let secret = |text| Secret::parse(text).unwrap();
                    let reply = InviteReply {
                        invitation: invitation(1, "2126-01-01T00:00:00Z"),
                        link: secret("imgrepo://[fd00::1]:8765/#s3cret,ca"),
                        page: secret("https://h:8765/join#s3cret"),
                        notice: None,
                    };
                    ("invite", PeopleOutcome::Invited(reply))
                }
            };
            heard.lock().unwrap().push(word.to_owned());
            stub::done(Outcome::People(Box::new(outcome)))
        }
        _ => stub::done(Outcome::Nothing),
    });
    (stub, asked)
}

fn invitation(uses: u32, expires: &str) -> Invitation {
    Invitation {
        id: InvitationId(1),
        role: None,
        person: None,
        guest: None,
        uses,
        by: "ana".into(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires: expires.parse().unwrap(),
        revoked: None,
    }
}

fn person(kind: PersonKind) -> Person {
    Person {
        name: "bia".into(),
        kind,
        role: None,
        disabled: false,
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        images: 0,
        bytes: 0,
        devices: 0,
    }
}

#[test]
fn the_first_who_is_to_come_is_invited_once() {
    let up = |stub: &Stub, args: &[&str]| {
        // No manager of services is found here.
        let output = stub.imgctl(args).env("PATH", stub.home.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let later = "2126-01-01T00:00:00Z";
    for due in [vec![], vec![invitation(0, later), invitation(1, "2020-01-01T00:00:00Z")]] {
        let people = vec![person(PersonKind::Owner), person(PersonKind::Guest)];
        let (stub, asked) = server_of(people, due);
        let said = up(&stub, &["up"]);
        assert!(said.contains("others reach it, nobody gets in without an invitation"), "{said}");
        let link = "imgctl join 'imgrepo://[fd00::1]:8765/#s3cret,ca'";
        assert_eq!(said.lines().last().unwrap().trim(), link);
        assert_eq!(*asked.lock().unwrap(), ["ls", "invitations", "invite"]);
        let document: Value = serde_json::from_str(&up(&stub, &["up", "--json"])).unwrap();
        let link = &document["invitation"]["link"];
        assert_eq!(link, "imgrepo://[fd00::1]:8765/#s3cret,ca");
    }
    for (people, invitations) in
        [(vec![person(PersonKind::Account)], vec![]), (vec![], vec![invitation(1, later)])]
    {
        let (stub, asked) = server_of(people, invitations);
        let said = up(&stub, &["up"]);
        assert!(said.contains("somebody was invited already; more: imgctl invite"), "{said}");
        assert!(!asked.lock().unwrap().contains(&"invite".to_owned()));
        let document: Value = serde_json::from_str(&up(&stub, &["up", "--json"])).unwrap();
        assert_eq!(document["invitation"], Value::Null);
    }
}

#[test]
fn a_session_that_is_refused_is_said_with_its_reason() {
    let stub = Stub::new(|_, _| {
        let mut status = stub::status(SessionState::Refused);
        let why = Refusal::new(ErrorCode::Denied, "this device was revoked");
        status.session.error = Some(why.hint("ask an admin"));
        stub::done(Outcome::Status(Box::new(status)))
    });
    let up = |args: &[&str]| {
        let output = stub.imgctl(args).env("PATH", stub.home.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        output
    };
    let said = String::from_utf8(up(&["up"]).stderr).unwrap();
    assert!(said.contains("cannot connect: this device was revoked\nhint: ask an admin"), "{said}");
    let document: Value = serde_json::from_slice(&up(&["up", "--json"]).stdout).unwrap();
    assert_eq!(document["session"]["error"]["code"], "denied");
}
