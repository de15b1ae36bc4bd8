//! The daemon of an admin, who has people, devices and invitations to tell of.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::reply::{SessionState, Transport};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::command::Invite;
use imgrepo_proto::session::people::{
    AccountRole, AuditEntry, AuditReply, Device, DeviceId, DeviceKind, DeviceReply, DevicesReply,
    Invitation, InvitationId, InvitationReply, InvitationsReply, InviteReply, PeopleReply, Person,
    PersonKind, PersonReply,
};
use imgrepo_proto::{ErrorCode, Refusal, Secret};
use jiff::Timestamp;

use super::{Say, done, refused, status};

/// A name that would act on a terminal and turn the text around.
pub(crate) const EVIL: &str = "e\x1b[31mv\u{202e}li";

/// Found nowhere but where it is asked for.
pub(crate) const CANARY: &str = "c4n4ry-0f-an-invitation";
pub(crate) const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

pub(crate) fn link() -> String {
    format!("imgrepo://photos.example:8765,10.0.0.7:8765/#{CANARY},{PIN}")
}

pub(crate) fn at(minute: u32) -> Timestamp {
    format!("2026-11-23T06:{minute:02}:01Z").parse().unwrap()
}

pub(crate) fn invitation(id: u64) -> Invitation {
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

pub(crate) fn person(name: &str, kind: PersonKind, role: Option<AccountRole>) -> Person {
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

pub(crate) fn device(id: u64, label: &str) -> Device {
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

pub(crate) fn told(outcome: PeopleOutcome) -> Vec<Say> {
    done(Outcome::People(Box::new(outcome)))
}

pub(crate) fn invited(invite: &Invite) -> Vec<Say> {
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
pub(crate) fn admin(request: &Request, _: &[u8]) -> Vec<Say> {
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
