//! The repository on real files: uploads to the last promise, changes, trash, staging, starts and
//! ends. Everything waits for answers, nothing for time.

// clippy.toml allows it in tests, but does not see that their helpers are part of them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use imgrepo_proto::session::command::{self, Target, Upload};
use imgrepo_proto::session::reply::{ImageReply, PurgeReply, UploadReply};
use imgrepo_proto::session::{EventKind, Filter};
use imgrepo_proto::{BlobHash, ErrorCode, ImageName, PersonName, Refusal, RepositoryId, Seq};
use imgrepod::repository::blobs::memory::MemoryBlobs;
use imgrepod::repository::catalog::Again;
use imgrepod::repository::catalog::memory::MemoryCatalog;
use imgrepod::repository::{Actor, Done, OpenError, Receiving, Repository, Settings};
use tokio::sync::oneshot;

fn settings(data: &Path) -> Settings {
    let owner = PersonName::parse("olga").unwrap();
    Settings { reserve_bytes: 0, ..Settings::new(data.to_owned(), owner) }
}

fn open(data: &Path) -> Repository {
    Repository::open(settings(data)).unwrap()
}

/// An image of this many bytes, another one for each seed.
fn image(seed: u64, size: usize) -> Vec<u8> {
    let mut content = format!("P6\n# {seed}\n1 1\n255\n").into_bytes();
    let mut state = seed | 1;
    while content.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size.max(24));
    content
}

fn hash(content: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(content).as_bytes())
}

fn announce(name: &str, content: &[u8]) -> Upload {
    Upload {
        name: name.to_owned(),
        size: content.len() as u64,
        hash: Some(hash(content)),
        taken_at: None,
        unless_deleted: false,
    }
}

fn done<T: Send + 'static>() -> (Done<T>, oneshot::Receiver<Result<T, Refusal>>) {
    let (tell, told) = oneshot::channel();
    (Box::new(move |outcome| drop(tell.send(outcome))), told)
}

async fn begin(
    repository: &Repository,
    actor: &Actor,
    upload: Upload,
) -> (Option<Receiving>, oneshot::Receiver<Result<UploadReply, Refusal>>) {
    let (done, told) = done();
    (repository.begin(actor, upload, Again::Reuse, done).await, told)
}

async fn upload_as(
    repository: &Repository,
    actor: &Actor,
    upload: Upload,
    again: Again,
    content: &[u8],
) -> Result<UploadReply, Refusal> {
    let (done, told) = done();
    if let Some(mut receiving) = repository.begin(actor, upload, again, done).await {
        let held = usize::try_from(receiving.offset()).unwrap();
        for piece in content[held..].chunks(256 * 1024) {
            if let Err(refusal) = receiving.write(vec![Bytes::copy_from_slice(piece)]).await {
                receiving.fail(refusal);
                return told.await.unwrap();
            }
        }
        receiving.finish().await;
    }
    told.await.unwrap()
}

async fn upload(
    repository: &Repository,
    actor: &Actor,
    name: &str,
    content: &[u8],
) -> Result<UploadReply, Refusal> {
    upload_as(repository, actor, announce(name, content), Again::Reuse, content).await
}

async fn change<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Result<T, Refusal> {
    let (done, told) = done();
    ask(done);
    told.await.unwrap()
}

async fn delete(repository: &Repository, actor: &Actor, id: u64) -> Result<ImageReply, Refusal> {
    change(|done| repository.delete(actor, Target::id(imgrepo_proto::ImageId(id)), done)).await
}

async fn purge(repository: &Repository, actor: &Actor) -> Result<PurgeReply, Refusal> {
    change(|done| repository.purge(actor, command::Purge::default(), done)).await
}

async fn read(repository: &Repository, actor: &Actor, target: &Target) -> Result<Vec<u8>, Refusal> {
    let (_, content) = repository.content(actor, target).await?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < content.size() {
        let piece = content.read(bytes.len() as u64, 100_000, 12).await?;
        assert_eq!(piece[..12], [0; 12]);
        bytes.extend_from_slice(&piece[12..]);
    }
    Ok(bytes)
}

async fn guest(repository: &Repository, name: &str) -> Actor {
    repository.guest(&PersonName::parse(name).unwrap()).await.unwrap()
}

fn named(name: &str) -> Target {
    Target::name(ImageName::parse(name).unwrap())
}

