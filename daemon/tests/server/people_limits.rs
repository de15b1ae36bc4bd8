//! How many and how often: sessions, silent connections, failed tries, new names.

use imgrepod::server::Settings;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::club::Club;
use crate::support::{Client, Seen, Stage, code, upgrade};

#[tokio::test]
async fn failed_tries_end_in_a_wait_and_never_for_who_is_known() {
    let club = Club::new().await;
    let held = club.join("ana", "member").await;
    let mut tried = 0;
    let mut client = club.stage.stranger().await;
    let refused = loop {
        tried += 1;
        let id = client.send("AUTH", json!({"user": "ana", "credential": "guess"})).await;
        let reply = client.reply(id).await;
        if code(&reply) != "unauthenticated" {
            break reply;
        }
        assert!(tried <= 30, "they are counted");
    };
    assert_eq!(client.next().await, Seen::Closed(1013));
    assert_eq!(code(&refused), "busy");
    assert!(tried > 10, "ten a minute may fail");
    club.session(&held).await;
    // Of another name it is not too often yet, and it counts for invitations, by address.
    let mut client = club.stage.stranger().await;
    let guess = json!({"user": "eva", "credential": "guess"});
    assert_eq!(client.refused("AUTH", guess).await, "unauthenticated");
    let (_, secret) = club.invite(json!({})).await;
    let mut codes = Vec::new();
    while codes.last().is_none_or(|code| code == "denied") {
        assert!(codes.len() <= 100, "they are counted");
        let args = json!({"secret": "guess", "user": "eva", "device": "d"});
        codes.push(client.refused("JOIN", args).await);
    }
    assert_eq!(codes.last().unwrap(), "busy");
    let mut client = club.stage.stranger().await;
    client.ok("JOIN", json!({"secret": secret, "user": "eva", "device": "d"})).await;
}

#[tokio::test]
async fn an_account_has_so_many_sessions_at_once() {
    let club = Club::with(|settings| settings.sessions_per_person = 2).await;
    let held = club.join("ana", "member").await;
    let first = club.session(&held).await;
    let _second = club.session(&held).await;
    let mut third = club.stage.stranger().await;
    let id = third.send("AUTH", held.auth()).await;
    let reply = third.reply(id).await;
    assert_eq!(code(&reply), "busy");
    assert!(reply["message"].as_str().unwrap().contains("2 sessions"), "{reply}");
    assert_eq!(third.next().await, Seen::Closed(1013));
    // Others are not concerned, nor are guests and the owner here.
    let _bruno = club.session(&club.join("bruno", "member").await).await;
    let _guests =
        [club.stage.guest("g").await, club.stage.guest("g").await, club.stage.guest("g").await];
    let _owners = [club.stage.owner().await, club.stage.owner().await, club.stage.owner().await];
    drop((first, third));
    club.stage.sessions(8).await;
    club.session(&held).await;
}

/// A session that a proxy says is from there.
async fn from(stage: &Stage, client: &str) -> Result<Client<TcpStream>, Error> {
    let at = stage.server.address();
    let mut request = format!("ws://{at}/").into_client_request().unwrap();
    let headers = [("x-forwarded-for", client), ("x-forwarded-proto", "https")];
    for (name, value) in headers.into_iter().chain([("sec-websocket-protocol", "imgrepo.v2")]) {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    upgrade(request, TcpStream::connect(at).await.unwrap()).await
}

#[tokio::test]
async fn one_session_is_one() {
    let club = Club::with(|settings| settings.sessions_per_person = 1).await;
    let held = club.join("ana", "member").await;
    let _first = club.session(&held).await;
    let mut second = club.stage.stranger().await;
    let id = second.send("AUTH", held.auth()).await;
    assert_eq!(second.reply(id).await["message"], "`ana` has 1 session here already");
}

#[tokio::test]
async fn an_address_has_so_many_sessions_at_once() {
    let stage = Stage::with(|settings| {
        settings.sessions_per_address = 2;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let first = from(&stage, "192.0.2.7").await.unwrap();
    let _second = from(&stage, "192.0.2.7").await.unwrap();
    let Err(Error::Http(response)) = from(&stage, "192.0.2.7").await else { panic!("let in") };
    assert_eq!(response.status().as_u16(), 503);
    let text = String::from_utf8(response.body().clone().unwrap()).unwrap();
    assert!(text.contains("sessions_per_address"), "{text}");
    let _others = [
        from(&stage, "192.0.2.8").await.unwrap(),
        from(&stage, "2001:db8::1").await.unwrap(),
        from(&stage, "2001:db8::2").await.unwrap(),
    ];
    assert!(from(&stage, "2001:db8::3").await.is_err(), "one network of IPv6 is one address");
    drop(first);
    stage.sessions(4).await;
    from(&stage, "192.0.2.7").await.unwrap();
}

#[tokio::test]
async fn new_names_of_guests_come_slowly_and_known_ones_at_will() {
    let proxied = |settings: &mut Settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    };
    let stage = Stage::with(proxied).await;
    let mut came = 0;
    let code = loop {
        let mut client = from(&stage, "192.0.2.7").await.unwrap();
        match client.refused_or_ok("AUTH", json!({"user": format!("g{came}")})).await {
            code if !code.is_empty() => break code,
            _ => came += 1,
        }
        assert!(came <= 100, "they are counted");
    };
    assert_eq!((code.as_str(), came >= 30), ("busy", true), "{came}");
    for address in ["192.0.2.7", "192.0.2.8", "127.0.0.1"] {
        let mut client = from(&stage, address).await.unwrap();
        client.ok("AUTH", json!({"user": "g0"})).await;
    }
    // Who works on this computer is not counted, nor is another address for this one.
    for (address, names) in [("127.0.0.1", 40), ("192.0.2.8", 5)] {
        for at in 0..names {
            let mut client = from(&stage, address).await.unwrap();
            client.ok("AUTH", json!({"user": format!("{address}-{at}")})).await;
        }
    }
}

#[tokio::test]
async fn who_is_silent_makes_room_for_who_speaks() {
    let club = Club::with(|settings| settings.max_sessions = 3).await;
    let held = club.join("ana", "member").await;
    club.stage.sessions(0).await;
    // Half a request, a session without a word, nothing at all.
    let at = club.stage.server.address();
    let mut silent = Vec::new();
    for _ in 0..20 {
        let half = TcpStream::connect(at).await.unwrap();
        half.try_write(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        silent.push(half);
    }
    let mut quiet = club.stage.stranger().await;
    let mut ana = club.session(&held).await;
    for _ in 0..20 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let mut bruno = club.stage.guest("bruno").await;
    assert_eq!(quiet.next().await, Seen::Cut, "it was the one that had been silent longest");
    ana.ok("LIST", json!({})).await;
    bruno.ok("LIST", json!({})).await;
}
