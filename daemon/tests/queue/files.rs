//! Files that are not as they were queued, by hand and of a watched folder.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use imgrepo_proto::control::queue::UploadState::{
    Failed, Ignored, Refused, Settling, Stored, Waiting,
};
use imgrepo_proto::control::queue::Which;
use imgrepo_proto::control::watch::After;
use imgrepo_proto::{BlobHash, ErrorCode};
use imgrepod::state::{End, Folder, How, Lane, Seen, Stamp};
use jiff::Timestamp;

use crate::{Client, Served, bounded, picture, refusal_of};

/// As the watcher does it.
async fn see(client: &Client, folder: &Folder, path: &Path) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let stamp = Stamp::of(&std::fs::symlink_metadata(path).unwrap());
    let seen = Seen { path: path.to_owned(), name, stamp, how: How::Settled };
    client.state.seen(folder.id, vec![seen], Timestamp::now()).await.unwrap();
    client.queue.wake();
}

async fn watched(client: &Client) -> (Folder, PathBuf) {
    let path = client.home.join("watched");
    std::fs::create_dir(&path).unwrap();
    let membership = client.queue.membership().borrow().unwrap();
    let folder = client.state.add_folder(membership, path.clone(), After::Keep).await.unwrap();
    let there = std::fs::metadata(&path).unwrap();
    client.state.folder_root(folder.id, (there.dev(), there.ino())).await.unwrap();
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_by_hand_is_taken_as_it_is_and_never_through_a_new_link() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    let changed = client.enqueue("changed.png", &picture(1, 1000)).await;
    let gone = client.enqueue("gone.png", &picture(2, 1000)).await;
    let linked = client.enqueue("linked.png", &picture(3, 1000)).await;
    let folder = client.enqueue("folder.png", &picture(4, 1000)).await;
    let text = client.enqueue("text.png", &picture(10, 1000)).await;
    let empty = client.enqueue("empty.png", &picture(11, 1000)).await;
    client.file("target.png", &picture(6, 1000));
    let path = |name: &str| client.home.join(name);
    symlink(path("target.png"), path("link.png")).unwrap();
    let followed = client.queue.enqueue(path("link.png"), "link.png".to_owned(), false);
    let followed = followed.await.unwrap();
    let refused = client.queue.enqueue(path("none.png"), "none.png".to_owned(), false).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::FileError);

    client.file("changed.png", &picture(5, 5000));
    client.file("text.png", b"words");
    client.file("empty.png", b"");
    std::fs::remove_file(path("gone.png")).unwrap();
    std::fs::remove_file(path("linked.png")).unwrap();
    symlink(path("target.png"), path("linked.png")).unwrap();
    std::fs::remove_file(path("folder.png")).unwrap();
    std::fs::create_dir(path("folder.png")).unwrap();
    client.connect(served.address());
    let status = client.done().await;
    assert_eq!((status.counts.stored, status.counts.failed, status.counts.refused), (2, 3, 2));
    let stored = client.upload(changed).await;
    assert_eq!((stored.state, stored.size), (Stored, picture(5, 5000).len() as u64));
    for (id, words) in [(gone, "No such file"), (linked, "link"), (folder, "folder")] {
        let failed = client.upload(id).await;
        assert_eq!(failed.state, Failed);
        assert!(refusal_of(&failed).message.contains(words), "{:?}", failed.error);
    }
    assert_eq!(client.upload(text).await.state, Refused);
    assert_eq!(client.upload(empty).await.state, Refused);
    assert_eq!(client.upload(followed).await.state, Stored);
    assert_eq!(served.names().await, ["changed.png", "link.png"]);
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_is_not_queued_by_hand() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    for content in [&b""[..], b"P6", b"words", &[0; 100_000]] {
        let path = client.file("text.png", content);
        let refused = client.queue.enqueue(path, "text.png".to_owned(), false).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::NotAnImage, "{refused}");
        let mut spooling = client.queue.begin_spooling().await.unwrap();
        let mut written = Ok(());
        for byte in content.iter().take(100) {
            written = written.and_then(|()| spooling.write(&[*byte]));
        }
        let refused = match written {
            Ok(()) => client.queue.enqueue_spooled(spooling, "text.png".to_owned(), false).await,
            Err(refused) => Err(refused),
        };
        assert_eq!(refused.unwrap_err().code, ErrorCode::NotAnImage);
    }
    assert_eq!(client.queue.page(true, None, 9).await.unwrap(), []);
    assert_eq!(std::fs::read_dir(home.path().join("queue")).unwrap().count(), 0);
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_that_is_another_goes_back_to_the_watcher() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    let (folder, path) = watched(&client).await;
    let mut unsettled = client.queue.unsettled().unwrap();
    assert!(client.queue.unsettled().is_none());
    let mut receipts = client.queue.receipts();
    for (seed, name) in ["a.png", "b.png", "gone.png", "text.png"].iter().enumerate() {
        std::fs::write(path.join(name), picture(seed as u32, 1000)).unwrap();
    }
    std::fs::write(path.join("text.png"), "words").unwrap();
    for name in ["a.png", "b.png", "gone.png", "text.png"] {
        see(&client, &folder, &path.join(name)).await;
    }
    std::fs::write(path.join("b.png"), picture(9, 3000)).unwrap();
    std::fs::remove_file(path.join("gone.png")).unwrap();
    client.connect(served.address());
    let (id, file) = bounded(unsettled.recv()).await.unwrap();
    assert_eq!((id, file), (folder.id, path.join("b.png")));
    bounded(receipts.wait_for(|number| *number == 1)).await.unwrap();
    client.settled(|status| status.counts.ignored == 1 && status.counts.open() == 1).await;
    let story = |name: &str| client.state.story(path.join(name));
    assert_eq!(story("a.png").await.unwrap().unwrap().state, Stored);
    assert_eq!(story("b.png").await.unwrap().unwrap().state, Settling);
    assert_eq!(story("gone.png").await.unwrap(), None);
    let ignored = story("text.png").await.unwrap().unwrap();
    assert_eq!((ignored.state, refusal_of(&ignored).code), (Ignored, ErrorCode::NotAnImage));
    see(&client, &folder, &path.join("b.png")).await;
    client.done().await;
    // A link in its place, and a link above it.
    std::fs::create_dir(path.join("sub")).unwrap();
    for name in ["c.png", "sub/d.png"] {
        std::fs::write(path.join(name), picture(20 + name.len() as u32, 500)).unwrap();
    }
    client.queue.pause(true).await.unwrap();
    for name in ["c.png", "sub/d.png"] {
        see(&client, &folder, &path.join(name)).await;
    }
    std::fs::rename(path.join("c.png"), client.home.join("secret.png")).unwrap();
    symlink(client.home.join("secret.png"), path.join("c.png")).unwrap();
    std::fs::rename(path.join("sub"), client.home.join("sub")).unwrap();
    symlink(client.home.join("sub"), path.join("sub")).unwrap();
    client.queue.pause(false).await.unwrap();
    let mut back = [bounded(unsettled.recv()).await, bounded(unsettled.recv()).await];
    back.sort();
    assert_eq!(back.map(|file| file.unwrap().1), [path.join("c.png"), path.join("sub/d.png")]);
    assert_eq!(served.names().await, ["a.png", "b.png"]);
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_folder_that_is_away_wait_for_it() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    let (folder, path) = watched(&client).await;
    std::fs::write(path.join("a.png"), picture(1, 1000)).unwrap();
    see(&client, &folder, &path.join("a.png")).await;
    // As when its disk is not mounted: another directory is in its place.
    std::fs::rename(&path, client.home.join("elsewhere")).unwrap();
    std::fs::create_dir(&path).unwrap();
    client.connect(served.address());
    let waiting = client.settled(|status| status.counts.waiting == 1).await;
    assert_eq!(waiting.counts.open(), 1);
    let story = client.state.story(path.join("a.png")).await.unwrap().unwrap();
    assert_eq!(story.state, Waiting);
    assert!(refusal_of(&story).message.contains("another one is in its place"));
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(client.home.join("elsewhere"), &path).unwrap();
    client.done().await;
    assert_eq!(served.names().await, ["a.png"]);
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_is_not_what_its_hash_was_is_read_anew_by_a_retry() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    let id = client.enqueue("a.png", &picture(1, 1000)).await;
    let membership = client.queue.membership().borrow().unwrap();
    let now = Timestamp::now();
    // As it is after a cut, when another content was written with the old one's size and time.
    client.state.take(membership, Lane::Small, 1, now).await.unwrap();
    client.state.hashed(id, BlobHash([1; 32]), now).await.unwrap();
    client.state.ended(id, End::Queued, now).await.unwrap();
    client.connect(served.address());
    client.until(id, Failed).await;
    assert_eq!(client.queue.retry(Which::All).await, Ok(1));
    client.until(id, Stored).await;
    client.stop().await;
    served.stop().await;
}
