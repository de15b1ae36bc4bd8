//! The whole way: a file in a client's watched folder becomes an image at the server, once.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Instant;

use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::WatchRequest;
use imgrepo_proto::control::{Client, Endpoint, Outcome, Reply, Request};
use imgrepo_proto::session::command::{List, Program};
use imgrepo_proto::{ErrorCode, ImageRecord, ImageRef, Refusal};
use imgrepod::config::{Config, Flags};
use imgrepod::daemon::{Daemon, Ground};
use imgrepod::paths::Paths;

use super::*;

/// A daemon in a home of its own, with a folder beside.
struct Home {
    directory: TempDir,
    folder: PathBuf,
    daemon: Daemon,
}

impl Home {
    /// One that watches its folder by its command line.
    async fn start(flags: Flags) -> Home {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("watched");
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir(directory.path().join("config")).unwrap();
        let config = "[watch]\nsettle_seconds = 0\npoll_seconds = 1\n";
        std::fs::write(directory.path().join("config/config.toml"), config).unwrap();
        let flags = Flags { watch: vec![folder.clone()], ..flags };
        let home = directory.path().as_os_str().to_owned();
        let var = move |name: &str| match name {
            "IMGREPO_HOME" => Some(home.clone()),
            "USER" => Some("ana".into()),
            _ => None,
        };
        let paths = Paths::from_env(&var).unwrap();
        let file = paths.config.clone();
        let ground = Ground::take(paths).unwrap();
        let config = Config::resolve(&flags, &var, &ground.remembered(), &file).unwrap();
        let daemon = Daemon::start(ground, config).await.unwrap();
        Home { directory, folder, daemon }
    }

    async fn server() -> Home {
        let listen = Some("127.0.0.1:0".to_owned());
        Home::start(Flags { serve: true, listen, ..Flags::default() }).await
    }

    async fn client(server: &Home) -> Home {
        let ready = server.daemon.ready();
        let url = ready.split_whitespace().find(|word| word.starts_with("ws://")).unwrap();
        Home::start(Flags { connect: Some(url.to_owned()), ..Flags::default() }).await
    }

    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Client) -> T + Send + 'static,
    ) -> T {
        let endpoint = Endpoint::at(self.directory.path().join("run"), "control.sock");
        let program = Program { name: "test".to_owned(), version: "0.0.0".to_owned() };
        let connect = move || act(&mut Client::connect(&endpoint, program).unwrap());
        tokio::task::spawn_blocking(connect).await.unwrap()
    }

    async fn call(&self, request: Request) -> Result<Outcome, Refusal> {
        self.with(move |client| client.call_with(&request, &mut |_| Ok(()))).await
    }

    async fn images(&self) -> Vec<ImageRecord> {
        match self.call(Request::List(List::default())).await.unwrap() {
            Outcome::Images(page) => page.images,
            other => panic!("{other:?}"),
        }
    }

    async fn story(&self, path: &Path) -> Option<QueuedUpload> {
        let request = WatchRequest::Status { path: path.to_owned() };
        match self.call(Request::Watch(request)).await.unwrap() {
            Outcome::File(story) => story.upload,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until this holds of a file's upload.
    async fn until(&self, path: &Path, holds: impl Fn(Option<&QueuedUpload>) -> bool) {
        let wait = async {
            while !holds(self.story(path).await.as_ref()) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("`{}` is {:?}", path.display(), self.story(path).await);
        }
    }

    async fn until_is(&self, path: &Path, state: UploadState) -> QueuedUpload {
        self.until(path, |upload| upload.is_some_and(|upload| upload.state == state)).await;
        self.story(path).await.unwrap()
    }

    /// Until nothing is open.
    async fn wait(&self) {
        let waited = tokio::time::timeout(PATIENCE, self.call(Request::Wait)).await;
        assert!(matches!(waited.unwrap().unwrap(), Outcome::Queue(_)));
    }

    fn drop_in(&self, name: &str, content: &[u8]) -> PathBuf {
        let made = self.directory.path().join("made");
        std::fs::write(&made, content).unwrap();
        let path = self.folder.join(name);
        std::fs::rename(made, &path).unwrap();
        path
    }

    /// Slows uploads down to this many bytes a second, or to none with 0.
    async fn limit(&self, up: u64) {
        self.call(Request::Limit { up: Some(up), down: None }).await.unwrap();
    }

    async fn stop(self) {
        drop(self.daemon.stop().await);
    }
}

fn hash(content: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(content).as_bytes())
}

