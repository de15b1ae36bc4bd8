//! The blocking client against a daemon of a few lines: what it does with each way of answering.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

use std::io::{Read as _, Write as _};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use imgrepo_proto::control::frame::{self, Decoder};
use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Client, Endpoint, Hello, Outcome, Reply, Request};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use interprocess::local_socket::traits::Listener as _;
use interprocess::local_socket::{ListenerOptions, Stream};

struct Peer {
    stream: Stream,
    decoder: Decoder,
}

impl Peer {
    /// The next request; None where the client closed.
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            if let Some(value) = self.decoder.next().unwrap() {
                return Some(value);
            }
            match self.stream.read(self.decoder.space()).unwrap() {
                0 => return None,
                read => self.decoder.filled(read),
            }
        }
    }

    fn say(&mut self, reply: Reply) {
        self.stream.write_all(&frame::encode(&reply).unwrap()).unwrap();
    }

    fn greet(&mut self, versions: (u32, u32)) {
        let hello: Hello = self.next().unwrap();
        assert_eq!(hello.program, program());
        let hello = Hello { lowest: versions.0, highest: versions.1, program: hello.program };
        self.stream.write_all(&frame::encode(&hello).unwrap()).unwrap();
    }
}

fn program() -> Program {
    Program { name: "test".to_owned(), version: "0.0.0".to_owned() }
}

fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().unwrap()
}

/// A daemon that treats its first connections by these functions, one each.
fn daemon(acts: Vec<fn(&mut Peer)>) -> (tempfile::TempDir, Endpoint, JoinHandle<()>) {
    let home = home();
    let endpoint = Endpoint::at(home.path(), "s");
    let listener = ListenerOptions::new().name(endpoint.name().unwrap()).create_sync().unwrap();
    let thread = thread::spawn(move || {
        for act in acts {
            act(&mut Peer { stream: listener.accept().unwrap(), decoder: Decoder::new() });
        }
    });
    (home, endpoint, thread)
}

fn upload() -> Upload {
    Upload { name: "a.jpg".to_owned(), content: Content::Stream, unless_deleted: false }
}

#[test]
fn nobody_listening_is_told_with_the_command_that_starts_it() {
    let home = home();
    for directory in [home.path().to_path_buf(), home.path().join("missing")] {
        let refusal = Client::connect(&Endpoint::at(directory, "s"), program()).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::NotRunning);
        assert_eq!(refusal.hint.as_deref(), Some("start it: imgrepod"));
    }
    // A socket that a dead daemon left.
    let endpoint = Endpoint::at(home.path(), "s");
    let options = ListenerOptions::new().name(endpoint.name().unwrap()).reclaim_name(false);
    drop(options.create_sync().unwrap());
    assert!(endpoint.path().exists());
    let refusal = Client::connect(&endpoint, program()).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotRunning);
}

#[test]
fn versions_without_a_common_one_say_what_to_do() {
    for versions in [(2, 3), (0, 0)] {
        let act: fn(&mut Peer) = match versions {
            (2, 3) => |peer| peer.greet((2, 3)),
            _ => |peer| peer.greet((0, 0)),
        };
        let (_home, endpoint, thread) = daemon(vec![act]);
        let refusal = Client::connect(&endpoint, program()).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Unsupported);
        let hint = refusal.hint.as_deref();
        assert_eq!(hint, Some("restart the daemon: imgctl stop && imgrepod"));
        thread.join().unwrap();
    }
}

#[test]
fn a_greeting_and_the_first_request_go_together() {
    let (_home, endpoint, thread) = daemon(vec![|peer| {
        // Nothing is said before both are here.
        let hello: Hello = peer.next().unwrap();
        assert_eq!(peer.next(), Some(Request::Status));
        peer.stream.write_all(&frame::encode(&hello).unwrap()).unwrap();
        peer.say(Reply::Done(Box::new(Outcome::Nothing)));
        assert_eq!(peer.next(), Some(Request::Disconnect));
        peer.say(Reply::Done(Box::new(Outcome::Nothing)));
    }]);
    let mut client = Client::to_ask(&endpoint, program(), "imgrepod");
    assert_eq!(client.daemon(), None);
    assert_eq!(client.call(&Request::Status), Ok(Outcome::Nothing));
    assert_eq!(client.daemon(), Some(&program()));
    assert_eq!(client.call(&Request::Disconnect), Ok(Outcome::Nothing));
    thread.join().unwrap();
    // What a greeting may refuse, the request refuses.
    let (_home, endpoint, thread) = daemon(vec![|peer| peer.greet((2, 3)), |_| {}]);
    for code in [ErrorCode::Unsupported, ErrorCode::Denied] {
        let mut client = Client::to_ask(&endpoint, program(), "imgrepod");
        assert_eq!(client.call(&Request::Status).unwrap_err().code, code);
    }
    thread.join().unwrap();
    let mut client = Client::to_ask(&endpoint, program(), "imgrepod --serve");
    let refusal = client.call(&Request::Status).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotRunning);
    assert_eq!(refusal.hint.as_deref(), Some("start it: imgrepod --serve"));
}

