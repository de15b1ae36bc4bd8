//! `imgrepod fsck` as a person runs it, beside a serving daemon and without one; and a content that was
//! damaged coming back from the computer that still has it, by itself.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test fails so.

#[allow(dead_code, reason = "it is the service's tests' too")]
#[path = "../service/person.rs"]
mod person;

use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::queue::QueueStatus;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{After, WatchRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::{ImageId, ImageRef};
use person::{Ended, Person, Process, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_imgrepod");

/// An image, another one for each number.
fn image(number: u8, size: usize) -> Vec<u8> {
    let mut content = format!("P6\n# {number}\n1 1\n255\n").into_bytes();
    content.resize(size, number);
    content
}

fn data(server: &Person) -> PathBuf {
    server.home().join(".local/share/imgrepo")
}

fn placed(server: &Person, content: &[u8]) -> PathBuf {
    let hash = blake3::hash(content).to_string();
    let places = [data(server), data(server).join("data")];
    let place = |data: &PathBuf| data.join("blobs").join(&hash[..2]).join(&hash);
    places.iter().map(place).find(|path| path.exists()).unwrap()
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn fsck(person: &Person, words: &[&str]) -> Ended {
    let mut command = person.imgrepod(Path::new(PROGRAM));
    command.arg("fsck").args(words);
    person.end(command)
}

fn document(ended: &Ended) -> serde_json::Value {
    serde_json::from_str(&ended.said).unwrap()
}

fn connect(client: &Person, url: &str, user: &str) {
    let user = Some(user.to_owned());
    client.call(&Request::Connect { url: url.to_owned(), user });
    until(|| client.status().session.state == SessionState::Connected);
}

fn queue(client: &Person) -> QueueStatus {
    client.status().queue
}

/// The content of an image as it is downloaded, None where it is refused.
fn download(person: &Person, id: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let request = Request::Download { image: ImageRef::Id(ImageId(id)), offset: 0 };
    let done = person.connect().unwrap().call_with(&request, &mut |reply| {
        if let imgrepo_proto::control::Reply::Data(piece) = reply {
            content.extend(piece);
        }
        Ok(())
    });
    match done {
        Ok(_) => Some(content),
        Err(refusal) => {
            assert_eq!(refusal.code, imgrepo_proto::ErrorCode::Damaged, "{refusal}");
            None
        }
    }
}

#[test]
fn what_is_damaged_comes_back_by_itself_from_who_still_has_it() {
    let (server, ana, bo) = (Person::new(), Person::new(), Person::new());
    let nobody = fsck(&server, &[]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.complaint.contains("there is no repository in"), "{nobody:?}");

    let serve = ["--serve", "--listen", "127.0.0.1:0", "--allow-guests"];
    let mut serving = server.run(&serve);
    let url = serving.url();
    let contents = [image(1, 300_000), image(2, 300_000), image(3, 5_000), image(4, 300_000)];

    // Ana's are in a watched folder, and one was queued by hand; bo has one of hers, too.
    let anas = ana.run(&[]);
    connect(&ana, &url, "ana");
    let folder = ana.home().join("pictures");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("one.ppm"), &contents[0]).unwrap();
    fs::write(folder.join("small.ppm"), &contents[2]).unwrap();
    let add = WatchRequest::Add { path: folder.clone(), after: After::Keep };
    ana.call(&Request::Watch(add));
    let by_hand = ana.home().join("by-hand.ppm");
    fs::write(&by_hand, &contents[1]).unwrap();
    let (name, content) = ("by-hand.ppm".to_owned(), Content::Path(by_hand));
    ana.call(&Request::Enqueue(Upload { name, content, unless_deleted: false }));
    until(|| queue(&ana).counts.stored == 3);
    let bos = bo.run(&[]);
    connect(&bo, &url, "bo");
    let theirs = bo.home().join("theirs.ppm");
    fs::write(&theirs, &contents[3]).unwrap();
    let (name, content) = ("theirs.ppm".to_owned(), Content::Path(theirs.clone()));
    bo.call(&Request::Enqueue(Upload { name, content, unless_deleted: false }));
    until(|| queue(&bo).counts.stored == 1);
    // The small one has its place when the server has ended.
    drop_gently(&server, serving);
    let sound = fsck(&server, &["--read-data"]);
    assert_eq!((sound.code, &*sound.complaint), (0, ""), "{sound:?}");
    assert!(sound.said.ends_with("everything is there\n"), "{sound:?}");

    // Damaged while it serves nobody: ana's small one and bo's. Bo's file is another by now.
    flip(&placed(&server, &contents[2]));
    fs::remove_file(placed(&server, &contents[3])).unwrap();
    let mut changed = contents[3].clone();
    changed[200_000] ^= 1;
    fs::write(&theirs, &changed).unwrap();
    let found = fsck(&server, &["--read-data", "--json"]);
    assert_eq!(found.code, 1, "{found:?}");
    let told = document(&found);
    assert_eq!((told["v"].as_u64(), told["sound"].as_bool()), (Some(1), Some(false)));
    assert_eq!((told["faults"].as_u64(), told["read"].as_u64()), (Some(2), Some(3)));
    let mut kinds: Vec<_> =
        told["found"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["damaged", "missing"]);
    let by_name = |name: &str| {
        let has = |it: &&serde_json::Value| it["images"][0]["name"] == name;
        told["found"].as_array().unwrap().iter().find(has).cloned().unwrap()
    };
    assert_eq!(by_name("small.ppm")["images"][0]["uploader"], "ana");
    assert_eq!(by_name("theirs.ppm")["kind"], "missing");

    // It serves again, elsewhere for all that anybody knows, and ana's comes back when she does.
    serving = server.run(&serve);
    let url = serving.url();
    connect(&ana, &url, "ana");
    let id = |name: &str| match server
        .call(&Request::Info(ImageRef::Name(imgrepo_proto::ImageName::parse(name).unwrap())))
    {
        Outcome::Image(image) => image.id.0,
        other => panic!("{other:?}"),
    };
    let (one, small, hand, lost) =
        (id("one.ppm"), id("small.ppm"), id("by-hand.ppm"), id("theirs.ppm"));
    until(|| download(bo_connected(&bo, &url), small).as_ref() == Some(&contents[2]));
    assert_eq!(download(&ana, lost), None, "bo has another content in that file");

    // Damaged while it serves: found by a check of the serving daemon, and back a moment later.
    flip(&placed(&server, &contents[0]));
    flip(&placed(&server, &contents[1]));
    let found = fsck(&server, &["--read-data", "--repair"]);
    assert_eq!(found.code, 1, "{found:?}");
    for name in ["image", "`one.ppm` of ana", "`by-hand.ppm` of ana", "moved to `damaged`"] {
        assert!(found.said.contains(name), "{found:?}");
    }
    until(|| download(&ana, one).as_ref() == Some(&contents[0]));
    until(|| download(&ana, hand).as_ref() == Some(&contents[1]));
    assert_eq!(queue(&ana).counts.duplicate, 3);
    let left = fsck(&server, &["--read-data"]);
    assert_eq!(left.code, 1);
    assert!(left.said.contains("theirs.ppm") && left.said.contains("found 1"), "{left:?}");

    // Bo finds the picture again.
    fs::write(bo.home().join("found.ppm"), &contents[3]).unwrap();
    let (name, content) = ("found.ppm".to_owned(), Content::Path(bo.home().join("found.ppm")));
    bo.call(&Request::Upload(Upload { name, content, unless_deleted: false }));
    assert_eq!(download(&ana, lost).as_ref(), Some(&contents[3]));
    let sound = fsck(&server, &["--read-data", "--json"]);
    assert_eq!(sound.code, 0, "{sound:?}");
    let told = document(&sound);
    assert_eq!((told["images"].as_u64(), told["changes"].as_u64()), (Some(4), Some(4)));
    drop((anas, bos, serving));
}

/// Ends a daemon in order.
fn drop_gently(person: &Person, process: Process) {
    person.call(&Request::Stop);
    until(|| person.connect().is_err());
    drop(process);
}

/// Bo's daemon, connected there.
fn bo_connected<'a>(bo: &'a Person, url: &str) -> &'a Person {
    if bo.status().session.url.as_deref() != Some(url) {
        connect(bo, url, "bo");
    }
    bo
}

#[test]
fn it_serves_nobody_and_takes_no_words_of_who_does() {
    let person = Person::new();
    let refused = fsck(&person, &["--verify"]);
    assert_eq!(refused.code, 2);
    let mut command = person.imgrepod(Path::new(PROGRAM));
    command.args(["--serve", "fsck", "--json"]);
    let refused = person.end(command);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.said.contains(r#""code":"usage""#), "{refused:?}");
}