/// A PNG of many bytes.
fn long(number: u32, len: usize) -> Vec<u8> {
    let mut content = png(number);
    content.extend((0..len).map(|at| (at * 7 + at / 251 + number as usize) as u8));
    content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_file_is_an_image_for_everyone_a_moment_later() {
    let server = Home::server().await;
    let client = Home::client(&server).await;
    let path = client.drop_in("first.png", &png(0));
    client.until_is(&path, UploadState::Stored).await;
    // The other member follows.
    let (heard, mut events) = mpsc::unbounded_channel();
    let endpoint = Endpoint::at(server.directory.path().join("run"), "control.sock");
    std::thread::spawn(move || {
        let program = Program { name: "test".to_owned(), version: "0.0.0".to_owned() };
        let mut follower = Client::connect(&endpoint, program).unwrap();
        let follow = Request::Events { since: Some(imgrepo_proto::Seq(0)), follow: true };
        let _ = follower.call_with(&follow, &mut |reply| {
            if let Reply::Event(event) = reply {
                heard.send((event.image.clone().map(|image| image.name), Instant::now())).ok();
            }
            Ok(())
        });
    });
    let mut took = Vec::new();
    for number in 1..=30 {
        let name = format!("{number}.png");
        let content = long(number, 111_000);
        let begun = Instant::now();
        client.drop_in(&name, &content);
        let wait = async {
            loop {
                let (image, at) = events.recv().await.unwrap();
                if image.as_deref() == Some(&name) {
                    return at;
                }
            }
        };
        let at = tokio::time::timeout(PATIENCE, wait).await.unwrap();
        took.push(at - begun);
    }
    took.sort();
    println!(
        "from the rename to the other member's event: median {:?}, most {:?}",
        took[15], took[29]
    );
    let image = client.story(&path).await.unwrap().image.unwrap();
    assert_eq!(server.images().await.len(), 31);
    assert!(server.images().await.iter().any(|record| record.id == image));
    // A server watches folders of its own just so.
    let own = server.drop_in("own.png", &png(77));
    server.until_is(&own, UploadState::Stored).await;
    client.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_is_uploaded_once_whatever_it_is_called_and_not_after_it_was_deleted() {
    let server = Home::server().await;
    let client = Home::client(&server).await;
    let path = client.drop_in("a.png", &png(1));
    let image = client.until_is(&path, UploadState::Stored).await.image.unwrap();
    let renamed = client.folder.join("b.png");
    std::fs::rename(&path, &renamed).unwrap();
    assert_eq!(client.until_is(&renamed, UploadState::Duplicate).await.image, Some(image));
    let copy = client.drop_in("c.png", &png(1));
    client.until_is(&copy, UploadState::Duplicate).await;
    assert_eq!(client.images().await.len(), 1);

    client.call(Request::Delete(ImageRef::Id(image))).await.unwrap();
    let again = client.drop_in("d.png", &png(1));
    let ignored = client.until_is(&again, UploadState::Ignored).await;
    assert_eq!(ignored.error.unwrap().code, ErrorCode::Deleted);
    assert_eq!(client.images().await.len(), 0);
    // A person who uploads it means it.
    let upload = Upload {
        name: "d.png".to_owned(),
        content: Content::Path(again.clone()),
        unless_deleted: false,
    };
    client.call(Request::Upload(upload)).await.unwrap();
    assert_eq!(client.images().await.len(), 1);
    client.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_on_its_way_is_stored_as_it_is_in_the_end() {
    let server = Home::server().await;
    let client = Home::client(&server).await;
    let len = 3_000_000;
    let begin = async |name: &str, number| {
        client.limit(400_000).await;
        let path = client.drop_in(name, &long(number, len));
        client.until_is(&path, UploadState::Sending).await;
        path
    };
    // Replaced.
    let replaced = begin("replaced.png", 1).await;
    client.drop_in("replaced.png", &long(2, len));
    client.limit(0).await;
    client.until_is(&replaced, UploadState::Stored).await;
    // Written over in its place, with a pause in the middle.
    let written = begin("written.png", 3).await;
    let mut file = OpenOptions::new().append(true).open(&written).unwrap();
    file.write_all(b"more").unwrap();
    client.limit(0).await;
    client.until_is(&written, UploadState::Settling).await;
    file.write_all(b" and more").unwrap();
    drop(file);
    client.until_is(&written, UploadState::Stored).await;
    // Cut short.
    let cut = begin("cut.png", 4).await;
    OpenOptions::new().write(true).open(&cut).unwrap().set_len(1_000_000).unwrap();
    client.limit(0).await;
    client.until_is(&cut, UploadState::Stored).await;
    // Deleted.
    let deleted = begin("deleted.png", 5).await;
    std::fs::remove_file(&deleted).unwrap();
    client.limit(0).await;
    client.until(&deleted, |upload| upload.is_none()).await;
    client.wait().await;

    let expected = [
        ("cut.png", long(4, len)[..1_000_000].to_vec()),
        ("replaced.png", long(2, len)),
        ("written.png", [long(3, len), b"more and more".to_vec()].concat()),
    ];
    let mut images = client.images().await;
    images.sort_by(|one, other| one.name.cmp(&other.name));
    let images = images.into_iter().map(|image| (image.name, image.hash));
    let expected = expected.map(|(name, content)| (name.to_owned(), Some(hash(&content))));
    assert_eq!(images.collect::<Vec<_>>(), expected);
    client.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_swapped_against_a_link_while_it_is_read_gives_nothing_away() {
    let server = Home::server().await;
    let client = Home::client(&server).await;
    let secret = client.directory.path().join("secret.png");
    std::fs::write(&secret, long(99, 5_000)).unwrap();
    let path = client.folder.join("a.png");
    let swapped = path.clone();
    let target = secret.clone();
    let swapping = tokio::task::spawn_blocking(move || {
        for number in 0..super::special::swaps() {
            let beside = swapped.with_file_name("b.tmp");
            std::fs::write(&beside, long(number, 5_000)).unwrap();
            std::fs::rename(&beside, &swapped).unwrap();
            symlink(&target, &beside).unwrap();
            std::fs::rename(&beside, &swapped).unwrap();
        }
    });
    swapping.await.unwrap();
    let last = client.drop_in("last.png", &png(7));
    client.until_is(&last, UploadState::Stored).await;
    client.wait().await;
    let stolen = hash(&std::fs::read(&secret).unwrap());
    let images = client.images().await;
    println!("{} of the files were caught in time", images.len());
    assert!(images.iter().all(|image| image.hash != Some(stolen)));
    client.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_moved_after_the_server_s_receipt() {
    let server = Home::server().await;
    let client = Home::client(&server).await;
    let done = client.directory.path().join("done");
    std::fs::create_dir(&done).unwrap();
    let kept = client.drop_in("kept.png", &png(1));
    client.until_is(&kept, UploadState::Stored).await;
    let add = WatchRequest::Add { path: client.folder.clone(), after: After::Move(done.clone()) };
    client.call(Request::Watch(add)).await.unwrap();
    let text = client.drop_in("notes.png", b"this is no image at all, and so it stays where it is");
    let path = client.drop_in("a.png", &png(2));
    for (path, name) in [(&path, "a.png"), (&kept, "kept.png")] {
        client.until(path, |upload| upload.is_some_and(|upload| upload.moved_to.is_some())).await;
        assert!(!path.exists() && done.join(name).exists());
    }
    client.until_is(&text, UploadState::Ignored).await;
    assert!(text.exists());
    client.stop().await;
    server.stop().await;
}
