//! Whole daemons in this process, a server and a client, asked by the client that programs use.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod found;
mod identity;
mod join;
mod people;
mod queue;
#[allow(dead_code, reason = "it is the session's tests' too")]
#[path = "../session/scripted.rs"]
mod scripted;

use std::path::{Path, PathBuf};

use imgrepo_proto::control::reply::{SessionState, Status};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Client, Endpoint, Outcome, Reply, Request};
use imgrepo_proto::session::command::{List, Program};
use imgrepo_proto::session::event::EventKind;
use imgrepo_proto::{ErrorCode, ImageId, ImageName, ImageRecord, ImageRef, Refusal, Seq};
use imgrepod::config::{Config, Flags};
use imgrepod::daemon::{Daemon, Ground};
use imgrepod::paths::Paths;
use tokio::sync::mpsc;

/// A daemon in a home of its own.
struct Home {
    directory: tempfile::TempDir,
    daemon: Option<Daemon>,
}

impl Home {
    async fn server() -> Home {
        Home::start(&["--serve"]).await
    }

    async fn start(flags: &[&str]) -> Home {
        let mut home = Home { directory: tempfile::tempdir().unwrap(), daemon: None };
        home.daemon = Some(home.run(flags).await.unwrap());
        home
    }

    async fn run(&self, flags: &[&str]) -> Result<Daemon, Refusal> {
        let path = self.directory.path().as_os_str().to_owned();
        let var = move |name: &str| match name {
            "IMGREPO_HOME" => Some(path.clone()),
            "USER" => Some("ana".into()),
            _ => None,
        };
        let serve = flags.contains(&"--serve");
        let flags =
            Flags { serve, listen: serve.then(|| "127.0.0.1:0".to_owned()), ..Flags::default() };
        let paths = Paths::from_env(&var).unwrap();
        let file = paths.config.clone();
        let ground = Ground::take(paths)?;
        let config = Config::resolve(&flags, &var, &ground.remembered(), &file).unwrap();
        Daemon::start(ground, config).await
    }

    async fn stop(&mut self) {
        drop(self.daemon.take().unwrap().stop().await);
    }