fn blobs(data: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for directory in std::fs::read_dir(data.join("blobs")).unwrap() {
        for blob in std::fs::read_dir(directory.unwrap().path()).unwrap() {
            names.push(blob.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

fn staged(data: &Path) -> usize {
    std::fs::read_dir(data.join("staging")).unwrap().count()
}

async fn kinds(repository: &Repository) -> Vec<EventKind> {
    let page = repository.events(Seq(0), 500).await.unwrap();
    let seqs: Vec<u64> = page.events.iter().map(|event| event.seq.unwrap().0).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    page.events.into_iter().map(|event| event.event).collect()
}

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
async fn an_upload_goes_on_where_it_stopped() {
    let data = tempfile::tempdir().unwrap();
    let content = image(7, 600_000);
    let ana = {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        let (receiving, told) = begin(&repository, &ana, announce("a", &content)).await;
        let mut receiving = receiving.unwrap();
        assert_eq!(receiving.offset(), 0);
        let pieces = content[..250_000].chunks(777).map(Bytes::copy_from_slice).collect();
        assert_eq!(receiving.write(pieces).await.unwrap(), 250_000);
        drop(receiving);
        assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);

        // Another person's is not theirs, nor one of another size; one without a hash leaves nothing.
        let bea = guest(&repository, "bea").await;
        let offset = async |actor: &Actor, upload: Upload| {
            begin(&repository, actor, upload).await.0.unwrap().offset()
        };
        assert_eq!(offset(&bea, announce("a", &content)).await, 0);
        assert_eq!(offset(&ana, Upload { size: 1, ..announce("a", &content) }).await, 0);
        let (receiving, _) =
            begin(&repository, &ana, Upload { hash: None, ..announce("a", &content) }).await;
        let mut receiving = receiving.unwrap();
        receiving.write(vec![Bytes::copy_from_slice(&content[..1000])]).await.unwrap();
        drop(receiving);
        assert_eq!(staged(data.path()), 1);
        assert_eq!(offset(&ana, announce("b", &content)).await, 250_000);
        repository.close().await;
        ana
    };
    // A clean end syncs it, so that it counts even where the lengths of files do not.
    let line = std::fs::read_to_string(data.path().join("repository.lock")).unwrap();
    assert!(line.starts_with("closed "), "{line}");
    std::fs::write(data.path().join("repository.lock"), "").unwrap();
    let repository = open(data.path());
    let (receiving, told) = begin(&repository, &ana, announce("b", &content)).await;
    let mut receiving = receiving.unwrap();
    assert_eq!(receiving.offset(), 250_000);
    receiving.write(vec![Bytes::copy_from_slice(&content[250_000..])]).await.unwrap();
    receiving.finish().await;
    assert_eq!(told.await.unwrap().unwrap().image.name, "b");
    assert_eq!(read(&repository, &ana, &named("b")).await.unwrap(), content);
    assert_eq!(staged(data.path()), 0);
}

#[tokio::test]
async fn after_a_power_cut_only_what_was_synced_counts() {
    const MIB: usize = 1024 * 1024;
    let data = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let content = image(7, 40 * MIB);
    let small = image(8, 1000);
    {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        let (receiving, _told) = begin(&repository, &ana, announce("a", &content)).await;
        let mut receiving = receiving.unwrap();
        for piece in content[..20 * MIB].chunks(MIB) {
            receiving.write(vec![Bytes::copy_from_slice(piece)]).await.unwrap();
        }
        let (receiving, _told) = begin(&repository, &ana, announce("b", &small)).await;
        receiving.unwrap().write(vec![Bytes::copy_from_slice(&small[..500])]).await.unwrap();
        // What the disk holds at this moment, of which the next start may believe only a part.
        copy_directory(data.path(), copy.path());
    }
    for (lock, offsets) in [(true, [20 * MIB, 500]), (false, [16 * MIB, 0])] {
        let data = tempfile::tempdir().unwrap();
        copy_directory(copy.path(), data.path());
        if !lock {
            std::fs::write(data.path().join("repository.lock"), "open another-boot/1\n").unwrap();
        } else if !same_mount(copy.path(), data.path()) {
            continue;
        }
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        for (upload, offset) in
            [announce("a", &content), announce("b", &small)].into_iter().zip(offsets)
        {
            let receiving = begin(&repository, &ana, upload).await.0.unwrap();
            assert_eq!(receiving.offset(), offset as u64);
        }
        upload(&repository, &ana, "a", &content).await.unwrap();
        assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), content);
    }
}

fn same_mount(_: &Path, _: &Path) -> bool {
    // Both are in the temporary directory; only Linux can tell that nothing was unmounted since.
    cfg!(target_os = "linux")
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_newer_upload_takes_over() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(7, 300_000);
    let (older, older_told) = begin(&repository, &ana, announce("older", &content)).await;
    let mut older = older.unwrap();
    older.write(vec![Bytes::copy_from_slice(&content[..100_000])]).await.unwrap();
    let superseded = older.superseded();
    let (newer, newer_told) = begin(&repository, &ana, announce("newer", &content)).await;
    let mut newer = newer.unwrap();
    assert_eq!(newer.offset(), 100_000);
    superseded.await;
    let piece = Bytes::copy_from_slice(&content[100_000..]);
    let refusal = older.write(vec![piece.clone()]).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Superseded);
    older.fail(refusal);
    assert_eq!(older_told.await.unwrap().unwrap_err().code, ErrorCode::Superseded);
    newer.write(vec![piece]).await.unwrap();
    newer.finish().await;
    assert_eq!(newer_told.await.unwrap().unwrap().image.name, "newer");
    assert_eq!(staged(data.path()), 0);
    assert_eq!(read(&repository, &ana, &named("newer")).await.unwrap(), content);
}

