//! Who is let in and what becomes of them, from outside: invitations, credentials, roles, the record.

use imgrepo_proto::session::command::List;
use imgrepo_proto::session::people::{
    AccountRole, Audit, DeviceId, DeviceKind, Devices, Disable, InvitationId, Invite, Join,
    JoinReply, People, Revoke, SetRole, Uninvite,
};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};
use imgrepod::repository::{Actor, Authentication, Repository, Role};

use crate::support::{delete, guest, image, open, upload};

pub(crate) const FROM: &str = "203.0.113.9";

pub(crate) async fn join(
    repository: &Repository,
    secret: &Secret,
    user: Option<&str>,
) -> Result<(JoinReply, Actor), Refusal> {
    let user = user.map(str::to_owned);
    let join = Join { secret: secret.clone(), user, device: "laptop".to_owned(), client: None };
    repository.join(&join, DeviceKind::Program, FROM).await
}

async fn account(repository: &Repository, user: &str, role: AccountRole) -> (JoinReply, Actor) {
    let invite = Invite { role: Some(role), ..Invite::default() };
    let (_, secret) = repository.invite(&repository.owner(), &invite).await.unwrap();
    join(repository, &secret, Some(user)).await.unwrap()
}

async fn known(repository: &Repository, credential: &Secret) -> Authentication {
    repository.authenticate(None, credential, FROM).await.unwrap()
}

fn role(set: &str, role: AccountRole) -> SetRole {
    SetRole { person: set.to_owned(), role }
}

fn disable(person: &str, disabled: bool) -> Disable {
    Disable { person: person.to_owned(), disabled }
}

#[tokio::test]
async fn a_credential_lets_in_until_it_is_revoked() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let (joined, actor) = account(&repository, " ana ", AccountRole::Member).await;
    assert_eq!((joined.user.as_str(), joined.role.as_str()), ("ana", "member"));
    assert_eq!((actor.role, actor.from.as_str()), (Role::Member, FROM));
    assert_eq!((actor.device, joined.repository), (Some(joined.device), repository.id()));
    let auth = async |user: Option<&str>, credential: &Secret| {
        repository.authenticate(user, credential, FROM).await.unwrap()
    };
    assert_eq!(auth(None, &joined.credential).await, Authentication::Known(actor.clone()));
    assert_eq!(auth(Some(" ana"), &joined.credential).await, Authentication::Known(actor.clone()));
    for user in ["bea", "Ana", "ana (guest)", "\u{7}"] {
        assert_eq!(auth(Some(user), &joined.credential).await, Authentication::Unknown, "{user}");
    }
    let other = Secret::parse("guessed").unwrap();
    assert_eq!(auth(Some("ana"), &other).await, Authentication::Unknown);
    // It outlives the process, and stands nowhere in clear.
    repository.close().await;
    drop(repository);
    let repository = open(data.path());
    assert_eq!(known(&repository, &joined.credential).await, Authentication::Known(actor.clone()));
    let changed = repository.people_changed();
    let revoked = repository.revoke(&actor, &Revoke { device: joined.device }).await;
    // Its own device is revoked, so that it may do nothing more.
    assert!(revoked.unwrap().device.this);
    assert!(changed.has_changed().unwrap());
    assert_eq!(known(&repository, &joined.credential).await, Authentication::Revoked);
    assert_eq!(repository.refresh(&actor).await.unwrap(), Authentication::Revoked);
    let refusal = repository.devices(&actor, &Devices::default()).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    repository.close().await;
    let file = std::fs::read(data.path().join("catalog.db")).unwrap();
    let text = joined.credential.expose().as_bytes();
    assert!(!file.windows(text.len()).any(|window| window == text));
}

