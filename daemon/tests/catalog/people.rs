//! People: accounts, devices and invitations; on both catalogs.

use imgrepo_proto::session::command::Filter;
use imgrepo_proto::session::people::{AccountRole, DeviceId, DeviceKind, InvitationId};
use imgrepo_proto::{ErrorCode, ImageId, Refusal};
use imgrepod::repository::catalog::people::{Act, Acted, By, NewDevice, NewInvitation, SecretHash};
use imgrepod::repository::catalog::{Again, Change, PageQuery, PersonId, PersonKind};
use jiff::{SignedDuration, Timestamp};

use super::scene::{Scene, both, now, person};

pub(crate) const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The catalog, its owner, and secrets that are numbers.
pub(crate) struct Folk {
    pub(crate) scene: Scene,
    pub(crate) owner: PersonId,
}

pub(crate) fn folk() -> [Folk; 2] {
    both().map(Folk::of)
}

pub(crate) fn secret(of: u8) -> SecretHash {
    SecretHash([of; 32])
}

pub(crate) fn member(of: u8) -> NewInvitation {
    NewInvitation {
        secret: secret(of),
        role: Some(AccountRole::Member),
        person: None,
        guest: None,
        uses: 1,
        expires_at: now() + HOUR,
    }
}

impl Folk {
    pub(crate) fn of(scene: Scene) -> Folk {
        let owner = scene.catalog.person(PersonKind::Owner, &person("olga"), now()).unwrap();
        Folk { scene, owner }
    }

    pub(crate) fn act_by(
        &self,
        by: PersonId,
        device: Option<DeviceId>,
        act: &Act,
        at: Timestamp,
    ) -> Result<Acted, Refusal> {
        let joins = matches!(act, Act::Join(_));
        let by = By { person: Some(by).filter(|_| !joins), device, from: "10.0.0.7".to_owned() };
        self.scene.catalog.act(act, &by, at).unwrap()
    }

    fn act(&self, act: Act) -> Result<Acted, Refusal> {
        self.act_by(self.owner, None, &act, now())
    }

    pub(crate) fn invite(&self, new: NewInvitation) -> InvitationId {
        InvitationId(self.act(Act::Invite(new)).unwrap().number)
    }

    pub(crate) fn join_at(
        &self,
        invitation: u8,
        user: Option<&str>,
        credential: u8,
        at: Timestamp,
    ) -> Result<Acted, Refusal> {
        let device = NewDevice {
            invitation: secret(invitation),
            user: user.map(person),
            credential: secret(credential),
            label: "laptop".to_owned(),
            kind: DeviceKind::Program,
        };
        self.act_by(self.owner, None, &Act::Join(device), at)
    }

    pub(crate) fn join(
        &self,
        invitation: u8,
        user: &str,
        credential: u8,
    ) -> Result<PersonId, Refusal> {
        let acted = self.join_at(invitation, Some(user), credential, now())?;
        let device = self.scene.catalog.device(DeviceId(acted.number)).unwrap().unwrap();
        assert_eq!(self.scene.catalog.holder(secret(credential)).unwrap(), Some(device.clone()));
        Ok(device.person)
    }

    /// A new account, with an invitation and a credential of this number.
    pub(crate) fn account(&self, user: &str, number: u8) -> PersonId {
        self.invite(member(number));
        self.join(number, user, number).unwrap()
    }

    pub(crate) fn shown(&self, id: PersonId) -> String {
        self.scene.catalog.person_of(id).unwrap().unwrap().shown.into()
    }

    pub(crate) fn record(&self) -> Vec<String> {
        let entries = self.scene.catalog.audit(None, 100).unwrap();
        let line = |entry: &imgrepo_proto::session::people::AuditEntry| {
            format!("{} {} from {}: {} {}", entry.id, entry.by, entry.from, entry.act, entry.object)
        };
        entries.iter().map(line).collect()
    }
}

#[test]
fn an_invitation_lets_in_as_often_as_it_says() {
    for folk in folk() {
        let id = folk.invite(NewInvitation { uses: 2, ..member(1) });
        let ana = folk.join(1, "ana", 1).unwrap();
        let bea = folk.join(1, "bea", 2).unwrap();
        assert_ne!(ana, bea);
        let refusal = folk.join(1, "caio", 3).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Denied);
        assert!(refusal.message.contains("was used already"), "{refusal}");
        let known = folk.scene.catalog.invitation(id).unwrap().unwrap();
        assert_eq!((known.uses_left, known.used_at.is_some()), (0, true));
        let account = folk.scene.catalog.person_of(bea).unwrap().unwrap();
        assert_eq!((account.kind, account.role), (PersonKind::Account, Some(AccountRole::Member)));
        assert_eq!(
            folk.record(),
            [
                "3 bea from 10.0.0.7: join device 2 (laptop) of bea, a new member, by invitation 1",
                "2 ana from 10.0.0.7: join device 1 (laptop) of ana, a new member, by invitation 1",
                "1 olga from 10.0.0.7: invite invitation 1 for a member, 2 times",
            ]
        );
    }
}

