//! The control plane over a real socket, with the client that programs use.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::frame::{self, Decoder};
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{After, WatchRequest};
use imgrepo_proto::control::window::{WindowItem, WindowRequest};
use imgrepo_proto::control::{Client, Endpoint, Hello, Outcome, Reply, Request};
use imgrepo_proto::session::command::{List, Program};
use imgrepo_proto::{ErrorCode, ImageRef, PersonName, Refusal};
use imgrepod::control::{Context, Control, Listening, Memory, Mode, Spool, Windows};
use imgrepod::paths::Paths;
use imgrepod::service::{self, Service};
use imgrepod::session::{self, Session};
use imgrepod::state::State;
use imgrepod::transfer::Transfers;
use imgrepod::transfer::queue::{self, Queue};
use imgrepod::watch::{self, QueueSide, Watch};
use tokio_util::sync::CancellationToken;

/// A client's control plane, offline.
struct Plane {
    home: tempfile::TempDir,
    endpoint: Endpoint,
    session: Session,
    stop: CancellationToken,
    control: Option<Control>,
}

fn program() -> Program {
    Program { name: "test".to_owned(), version: "0.0.0".to_owned() }
}

impl Plane {
    async fn start() -> Plane {
        let home = tempfile::tempdir().unwrap();
        let everything = home.path().as_os_str().to_owned();
        let var = |name: &str| (name == "IMGREPO_HOME").then(|| everything.clone());
        let paths = Paths::from_env(var).unwrap();
        let endpoint = paths.endpoint.clone();
        let (session, _) = Session::start(session::Settings {
            program: program(),
            seen: home.path().join("seen.json"),
            connect_timeout: Duration::from_secs(5),
        });
        let stop = CancellationToken::new();
        let transfers = Transfers::new(session.clone());
        let state = State::open(&home.path().join("queue.db")).unwrap();
        let (spool, end) = (home.path().join("queue"), CancellationToken::new());
        let settings = queue::Settings { spool, last: None, end };
        let queue = Queue::start(state.clone(), transfers.clone(), settings).await;
        let (queue, _) = queue.unwrap();
        let settings = watch::Settings {
            settle: Duration::ZERO,
            torn: Duration::ZERO,
            rescan: Duration::from_secs(60),
            poll: Duration::from_secs(1),
            flags: Vec::new(),
            own: Vec::new(),
        };
        let (watch, _) = Watch::start(state, QueueSide::of(&queue), settings);
        let context = Context {
            program: program(),
            started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            config: home.path().join("config.toml"),
            service: Arc::new(Service::new(&paths, service::System)),
            paths,
            reserve_bytes: 0,
            user: PersonName::parse("ana").unwrap(),
            session: session.clone(),
            mode: Mode::Client(Arc::new(Memory::open(home.path()).unwrap())),
            spool: Arc::new(Spool::open(home.path().join("spool")).unwrap()),
            stop: stop.clone(),
            transfers,
            queue,
            watch,
            windows: Windows::default(),
        };
        let listening = Listening::open(&endpoint, &program()).unwrap();
        let control = Some(Control::serve(listening, Arc::new(context)));
        Plane { home, endpoint, session, stop, control }
    }

    /// What this gives, from a thread of its own, as programs are.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Client) -> T + Send + 'static,
    ) -> T {
        let endpoint = self.endpoint.clone();
        let act = move || act(&mut Client::connect(&endpoint, program()).unwrap());
        tokio::task::spawn_blocking(act).await.unwrap()
    }

    /// A connection that says these bytes and gives what comes until its end.
    async fn raw(&self, bytes: Vec<u8>) -> Vec<u8> {
        let path = self.endpoint.path();
        let talk = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(&bytes).unwrap();
            let mut answer = Vec::new();
            // A connection closed on unread bytes is a reset on some systems.
            let _ = stream.read_to_end(&mut answer);
            answer
        };
        tokio::task::spawn_blocking(talk).await.unwrap()
    }
}

fn hello(lowest: u32, highest: u32) -> Vec<u8> {
    frame::encode(&Hello { lowest, highest, program: program() }).unwrap()
}

