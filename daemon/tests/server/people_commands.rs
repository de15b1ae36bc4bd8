//! Every command in every state, over the wire: whoever adds a command says here who may.

use imgrepo_proto::session::command::CommandKind;
use imgrepod::config::Guests;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::club::Club;
use crate::pictures::picture;
use crate::support::{Client, code};

/// What a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not said who it is.
    Before,
    GuestView,
    GuestUpload,
    Viewer,
    Member,
    Admin,
    Owner,
}

use State::{Admin, Before, GuestUpload, GuestView, Member, Owner, Viewer};

/// What comes of a command, in the order of the list: nothing, or the code of its refusal. Image 1 is
/// the owner's and listed, images 2 and 3 are the owner's and in the trash; `bruno` is a member, with
/// the device that is revoked.
fn expected(command: CommandKind, state: State) -> &'static str {
    use CommandKind as C;
    if state == Before {
        return match command {
            C::Auth => "",
            // An invitation that is none.
            C::Join => "denied",
            // It has no reply: this is about a request that never was.
            C::Ack => "bad_request",
            _ => "unauthenticated",
        };
    }
    let is_admin = matches!(state, Admin | Owner);
    let only = |may: bool, code| if may { "" } else { code };
    match command {
        C::Auth | C::Join | C::Ack => "bad_request",
        C::List | C::Info | C::Have | C::Download | C::View | C::Exif | C::Events => "",
        C::Cancel | C::Disconnect => "",
        C::Upload | C::Lost => only(!matches!(state, Viewer | GuestView), "denied"),
        C::Rename | C::Delete => only(is_admin, "denied"),
        // What is in another's trash is not there.
        C::Restore | C::Purge => only(is_admin, "not_found"),
        C::Devices => only(!matches!(state, GuestView | GuestUpload), "denied"),
        // One's own: none.
        C::Invitations => only(!matches!(state, GuestView | GuestUpload), "denied"),
        C::Invite | C::Uninvite | C::People | C::Role | C::Disable | C::Revoke | C::Audit => {
            only(is_admin, "denied")
        }
    }
}

fn arguments(command: CommandKind, invitation: u64, device: u64) -> Value {
    use CommandKind as C;
    match command {
        C::Upload => json!({"name": "a.png", "size": 100}),
        C::View => json!({"image": 1, "variant": "256"}),
        C::Info | C::Exif | C::Download | C::Delete => json!({"image": 1}),
        C::Have => json!({"hashes": []}),
        C::Cancel => json!({"request": 1}),
        C::Rename => json!({"image": 1, "name": "new.png"}),
        C::Restore => json!({"image": 2}),
        C::Purge => json!({"image": 3}),
        C::Join => json!({"secret": "x", "user": "eva", "device": "d"}),
        C::Uninvite => json!({"invitation": invitation}),
        C::Role => json!({"person": "bruno", "role": "viewer"}),
        C::Disable => json!({"person": "bruno", "disabled": true}),
        C::Revoke => json!({"device": device}),
        C::Auth
        | C::List
        | C::Lost
        | C::Ack
        | C::Events
        | C::Invite
        | C::Invitations
        | C::People
        | C::Devices
        | C::Audit
        | C::Disconnect => json!({}),
    }
}

/// What comes of it.
async fn outcome<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    command: CommandKind,
    args: Value,
) -> String {
    if command == CommandKind::Ack {
        client.text(json!({"id": 4_000_000_000u32, "cmd": "ACK", "offset": 0})).await;
        return client.complaint().await;
    }
    let id = client.send(command.word(), args).await;
    let reply = match command {
        CommandKind::Upload => client.pour(id, &picture(100, 9)).await,
        _ => client.reply(id).await,
    };
    if reply["status"] == "ERROR" { code(&reply) } else { String::new() }
}

async fn every_command_in(state: State) {
    let guests = if state == GuestView { Guests::View } else { Guests::Upload };
    let club = Club::making(|settings| settings.guests = guests).await;
    let mut owner = club.stage.owner().await;
    for seed in 1..=3 {
        let shown = format!("P6\n2 2\n255\n{seed}12345678901");
        assert_eq!(owner.upload("o.png", shown.as_bytes()).await["status"], "SUCCESS");
    }
    for image in [2, 3] {
        owner.ok("DELETE", json!({"image": image})).await;
    }
    let bruno = club.join("bruno", "member").await;
    let (invitation, _) = club.invite(json!({})).await;
    let args = |command| arguments(command, invitation, bruno.device);
    let check = |command: CommandKind, came: String| {
        assert_eq!(came, expected(command, state), "{} as {state:?}", command.word());
    };
    if state == Owner {
        for command in CommandKind::ALL {
            check(command, outcome(&mut owner, command, args(command)).await);
        }
        return;
    }
    let mut client = match state {
        Before => club.stage.stranger().await,
        GuestView | GuestUpload => club.stage.guest("gil").await,
        _ => {
            let role = format!("{state:?}").to_lowercase();
            club.session(&club.join("ana", &role).await).await
        }
    };
    for command in CommandKind::ALL {
        if state == Before && command == CommandKind::Auth {
            continue;
        }
        check(command, outcome(&mut client, command, args(command)).await);
    }
    if state == Before {
        check(CommandKind::Auth, outcome(&mut client, CommandKind::Auth, json!({})).await);
    }
}

#[tokio::test]
async fn every_command_before_auth() {
    every_command_in(Before).await;
}

#[tokio::test]
async fn every_command_of_a_guest() {
    every_command_in(GuestView).await;
    every_command_in(GuestUpload).await;
}

#[tokio::test]
async fn every_command_of_an_account() {
    for state in [Viewer, Member] {
        every_command_in(state).await;
    }
}

#[tokio::test]
async fn every_command_of_who_may_all() {
    for state in [Admin, Owner] {
        every_command_in(state).await;
    }
}
