//! An image's life on real files and in memory: stored, found, renamed, deleted, restored, gone; and many
//! at once.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use imgrepo_proto::session::command::{self, Target, Upload};
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::session::{EventKind, Filter};
use imgrepo_proto::{BlobHash, ErrorCode, RepositoryId, Seq};
use imgrepod::repository::blobs::memory::MemoryBlobs;
use imgrepod::repository::catalog::Again;
use imgrepod::repository::catalog::memory::MemoryCatalog;
use imgrepod::repository::{Done, Repository, Settings};
use tokio::sync::oneshot;

use crate::support::*;

/// The story of an image, on whichever parts.
async fn an_image_lives(repository: &Repository) {
    let owner = repository.owner();
    let ana = guest(repository, "ana").await;
    let bea = guest(repository, "bea").await;
    let mut announced = repository.announced();
    for size in [24, 64 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3_000_000] {
        let content = image(size as u64, size);
        let name = format!("{size}.ppm");
        let reply = upload(repository, &ana, &name, &content).await.unwrap();
        assert!(!reply.duplicate);
        assert_eq!(reply.image.hash, Some(hash(&content)));
        assert_eq!(reply.image.media_type.as_deref(), Some("image/x-portable-pixmap"));
        assert_eq!(read(repository, &bea, &named(&name)).await.unwrap(), content);
    }
    assert_eq!(*announced.borrow_and_update(), Seq(5));

    // Again: the same record, whatever the name; for v1 only under the same name.
    let content = image(24, 24);
    let reply = upload(repository, &ana, "other.ppm", &content).await.unwrap();
    assert!(reply.duplicate);
    assert_eq!(reply.image.name, "24.ppm");
    let v1 = |name: &str| Upload { hash: None, ..announce(name, &content) };
    let once = upload_as(repository, &ana, v1("24.ppm"), Again::SameNameOnly, &content).await;
    assert!(once.unwrap().duplicate);
    let other = upload_as(repository, &ana, v1("25.ppm"), Again::SameNameOnly, &content).await;
    assert!(!other.unwrap().duplicate);
    // Another person's content of the same bytes is theirs; the name is then ambiguous.
    let theirs = upload(repository, &bea, "24.ppm", &content).await.unwrap();
    assert!(!theirs.duplicate);
    let refusal = repository.info(&ana, &named("24.ppm")).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Ambiguous);
    assert!(refusal.message.contains("7, 1"), "{}", refusal.message);
    let newest = repository.newest_named("24.ppm").await.unwrap();
    assert_eq!(newest.id, theirs.image.id);
    let have = repository.have(&bea, vec![hash(&content), BlobHash([0; 32])]).await.unwrap();
    assert_eq!(have.have[&hash(&content)].len(), 3);

    // Trash: one's own; the owner all.
    assert_eq!(delete(repository, &bea, 1).await.unwrap_err().code, ErrorCode::Denied);
    assert!(delete(repository, &ana, 1).await.unwrap().image.trashed_at.is_some());
    assert_eq!(delete(repository, &ana, 1).await.unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(delete(repository, &ana, 99).await.unwrap_err().code, ErrorCode::NotFound);
    let trash = command::List {
        filter: Filter { state: command::State::Trashed, ..Filter::default() },
        ..command::List::default()
    };
    for (actor, count) in [(&ana, 1), (&bea, 0), (&owner, 1)] {
        assert_eq!(repository.list(actor, trash.clone()).await.unwrap().images.len(), count);
        let id = Target::id(imgrepo_proto::ImageId(1));
        assert_eq!(repository.info(actor, &id).await.is_ok(), count == 1);
    }
    let restored = change(|done| repository.restore(&ana, named("24.ppm"), done)).await;
    assert_eq!(restored.unwrap().image.id.0, 1);
    let missing = change(|done| repository.restore(&ana, named("24.ppm"), done)).await;
    assert_eq!(missing.unwrap_err().code, ErrorCode::NotFound);
    let rename =
        |name: &str| command::Rename { image: imgrepo_proto::ImageId(1), name: name.to_owned() };
    let renamed = change(|done| repository.rename(&owner, rename("new.ppm"), done)).await;
    assert_eq!(renamed.unwrap().image.name, "new.ppm");
    let bad = change(|done| repository.rename(&owner, rename("a/b"), done)).await;
    assert_eq!(bad.unwrap_err().code, ErrorCode::BadName);

    // Away for ever, but the content stays for the others who have it.
    for id in [1, 6] {
        delete(repository, &ana, id).await.unwrap();
    }
    assert_eq!(purge(repository, &bea).await.unwrap().purged, 0);
    assert_eq!(purge(repository, &ana).await.unwrap().purged, 2);
    let id = Target::id(theirs.image.id);
    assert_eq!(read(repository, &ana, &id).await.unwrap(), content);
    let watcher = Upload { unless_deleted: true, ..announce("24.ppm", &content) };
    let refused = upload_as(repository, &ana, watcher, Again::Reuse, &content).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::Deleted);
    assert!(!upload(repository, &ana, "24.ppm", &content).await.unwrap().duplicate);

    use EventKind::{Deleted, NewUpload, Purged, Renamed, Restored};
    let mut expected = vec![NewUpload; 7];
    expected.extend([Deleted, Restored, Renamed, Deleted, Deleted, Purged, Purged, NewUpload]);
    assert_eq!(kinds(repository).await, expected);
    let last = repository.last_uploads(2).await.unwrap();
    let seqs: Vec<_> = last.iter().map(|event| event.seq.unwrap().0).collect();
    assert_eq!(seqs, [7, 15]);
    assert_eq!(repository.events(Seq(16), 1).await.unwrap_err().code, ErrorCode::Ahead);
}