    /// Where the server listens, by its ready line.
    fn url(&self) -> String {
        let ready = self.daemon.as_ref().unwrap().ready();
        ready.split_whitespace().find(|word| word.starts_with("ws://")).unwrap().to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.directory.path().join("run"), "control.sock")
    }

    /// What this gives, from a thread of its own, as programs are.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Client) -> T + Send + 'static,
    ) -> T {
        let endpoint = self.endpoint();
        let act = move || act(&mut connect(&endpoint));
        tokio::task::spawn_blocking(act).await.unwrap()
    }

    async fn call(&self, request: Request) -> Result<Outcome, Refusal> {
        self.with(move |client| client.call(&request)).await
    }

    async fn image(&self, request: Request) -> Result<ImageRecord, Refusal> {
        match self.call(request).await? {
            Outcome::Image(image) | Outcome::Stored { image, duplicate: false } => Ok(image),
            other => panic!("{other:?}"),
        }
    }

    async fn status(&self, request: Request) -> Status {
        match self.call(request).await.unwrap() {
            Outcome::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    async fn names(&self) -> Vec<String> {
        match self.call(Request::List(List::default())).await.unwrap() {
            Outcome::Images(page) => page.images.into_iter().map(|image| image.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn download(&self, image: ImageRef) -> Result<(u64, Vec<u8>), Refusal> {
        self.with(move |client| {
            let (mut size, mut content) = (0, Vec::new());
            client.call_with(&Request::Download { image, offset: 0 }, &mut |reply| {
                match reply {
                    Reply::Size(told) => size = told.info.size,
                    Reply::Data(piece) => content.extend(piece),
                    other => panic!("{other:?}"),
                }
                Ok(())
            })?;
            Ok((size, content))
        })
        .await
    }
}

fn connect(endpoint: &Endpoint) -> Client {
    let program = Program { name: "test".to_owned(), version: "0.0.0".to_owned() };
    Client::connect(endpoint, program).unwrap()
}

/// A PNG of one pixel, and so many bytes behind it that make it another image.
fn png(number: u8, behind: usize) -> Vec<u8> {
    let mut png =
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
        \0\0\0\rIDATx\x9cc\xf8\xff\xff?\0\x05\xfe\x02\xfe\xa7\x35\x81\x84\
        \0\0\0\0IEND\xaeB`\x82"
            .to_vec();
    png.extend(std::iter::repeat_n(number, behind));
    png
}

fn upload(name: &str, path: &Path) -> Request {
    let content = Content::Path(path.to_owned());
    Request::Upload(Upload { name: name.to_owned(), content, unless_deleted: false })
}

fn named(name: &str) -> ImageRef {
    ImageRef::Name(ImageName::parse(name).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_used_like_a_client_by_the_one_who_runs_it() {
    let mut home = Home::server().await;
    let status = home.status(Request::Status).await;
    assert!(status.server.is_some());
    // Waits for the session, which is opened as the daemon starts.
    assert!(home.names().await.is_empty());
    let status = home.status(Request::Status).await;
    assert_eq!(status.session.state, SessionState::Connected);
    assert_eq!(
        (status.session.user.as_str(), status.session.role.as_deref()),
        ("ana", Some("owner"))
    );
    assert_eq!(
        home.call(Request::Info(ImageRef::Last)).await.unwrap_err().code,
        ErrorCode::NotFound
    );

    // A chunk and a bit, so that it takes several frames.
    let content = png(1, 300_000);
    let path = home.file("a.png", &content);
    let image = home.image(upload("a.png", &path)).await.unwrap();
    assert_eq!(
        (image.id, image.width, image.size),
        (ImageId(1), Some(1), Some(content.len() as u64))
    );
    let again = home.call(upload("b.png", &path)).await.unwrap();
    assert!(matches!(again, Outcome::Stored { duplicate: true, .. }));
    let (size, bytes) = home.download(named("a.png")).await.unwrap();
    assert_eq!((size, bytes), (content.len() as u64, content));
    assert_eq!(home.image(Request::Info(ImageRef::Last)).await.unwrap(), image);

    let rename = Request::Rename { image: ImageRef::Last, name: "c.png".to_owned() };
    assert_eq!(home.image(rename).await.unwrap().name, "c.png");
    assert!(home.image(Request::Delete(named("c.png"))).await.unwrap().trashed_at.is_some());
    assert!(home.names().await.is_empty());
    let refused = home.image(Request::Restore(named("a.png"))).await.unwrap_err();
    assert_eq!(refused.message, "no image in the trash is named `a.png`");
    assert_eq!(home.image(Request::Restore(named("c.png"))).await.unwrap().id, image.id);

    // Two of one name in the trash.
    let other = home.file("other.png", &png(2, 10));
    home.image(upload("c.png", &other)).await.unwrap();
    for id in [ImageId(1), ImageId(2)] {
        home.image(Request::Delete(ImageRef::Id(id))).await.unwrap();
    }
    let refused = home.image(Request::Restore(named("c.png"))).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Ambiguous);
    assert!(refused.message.ends_with("are named `c.png`: 2, 1"), "{}", refused.message);
    assert_eq!(home.call(Request::Purge { image: None }).await, Ok(Outcome::Purged(2)));

    let seen = home.with(|client| {
        let mut seen = Vec::new();
        let events = Request::Events { since: Some(Seq(1)), follow: false };
        let outcome = client.call_with(&events, &mut |reply| {
            let Reply::Event(event) = reply else { panic!("{reply:?}") };
            seen.push((event.seq.unwrap().0, event.event.word().to_owned()));
            Ok(())
        });
        assert_eq!(outcome, Ok(Outcome::Nothing));
        seen
    });
    let words =
        ["RENAMED", "DELETED", "RESTORED", "NEW_UPLOAD", "DELETED", "DELETED", "PURGED", "PURGED"];
    let expected: Vec<_> = (2..).zip(words.map(str::to_owned)).collect();
    assert_eq!(seen.await, expected);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_connects_follows_and_remembers() {
    let mut server = Home::server().await;
    let mut client = Home::start(&[]).await;
    assert_eq!(
        client.daemon.as_ref().unwrap().ready(),
        "imgrepod is ready: offline (imgctl connect URL)"
    );
    let connect_as =
        |user: Option<&str>| Request::Connect { url: server.url(), user: user.map(str::to_owned) };
    let status = client.status(connect_as(Some("bia"))).await;
    assert_eq!(status.session.state, SessionState::Connected);
    assert_eq!((status.session.url, status.session.user), (Some(server.url()), "bia".to_owned()));

    // What happens there is heard here, and gives up with the one who listens.
    let endpoint = client.endpoint();
    let (sender, mut heard) = mpsc::channel(1);
    let listening = tokio::task::spawn_blocking(move || {
        let follow = Request::Events { since: Some(Seq(0)), follow: true };
        connect(&endpoint).call_with(&follow, &mut |reply| {
            let Reply::Event(event) = reply else { panic!("{reply:?}") };
            let enough = Refusal::new(ErrorCode::Cancelled, "enough");
            sender.blocking_send(event).map_err(|_| enough)
        })
    });
    let path = server.file("a.png", &png(1, 0));
    server.image(upload("a.png", &path)).await.unwrap();
    let event = heard.recv().await.unwrap();
    assert_eq!((event.event, event.by.as_deref()), (EventKind::NewUpload, Some("ana")));
    let streamed = client.with(|client| {
        let content = Content::Stream;
        let upload = Upload { name: "s.png".to_owned(), content, unless_deleted: false };
        client.upload_stream(&upload, &mut &png(2, 600_000)[..], &mut |_| Ok(()))
    });
    assert!(matches!(streamed.await, Ok(Outcome::Stored { duplicate: false, .. })));
    assert_eq!(heard.recv().await.unwrap().by.as_deref(), Some("bia"));
    drop(heard);
    assert_eq!(client.names().await, ["s.png", "a.png"]);
    let (_, bytes) = server.download(named("s.png")).await.unwrap();
    assert_eq!(bytes, png(2, 600_000));

    // Across restarts: connected, then offline by choice.
    client.stop().await;
    drop(listening.await.unwrap());
    client.daemon = Some(client.run(&[]).await.unwrap());
    let ready = client.daemon.as_ref().unwrap().ready().to_owned();
    assert_eq!(ready, format!("imgrepod is ready: session to {} as bia", server.url()));
    assert_eq!(client.names().await.len(), 2);
    let status = client.status(Request::Disconnect).await;
    assert_eq!(status.session.state, SessionState::Offline);
    client.stop().await;
    client.daemon = Some(client.run(&[]).await.unwrap());
    let status = client.status(Request::Status).await.session;
    assert_eq!((status.url, status.user.as_str()), (Some(server.url()), "bia"));
    let refused = client.call(Request::List(List::default())).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotConnected);
    // The name is remembered for the next time.
    assert_eq!(client.status(connect_as(None)).await.session.user, "bia");
    client.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let mut home = Home::server().await;
    let refused =
        home.call(Request::Connect { url: "h".to_owned(), user: None }).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert_eq!(home.call(Request::Disconnect).await.unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(home.run(&[]).await.err().unwrap().code, ErrorCode::Conflict);

    let missing = home.directory.path().join("missing.png");
    let text = home.file("text.png", b"no image");
    let folder = home.directory.path().to_owned();
    for path in [missing, folder] {
        assert_eq!(home.call(upload("a.png", &path)).await, Ok(Outcome::OutOfReach));
    }
    let refused = home.call(upload("a.png", &text)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotAnImage);
    assert!(home.names().await.is_empty());

    let mut client = Home::start(&[]).await;
    let connect = |url: &str| Request::Connect { url: url.to_owned(), user: None };
    for url in ["http://h/", "imgrepo://h/#s,ca"] {
        let refused = client.call(connect(url)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::BadRequest);
    }
    client.stop().await;
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_gives_up_what_was_under_way() {
    /// Some of a content, and then an error.
    struct Cut(usize);
    impl std::io::Read for Cut {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let now = buffer.len().min(self.0);
            self.0 -= now;
            buffer[..now].fill(7);
            if now == 0 { Err(std::io::Error::other("cut")) } else { Ok(now) }
        }
    }
    let mut home = Home::server().await;
    assert!(home.names().await.is_empty());
    let path = home.file("long.png", &png(1, 64 * 1024 * 1024));
    // Given up by its first progress.
    let outcome = home.with(move |client| {
        let given_up = Refusal::new(ErrorCode::Cancelled, "enough");
        client.call_with(&upload("long.png", &path), &mut |_| Err(given_up.clone()))
    });
    assert_eq!(outcome.await.unwrap_err().code, ErrorCode::Cancelled);
    // A stream that is cut leaves nothing.
    let outcome = home.with(move |client| {
        let content = Content::Stream;
        let upload = Upload { name: "s.png".to_owned(), content, unless_deleted: false };
        client.upload_stream(&upload, &mut Cut(600_000), &mut |_| Ok(()))
    });
    assert_eq!(outcome.await.unwrap_err().code, ErrorCode::FileError);
    assert_eq!(std::fs::read_dir(home.directory.path().join("state/spool")).unwrap().count(), 0);
    assert!(home.names().await.is_empty());
    home.stop().await;
}
