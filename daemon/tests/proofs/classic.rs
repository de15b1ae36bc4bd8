//! The old system's folder on the command line: what an import says and how it ends, that it may be
//! killed anywhere, and that a program that is not ours serves what an export wrote.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use imgrepo_proto::ImageRef;
use imgrepo_proto::control::reply::{Outcome, Reply};
use imgrepo_proto::control::request::Request;

use crate::control::control;
use crate::picture::{Picture, Random};
use crate::process::{Daemon, imgrepod};
use crate::python::{OldServer, list};

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(imgrepod());
    command.args(arguments).env("IMGREPO_HOME", home).env("TZ", "UTC").env("USER", "olga");
    command
}

/// What a command printed and how it ended.
fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(home, arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

/// An old server's folder with these pictures.
fn folder(path: &Path, pictures: &[Picture]) {
    std::fs::create_dir_all(path.join("imagens")).expect("room");
    let mut entries = Vec::new();
    for (at, picture) in pictures.iter().enumerate() {
        let (id, name) = (at + 1, &picture.name);
        let file = format!("imagens/{id}_{name}");
        std::fs::write(path.join(&file), &picture.content).expect("room");
        entries.push(serde_json::json!({"id": id, "filename": name, "uploader": "ana",
            "path": file, "thumb_path": null, "timestamp": "2024-05-01T12:34:56.789"}));
    }
    let metadata = serde_json::to_vec(&entries).expect("it is JSON");
    std::fs::write(path.join("metadata.json"), metadata).expect("room");
}

fn pictures(count: u64, size: usize) -> Vec<Picture> {
    (1..=count).map(|seed| Picture::new(format!("foto {seed}.bmp"), seed, size)).collect()
}

#[test]
fn an_import_says_what_it_did_and_what_it_left_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (home, old) = (directory.path().join("home"), directory.path().join("old"));
    folder(&old, &pictures(3, 5000));
    std::fs::write(old.join("imagens/2_foto 2.bmp"), "no image").expect("room");
    let from = old.to_str().expect("it is text");

    let (code, said, errors) = run(&home, &["import", "classic", from]);
    assert_eq!(said, "imported 2, here already 0, left out 1 (under another number: 0)\n");
    let line = "left out: image 2: cannot store `foto 2.bmp`: the content is not an image\n";
    assert!(errors.contains(line), "{errors}");
    assert_eq!(code, 6);

    let (code, said, errors) = run(&home, &["import", "classic", from, "--json"]);
    let document: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(
        (&document["v"], &document["imported"], &document["present"]),
        (&1.into(), &0.into(), &2.into())
    );
    assert_eq!(document["left_out"][0]["number"], 2);
    assert_eq!(document["left_out"][0]["error"]["code"], "not_an_image");
    assert!(!errors.contains("left out"), "{errors}");
    assert_eq!(code, 6);

    std::fs::copy(old.join("imagens/1_foto 1.bmp"), old.join("imagens/2_foto 2.bmp"))
        .expect("room");
    let (code, said, _) = run(&home, &["import", "classic", from]);
    assert_eq!(
        (code, said.starts_with("imported 1, here already 2, left out 0")),
        (0, true),
        "{said}"
    );

    let none = directory.path().join("none");
    let (code, said, errors) = run(&none, &["import", "classic", "/nowhere", "--json"]);
    assert_eq!(code, 1);
    assert!(
        said.starts_with("{\"v\":1,\"error\":{\"code\":\"file_error\",")
            && errors.contains("/nowhere")
    );
    assert!(!none.join("data").exists(), "what is no folder makes no repository");
    let (code, _, errors) = run(&none, &["export", "classic", "/nowhere"]);
    assert_eq!((code, errors.contains("there is no repository")), (1, true), "{errors}");
    assert!(!none.join("data").exists(), "nor does an export");
    let (code, _, errors) = run(&home, &["--serve", "import", "classic", from]);
    assert_eq!((code, errors.contains("leave out --serve")), (2, true), "{errors}");

    let daemon = Daemon::serve(&home).expect("a server");
    for verb in ["import", "export"] {
        let (code, _, errors) = run(&home, &[verb, "classic", from]);
        assert_eq!(code, 1);
        assert!(errors.contains("another imgrepod has it open"), "{errors}");
        assert!(errors.contains("repository.lock"), "{errors}");
    }
    let mut client = control(&home);
    assert_eq!(list(&mut client).len(), 3, "the daemon has what was imported");
    assert!(daemon.stop().success());
}

