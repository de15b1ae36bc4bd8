//! Who gets in by AUTH and JOIN, and what becomes of sessions whose person is let in no more.

use futures_util::StreamExt as _;
use imgrepod::config::Guests;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::club::{Club, Held};
use crate::pictures::picture;
use crate::support::{Seen, code};

#[tokio::test]
async fn who_was_invited_joins_and_is_known_from_then_on() {
    let club = Club::with(|settings| settings.guests = Guests::No).await;
    let (_, secret) = club.invite(json!({"role": "viewer"})).await;
    let mut client = club.stage.stranger().await;
    let args = json!({"secret": secret, "user": " ana ", "device": "laptop", "future": 1});
    let joined = client.ok("JOIN", args).await;
    assert_eq!((&joined["user"], &joined["role"]), (&json!("ana"), &json!("viewer")));
    assert_eq!(joined["repository"], json!(club.stage.repository.id()));
    assert_eq!(client.refused("LIST", json!({})).await, "unauthenticated", "it is no AUTH");
    let held = Held::of(&joined);
    let known = client.ok("AUTH", held.auth()).await;
    assert_eq!((&known["role"], &known["can"]), (&json!("viewer"), &json!(["list", "download"])));
    let args = json!({"secret": secret, "user": "bruno", "device": "d"});
    assert_eq!(client.refused("JOIN", args).await, "bad_request", "it has said who it is");
    // The name may be left out, and is nobody else's.
    let mut other = club.stage.stranger().await;
    assert_eq!(other.refused("AUTH", json!({"user": "ana"})).await, "denied", "no guests");
    let auth = json!({"user": "bruno", "credential": held.credential});
    assert_eq!(other.refused("AUTH", auth).await, "unauthenticated");
    other.ok("AUTH", json!({"credential": held.credential})).await;
}

#[tokio::test]
async fn what_is_no_invitation_lets_in_nobody() {
    let club = Club::new().await;
    let (_, secret) = club.invite(json!({"uses": 2})).await;
    let (number, taken_back) = club.invite(json!({})).await;
    club.stage.owner().await.ok("UNINVITE", json!({"invitation": number})).await;
    let mut client = club.stage.stranger().await;
    let mut forged = secret.clone().into_bytes();
    forged[7] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    for bad in [&forged, &secret[..secret.len() - 1], "x", &taken_back] {
        let args = json!({"secret": bad, "user": "ana", "device": "d"});
        assert_eq!(client.refused("JOIN", args).await, "denied", "{bad}");
    }
    for bad in [json!({"secret": "", "device": "d"}), json!({"user": "ana", "device": "d"})] {
        assert_eq!(client.refused("JOIN", bad).await, "bad_request");
    }
    let of = |user: &str| json!({"secret": secret, "user": user, "device": "d"});
    assert_eq!(client.refused("JOIN", of("owner")).await, "conflict");
    client.ok("JOIN", of("ana")).await;
    assert_eq!(client.refused("JOIN", of("ana")).await, "conflict");
    client.ok("JOIN", of("bruno")).await;
    let id = client.send("JOIN", of("carla")).await;
    let reply = client.reply(id).await;
    assert_eq!(code(&reply), "denied", "it is used up");
    // While it lets in, the owner's name is refused as the owner's.
    let (_, brief) = club.invite(json!({"seconds": 1})).await;
    let refused = loop {
        let args = json!({"secret": brief, "user": "owner", "device": "d"});
        let id = client.send("JOIN", args).await;
        let reply = client.reply(id).await;
        if code(&reply) != "conflict" {
            break reply;
        }
    };
    assert_eq!(code(&refused), "denied");
    assert!(refused["message"].as_str().unwrap().contains("ended at"), "{refused}");
}

#[tokio::test]
async fn two_on_the_last_use_are_one() {
    let club = Club::new().await;
    for round in 0..8 {
        let (_, secret) = club.invite(json!({})).await;
        let mut clients = [club.stage.stranger().await, club.stage.stranger().await];
        let [one, two] = &mut clients;
        let of = |at: u8| json!({"secret": secret, "user": format!("p{round}{at}"), "device": "d"});
        let ids = tokio::join!(one.send("JOIN", of(1)), two.send("JOIN", of(2)));
        let replies = tokio::join!(one.reply(ids.0), two.reply(ids.1));
        let joined = [replies.0, replies.1].iter().filter(|it| it["status"] == "SUCCESS").count();
        assert_eq!(joined, 1);
    }
}

#[tokio::test]
async fn an_unknown_name_is_told_the_same_as_a_known_one() {
    let club = Club::new().await;
    club.join("ana", "member").await;
    let mut client = club.stage.stranger().await;
    let mut said = Vec::new();
    for user in ["ana", "eva"] {
        let auth = json!({"user": user, "credential": "guessed"});
        let id = client.send("AUTH", auth).await;
        let mut reply = client.reply(id).await;
        assert_eq!(code(&reply), "unauthenticated");
        assert!(reply["hint"].as_str().unwrap().contains("imgctl join"), "{reply}");
        reply["id"] = Value::Null;
        said.push(reply.to_string().replace(user, "NAME"));
    }
    assert_eq!(said[0], said[1]);
}

