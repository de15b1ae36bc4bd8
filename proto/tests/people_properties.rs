//! Properties of what is said of people: what is encoded reads as it was, whatever a peer sends is
//! answered by a value, and a secret is told to the peer and to nobody else.

use imgrepo_proto::session::command::{
    Audit, Auth, Devices, Disable, Invite, Join, People, Program, Revoke, SetRole, Uninvite,
};
use imgrepo_proto::session::people::{
    AccountRole, AuditReply, DeviceId, DeviceReply, DevicesReply, InvitationId, InvitationReply,
    InvitationsReply, InviteReply, JoinReply, PeopleReply, PersonReply,
};
use imgrepo_proto::session::{Command, Request, ServerMessage};
use imgrepo_proto::{Secret, Seq};
use proptest::option;
use proptest::prelude::*;

/// Long enough that none stands anywhere by chance.
fn secret() -> impl Strategy<Value = Secret> {
    "[!-~]{24,256}".prop_filter_map("no secret", |text| Secret::parse(&text).ok())
}

fn role() -> impl Strategy<Value = AccountRole> {
    prop::sample::select(&AccountRole::ALL)
}

fn program() -> impl Strategy<Value = Program> {
    (".*", ".*").prop_map(|(name, version)| Program { name, version })
}

prop_compose! {
    fn auth()(
        user in option::of(".*"),
        credential in secret(),
        client in option::of(program()),
        since in option::of(any::<u64>()),
    ) -> Auth {
        Auth { user, credential: Some(credential), client, events_since: since.map(Seq) }
    }
}

prop_compose! {
    fn join()(
        secret in secret(),
        user in option::of(".*"),
        device in ".*",
        client in option::of(program()),
    ) -> Join {
        Join { secret, user, device, client }
    }
}

prop_compose! {
    fn invite()(
        role in option::of(role()),
        person in option::of(".*"),
        guest in option::of(".*"),
        uses in option::of(any::<u32>()),
        seconds in option::of(any::<u64>()),
    ) -> Invite {
        Invite { role, person, guest, uses, seconds }
    }
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        auth().prop_map(Command::Auth),
        join().prop_map(Command::Join),
        invite().prop_map(Command::Invite),
        Just(Command::Invitations),
        any::<u64>().prop_map(|id| Command::Uninvite(Uninvite { invitation: InvitationId(id) })),
        option::of(".*").prop_map(|cursor| Command::People(People { cursor })),
        (".*", role()).prop_map(|(person, role)| Command::Role(SetRole { person, role })),
        (".*", any::<bool>())
            .prop_map(|(person, disabled)| Command::Disable(Disable { person, disabled })),
        option::of(".*").prop_map(|person| Command::Devices(Devices { person })),
        any::<u64>().prop_map(|id| Command::Revoke(Revoke { device: DeviceId(id) })),
        (option::of(any::<u64>()), option::of(any::<u32>()))
            .prop_map(|(before, limit)| Command::Audit(Audit { before, limit })),
    ]
}

/// A text with something put into it at a place.
fn bent(whole: &str, at: prop::sample::Index, put: &str) -> String {
    let place = whole.floor_char_boundary(at.index(whole.len() + 1));
    format!("{}{put}{}", &whole[..place], &whole[place..])
}

proptest! {
    #[test]
    fn a_request_reads_as_it_was_written(id in 1..=u32::MAX, command in command()) {
        let request = Request { id, command };
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn a_bent_request_is_no_panic_and_its_refusal_tells_no_secret(
        join in join(), put in "[ -~]{0,12}", at in any::<prop::sample::Index>(),
    ) {
        let secret = join.secret.expose().to_owned();
        let text = Request { id: 1, command: Command::Join(join) }.encode();
        let read = format!("{:?}", Request::decode(&bent(&text, at, &put)));
        prop_assert!(!read.contains(&secret), "{}", read);
    }

    #[test]
    fn a_secret_is_not_shown(auth in auth(), join in join()) {
        for (secret, command) in [
            (auth.credential.clone(), Command::Auth(auth)),
            (Some(join.secret.clone()), Command::Join(join)),
        ] {
            let shown = format!("{command:?}");
            prop_assert!(!secret.is_some_and(|secret| shown.contains(secret.expose())), "{}", shown);
        }
    }

    #[test]
    fn no_data_is_a_panic(put in ".{0,12}", line in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let lines = include_str!("golden/replies.jsonl").lines();
        let data = lines.filter_map(|line| line.split_once("\"data\":")?.1.strip_suffix('}'));
        let data: Vec<&str> = data.collect();
        let text = bent(data[line.index(data.len())], at, &put);
        let _ = serde_json::from_str::<JoinReply>(&text);
        let _ = serde_json::from_str::<InviteReply>(&text);
        let _ = serde_json::from_str::<InvitationsReply>(&text);
        let _ = serde_json::from_str::<InvitationReply>(&text);
        let _ = serde_json::from_str::<PeopleReply>(&text);
        let _ = serde_json::from_str::<PersonReply>(&text);
        let _ = serde_json::from_str::<DevicesReply>(&text);
        let _ = serde_json::from_str::<DeviceReply>(&text);
        let _ = serde_json::from_str::<AuditReply>(&text);
        let _ = ServerMessage::decode(&text);
    }
}