#[tokio::test]
async fn a_role_changes_in_place_and_a_disabled_person_is_out() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let owner = repository.owner();
    let (joined, actor) = account(&repository, "ana", AccountRole::Admin).await;
    let stored = upload(&repository, &actor, "a.ppm", &image(1, 500)).await.unwrap();
    assert_eq!(stored.image.uploader, "ana");
    let told = repository.set_role(&owner, &role("ana", AccountRole::Viewer)).await.unwrap();
    assert_eq!((told.person.role, told.person.images), (Some(AccountRole::Viewer), 1));
    let Authentication::Known(now) = repository.refresh(&actor).await.unwrap() else { panic!() };
    assert_eq!((now.role, now.person), (Role::Viewer, actor.person));
    // The actor of before is looked at anew where people are concerned.
    let refusal = repository.invite(&actor, &Invite::default()).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    assert_eq!(delete(&repository, &now, 1).await.unwrap_err().code, ErrorCode::Denied);
    let own = repository.devices(&now, &Devices::default()).await.unwrap();
    assert_eq!((own.devices.len(), own.devices[0].this), (1, true));
    let changed = repository.people_changed();
    repository.disable(&owner, &disable("ana", true)).await.unwrap();
    assert!(changed.has_changed().unwrap());
    assert_eq!(known(&repository, &joined.credential).await, Authentication::Disabled);
    assert_eq!(repository.refresh(&now).await.unwrap(), Authentication::Disabled);
    let page = repository.list(&owner, List::default()).await.unwrap();
    assert_eq!(page.total, Some(1), "its images stay");
    let told = repository.disable(&owner, &disable("ana", false)).await.unwrap();
    assert!(!told.person.disabled);
    assert!(matches!(known(&repository, &joined.credential).await, Authentication::Known(_)));
}

#[tokio::test]
async fn guests_are_told_apart_and_end_where_they_became_accounts() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let owner = repository.owner();
    let name = |text: &str| PersonName::parse(text).unwrap();
    assert!(!repository.knows_guest(&name("ana")).await.unwrap());
    let ana = guest(&repository, "ana").await;
    assert!(repository.knows_guest(&name("ana")).await.unwrap());
    upload(&repository, &ana, "a.ppm", &image(1, 500)).await.unwrap();
    let olga = guest(&repository, "olga").await;
    assert_eq!(olga.name.as_str(), "olga (guest)");
    assert_ne!(olga.person, owner.person);
    // An account of a guest's name: the guest goes on, shown as one.
    let changed = repository.people_changed();
    account(&repository, "ana", AccountRole::Member).await;
    assert!(changed.has_changed().unwrap());
    let Authentication::Known(apart) = repository.refresh(&ana).await.unwrap() else { panic!() };
    assert_eq!((apart.name.as_str(), apart.role), ("ana (guest)", ana.role));
    // The guest's images become an account's: its session ends.
    let named = |guest: &str| Invite { guest: Some(guest.to_owned()), ..Invite::default() };
    let refusal = repository.invite(&owner, &named("zoe")).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotFound);
    let (told, secret) = repository.invite(&owner, &named("ana (guest)")).await.unwrap();
    assert_eq!(told.guest.as_deref(), Some("ana (guest)"));
    let (_, bea) = join(&repository, &secret, Some("bea")).await.unwrap();
    assert_eq!(bea.person, ana.person);
    assert_eq!(repository.refresh(&ana).await.unwrap(), Authentication::Unknown);
    let page = repository.list(&owner, List::default()).await.unwrap();
    assert_eq!(page.images[0].uploader, "bea");
    // Nobody had to be told of somebody whose name no guest bears.
    let changed = repository.people_changed();
    account(&repository, "caio", AccountRole::Viewer).await;
    assert!(!changed.has_changed().unwrap());
}

