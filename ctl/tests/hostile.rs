//! Names and contents of somebody who means harm, and somebody who does while a file is written: nothing
//! is written but where it was asked for, and nothing acts on the terminal.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test fails so, and says what it tried.

#[path = "../../daemon/tests/attacks/atlas.rs"]
mod atlas;
mod stub;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use imgrepo_proto::control::reply::{Info, Size};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageRecord, ImageRef, Refusal};
use stub::screen::on_terminal;
use stub::{Say, Stub, done, image, refused};

/// How many of something: as `name` in the environment says, or the few of everyday tests.
fn sized(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().unwrap())
}

fn content(id: ImageId) -> Vec<u8> {
    format!("content {id}").into_bytes()
}

/// An image of this number, of whose words a server has checked none.
fn record(id: ImageId) -> ImageRecord {
    let number = id.0 as usize;
    ImageRecord {
        hash: Some(BlobHash(*blake3::hash(&content(id)).as_bytes())),
        size: Some(content(id).len() as u64),
        uploader: atlas::name(number * 7 + 3),
        media_type: Some(atlas::name(number * 5 + 1)),
        taken_at: Some(atlas::name(number * 3 + 2)),
        ..image(id.0, &atlas::name(number))
    }
}

/// A daemon whose every word is hostile; asked for image 0 it refuses in hostile words.
fn hostile() -> Stub {
    Stub::new(|request, _| match request {
        Request::Info(ImageRef::Id(ImageId(0))) | Request::Rename { .. } => {
            let words = atlas::name(55 + 66 * 3);
            refused(Refusal::new(ErrorCode::NotFound, &words).hint(words))
        }
        Request::Info(ImageRef::Id(id)) => done(Outcome::Image(record(*id))),
        Request::Download { image: ImageRef::Id(id), .. } => {
            let size = content(*id).len() as u64;
            let name = record(*id).name;
            let info = Info { size, name, hash: record(*id).hash, media_type: None };
            let mut says = vec![Say::Item(Reply::Size(Size { image: *id, info }))];
            says.push(Say::Item(Reply::Data(content(*id))));
            says.extend(done(Outcome::Image(record(*id))));
            says
        }
        Request::List(list) => {
            let from: u64 = list.cursor.as_deref().map_or(1, |cursor| cursor.parse().unwrap());
            let images = (from..from + 500).map(|id| record(ImageId(id))).collect();
            let total = sized("IMGREPO_NAMES", 1500) as u64;
            let next = (from + 500 < total).then(|| (from + 500).to_string());
            done(Outcome::Images(ListReply { images, next, total: Some(total) }))
        }
        _ => refused(Refusal::new(ErrorCode::Unsupported, "not here")),
    })
}

/// What stands on a terminal, where nothing was asked for that would act on it.
fn terminal(stub: &Stub, args: &[&str]) -> String {
    let plain = [&["--color", "never", "--no-progress"], args].concat();
    let (said, _) = on_terminal(stub.imgctl(&plain), "");
    quiet(args, &said);
    said
}

/// Nothing in it acts on a terminal.
fn quiet(args: &[&str], said: &str) {
    let line = said.lines().find(|line| atlas::acts(line).is_some());
    assert_eq!(line, None, "{args:?}");
}

/// What comes through a pipe, from both ends of it.
fn piped(stub: &Stub, args: &[&str]) -> String {
    let output = stub.imgctl(args).stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    match args.contains(&"--long") && !args.contains(&"--json") {
        // Between the columns stands a tab, and nowhere else.
        true => {
            assert!(said.lines().all(|line| line.matches('\t').count() == 9));
            quiet(args, &said.replace('\t', " "));
        }
        false => quiet(args, &said),
    }
    quiet(args, &String::from_utf8(output.stderr).unwrap());
    said
}

/// Everything below a folder, by its path from there.
fn below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(below(&entry.path()).into_iter().map(|path| format!("{name}/{path}")));
        }
        found.insert(name);
    }
    found
}