#[test]
fn an_import_that_is_killed_anywhere_is_finished_by_the_next() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (home, old) = (directory.path().join("home"), directory.path().join("old"));
    let count = 600;
    folder(&old, &pictures(count, 30_000));
    let from = old.to_str().expect("it is text");
    let mut random = Random::from_environment();
    let journal = home.join("data/journal");
    let written = || -> u64 {
        let files = std::fs::read_dir(&journal).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    };
    let mut killed = 0;
    for _ in 0..5 {
        let before = written();
        let mut child = command(&home, &["import", "classic", from])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        // Some way into what is left to be written.
        let more = random.next() % 4_000_000;
        let ended = loop {
            if let Some(ended) = child.try_wait().expect("it is ours") {
                break Some(ended);
            }
            if written() > before + more {
                child.kill().expect("it is ours");
                child.wait().expect("it is ours");
                break None;
            }
            std::thread::yield_now();
        };
        killed += u32::from(ended.is_none());
    }
    assert!(killed > 0, "none was killed in the middle");
    let (code, said, errors) = run(&home, &["import", "classic", from, "--json"]);
    assert_eq!(code, 0, "{said}\n{errors}");
    let document: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    let number = |member: &str| document[member].as_u64().expect("it is a number");
    assert_eq!(number("imported") + number("present"), count);
    println!("killed {killed} times; the last import took {}", number("imported"));

    let to = directory.path().join("new");
    let (code, said, _) = run(&home, &["export", "classic", to.to_str().expect("it is text")]);
    assert_eq!(
        (code, said.starts_with(&format!("exported {count}, left out 0"))),
        (0, true),
        "{said}"
    );
    let entries = |folder: &Path| -> Vec<serde_json::Value> {
        let mut entries: Vec<serde_json::Value> = serde_json::from_slice(
            &std::fs::read(folder.join("metadata.json")).expect("it is there"),
        )
        .expect("it is JSON");
        for entry in &mut entries {
            entry["thumb_path"].take();
        }
        entries
    };
    assert!(entries(&to) == entries(&old), "each once, under its number, with its time");
}

#[test]
fn an_old_server_runs_on_an_export() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (home, old) = (directory.path().join("home"), directory.path().join("old"));
    let mut some = pictures(3, 5000);
    some.push(Picture::new("férias: 1.bmp", 4, 7000));
    some.push(Picture::new("grande.bmp", 5, 3_000_000));
    folder(&old, &some);
    let (code, _, errors) = run(&home, &["import", "classic", old.to_str().expect("it is text")]);
    assert_eq!(code, 0, "{errors}");
    let to = directory.path().join("exported");
    let to = to.to_str().expect("it is text");
    let (code, said, errors) = run(&home, &["export", "classic", to]);
    assert_eq!(
        (code, said.as_str()),
        (0, "exported 5, left out 0 (without a thumbnail: 0)\n"),
        "{errors}"
    );

    let server = OldServer::start(&["50000000", to]);
    let home = directory.path().join("client");
    let daemon = Daemon::client(&home, &server.url, "bo").expect("a daemon");
    let mut client = control(&home);
    let connect = Request::Connect { url: server.url.clone(), user: Some("bo".to_owned()) };
    match client.call(&connect) {
        Ok(Outcome::Status(status)) => assert_eq!(status.session.dialect.as_deref(), Some("v1")),
        other => panic!("{other:?}"),
    }
    let mut listed = list(&mut client);
    listed.sort();
    let wanted: Vec<_> = (1..)
        .zip(&some)
        .map(|(id, picture)| (id, picture.name.clone(), "ana".to_owned()))
        .collect();
    assert_eq!(listed, wanted);
    for picture in &some {
        let mut copy = Vec::new();
        let image = ImageRef::parse(&format!("name:{}", picture.name)).expect("a name");
        let download = client.call_with(&Request::Download { image, offset: 0 }, &mut |reply| {
            if let Reply::Data(bytes) = reply {
                copy.extend(bytes);
            }
            Ok(())
        });
        assert!(matches!(download, Ok(Outcome::Image(_))), "{download:?}");
        assert!(picture.content == copy, "{}", picture.name);
    }
    assert!(daemon.stop().success());
    server.end();
}