#[tokio::test]
async fn an_image_lives_on_files_and_sqlite() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    an_image_lives(&repository).await;
    repository.close().await;
    assert_eq!(blobs(data.path()).len(), 5);
    assert_eq!(staged(data.path()), 0);
}

#[tokio::test]
async fn an_image_lives_in_memory() {
    let data = tempfile::tempdir().unwrap();
    let catalog = Arc::new(MemoryCatalog::new(RepositoryId("memory".to_owned())));
    let blobs = Arc::new(MemoryBlobs::new());
    let repository = Repository::with(catalog, blobs, settings(data.path())).unwrap();
    an_image_lives(&repository).await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings { max_image_bytes: 1000, ..settings(data.path()) };
    let repository = Repository::open(settings).unwrap();
    let ana = guest(&repository, "ana").await;
    let refused = async |name: &str, announced: Upload, content: &[u8]| {
        let reply = upload_as(&repository, &ana, announced, Again::Reuse, content).await;
        let refusal = reply.unwrap_err();
        assert!(refusal.message.contains(name), "{}", refusal.message);
        refusal.code
    };
    let good = image(1, 1000);
    for name in ["", "a/b", "..", "a\\b", "a\0b"] {
        assert_eq!(refused("", announce(name, &good), &good).await, ErrorCode::BadName);
    }
    let big = image(1, 1001);
    assert_eq!(refused("`a`", announce("a", &big), &big).await, ErrorCode::TooLarge);
    let huge = Upload { size: 1 << 63, ..announce("a", &good) };
    assert_eq!(refused("`a`", huge, &[]).await, ErrorCode::TooLarge);
    assert_eq!(refused("`a`", announce("a", b""), b"").await, ErrorCode::NotAnImage);
    let text =
        b"just words, and enough of them to be sure that no image begins like this".repeat(2);
    assert_eq!(refused("`a`", announce("a", &text), &text).await, ErrorCode::NotAnImage);
    let short = b"hello";
    assert_eq!(refused("`a`", announce("a", short), short).await, ErrorCode::NotAnImage);
    let other = Upload { hash: Some(BlobHash([1; 32])), ..announce("a", &good) };
    assert_eq!(refused("`a`", other, &good).await, ErrorCode::WrongHash);
    let cut = announce("a", &good);
    assert_eq!(refused("`a`", cut.clone(), &good[..900]).await, ErrorCode::WrongSize);
    let more = [&good[..], b"x"].concat();
    assert_eq!(refused("`a`", cut, &more).await, ErrorCode::WrongSize);
    let when = Upload { taken_at: Some("noon".to_owned()), ..announce("a", &good) };
    assert_eq!(refused("`a`", when, &good).await, ErrorCode::BadRequest);

    assert!(blobs(data.path()).is_empty());
    // The one that was cut short is kept; finishing it leaves nothing.
    assert_eq!(staged(data.path()), 1);
    upload(&repository, &ana, "a", &good).await.unwrap();
    assert_eq!(staged(data.path()), 0);
    assert_eq!(kinds(&repository).await, [EventKind::NewUpload]);
}