#[tokio::test]
async fn a_wrong_partial_is_dropped_and_the_next_starts_over() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(7, 300_000);
    let (receiving, _) = begin(&repository, &ana, announce("a", &content)).await;
    receiving.unwrap().write(vec![Bytes::copy_from_slice(&content[..1000])]).await.unwrap();
    let file = std::fs::read_dir(data.path().join("staging")).unwrap().next().unwrap().unwrap();
    std::fs::write(file.path(), vec![b'P'; 1000]).unwrap();
    let refusal = upload(&repository, &ana, "a", &content).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::WrongHash);
    assert_eq!(staged(data.path()), 0);
    upload(&repository, &ana, "a", &content).await.unwrap();
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

#[tokio::test]
async fn trash_and_partials_go_when_their_time_is_over() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings { staging_quota_bytes: 100_000, ..settings(data.path()) };
    let repository = Repository::open(settings).unwrap();
    let ana = guest(&repository, "ana").await;
    for seed in 0..300 {
        let content = image(seed, 100);
        let id = upload(&repository, &ana, "a", &content).await.unwrap().image.id;
        change(|done| repository.delete(&ana, Target::id(id), done)).await.unwrap();
    }
    for seed in [1001, 1002] {
        let content = image(seed, 200_000);
        let (receiving, _) = begin(&repository, &ana, announce("b", &content)).await;
        receiving.unwrap().write(vec![Bytes::copy_from_slice(&content[..70_000])]).await.unwrap();
    }
    let now = jiff::Timestamp::now();
    repository.sweep(now).await;
    assert_eq!((blobs(data.path()).len(), staged(data.path())), (300, 1));
    repository.sweep(now + jiff::SignedDuration::from_hours(24 * 31)).await;
    assert_eq!(staged(data.path()), 0);
    assert_eq!(kinds(&repository).await.len(), 500);
    repository.close().await;
    assert_eq!(blobs(data.path()).len(), 0);
}

#[tokio::test]
async fn garbage_of_an_unclean_end_is_gone_after_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let ana = {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        upload(&repository, &ana, "a", &image(1, 1000)).await.unwrap();
        repository.close().await;
        ana
    };
    let garbage = data.path().join("blobs").join("ab").join(format!("ab{}", "0".repeat(62)));
    let place = || std::fs::write(&garbage, b"x").unwrap();
    // After a clean end nobody looks: that is what makes a start quick.
    place();
    open(data.path()).close().await;
    assert!(garbage.exists());
    std::fs::write(data.path().join("repository.lock"), "open x/1\n").unwrap();
    std::fs::write(data.path().join("staging").join("new.7"), b"x").unwrap();
    let repository = open(data.path());
    assert!(!garbage.exists());
    assert_eq!(staged(data.path()), 0);
    assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), image(1, 1000));
}

#[tokio::test]
async fn a_closed_repository_takes_nothing_more() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(1, 1000);
    let (receiving, told) = begin(&repository, &ana, announce("b", &content)).await;
    upload(&repository, &ana, "a", &image(2, 1000)).await.unwrap();
    repository.close().await;
    let mut receiving = receiving.unwrap();
    receiving.write(vec![Bytes::copy_from_slice(&content)]).await.unwrap();
    receiving.finish().await;
    assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::ShuttingDown);
    let refusal = upload(&repository, &ana, "c", &image(3, 1000)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ShuttingDown);
    assert_eq!(delete(&repository, &ana, 1).await.unwrap_err().code, ErrorCode::ShuttingDown);
    assert!(read(&repository, &ana, &named("a")).await.is_ok());
    assert_eq!(blobs(data.path()).len(), 1);
}

#[test]
fn one_process_has_a_directory() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path());
    let error = Repository::open(settings(data.path())).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(data.path().to_str().unwrap()), "{error}");
    drop(first);
    open(data.path());
}

#[tokio::test]
async fn a_catalog_that_is_damaged_newer_or_missing_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        upload(&repository, &ana, "a", &image(1, 1000)).await.unwrap();
        repository.close().await;
    }
    let catalog = data.path().join("catalog.db");
    let good = std::fs::read(&catalog).unwrap();
    let refused = || {
        let error = Repository::open(settings(data.path())).unwrap_err().to_string();
        assert!(error.contains("catalog.db"), "{error}");
        assert_eq!(blobs(data.path()).len(), 1);
    };
    let bad = [b"no database at all, but some text".repeat(100), vec![0; 8192]];
    for bad in bad {
        std::fs::write(&catalog, &bad).unwrap();
        refused();
        assert_eq!(std::fs::read(&catalog).unwrap(), bad);
    }
    std::fs::remove_file(&catalog).unwrap();
    refused();
    assert!(!catalog.exists());
    std::fs::write(&catalog, &good).unwrap();
    open(data.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_never_takes_a_blob_from_an_upload() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let bea = guest(&repository, "bea").await;
    let content = image(1, 2000);
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
    println!("purged nothing {} times, something {} times", outcomes[0], outcomes[1]);
    purge(&repository, &repository.owner()).await.unwrap();
    repository.close().await;
    assert!(blobs(data.path()).is_empty());
    assert_eq!(staged(data.path()), 0);
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
    assert_eq!(blobs(data.path()).len(), 200);
}
