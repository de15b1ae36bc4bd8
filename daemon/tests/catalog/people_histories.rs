//! Random acts on people: SQLite and the catalog in memory answer alike, whatever is asked of them, and
//! what is refused leaves nothing behind.

use imgrepo_proto::session::people::{AccountRole, DeviceId, InvitationId};
use imgrepod::repository::catalog::people::{Act, NewInvitation};
use imgrepod::repository::catalog::{Again, Change, PersonId};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::people::{Folk, member, secret};
use super::scene::{Scene, now};

const NAMES: [&str; 5] = ["ana", "bo", "caio", "olga", "bo (guest)"];

#[derive(Debug, Clone)]
enum Step {
    Act(i64, Act),
    Join(u8, Option<&'static str>, u8),
    Store(i64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let person = || (1..6i64).prop_map(PersonId);
    let some = || prop::option::weighted(0.3, (1..6i64).prop_map(PersonId));
    let role = || prop::sample::select(&AccountRole::ALL[..]);
    let invite = (any::<u8>(), prop::option::of(role()), some(), some(), 1..3u32).prop_map(
        |(of, role, person, guest, uses)| {
            Act::Invite(NewInvitation { role, person, guest, uses, ..member(of) })
        },
    );
    let act = prop_oneof![
        4 => invite,
        1 => (1..6u64).prop_map(|id| Act::Uninvite(InvitationId(id))),
        2 => (person(), role()).prop_map(|(person, role)| Act::SetRole(person, role)),
        2 => (person(), any::<bool>()).prop_map(|(person, is)| Act::Disable(person, is)),
        1 => (1..4u64).prop_map(|id| Act::Revoke(DeviceId(id))),
    ];
    let name = prop::option::weighted(0.8, prop::sample::select(&NAMES[..]));
    prop_oneof![
        3 => (1..4i64, act).prop_map(|(by, act)| Step::Act(by, act)),
        2 => (0..8u8, name, any::<u8>()).prop_map(|(at, name, of)| Step::Join(at, name, of)),
        1 => (1..4i64, 0..4u8).prop_map(|(person, content)| Step::Store(person, content)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_carry_out_alike(steps in prop::collection::vec(step(), 1..25)) {
        let (sqlite, memory) = (Folk::of(Scene::sqlite()), Folk::of(Scene::memory()));
        let mut at = now();
        let (mut secrets, mut used) = (Vec::new(), std::collections::BTreeSet::new());
        for step in steps {
            at += SignedDuration::from_secs(7 * 60);
            match step {
                Step::Act(by, mut act) => {
                    if let Act::Invite(new) = &mut act {
                        // A secret is never made twice, and its end is counted from now on.
                        if !used.insert((0, new.secret.0[0])) {
                            continue;
                        }
                        new.expires_at = at + SignedDuration::from_hours(1);
                    }
                    let one = sqlite.act_by(PersonId(by), None, &act, at);
                    prop_assert_eq!(&one, &memory.act_by(PersonId(by), None, &act, at));
                    if let (Ok(_), Act::Invite(new)) = (&one, &act) {
                        secrets.push(new.secret.0[0]);
                    }
                }
                Step::Join(which, name, credential) => {
                    let invitation = secrets.get(usize::from(which)).copied().unwrap_or(which);
                    if !used.insert((1, credential)) {
                        continue;
                    }
                    let one = sqlite.join_at(invitation, name, credential, at);
                    prop_assert_eq!(one, memory.join_at(invitation, name, credential, at));
                    let holder = |folk: &Folk| folk.scene.catalog.holder(secret(credential));
                    prop_assert_eq!(holder(&sqlite).unwrap(), holder(&memory).unwrap());
                }
                Step::Store(person, content) => {
                    let person = PersonId(person);
                    for folk in [&sqlite, &memory] {
                        let new = folk.scene.new_image("a.jpg", content, Again::Reuse);
                        let new = imgrepod::repository::catalog::NewImage { person, ..new };
                        folk.scene.change_by(person, Change::Store(new), at).unwrap();
                    }
                }
            }
            let (one, other) = (&sqlite.scene.catalog, &memory.scene.catalog);
            prop_assert_eq!(one.people(None, 99).unwrap(), other.people(None, 99).unwrap());
            prop_assert_eq!(one.audit(None, 99).unwrap(), other.audit(None, 99).unwrap());
            let since = at - SignedDuration::from_mins(30);
            for by in [None, Some(PersonId(1)), Some(PersonId(3))] {
                prop_assert_eq!(
                    one.invitations(by, at, since, 2).unwrap(),
                    other.invitations(by, at, since, 2).unwrap()
                );
            }
            for id in 1..6 {
                let id = PersonId(id);
                prop_assert_eq!(one.person_of(id).unwrap(), other.person_of(id).unwrap());
                prop_assert_eq!(
                    one.devices(id, since, 1).unwrap(),
                    other.devices(id, since, 1).unwrap()
                );
                prop_assert_eq!(
                    one.kept_bytes(Some(id)).unwrap(),
                    other.kept_bytes(Some(id)).unwrap()
                );
            }
        }
        for id in 1..4 {
            let id = imgrepo_proto::ImageId(id);
            prop_assert_eq!(
                sqlite.scene.catalog.image(id).unwrap(),
                memory.scene.catalog.image(id).unwrap()
            );
        }
    }
}