#[test]
fn whoever_holds_an_invitation_hears_what_became_of_it() {
    for folk in folk() {
        let why = |refusal: Refusal| {
            assert_eq!(refusal.code, ErrorCode::Denied);
            refusal.message
        };
        assert!(why(folk.join(9, "ana", 1).unwrap_err()).contains("not known here"));
        folk.invite(member(1));
        let late = |at| why(folk.join_at(1, Some("ana"), 1, at).unwrap_err());
        let ended = (now() + HOUR).strftime("ended at %Y-%m-%d %H:%M UTC").to_string();
        assert!(late(now() + HOUR).ends_with(&ended));
        assert!(late(now() + HOUR * 2).ends_with(&ended));
        let id = folk.invite(member(2));
        folk.act(Act::Uninvite(id)).unwrap();
        assert!(why(folk.join(2, "ana", 1).unwrap_err()).contains("was taken back"));
        // A moment before its end.
        folk.join_at(1, Some("ana"), 1, now() + HOUR - SignedDuration::from_millis(1)).unwrap();
        // Again changes nothing and tells nothing.
        let before = folk.record();
        assert_eq!(folk.act(Act::Uninvite(id)).unwrap().records, []);
        assert_eq!(folk.record(), before);
        let none = folk.act(Act::Uninvite(InvitationId(99))).unwrap_err();
        assert_eq!(none.code, ErrorCode::NotFound);
    }
}

#[test]
fn names_are_ones_own() {
    for folk in folk() {
        folk.account("ana", 1);
        folk.invite(NewInvitation { uses: 9, ..member(2) });
        for taken in ["ana", "olga"] {
            let refusal = folk.join(2, taken, 2).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::Conflict, "{taken}");
            assert!(refusal.hint.is_some_and(|hint| hint.contains("--user NAME")));
        }
        assert_eq!(folk.join(2, "bo (guest)", 2).unwrap_err().code, ErrorCode::BadName);
        let nameless = folk.join_at(2, None, 2, now()).unwrap_err();
        assert_eq!(nameless.code, ErrorCode::BadRequest);
        // None of these used it up.
        assert_eq!(folk.scene.catalog.invitation(InvitationId(2)).unwrap().unwrap().uses_left, 9);
    }
}

#[test]
fn a_guest_under_anothers_name_is_shown_as_a_guest() {
    for folk in folk() {
        let scene = &folk.scene;
        // The guest first: ana and bo are guests of the scene.
        scene.store("a.jpg", 1);
        assert_eq!(folk.shown(scene.ana), "ana");
        let account = folk.account("ana", 1);
        assert_ne!(account, scene.ana, "nothing is inherited");
        assert_eq!(
            (folk.shown(account), folk.shown(scene.ana)),
            ("ana".into(), "ana (guest)".into())
        );
        // The account first.
        folk.account("bea", 2);
        let bea = scene.catalog.person(PersonKind::Guest, &person("bea"), now()).unwrap();
        assert_eq!(folk.shown(bea), "bea (guest)");
        let olga = scene.catalog.person(PersonKind::Guest, &person("olga"), now()).unwrap();
        assert_eq!(folk.shown(olga), "olga (guest)");
        // Records, events and lists say so from now on; old events stay.
        let mut new = scene.new_image("b.jpg", 2, Again::Reuse);
        new.person = account;
        scene.change_by(account, Change::Store(new), now()).unwrap();
        scene.change(Change::Delete(ImageId(1))).unwrap();
        scene.change(Change::Restore(ImageId(1))).unwrap();
        let events = scene.catalog.changes(imgrepo_proto::Seq(0), 9).unwrap().events;
        let told =
            events.iter().map(|it| (it.by.clone().unwrap(), it.image.clone().unwrap().uploader));
        let told: Vec<_> = told.collect();
        let pair = |by: &str| (by.to_owned(), by.to_owned());
        let guest = pair("ana (guest)");
        assert_eq!(told, [pair("ana"), pair("ana"), guest.clone(), guest]);
        let by = |uploader: &str| {
            let filter = Filter { uploader: Some(uploader.to_owned()), ..Filter::default() };
            let query = PageQuery { filter, limit: 9, ..PageQuery::default() };
            let page = scene.catalog.page(&query).unwrap().unwrap();
            assert_eq!(page.total, Some(page.images.len() as u64));
            page.images.iter().map(|image| image.id.0).collect::<Vec<_>>()
        };
        assert_eq!((by("ana"), by("ana (guest)"), by("bo")), (vec![2], vec![1], vec![]));
    }
}

