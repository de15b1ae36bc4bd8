//! To know a content's hash gives nothing of the content: neither that it is here, where one may not see
//! it, nor the content, nor the right to count as one who has it.

use imgrepo_proto::session::people::AccountRole;
use imgrepod::config::Guests;
use serde_json::json;

use crate::pictures::picture;
use crate::support::Stage;
use crate::visitor::{account, auth};

#[tokio::test]
async fn a_hash_grants_nothing() {
    let stage = Stage::with(|settings| settings.guests = Guests::View).await;
    let mut sessions = Vec::new();
    for (user, role) in [("ana", AccountRole::Member), ("eve", AccountRole::Member)] {
        let credential = account(&stage.repository, user, role).await;
        let mut session = stage.stranger().await;
        session.ok("AUTH", auth(user, &credential)).await;
        sessions.push(session);
    }
    let mut eve = sessions.pop().unwrap();
    let mut ana = sessions.pop().unwrap();
    let content = picture(200_000, 1);
    let hash = blake3::hash(&content).to_string();
    let announce = json!({"name": "mine.png", "size": content.len(), "hash": hash});

    let nothing = json!({&hash: []});

    // While it is on its way it is not here, and what is here of it is Ana's.
    let id = ana.announce("a.png", &content).await;
    ana.status(id, &["READY"]).await;
    ana.data(id, 0, &content[..100_000]).await;
    ana.status(id, &["ACK"]).await;
    assert_eq!(eve.ok("HAVE", json!({"hashes": [hash]})).await["have"], nothing);
    let theirs = eve.send("UPLOAD", announce.clone()).await;
    assert_eq!(eve.status(theirs, &["READY", "SUCCESS"]).await["offset"], 0, "nothing is given");
    eve.ok("CANCEL", json!({"request": theirs})).await;
    ana.data(id, 100_000, &content[100_000..]).await;
    let image = ana.reply(id).await["data"]["image"]["id"].clone();

    // Everybody sees it now; the bytes still have to come from who wants to have it stored.
    let theirs = eve.send("UPLOAD", announce.clone()).await;
    let answer = eve.status(theirs, &["READY", "SUCCESS", "ERROR"]).await;
    assert_eq!((&answer["status"], &answer["offset"]), (&json!("READY"), &json!(0)), "{answer}");
    let mut other = content.clone();
    other[150_000] ^= 1;
    eve.data(theirs, 0, &other).await;
    let refused = eve.reply(theirs).await;
    assert_eq!(refused["code"], "wrong_hash", "{refused}");

    // In Ana's trash it is hers alone.
    ana.ok("DELETE", json!({"image": image})).await;
    assert_eq!(eve.ok("HAVE", json!({"hashes": [hash]})).await["have"], nothing);
    for (cmd, code) in [("INFO", "not_found"), ("DOWNLOAD", "not_found"), ("RESTORE", "not_found")]
    {
        let told = eve.refused(cmd, json!({"image": image})).await;
        assert!([code, "denied"].contains(&told.as_str()), "{cmd}: {told}");
    }
    let mut guest = stage.guest("gus").await;
    assert_eq!(guest.ok("HAVE", json!({"hashes": [hash]})).await["have"], nothing);
    assert_eq!(guest.refused("UPLOAD", announce.clone()).await, "denied");
    // Not even that somebody deleted it.
    let quiet =
        json!({"name": "b.png", "size": content.len(), "hash": hash, "unless_deleted": true});
    let theirs = eve.send("UPLOAD", quiet).await;
    assert_eq!(eve.status(theirs, &["READY", "SUCCESS", "ERROR"]).await["offset"], 0);
}
