//! How commands end before they are done: an interruption, the end of the time, a reader that goes.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use imgrepo_proto::ImageRecord;
use imgrepo_proto::control::reply::{Info, Size};
use imgrepo_proto::control::request::Content;
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::{ErrorCode, Refusal, Seq};
use rustix::process::{Pid, Signal, kill_process};
use stub::{Say, Stub, done, image, refused};

/// A daemon that takes 1 MiB of time for everything but what is named `quick.jpg`: it never ends.
fn endless() -> (Stub, Receiver<()>) {
    let (asked, heard) = mpsc::channel();
    let stub = Stub::new(move |request, _| match request {
        Request::Info(_) => done(Outcome::Image(image(1, "beach.jpg"))),
        Request::Upload(upload) if upload.name == "quick.jpg" => {
            done(Outcome::Stored { image: image(1, "quick.jpg"), duplicate: false })
        }
        Request::Download { .. } => {
            let info = Info { size: 9, name: "beach.jpg".into(), hash: None, media_type: None };
            asked.send(()).unwrap();
            let size = Size { image: imgrepo_proto::ImageId(1), info };
            vec![Say::Item(Reply::Size(size)), Say::Item(Reply::Data(b"1234".to_vec())), Say::Hang]
        }
        _ => {
            asked.send(()).unwrap();
            vec![Say::Hang]
        }
    });
    (stub, heard)
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// The exit code, and what was said on standard output and standard error.
fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn ctrl_c_ends_a_command_with_130() {
    let (stub, asked) = endless();
    let child = start(stub.imgctl(&["list"]));
    asked.recv().unwrap();
    interrupt(&child);
    let said = "imgctl: cannot finish: interrupted\n".to_owned();
    assert_eq!(end(child), (Some(130), String::new(), said));
    let child = start(stub.imgctl(&["events", "-f", "--json"]));
    asked.recv().unwrap();
    interrupt(&child);
    let said = r#"{"v":1,"error":{"code":"cancelled","message":"interrupted","hint":null}}"#;
    assert_eq!(end(child), (Some(130), format!("{said}\n"), String::new()));
}

#[test]
fn the_end_of_the_time_is_9() {
    let (stub, _asked) = endless();
    let (code, out, err) = end(start(stub.imgctl(&["--timeout", "0.05", "list"])));
    assert_eq!((code, out.as_str()), (Some(9), ""));
    assert_eq!(err, "imgctl: cannot finish: the time given by `--timeout` is over\n");
}

#[test]
fn a_time_that_never_ends_is_no_limit() {
    let stub = Stub::new(|_, _| done(Outcome::Nothing));
    let (code, _, err) = end(start(stub.imgctl(&["--timeout", "1e19", "stop"])));
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn an_interrupted_download_leaves_what_can_be_gone_on_with() {
    let (stub, asked) = endless();
    let folder = stub.home.path().join("into");
    fs::create_dir(&folder).unwrap();
    let child = start(stub.imgctl(&["download", "1", "2", "-o", "into", "--json"]));
    asked.recv().unwrap();
    asked.recv().unwrap();
    // Both are of one content: the one that came second does without a partial.
    let partial = folder.join(".imgrepo-0101010101010101.part");
    while fs::read(&partial).ok().as_deref() != Some(b"1234") {
        std::thread::yield_now();
    }
    interrupt(&child);
    let (code, out, _) = end(child);
    assert_eq!(code, Some(130));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let error = &document["results"][1]["error"];
    assert_eq!(error["code"], "cancelled");
    assert_eq!(error["hint"], "the same download later goes on where this one stopped");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read(&partial).unwrap(), b"1234");
}

#[test]
fn sizes_without_bounds_are_only_numbers() {
    let stub = Stub::new(|request, _| {
        let huge = ImageRecord { size: Some(u64::MAX), hash: None, ..image(1, "beach.jpg") };
        let info = Info { size: u64::MAX, name: "b".into(), hash: None, media_type: None };
        let size = Reply::Size(Size { image: huge.id, info });
        match request {
            Request::Download { .. } => {
                let done = Reply::Done(Box::new(Outcome::Image(huge)));
                vec![Say::Item(size), Say::Item(done)]
            }
            _ => done(Outcome::Image(huge)),
        }
    });
    let (code, _, err) = end(start(stub.imgctl(&["download", "1", "2", "-o", "."])));
    assert_eq!((code, err.contains("panicked")), (Some(0), false), "{err}");
}

#[test]
fn an_interrupted_upload_says_what_is_stored() {
    let (stub, asked) = endless();
    for name in ["quick.jpg", "slow.jpg"] {
        fs::write(stub.home.path().join(name), "x").unwrap();
    }
    let mut child = start(stub.imgctl(&["upload", "quick.jpg", "slow.jpg", "--json"]));
    asked.recv().unwrap();
    // The first one's answer is there before the second hangs, or comes in the grace.
    interrupt(&child);
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["results"].as_array().unwrap().len(), 2);
    let error = &document["results"][1]["error"];
    assert_eq!(error["code"], "cancelled");
    assert_eq!(error["hint"], "the same upload later goes on where this one stopped");
}