#[test]
fn hostile_names_stay_in_the_folder_and_act_on_no_terminal() {
    const AT_ONCE: usize = 250;
    let stub = hostile();
    // In memory where there is such a place: a file of each name is synced.
    let shm = Path::new("/dev/shm");
    let ground = match shm.is_dir() {
        true => tempfile::tempdir_in(shm).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let total = sized("IMGREPO_NAMES", 1500);
    let before = below(stub.home.path());
    for first in (1..=total).step_by(AT_ONCE) {
        let ids: Vec<String> =
            (first..=total.min(first + AT_ONCE - 1)).map(|id| id.to_string()).collect();
        let folder = ground.path().join("deep/er/folder");
        fs::create_dir_all(&folder).unwrap();
        let into = folder.display().to_string();
        let mut args = vec!["download", "-o", &into];
        args.extend(ids.iter().map(String::as_str));
        // By turns on a terminal, through a pipe and as a document.
        match first / AT_ONCE % 3 {
            0 => {
                let said = terminal(&stub, &args);
                assert_eq!(said.matches("saved").count(), ids.len(), "{said}");
            }
            1 => {
                piped(&stub, &args);
            }
            _ => {
                let document = piped(&stub, &[&["--json"], &args[..]].concat());
                let document: serde_json::Value = serde_json::from_str(&document).unwrap();
                assert_eq!(document["results"].as_array().unwrap().len(), ids.len());
            }
        }
        let files = below(&folder);
        assert_eq!(files.len(), ids.len(), "each has a file of its own");
        for name in &files {
            let stem = name.split('.').next().unwrap().trim_end().to_ascii_uppercase();
            assert!(
                !["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str()),
                "{name}"
            );
            assert!(atlas::acts(name).is_none() && name.len() <= 255, "{name:?}");
            assert!(!name.contains(['/', '\\', ':', '\n']) && !name.starts_with('.'));
            assert!(fs::symlink_metadata(folder.join(name)).unwrap().is_file());
        }
        fs::remove_dir_all(&folder).unwrap();
        let rest: Vec<_> = below(ground.path()).into_iter().collect();
        assert_eq!(rest, ["deep", "deep/er"], "something is outside the folder");
    }
    assert_eq!(below(stub.home.path()), before);
    println!("{total} names: each a file in its folder, nothing elsewhere");
}

#[test]
fn hostile_words_act_on_no_terminal() {
    let stub = hostile();
    for args in [
        &["list"][..],
        &["list", "--all"],
        &["list", "--all", "--long"],
        &["info", "0"],
        &["download", "0"],
        &["rename", "0", "\u{1b}[2Jx"],
        &["list", "\u{1b}[2J*"],
        &["\u{1b}[2J"],
        &["info", "\u{1b}[2J\u{202e}"],
        &["upload", "\u{1b}[2J\u{202e}.png"],
        &["download", "1", "-o", "\u{1b}[2J/"],
        &["watch", "add", "\u{1b}[2J"],
        &["connect", "\u{1b}[2J"],
        &["join", "imgrepo://\u{1b}[2J"],
    ] {
        terminal(&stub, args);
        piped(&stub, args);
        let document = piped(&stub, &[&["--json"], args].concat());
        if !document.is_empty() {
            let read: Result<serde_json::Value, _> = serde_json::from_str(&document);
            assert!(read.is_ok(), "{args:?}: {document}");
        }
    }
    for number in 1..sized("IMGREPO_NAMES", 1500) / 100 {
        let id = (number * 97).to_string();
        terminal(&stub, &["info", &id]);
        let document = piped(&stub, &["--json", "info", &id]);
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["image"]["name"], atlas::name(number * 97));
    }
}

#[test]
fn a_link_swapped_against_the_file_leads_nowhere() {
    let stub = hostile();
    // An ordinary name, and what is written before the file has it.
    let number = (1..50_000).find(|number| atlas::name(*number) == "42.jpg").unwrap() as u64;
    let id = number.to_string();
    let ground = tempfile::tempdir().unwrap();
    let (folder, elsewhere) = (ground.path().join("folder"), ground.path().join("elsewhere"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    let victim = elsewhere.join("victim");
    fs::write(&victim, "precious").unwrap();
    let digits: String =
        blake3::hash(&content(ImageId(number))).to_string().chars().take(16).collect();
    let places = [folder.join("42.jpg"), folder.join(format!(".imgrepo-{digits}.part"))];
    let swaps = sized("IMGREPO_SWAPS", 3000);
    let is_over = AtomicBool::new(false);
    let saved = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let spare = ground.path().join("spare");
            for number in 0..swaps {
                let place = &places[number / 4 % 2];
                match number % 4 {
                    0 => symlink(&victim, &spare).unwrap(),
                    1 => symlink(elsewhere.join("new"), &spare).unwrap(),
                    2 => fs::hard_link(&victim, &spare).unwrap(),
                    _ => fs::write(&spare, "con").unwrap(),
                }
                fs::rename(&spare, place).unwrap();
                // A second name of one file: rename(2) leaves both.
                let _ = fs::remove_file(&spare);
                if number % 3 == 0 {
                    let _ = fs::remove_file(place);
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut saved = 0;
        while !is_over.load(Ordering::Relaxed) || saved == 0 {
            for more in [&["--force"][..], &[]] {
                let args = [&["download", &id, "-o", folder.to_str().unwrap()], more].concat();
                let output = stub.imgctl(&args).output().unwrap();
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!words.contains("panicked"), "{words}");
                saved += usize::from(output.status.success());
            }
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
        }
        swapper.join().unwrap();
        saved
    });
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(below(&elsewhere), BTreeSet::from(["victim".to_owned()]));
    println!("{swaps} swaps, {saved} files saved meanwhile: nothing was written elsewhere");
}