#[tokio::test]
async fn a_revoked_device_is_gone_at_once_with_all_that_it_does() {
    let club = Club::new().await;
    let lost = club.join("ana", "member").await;
    let kept = {
        let (_, secret) = club.invite(json!({"person": "ana"})).await;
        let mut client = club.stage.stranger().await;
        Held::of(&client.ok("JOIN", json!({"secret": secret, "device": "phone"})).await)
    };
    assert_eq!(kept.user, "ana");
    let (mut first, mut second) = (club.session(&lost).await, club.session(&lost).await);
    let mut phone = club.session(&kept).await;
    let content = picture(900_000, 1);
    let id = first.announce("a.png", &content).await;
    first.status(id, &["READY"]).await;
    first.data(id, 0, &content[..200_000]).await;
    first.status(id, &["ACK"]).await;
    // A person revokes their own, from another device.
    let revoked = phone.ok("REVOKE", json!({"device": lost.device})).await;
    assert!(revoked["device"]["revoked"].is_string(), "{revoked}");
    // What was under way gets no word more.
    assert_eq!(first.find(|seen| !is_ack(seen)).await, Seen::Closed(1008));
    match second.socket.next().await {
        Some(Ok(Message::Close(Some(close)))) => {
            assert_eq!((u16::from(close.code), &*close.reason), (1008, "this device was revoked"));
        }
        other => panic!("{other:?}"),
    }
    let mut again = club.stage.stranger().await;
    let id = again.send("AUTH", lost.auth()).await;
    let reply = again.reply(id).await;
    assert_eq!(code(&reply), "unauthenticated");
    assert!(reply["message"].as_str().unwrap().contains("revoked"), "{reply}");
    assert_eq!(phone.ok("LIST", json!({})).await["images"], json!([]));
    // What it had sent is the person's, who goes on with another device.
    let id = phone.announce("a.png", &content).await;
    let ready = phone.status(id, &["READY"]).await;
    assert!(ready["offset"].as_u64().unwrap() > 0, "{ready}");
}

fn is_ack(seen: &Seen) -> bool {
    matches!(seen, Seen::Text(text) if text["status"] == "ACK")
}