#[tokio::test]
async fn only_who_may_learns_and_does() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let owner = repository.owner();
    let (ana, ana_actor) = account(&repository, "ana", AccountRole::Member).await;
    let (bea, bea_actor) = account(&repository, "bea", AccountRole::Viewer).await;
    let guest = guest(&repository, "zoe").await;
    for actor in [&ana_actor, &bea_actor, &guest] {
        let denied = [
            repository.people(actor, &People::default()).await.map(|_| ()),
            repository.audit(actor, &Audit::default()).await.map(|_| ()),
            repository.set_role(actor, &role("ana", AccountRole::Admin)).await.map(|_| ()),
            repository.disable(actor, &disable("bea", true)).await.map(|_| ()),
            repository.invite(actor, &Invite::default()).await.map(|_| ()),
            repository
                .devices(actor, &Devices { person: Some("olga".to_owned()) })
                .await
                .map(|_| ()),
            // Whether there is one they do not learn either.
            repository
                .devices(actor, &Devices { person: Some("nobody".to_owned()) })
                .await
                .map(|_| ()),
            repository
                .revoke(actor, &Revoke { device: imgrepo_proto::session::people::DeviceId(99) })
                .await
                .map(|_| ()),
        ];
        for (at, outcome) in denied.into_iter().enumerate() {
            assert_eq!(outcome.unwrap_err().code, ErrorCode::Denied, "{at} {:?}", actor.role);
        }
    }
    let refusal = repository.revoke(&bea_actor, &Revoke { device: ana.device }).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    let refusal = repository.devices(&guest, &Devices::default()).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    // Everybody with an account lets in devices of their own, and takes that back.
    let own = Invite { person: Some("bea".to_owned()), ..Invite::default() };
    let (invitation, secret) = repository.invite(&bea_actor, &own).await.unwrap();
    assert_eq!((invitation.person.as_deref(), invitation.role), (Some("bea"), None));
    let refusal = repository.invite(&ana_actor, &own).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    let (second, _) = join(&repository, &secret, None).await.unwrap();
    assert_eq!((second.user.as_str(), second.device.0), ("bea", bea.device.0 + 1));
    let (invitation, _) = repository.invite(&bea_actor, &own).await.unwrap();
    let uninvite = Uninvite { invitation: invitation.id };
    assert_eq!(
        repository.uninvite(&ana_actor, &uninvite).await.unwrap_err().code,
        ErrorCode::Denied
    );
    assert_eq!(repository.invitations(&ana_actor).await.unwrap().invitations, []);
    assert_eq!(repository.invitations(&bea_actor).await.unwrap().invitations.len(), 2);
    let taken = repository.uninvite(&bea_actor, &uninvite).await.unwrap();
    assert!(taken.invitation.revoked.is_some());
    assert_eq!(repository.invitations(&owner).await.unwrap().invitations.len(), 4);
    // The owner's own further device acts as an admin, as the same person.
    let own = Invite { person: Some("olga".to_owned()), ..Invite::default() };
    let (_, secret) = repository.invite(&owner, &own).await.unwrap();
    let (joined, actor) = join(&repository, &secret, Some("olga")).await.unwrap();
    assert_eq!((actor.person, actor.role), (owner.person, Role::Admin));
    assert_eq!(joined.role, "admin");
    let refusal = repository.disable(&actor, &disable("olga", true)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Conflict);
    let people = repository.people(&actor, &People::default()).await.unwrap();
    let names: Vec<_> = people.people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!((names, people.next), (vec!["olga", "ana", "bea", "zoe"], None));
    let bad = People { cursor: Some("x".to_owned()) };
    assert_eq!(repository.people(&actor, &bad).await.unwrap_err().code, ErrorCode::BadRequest);
    let record = repository.audit(&owner, &Audit { before: None, limit: Some(2) }).await.unwrap();
    assert_eq!(record.entries[0].object, "device 4 (laptop) of olga, by invitation 5");
    assert_eq!((record.entries[0].from.as_str(), record.entries[1].from.as_str()), (FROM, "local"));
    assert_eq!(record.next, Some(record.entries[1].id));
}

#[tokio::test]
async fn an_invitation_that_makes_no_sense_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    guest(&repository, "zoe").await;
    let bad = [
        Invite { uses: Some(0), ..Invite::default() },
        Invite { uses: Some(1001), ..Invite::default() },
        Invite { seconds: Some(0), ..Invite::default() },
        Invite { seconds: Some(u64::MAX), ..Invite::default() },
        Invite {
            person: Some("olga".into()),
            role: Some(AccountRole::Viewer),
            ..Invite::default()
        },
        Invite { person: Some("olga".into()), guest: Some("zoe".into()), ..Invite::default() },
        Invite { guest: Some("zoe".into()), uses: Some(2), ..Invite::default() },
    ];
    for invite in bad {
        let refusal = repository.invite(&repository.owner(), &invite).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::BadRequest, "{invite:?}");
    }
    let refusal = join(&repository, &Secret::parse("forged").unwrap(), Some("ana")).await;
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    assert!(!format!("{refusal:?}").contains("forged"));
    let (_, secret) = repository.invite(&repository.owner(), &Invite::default()).await.unwrap();
    let short = Secret::parse(&secret.expose()[..21]).unwrap();
    let refusal = join(&repository, &short, Some("ana")).await.unwrap_err();
    assert!(refusal.message.contains("not known here"), "{refusal}");
    for (user, code) in [("a\u{7}", ErrorCode::BadName), (" ", ErrorCode::BadRequest)] {
        let refusal = join(&repository, &secret, Some(user)).await.unwrap_err();
        assert_eq!(refusal.code, code, "{user:?}");
    }
}