#[test]
fn a_cause_that_concerns_all_is_said_once() {
    let stub = Stub::new(|_, _| {
        let refusal = Refusal::new(ErrorCode::NotConnected, "there is no session");
        refused(refusal.hint("imgctl connect HOST"))
    });
    let (code, out, err) = end(start(stub.imgctl(&["restore", "1", "2", "3"])));
    assert_eq!((code, out.as_str()), (Some(7), ""));
    let said = [
        "imgctl: cannot restore `1`: there is no session",
        "hint: imgctl connect HOST",
        "imgctl: cannot go on with 2 more: there is no session",
    ];
    assert_eq!(err.lines().collect::<Vec<_>>(), said);
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let stub = Stub::new(|_, _| {
        let event = Event {
            event: EventKind::NewUpload,
            seq: Some(Seq(1)),
            at: None,
            by: None,
            image: Some(image(1, "beach.jpg")),
            message: None,
        };
        (0..100_000).map(|_| Say::Item(Reply::Event(Box::new(event.clone())))).collect()
    });
    let mut child = start(stub.imgctl(&["events", "--since", "0"]));
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with("uploaded  1  beach.jpg\n"), "{line}");
    let (code, _, err) = end(child);
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let stub = Stub::new(|_, _| done(Outcome::Image(image(1, "beach.jpg"))));
    for args in [&["info", "1"][..], &["info", "1", "--json"]] {
        let mut command = stub.imgctl(args);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdin(Stdio::null()).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "imgctl: cannot write to standard output: no space left on device\n");
    }
}

#[test]
fn what_only_this_process_can_read_is_streamed() {
    let stub = Stub::new(|request, streamed| match request {
        // A daemon that may read no file.
        Request::Upload(upload) if upload.content != Content::Stream => done(Outcome::OutOfReach),
        Request::Upload(upload) => {
            let size = Some(streamed.len() as u64);
            let image = imgrepo_proto::ImageRecord { size, ..image(1, &upload.name) };
            done(Outcome::Stored { image, duplicate: false })
        }
        _ => vec![],
    });
    let large = vec![7; 3 * 256 * 1024 + 1];
    fs::write(stub.home.path().join("a.jpg"), &large).unwrap();
    let size = |said: String| {
        let document: serde_json::Value = serde_json::from_str(&said).unwrap();
        document["results"][0]["image"]["size"].as_u64()
    };
    let (code, out, _) = end(start(stub.imgctl(&["upload", "a.jpg", "--json"])));
    assert_eq!((code, size(out)), (Some(0), Some(large.len() as u64)));
    let script = format!(
        "cat a.jpg | {0} upload - --name b.jpg --json && {0} upload /dev/fd/3 --json 3<a.jpg",
        assert_cmd::cargo::cargo_bin!("imgctl").display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("IMGREPO_HOME", stub.home.path()).current_dir(stub.home.path());
    let (code, out, err) = end(start(shell));
    assert_eq!(code, Some(0), "{err}");
    for line in out.lines() {
        assert_eq!(size(line.to_owned()), Some(large.len() as u64));
    }
    assert_eq!(out.lines().count(), 2);
}