#[tokio::test]
async fn another_role_holds_from_the_next_word_on() {
    let club = Club::new().await;
    let held = club.join("ana", "member").await;
    let mut ana = club.session(&held).await;
    let mut owner = club.stage.owner().await;
    assert_eq!(ana.refused("PEOPLE", json!({})).await, "denied");
    let content = picture(900_000, 1);
    let id = ana.announce("a.png", &content).await;
    ana.status(id, &["READY"]).await;
    owner.ok("ROLE", json!({"person": "ana", "role": "viewer"})).await;
    assert_eq!(code(&ana.reply(id).await), "denied", "what is under way, too");
    let is_told = |seen: &Seen| matches!(seen, Seen::Text(text) if text["event"] == "ACTOR");
    let viewer = json!({"event": "ACTOR", "role": "viewer", "can": ["list", "download"]});
    assert_eq!(ana.find(is_told).await, Seen::Text(viewer));
    let id = ana.announce("a.png", &content).await;
    assert_eq!(code(&ana.reply(id).await), "denied");
    ana.ok("LIST", json!({})).await;
    owner.ok("ROLE", json!({"person": "ana", "role": "admin"})).await;
    // It is told to every session in its own time, and holds from there on.
    let Seen::Text(told) = ana.find(is_told).await else { unreachable!() };
    assert_eq!(told["role"], "admin");
    ana.ok("PEOPLE", json!({})).await;
    assert_eq!(ana.upload("a.png", &content).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_disabled_person_is_out_until_enabled_again() {
    let club = Club::new().await;
    let held = club.join("ana", "member").await;
    let mut ana = club.session(&held).await;
    let reply = ana.upload("a.png", &picture(100, 1)).await;
    assert_eq!(reply["status"], "SUCCESS");
    let mut owner = club.stage.owner().await;
    owner.ok("DISABLE", json!({"person": "ana", "disabled": true})).await;
    assert_eq!(ana.find(|seen| matches!(seen, Seen::Closed(_))).await, Seen::Closed(1008));
    let mut again = club.stage.stranger().await;
    let id = again.send("AUTH", held.auth()).await;
    let reply = again.reply(id).await;
    assert_eq!(code(&reply), "unauthenticated");
    assert!(reply["message"].as_str().unwrap().contains("disabled"), "{reply}");
    assert_eq!(owner.ok("LIST", json!({})).await["images"][0]["uploader"], "ana");
    owner.ok("DISABLE", json!({"person": "ana", "disabled": false})).await;
    again.ok("AUTH", held.auth()).await;
}

#[tokio::test]
async fn a_guest_who_joins_keeps_the_images_and_guests_lose_the_name() {
    let club = Club::new().await;
    let mut guest = club.stage.guest("ana").await;
    guest.upload("a.png", &picture(100, 1)).await;
    let mut old = club.stage.old().await;
    old.text(json!({"cmd": "AUTH", "args": ["ana"]})).await;
    old.find(|seen| matches!(seen, Seen::Text(text) if text["status"] == "SUCCESS")).await;
    let (_, secret) = club.invite(json!({"guest": "ana"})).await;
    let mut client = club.stage.stranger().await;
    let joined = client.ok("JOIN", json!({"secret": secret, "device": "d"})).await;
    assert_eq!(joined["user"], "ana");
    // Who only said that name is not that person any more.
    let is_closed = |seen: &Seen| matches!(seen, Seen::Closed(1008));
    guest.find(is_closed).await;
    old.find(is_closed).await;
    let mut ana = club.session(&Held::of(&joined)).await;
    let reply = ana.ok("RENAME", json!({"image": 1, "name": "mine.png"})).await;
    assert_eq!(reply["image"]["uploader"], "ana");
    let mut guest = club.stage.guest("ana").await;
    let reply = guest.upload("b.png", &picture(100, 2)).await;
    assert_eq!(reply["data"]["image"]["uploader"], "ana (guest)");
    assert_eq!(guest.refused("DELETE", json!({"image": 1})).await, "denied");
    let of = |user: &str| json!({"filter": {"uploader": user}});
    assert_eq!(ana.ok("LIST", of("ana")).await["total"], 1);
    assert_eq!(ana.ok("LIST", of("ana (guest)")).await["images"][0]["name"], "b.png");
    // As old programs see it.
    let mut old = club.stage.old().await;
    old.text(json!({"cmd": "LIST", "args": []})).await;
    let Seen::Text(list) = old.next().await else { panic!("a text was due") };
    assert_eq!(list["data"][1]["uploader"], "ana (guest)");
}

#[tokio::test]
async fn guests_who_look_upload_nothing_in_either_dialect() {
    let club = Club::with(|settings| settings.guests = Guests::View).await;
    club.stage.owner().await.upload("o.png", &picture(100, 1)).await;
    let mut guest = club.stage.stranger().await;
    let known = guest.ok("AUTH", json!({"user": "ana"})).await;
    assert_eq!((&known["role"], &known["can"]), (&json!("guest"), &json!(["list", "download"])));
    assert_eq!(code(&guest.upload("a.png", &picture(100, 2)).await), "denied");
    assert_eq!(guest.download(json!({"image": 1})).await.1, picture(100, 1));
    let mut old = club.stage.old().await;
    old.old = true;
    old.text(json!({"cmd": "UPLOAD", "args": ["a.png", "100"]})).await;
    let Seen::Text(refused) = old.next().await else { panic!("a text was due") };
    assert!(refused["message"].as_str().unwrap().contains("permiss"), "{refused}");
    old.text(json!({"cmd": "VIEW", "args": ["o.png"]})).await;
    let Seen::Text(info) = old.next().await else { panic!("a text was due") };
    assert_eq!(info["status"], "SIZE_INFO");
}

#[tokio::test]
async fn an_invitation_is_a_link_for_programs_and_one_for_browsers() {
    let club = Club::new().await;
    let held = club.join("ana", "member").await;
    let at = club.stage.server.address();
    let reply = club.stage.owner().await.ok("INVITE", json!({"role": "admin", "uses": 3})).await;
    let (link, page) = (reply["link"].as_str().unwrap(), reply["page"].as_str().unwrap());
    assert!(link.starts_with(&format!("imgrepo://{at}/#")), "{link}");
    assert!(page.starts_with(&format!("https://{at}/join#")), "{page}");
    assert!(reply["notice"].as_str().unwrap().contains("--listen"), "{reply}");
    assert_eq!(
        (&reply["invitation"]["role"], &reply["invitation"]["uses"]),
        (&json!("admin"), &json!(3))
    );
    // One's own further device needs no admin; what is for others does.
    let mut ana = club.session(&held).await;
    let reply = ana.ok("INVITE", json!({"person": "ana"})).await;
    assert!(reply["page"].as_str().unwrap().contains("/login#"), "{reply}");
    assert_eq!(ana.refused("INVITE", json!({})).await, "denied");
    assert_eq!(ana.refused("INVITE", json!({"person": "owner"})).await, "denied");
    let audit = club.stage.owner().await.ok("AUDIT", json!({})).await;
    let text = audit.to_string();
    let acts: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|it| it["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["invite", "invite", "join", "invite"]);
    assert!(!text.contains(&held.credential), "nothing secret is kept");
}