#[tokio::test]
async fn of_two_on_the_last_use_one_gets_in() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    for round in 0..10 {
        let (_, secret) = repository.invite(&repository.owner(), &Invite::default()).await.unwrap();
        let names: Vec<String> = (0..4).map(|n| format!("p{round}-{n}")).collect();
        let (a, b, c, d) = tokio::join!(
            join(&repository, &secret, Some(&names[0])),
            join(&repository, &secret, Some(&names[1])),
            join(&repository, &secret, Some(&names[2])),
            join(&repository, &secret, Some(&names[3])),
        );
        let outcomes = [a, b, c, d];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refusal in outcomes.into_iter().filter_map(Result::err) {
            assert!(refusal.message.contains("was used already"), "{refusal}");
        }
    }
}

#[tokio::test]
async fn deletions_are_in_the_record_with_who_and_from_where() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    upload(&repository, &ana, "a.ppm", &image(1, 500)).await.unwrap();
    let record = async || {
        let page = repository.audit(&repository.owner(), &Audit::default()).await.unwrap();
        page.entries
            .iter()
            .map(|it| format!("{} {} {} {}", it.by, it.from, it.act, it.object))
            .collect::<Vec<_>>()
    };
    assert_eq!(record().await, [] as [&str; 0], "uploads are none of it");
    delete(&repository, &ana, 1).await.unwrap();
    crate::support::purge(&repository, &repository.owner()).await.unwrap();
    assert_eq!(
        record().await,
        ["olga local purge image 1 (a.ppm) of ana", "ana 10.0.0.7 delete image 1 (a.ppm) of ana"]
    );
}

#[tokio::test]
async fn when_a_device_was_seen_is_noted_in_time() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let (joined, actor) = account(&repository, "ana", AccountRole::Member).await;
    known(&repository, &joined.credential).await;
    // The first of these may be of the note's own group, and be answered before it; the second is not.
    for seed in 1..=2 {
        upload(&repository, &actor, "a.ppm", &image(seed, 500)).await.unwrap();
    }
    let seen = async || {
        let devices = repository.devices(&actor, &Devices::default()).await.unwrap();
        devices.devices[0].seen
    };
    let first = seen().await;
    assert!(first.is_some());
    known(&repository, &joined.credential).await;
    upload(&repository, &actor, "b.ppm", &image(3, 500)).await.unwrap();
    assert_eq!(seen().await, first);
}

#[tokio::test]
async fn a_refusal_does_not_tell_what_there_is() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let owner = repository.owner();
    let (joined, _) = account(&repository, "ana", AccountRole::Member).await;
    let (invitation, _) = repository.invite(&owner, &Invite::default()).await.unwrap();
    let (_, viewer) = account(&repository, "vic", AccountRole::Viewer).await;
    let nobody = guest(&repository, "gil").await;
    for actor in [viewer, nobody] {
        let to = async |person: &str, device, invitation| {
            let named = Some(person.to_owned());
            let invite = Invite { person: named.clone(), ..Invite::default() };
            let refused = [
                repository.invite(&actor, &invite).await.unwrap_err(),
                repository.devices(&actor, &Devices { person: named }).await.unwrap_err(),
                repository.revoke(&actor, &Revoke { device }).await.unwrap_err(),
                repository.uninvite(&actor, &Uninvite { invitation }).await.unwrap_err(),
            ];
            refused.map(|refusal| {
                assert_eq!(refusal.code, ErrorCode::Denied);
                refusal.to_string().replace(person, "NAME").replace(|c: char| c.is_numeric(), "")
            })
        };
        let there = to("ana", joined.device, invitation.id).await;
        assert_eq!(there, to("eva", DeviceId(99), InvitationId(99)).await);
        assert!(there[0].starts_with("cannot invite a device of `NAME`"), "{}", there[0]);
    }
}
