//! Hostile names at the server: as an image's and as a person's. Each is refused or kept as it is, and
//! none acts on whoever reads the log.

use serde_json::{Value, json};

use crate::atlas;
use crate::pictures::picture;
use crate::process::{Daemon, imgrepod};
use crate::sized;
use crate::support::{code, dial};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_refused_or_kept_as_they_are() {
    let scene = tempfile::tempdir().unwrap();
    let (home, log) = (scene.path().join("home"), scene.path().join("log"));
    let args = ["--serve", "--listen", "127.0.0.1:0"];
    let server = Daemon::start(&imgrepod(), &home, &log, &args, &[("IMGREPO_LOG", "debug")]);
    let server = server.unwrap();
    let to = server.url()[5..].trim_end_matches('/').parse().unwrap();
    let mut ana = dial(to, Some("imgrepo.v2")).await.unwrap();
    ana.ok("AUTH", json!({"user": "ana"})).await;
    let total = sized("IMGREPO_NAMES", 1500);
    let mut kept = Vec::new();
    // Uploads side by side share the disk's syncs.
    for first in (0..total).step_by(16) {
        let mut begun = Vec::new();
        for number in first..total.min(first + 16) {
            let mut content = picture(64, 0);
            content.extend(number.to_be_bytes());
            let id = ana.announce(&atlas::name(number), &content).await;
            ana.data(id, 0, &content).await;
            begun.push((number, id));
        }
        for (number, id) in begun {
            let reply = ana.reply(id).await;
            let name = atlas::name(number);
            match reply["status"].as_str() {
                Some("SUCCESS") => {
                    let told = reply["data"]["image"]["name"].as_str().unwrap().to_owned();
                    assert!(!told.contains(['/', '\\', '\0']) && told.len() <= 255, "{told:?}");
                    assert!(!["", ".", ".."].contains(&told.as_str()));
                    kept.push(told);
                }
                _ => {
                    assert_eq!(code(&reply), "bad_name", "{name:?}: {reply}");
                    let message = reply["message"].as_str().unwrap();
                    assert_eq!(atlas::acts(message), None, "{message:?}");
                }
            }
        }
    }
    // As people's names, where they are said on one session after the other.
    for number in 0..total.min(300) {
        let user = atlas::name(number * 37);
        let mut guest = dial(to, Some("imgrepo.v2")).await.unwrap();
        let id = guest
            .send("AUTH", json!({"user": user, "client": {"name": user, "version": user}}))
            .await;
        let reply = guest.reply(id).await;
        let known = ["bad_name", "busy"];
        assert!(reply["status"] == "SUCCESS" || known.contains(&code(&reply).as_str()), "{reply}");
        // And as whatever else is told in the log or an error.
        guest.text(json!({"id": 9, "cmd": user, "args": {"image": user}})).await;
    }
    let mut listed = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = ana.ok("LIST", json!({"cursor": cursor, "limit": 1000})).await;
        let images = page["images"].as_array().unwrap();
        listed.extend(images.iter().map(|image| image["name"].as_str().unwrap().to_owned()));
        cursor = page["next"].clone();
        if cursor.is_null() {
            break;
        }
    }
    println!("{total} names: {} kept, {} refused", kept.len(), total - kept.len());
    kept.reverse();
    kept.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, kept);
    assert!(kept.len() > total / 10 && kept.len() < total, "the atlas has both");
    assert!(server.stop().success());
    let log = std::fs::read_to_string(log).unwrap();
    let line = log.lines().find(|line| atlas::acts(line).is_some());
    assert_eq!(line, None, "it acts on whoever reads the log");
    // Nothing came to be beside what a server has.
    let mut found: Vec<String> = std::fs::read_dir(scene.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["home", "log"]);
}