fn frames<T: serde::de::DeserializeOwned>(mut bytes: &[u8], skip_hello: bool) -> Vec<T> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    let mut is_hello = skip_hello;
    loop {
        if is_hello && decoder.next::<Hello>().unwrap().is_some() {
            is_hello = false;
        }
        while let Some(frame) = if is_hello { None } else { decoder.next().unwrap() } {
            frames.push(frame);
        }
        if bytes.is_empty() {
            return frames;
        }
        let space = decoder.space();
        let now = space.len().min(bytes.len());
        space[..now].copy_from_slice(&bytes[..now]);
        decoder.filled(now);
        bytes = &bytes[now..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_agrees_on_a_version_or_says_ones_own() {
    let plane = Plane::start().await;
    for (theirs, answer) in [((1, 1), (1, 1)), ((0, 9), (1, 1)), ((2, 3), (1, 1)), ((0, 0), (1, 1))]
    {
        // The end of a request that cannot come ends a connection that was agreed on.
        let mut bytes = hello(theirs.0, theirs.1);
        bytes.extend(u32::MAX.to_be_bytes());
        let said: Vec<Hello> = frames(&plane.raw(bytes).await, false);
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].lowest, said[0].highest), answer);
        assert_eq!(said[0].program, program());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_frame_closes_its_connection_alone() {
    let plane = Plane::start().await;
    let bystander = plane.endpoint.clone();
    let mut bystander =
        tokio::task::spawn_blocking(move || Client::connect(&bystander, program()).unwrap())
            .await
            .unwrap();
    let after_hello = |bytes: &[u8]| [hello(1, 1), bytes.to_vec()].concat();
    for bad in [
        vec![0, 0, 0, 1, 0xc1],
        u32::MAX.to_be_bytes().to_vec(),
        (1024u32 * 1024 + 1).to_be_bytes().to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        assert!(frames::<Reply>(&plane.raw(after_hello(&bad)).await, true).is_empty());
        assert!(plane.raw(bad).await.is_empty());
    }
    let outcome = tokio::task::spawn_blocking(move || bystander.call(&Request::Status));
    assert!(matches!(outcome.await.unwrap(), Ok(Outcome::Status(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_programs_request_is_refused_and_the_connection_goes_on() {
    let plane = Plane::start().await;
    let polish = std::collections::BTreeMap::from([("polish", 7)]);
    let endpoint = plane.endpoint.path();
    let (refused, stray) = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(endpoint).unwrap();
        stream.write_all(&hello(1, 1)).unwrap();
        let mut next = {
            let mut decoder = Decoder::new();
            let mut hello = true;
            move |stream: &mut UnixStream, say: &[u8]| -> Reply {
                stream.write_all(say).unwrap();
                loop {
                    if hello && decoder.next::<Hello>().unwrap().is_some() {
                        hello = false;
                    }
                    if hello {
                        // Its rest is read first.
                    } else if let Some(reply) = decoder.next().unwrap() {
                        return reply;
                    }
                    let read = stream.read(decoder.space()).unwrap();
                    assert!(read > 0);
                    decoder.filled(read);
                }
            }
        };
        let refused = next(&mut stream, &frame::encode(&polish).unwrap());
        let stray = next(&mut stream, &frame::encode(&Request::End).unwrap());
        (refused, stray)
    })
    .await
    .unwrap();
    let Reply::Refused(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.code, ErrorCode::Unsupported);
    assert_eq!(refused.hint.as_deref(), Some("restart the daemon: imgctl stop && imgrepod"));
    assert!(matches!(stray, Reply::Refused(Refusal { code: ErrorCode::BadRequest, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_everything_that_needs_a_session_says_so_at_once() {
    let plane = Plane::start().await;
    let upload = |content| Upload { name: "a.jpg".to_owned(), content, unless_deleted: false };
    let file = plane.home.path().join("a.jpg");
    std::fs::write(&file, "x").unwrap();
    for request in [
        Request::List(List::default()),
        Request::Info(ImageRef::Last),
        Request::Download { image: ImageRef::Last, offset: 0 },
        Request::Rename { image: ImageRef::Last, name: "b.jpg".to_owned() },
        Request::Delete(ImageRef::Last),
        Request::Restore(ImageRef::Last),
        Request::Purge { image: None },
        Request::Upload(upload(Content::Path(file.clone()))),
        Request::Events { since: None, follow: false },
    ] {
        let refused = plane.with(move |client| client.call(&request)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::NotConnected);
    }
    let streamed = plane.with(move |client| {
        client.upload_stream(&upload(Content::Stream), &mut std::io::repeat(1), &mut |_| Ok(()))
    });
    assert_eq!(streamed.await.unwrap_err().code, ErrorCode::NotConnected);

    let Ok(Outcome::Status(status)) = plane.with(|client| client.call(&Request::Status)).await
    else {
        panic!("no status")
    };
    assert_eq!(status.session.state, SessionState::Offline);
    assert_eq!(status.daemon.pid, std::process::id());
    assert_eq!(status.daemon.config, plane.home.path().join("config.toml"));
    assert_eq!((status.daemon.transfers, status.server), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_cannot_read_is_left_to_the_program() {
    let plane = Plane::start().await;
    let ask = |path: &str, name: &str| {
        let content = Content::Path(path.into());
        let upload = Upload { name: name.to_owned(), content, unless_deleted: false };
        plane.with(move |client| client.call(&Request::Upload(upload)))
    };
    for path in ["relative.jpg", "/dev/stdin", "/proc/self/fd/0"] {
        assert_eq!(ask(path, "a.jpg").await, Ok(Outcome::OutOfReach), "{path}");
    }
    assert_eq!(ask("/tmp/a.jpg", "a/b.jpg").await.unwrap_err().code, ErrorCode::BadName);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_answered_and_its_connection_ends_last() {
    let mut plane = Plane::start().await;
    let endpoint = plane.endpoint.clone();
    let stopping = tokio::task::spawn_blocking(move || {
        let outcome = Client::connect(&endpoint, program()).unwrap().call(&Request::Stop);
        (outcome, endpoint.path().exists())
    });
    plane.stop.cancelled().await;
    let farewells = plane.control.take().unwrap().stop().await;
    plane.session.end().await;
    drop(farewells);
    assert_eq!(stopping.await.unwrap(), (Ok(Outcome::Nothing), false));
    let refused = Client::connect(&plane.endpoint, program()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotRunning);
}

#[tokio::test]
async fn a_folder_is_not_watched_before_it_is_known_for_whom() {
    let plane = Plane::start().await;
    let path = plane.home.path().to_owned();
    let call =
        |request: WatchRequest| plane.with(move |client| client.call(&Request::Watch(request)));
    let add = WatchRequest::Add { path: path.clone(), after: After::Keep };
    let refused = call(add).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotConnected);
    assert_eq!(refused.hint.as_deref(), Some("imgctl connect HOST"));
    assert_eq!(call(WatchRequest::Ls).await.unwrap(), Outcome::Folders(Vec::new()));
    let refused = call(WatchRequest::Rm { path: path.clone() }).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    match call(WatchRequest::Status { path: path.join("a.png") }).await.unwrap() {
        Outcome::File(story) => assert!(story.note.unwrap().contains("in no watched folder")),
        other => panic!("{other:?}"),
    }
}

/// A window that is attached: its connection, and what it is told.
struct Window(UnixStream, Decoder);

impl Window {
    fn attach(endpoint: &Endpoint) -> Window {
        let mut stream = UnixStream::connect(endpoint.path()).unwrap();
        stream.write_all(&hello(1, 1)).unwrap();
        let attach = Request::Window(WindowRequest::Attach);
        stream.write_all(&frame::encode(&attach).unwrap()).unwrap();
        let mut window = Window(stream, Decoder::new());
        window.next::<Hello>();
        window
    }

    fn next<T: serde::de::DeserializeOwned>(&mut self) -> T {
        loop {
            if let Some(frame) = self.1.next().unwrap() {
                return frame;
            }
            let read = self.0.read(self.1.space()).unwrap();
            assert_ne!(read, 0, "the window was turned away");
            self.1.filled(read);
        }
    }
}

fn open(image: Option<ImageRef>, wait: bool) -> Request {
    Request::Window(WindowRequest::Open { image, wait })
}

fn opened(outcome: Result<Outcome, Refusal>) -> bool {
    match outcome.unwrap() {
        Outcome::Window(opened) => opened.is_shown,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_window_attaches_is_asked_to_show_and_its_close_frees_the_place() {
    let plane = Plane::start().await;
    assert!(!opened(plane.with(|client| client.call(&open(None, false))).await));
    let endpoint = plane.endpoint.clone();
    let window = tokio::task::spawn_blocking(move || {
        let mut window = Window::attach(&endpoint);
        match window.next() {
            Reply::Window(WindowItem::Session(session)) => {
                assert_eq!(session.state, SessionState::Offline);
            }
            other => panic!("{other:?}"),
        }
        match Window::attach(&endpoint).next() {
            Reply::Refused(refusal) => assert_eq!(refusal.code, ErrorCode::Conflict),
            other => panic!("{other:?}"),
        }
        window
    });
    let mut window = window.await.unwrap();
    assert!(opened(plane.with(|client| client.call(&open(None, false))).await));
    let window = tokio::task::spawn_blocking(move || {
        assert_eq!(window.next::<Reply>(), Reply::Window(WindowItem::Show(None)));
        window
    });
    // A name is looked for first, and offline nothing can be found.
    let window = window.await.unwrap();
    let refused = plane.with(|client| client.call(&open(Some(ImageRef::Last), true))).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::NotConnected);
    drop(window);
    let endpoint = plane.endpoint.clone();
    tokio::task::spawn_blocking(move || {
        // The daemon hears of the close by itself.
        loop {
            match Window::attach(&endpoint).next() {
                Reply::Window(WindowItem::Session(_)) => break,
                Reply::Refused(refusal) => assert_eq!(refusal.code, ErrorCode::Conflict),
                other => panic!("{other:?}"),
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_window_is_told_when_there_is_one() {
    let plane = Plane::start().await;
    let endpoint = plane.endpoint.clone();
    let waiting = plane.with(|client| client.call(&open(None, true)));
    let window = tokio::task::spawn_blocking(move || {
        let mut window = Window::attach(&endpoint);
        // It may have begun to wait before or after this window came.
        while !matches!(window.next(), Reply::Window(WindowItem::Show(None))) {}
    });
    let (outcome, window) = tokio::join!(waiting, window);
    assert!(opened(outcome));
    window.unwrap();
}