#[test]
fn a_long_name_is_cut_where_it_is_shown() {
    for folk in folk() {
        let long = "é".repeat(32);
        let guest = folk.scene.catalog.person(PersonKind::Guest, &person(&long), now()).unwrap();
        folk.account(&long, 1);
        assert_eq!(folk.shown(guest), format!("{} (guest)", "é".repeat(28)));
    }
}

#[test]
fn a_guests_images_become_theirs_whom_the_invitation_names() {
    for folk in folk() {
        let scene = &folk.scene;
        scene.store("a.jpg", 1);
        let for_ana = |of| NewInvitation { guest: Some(scene.ana), ..member(of) };
        folk.invite(for_ana(1));
        folk.invite(for_ana(2));
        // Under another name; somebody else is a guest of that name.
        let acted = folk.join_at(1, Some("bo"), 1, now()).unwrap();
        assert!(acted.changes_sessions);
        let account = scene.catalog.person_of(scene.ana).unwrap().unwrap();
        assert_eq!((account.kind, account.name.as_str()), (PersonKind::Account, "bo"));
        assert_eq!(folk.shown(scene.bo), "bo (guest)");
        let image = scene.catalog.image(ImageId(1)).unwrap().unwrap();
        assert_eq!((image.person, image.record.uploader.as_str()), (scene.ana, "bo"));
        let refusal = folk.join(2, "ana", 2).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Conflict, "{refusal}");
        // A guest of the old name is somebody new.
        let anew = scene.catalog.person(PersonKind::Guest, &person("ana"), now()).unwrap();
        assert_ne!(anew, scene.ana);
        folk.invite(NewInvitation { guest: Some(scene.bo), ..member(3) });
        // Without a name it is the guest's, which is taken by now.
        assert_eq!(folk.join_at(3, None, 3, now()).unwrap_err().code, ErrorCode::Conflict);
        folk.invite(NewInvitation { guest: Some(anew), ..member(4) });
        folk.join_at(4, None, 4, now()).unwrap();
        assert_eq!(folk.shown(anew), "ana");
    }
}

#[test]
fn a_further_device_is_of_the_same_person() {
    for folk in folk() {
        let ana = folk.account("ana", 1);
        let further = |of| NewInvitation { person: Some(ana), role: None, ..member(of) };
        folk.invite(further(2));
        assert_eq!(folk.join(2, "whoever", 2).unwrap(), ana);
        folk.invite(further(3));
        folk.act(Act::Disable(ana, true)).unwrap();
        assert_eq!(folk.join(3, "ana", 3).unwrap_err().code, ErrorCode::Denied);
        let refusal = folk.act(Act::Invite(further(4))).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Conflict);
        folk.act(Act::Disable(ana, false)).unwrap();
        // What was taken back stays so.
        assert!(folk.join(3, "ana", 3).unwrap_err().message.contains("taken back"));
        for device in 3..=100 {
            folk.invite(NewInvitation { secret: secret(100 + device), ..further(0) });
            folk.join(100 + device, "ana", device).unwrap();
        }
        folk.invite(further(101));
        let refusal = folk.join(101, "ana", 201).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Conflict, "{refusal}");
        folk.act(Act::Revoke(DeviceId(1))).unwrap();
        folk.join(101, "ana", 201).unwrap();
        let devices = folk.scene.catalog.devices(ana, now() - HOUR, 9).unwrap();
        assert_eq!(
            (devices.len(), devices[0].id, devices[100].id),
            (101, DeviceId(101), DeviceId(1))
        );
        assert_eq!(folk.scene.catalog.devices(ana, now() + HOUR, 9).unwrap().len(), 100);
    }
}