#[tokio::test]
async fn the_uploader_hears_before_everyone_does() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(1, 1000);
    let seen = Arc::new(Mutex::new(None));
    let (tell, told) = oneshot::channel();
    let (announced, at_reply) = (repository.announced(), seen.clone());
    let done: Done<UploadReply> = Box::new(move |reply| {
        *at_reply.lock().unwrap() = Some(*announced.borrow());
        tell.send(reply).unwrap();
    });
    let receiving = repository.begin(&ana, announce("a", &content), Again::Reuse, done).await;
    let mut receiving = receiving.unwrap();
    receiving.write(vec![Bytes::from(content)]).await.unwrap();
    let mut announced = repository.announced();
    receiving.finish().await;
    told.await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(Seq(0)));
    announced.wait_for(|seq| *seq == Seq(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_never_takes_a_blob_from_the_journal_from_an_upload() {
    uploads_race_purges(2000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_never_takes_a_blob_in_its_file_from_an_upload() {
    uploads_race_purges(300_000).await;
}

async fn uploads_race_purges(size: usize) {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let repository = open(data);
    let ana = guest(&repository, "ana").await;
    let bea = guest(&repository, "bea").await;
    let content = image(1, size);
    let mut outcomes = [0; 2];
    for round in 0..1000 {
        // Ana's goes away while the same content comes: Bea's, or Ana's own again.
        let reply = upload(&repository, &ana, "a", &content).await.unwrap();
        delete(&repository, &ana, reply.image.id.0).await.unwrap();
        let other = if round % 2 == 0 { &bea } else { &ana };
        let uploads = {
            let (repository, other, content) = (repository.clone(), other.clone(), content.clone());
            tokio::spawn(async move { upload(&repository, &other, "b", &content).await })
        };
        let purged = purge(&repository, &ana).await.unwrap().purged;
        let stored = uploads.await.unwrap().unwrap();
        outcomes[usize::from(purged > 0)] += 1;
        let id = Target::id(stored.image.id);
        assert_eq!(read(&repository, &ana, &id).await.unwrap(), content, "round {round}");
        delete(&repository, other, stored.image.id.0).await.unwrap();
        purge(&repository, other).await.unwrap();
    }
    eprintln!("purged nothing {} times, something {} times", outcomes[0], outcomes[1]);
    purge(&repository, &repository.owner()).await.unwrap();
    repository.close().await;
    assert!(blobs(data).is_empty());
    assert_eq!(staged(data), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_all_get_their_place() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let mut uploads = tokio::task::JoinSet::new();
    for seed in 0..200 {
        let (repository, ana) = (repository.clone(), ana.clone());
        uploads.spawn(async move {
            let content = image(seed, 5000);
            upload(&repository, &ana, &format!("{seed}"), &content).await.unwrap().image.id.0
        });
    }
    let mut ids = uploads.join_all().await;
    ids.sort_unstable();
    assert_eq!(ids, (1..=200).collect::<Vec<_>>());
    assert_eq!(kinds(&repository).await.len(), 200);
    repository.close().await;
    assert_eq!(blobs(data.path()).len(), 200);
}