#[test]
fn items_come_in_order_and_a_refusal_leaves_the_connection_open() {
    let (_home, endpoint, thread) = daemon(vec![|peer| {
        peer.greet((1, 1));
        assert_eq!(peer.next(), Some(Request::Status));
        for done in 0..3 {
            peer.say(Reply::Progress(Progress { phase: Phase::Sending, done, total: 3 }));
        }
        peer.say(Reply::Refused(Refusal::new(ErrorCode::NotFound, "no")));
        assert_eq!(peer.next(), Some(Request::Disconnect));
        peer.say(Reply::Done(Box::new(Outcome::Nothing)));
        assert_eq!(peer.next::<Request>(), None);
    }]);
    let mut client = Client::connect(&endpoint, program()).unwrap();
    let mut seen = Vec::new();
    let refusal = client.call_with(&Request::Status, &mut |reply| {
        if let Reply::Progress(progress) = reply {
            seen.push(progress.done);
        }
        Ok(())
    });
    assert_eq!(refusal.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(seen, [0, 1, 2]);
    assert_eq!(client.call(&Request::Disconnect), Ok(Outcome::Nothing));
    drop(client);
    thread.join().unwrap();
}

#[test]
fn a_request_broken_off_closes_the_connection_and_the_next_opens_another() {
    let (_home, endpoint, thread) = daemon(vec![
        |peer| {
            peer.greet((1, 1));
            assert_eq!(peer.next(), Some(Request::Status));
            peer.say(Reply::Data(vec![1]));
            assert_eq!(peer.next::<Request>(), None);
        },
        |peer| {
            peer.greet((1, 1));
            assert_eq!(peer.next(), Some(Request::Stop));
        },
    ]);
    let mut client = Client::connect(&endpoint, program()).unwrap();
    let cancelled = Refusal::new(ErrorCode::Cancelled, "enough");
    let outcome = client.call_with(&Request::Status, &mut |_| Err(cancelled.clone()));
    assert_eq!(outcome, Err(cancelled));
    // The second connection ends without an answer.
    assert_eq!(client.call(&Request::Stop).unwrap_err().code, ErrorCode::NotRunning);
    thread.join().unwrap();
}

#[test]
fn a_silent_daemon_ends_with_the_time_given() {
    let (_home, endpoint, thread) = daemon(vec![|peer| {
        peer.greet((1, 1));
        assert_eq!(peer.next(), Some(Request::Status));
        assert_eq!(peer.next::<Request>(), None);
    }]);
    let mut client = Client::connect(&endpoint, program()).unwrap();
    client.set_timeout(Some(Duration::from_millis(20)));
    assert_eq!(client.call(&Request::Status).unwrap_err().code, ErrorCode::TimedOut);
    thread.join().unwrap();
}

#[test]
fn content_is_streamed_and_an_early_refusal_is_heard() {
    let (_home, endpoint, thread) = daemon(vec![
        |peer| {
            peer.greet((1, 1));
            assert_eq!(peer.next(), Some(Request::Upload(upload())));
            let mut got = 0;
            loop {
                match peer.next().unwrap() {
                    Request::Data(piece) => got += piece.len(),
                    other => break assert_eq!(other, Request::End),
                }
            }
            assert_eq!(got, 600_000);
            peer.say(Reply::Done(Box::new(Outcome::Nothing)));
            // It goes on to a second, endless upload, which is refused after its first piece.
            assert_eq!(peer.next(), Some(Request::Upload(upload())));
            assert!(matches!(peer.next(), Some(Request::Data(_))));
            peer.say(Reply::Refused(Refusal::new(ErrorCode::TooLarge, "too large")));
        },
        |peer| {
            peer.greet((1, 1));
            assert_eq!(peer.next(), Some(Request::Upload(upload())));
            while peer.next::<Request>().is_some() {}
        },
    ]);
    let mut client = Client::connect(&endpoint, program()).unwrap();
    let mut content = std::io::repeat(7).take(600_000);
    assert_eq!(
        client.upload_stream(&upload(), &mut content, &mut |_| Ok(())),
        Ok(Outcome::Nothing)
    );
    let refusal = client.upload_stream(&upload(), &mut std::io::repeat(7), &mut |_| Ok(()));
    assert_eq!(refusal.unwrap_err().code, ErrorCode::TooLarge);

    struct Unreadable;
    impl std::io::Read for Unreadable {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let mut content = Unreadable;
    let refusal = client.upload_stream(&upload(), &mut content, &mut |_| Ok(()));
    assert_eq!(refusal.unwrap_err().code, ErrorCode::FileError);
    thread.join().unwrap();
}

#[test]
fn a_content_is_streamed_into_the_queue_as_into_the_repository() {
    let (_home, endpoint, thread) = daemon(vec![|peer| {
        peer.greet((1, 1));
        assert_eq!(peer.next(), Some(Request::Enqueue(upload())));
        assert_eq!(peer.next(), Some(Request::Data(b"content".to_vec())));
        assert_eq!(peer.next(), Some(Request::End));
        peer.say(Reply::Done(Box::new(Outcome::Queued(UploadId(7)))));
    }]);
    let mut client = Client::connect(&endpoint, program()).unwrap();
    let queued = client.enqueue_stream(&upload(), &mut &b"content"[..]);
    assert_eq!(queued, Ok(Outcome::Queued(UploadId(7))));
    thread.join().unwrap();
}