#[test]
fn invitations_are_bounded() {
    for folk in folk() {
        let ana = folk.account("ana", 0);
        let own = |of: u8| {
            let new = NewInvitation { person: Some(ana), role: None, ..member(of) };
            folk.act_by(ana, Some(DeviceId(1)), &Act::Invite(new), now())
        };
        for of in 1..=10 {
            own(of).unwrap();
        }
        assert_eq!(own(11).unwrap_err().code, ErrorCode::Conflict);
        let many = |of: usize| {
            let hash = SecretHash(std::array::from_fn(|at| {
                if at == 0 { 200 } else { (of >> (8 * (at % 2))) as u8 }
            }));
            folk.act(Act::Invite(NewInvitation { secret: hash, ..member(0) }))
        };
        for of in 11..=500 {
            many(of).unwrap();
        }
        assert_eq!(many(501).unwrap_err().code, ErrorCode::Conflict);
        folk.act(Act::Uninvite(InvitationId(20))).unwrap();
        many(501).unwrap();
        let later = now() + HOUR * 2;
        let listed =
            |at, since, most| folk.scene.catalog.invitations(None, at, since, most).unwrap().len();
        assert_eq!(listed(now(), now(), 0), 500);
        assert_eq!(listed(now(), now() - HOUR, 100), 502);
        assert_eq!((listed(later, now() - HOUR, 100), listed(later, later, 100)), (100, 0));
        let own = folk.scene.catalog.invitations(Some(ana), now(), now(), 0).unwrap();
        assert_eq!(own.len(), 10);
    }
}

#[test]
fn what_somebody_gave_out_goes_with_them() {
    for folk in folk() {
        let admin = |of| NewInvitation { role: Some(AccountRole::Admin), ..member(of) };
        folk.invite(admin(1));
        let ana = folk.join(1, "ana", 1).unwrap();
        let by_ana = |new: NewInvitation| {
            folk.act_by(ana, Some(DeviceId(1)), &Act::Invite(new), now()).unwrap().number
        };
        let lives = |id: u64| {
            let known = folk.scene.catalog.invitation(InvitationId(id)).unwrap().unwrap();
            known.lets_in(now())
        };
        // Demoted: only what was for themselves stays.
        let (others, own) = (
            by_ana(member(2)),
            by_ana(NewInvitation { person: Some(ana), role: None, ..member(3) }),
        );
        folk.act(Act::SetRole(ana, AccountRole::Member)).unwrap();
        assert_eq!((lives(others), lives(own)), (false, true));
        // A device that is revoked leaves no other way in.
        folk.act(Act::Revoke(DeviceId(1))).unwrap();
        assert!(!lives(own));
        let again = by_ana(NewInvitation { person: Some(ana), role: None, ..member(4) });
        let acted = folk.act(Act::Disable(ana, true)).unwrap();
        assert!(acted.changes_sessions && !lives(again));
        let acts: Vec<_> = acted.records.iter().map(|record| record.act).collect();
        assert_eq!(acts, ["disable", "uninvite"]);
        assert_eq!(
            folk.record()[..2],
            [
                "11 olga from 10.0.0.7: uninvite invitation 4".to_owned(),
                "10 olga from 10.0.0.7: disable ana".to_owned(),
            ]
        );
    }
}

#[test]
fn nobody_touches_the_owner_or_themselves() {
    for folk in folk() {
        let ana = folk.account("ana", 1);
        let refused = |by, act: Act| folk.act_by(by, None, &act, now()).unwrap_err().code;
        for by in [folk.owner, ana] {
            assert_eq!(refused(by, Act::Disable(folk.owner, true)), ErrorCode::Conflict);
            let role = Act::SetRole(folk.owner, AccountRole::Viewer);
            assert_eq!(refused(by, role), ErrorCode::Conflict);
        }
        assert_eq!(refused(ana, Act::Disable(ana, true)), ErrorCode::Conflict);
        assert_eq!(refused(ana, Act::SetRole(ana, AccountRole::Admin)), ErrorCode::Conflict);
        assert_eq!(refused(folk.owner, Act::Disable(folk.scene.bo, true)), ErrorCode::Conflict);
        assert_eq!(refused(folk.owner, Act::Disable(PersonId(99), true)), ErrorCode::NotFound);
        assert_eq!(refused(folk.owner, Act::Revoke(DeviceId(99))), ErrorCode::NotFound);
        // Nobody but the owner lets in a device of the owner's.
        let device = NewInvitation { person: Some(folk.owner), role: None, ..member(2) };
        assert_eq!(refused(ana, Act::Invite(device.clone())), ErrorCode::Denied);
        folk.act(Act::Invite(device)).unwrap();
        assert_eq!(folk.join(2, "ana", 2).unwrap(), folk.owner);
    }
}
