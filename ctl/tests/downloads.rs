//! A download that goes on where an earlier one stopped: what is asked for, what is believed, and
//! what is left behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use imgrepo_proto::control::reply::{Info, Size};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::{BlobHash, ErrorCode, ImageRecord, Refusal};
use stub::{Say, Stub, done, image, refused};

const CONTENT: &[u8] = b"every byte of it";

fn record() -> ImageRecord {
    let hash = Some(BlobHash(*blake3::hash(CONTENT).as_bytes()));
    ImageRecord { hash, size: Some(CONTENT.len() as u64), ..image(1, "beach.jpg") }
}

/// A daemon with one image that carries out what `answer` does not refuse, and the offsets that it
/// was asked for.
fn daemon(
    answer: impl Fn(u64) -> Option<Refusal> + Send + Sync + 'static,
) -> (Stub, Arc<Mutex<Vec<u64>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let offsets = Arc::clone(&asked);
    let stub = Stub::new(move |request, _| {
        let Request::Download { offset, .. } = request else {
            return done(Outcome::Image(record()));
        };
        offsets.lock().unwrap().push(*offset);
        let info = Info {
            size: CONTENT.len() as u64,
            name: "beach.jpg".into(),
            hash: record().hash,
            media_type: None,
        };
        let rest = &CONTENT[*offset as usize..];
        let mut says = vec![Say::Item(Reply::Size(Size { image: record().id, info }))];
        match answer(*offset) {
            None => {
                says.extend(rest.chunks(5).map(|piece| Say::Item(Reply::Data(piece.to_vec()))));
                says.extend(done(Outcome::Image(record())));
            }
            Some(refusal) => {
                says.push(Say::Item(Reply::Data(rest[..3].to_vec())));
                says.extend(refused(refusal));
            }
        }
        says
    });
    (stub, asked)
}

fn partial(stub: &Stub) -> PathBuf {
    let digits: String = record().hash.unwrap().to_string().chars().take(16).collect();
    stub.home.path().join(format!(".imgrepo-{digits}.part"))
}

/// The exit code of a download, and what the files hold after it.
fn download(stub: &Stub) -> (i32, Option<Vec<u8>>, Option<Vec<u8>>) {
    let output = stub.imgctl(&["download", "1"]).output().unwrap();
    let file = fs::read(stub.home.path().join("beach.jpg")).ok();
    (output.status.code().unwrap(), file, fs::read(partial(stub)).ok())
}

#[test]
fn only_what_is_missing_is_asked_for() {
    for (there, asked) in [
        (&b""[..], vec![0]),
        (&CONTENT[..1], vec![1]),
        (&CONTENT[..15], vec![15]),
        // All of it was here when the last one was broken off.
        (CONTENT, vec![]),
        // What cannot be its beginning, and what is not: from the start, once.
        (b"every byte of it and more", vec![0]),
        (b"never", vec![5, 0]),
        (b"never a byte of ", vec![0]),
    ] {
        let (stub, offsets) = daemon(|_| None);
        fs::write(partial(&stub), there).unwrap();
        assert_eq!(download(&stub), (0, Some(CONTENT.to_vec()), None), "{there:?}");
        assert_eq!(*offsets.lock().unwrap(), asked, "{there:?}");
    }
}

#[test]
fn what_passes_leaves_a_partial_and_what_does_not_leaves_nothing() {
    for (code, exit, left) in [
        (ErrorCode::NotConnected, 7, Some(CONTENT[..3].to_vec())),
        (ErrorCode::ShuttingDown, 7, Some(CONTENT[..3].to_vec())),
        (ErrorCode::NotFound, 5, None),
        (ErrorCode::Internal, 1, None),
    ] {
        let (stub, offsets) = daemon(move |offset| {
            let first = offset == 0;
            first.then(|| Refusal::new(code, "no more"))
        });
        assert_eq!(download(&stub), (exit, None, left.clone()), "{code:?}");
        if left.is_some() {
            let mode = fs::metadata(partial(&stub)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(download(&stub), (0, Some(CONTENT.to_vec()), None));
            assert_eq!(*offsets.lock().unwrap(), [0, 3]);
        }
    }
}

#[test]
fn a_saved_file_has_the_rights_that_the_umask_leaves() {
    let (stub, _) = daemon(|_| None);
    let imgctl = assert_cmd::cargo::cargo_bin!("imgctl").display().to_string();
    for (umask, mode) in [("022", 0o644), ("077", 0o600), ("002", 0o664)] {
        let mut shell = std::process::Command::new("sh");
        let script = format!("umask {umask}; {imgctl} download 1 --force");
        shell.args(["-c", &script]).env("IMGREPO_HOME", stub.home.path());
        assert!(shell.current_dir(stub.home.path()).status().unwrap().success());
        let saved = fs::metadata(stub.home.path().join("beach.jpg")).unwrap();
        assert_eq!(saved.permissions().mode() & 0o777, mode);
    }
}

#[test]
fn what_is_wrong_twice_has_failed() {
    let stub = Stub::new(|request, _| match request {
        Request::Download { .. } => {
            let info = Info { size: 5, name: "b".into(), hash: None, media_type: None };
            let mut says = vec![Say::Item(Reply::Size(Size { image: record().id, info }))];
            says.push(Say::Item(Reply::Data(b"wrong".to_vec())));
            says.extend(done(Outcome::Image(record())));
            says
        }
        _ => done(Outcome::Image(record())),
    });
    fs::write(partial(&stub), "begun").unwrap();
    let output = stub.imgctl(&["download", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("their hash is another"), "{said}");
    assert!(!partial(&stub).exists() && !stub.home.path().join("beach.jpg").exists());
}
