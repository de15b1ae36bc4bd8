//! What the tests of the repository share: people, images, and questions that wait for answers.

use std::path::Path;

use bytes::Bytes;
use imgrepo_proto::session::EventKind;
use imgrepo_proto::session::command::{self, Target, Upload};
use imgrepo_proto::session::reply::{ImageReply, PurgeReply, UploadReply};
use imgrepo_proto::{BlobHash, ImageName, PersonName, Refusal, Seq};
use imgrepod::repository::catalog::Again;
use imgrepod::repository::{Actor, Done, Receiving, Repository, Settings};
use tokio::sync::oneshot;

pub(crate) fn settings(data: &Path) -> Settings {
    let owner = PersonName::parse("olga").unwrap();
    Settings { reserve_bytes: 0, ..Settings::new(data.to_owned(), owner) }
}

pub(crate) fn open(data: &Path) -> Repository {
    Repository::open(settings(data)).unwrap()
}

/// An image of this many bytes, another one for each seed.
pub(crate) fn image(seed: u64, size: usize) -> Vec<u8> {
    let mut content = format!("P6\n# {seed}\n1 1\n255\n").into_bytes();
    let mut state = seed | 1;
    while content.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size.max(24));
    content
}

pub(crate) fn hash(content: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(content).as_bytes())
}

pub(crate) fn announce(name: &str, content: &[u8]) -> Upload {
    Upload {
        name: name.to_owned(),
        size: content.len() as u64,
        hash: Some(hash(content)),
        taken_at: None,
        unless_deleted: false,
    }
}

pub(crate) fn done<T: Send + 'static>() -> (Done<T>, oneshot::Receiver<Result<T, Refusal>>) {
    let (tell, told) = oneshot::channel();
    (Box::new(move |outcome| drop(tell.send(outcome))), told)
}

pub(crate) async fn begin(
    repository: &Repository,
    actor: &Actor,
    upload: Upload,
) -> (Option<Receiving>, oneshot::Receiver<Result<UploadReply, Refusal>>) {
    let (done, told) = done();
    (repository.begin(actor, upload, Again::Reuse, done).await, told)
}

pub(crate) async fn upload_as(
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

pub(crate) async fn upload(
    repository: &Repository,
    actor: &Actor,
    name: &str,
    content: &[u8],
) -> Result<UploadReply, Refusal> {
    upload_as(repository, actor, announce(name, content), Again::Reuse, content).await
}

pub(crate) async fn change<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Result<T, Refusal> {
    let (done, told) = done();
    ask(done);
    told.await.unwrap()
}

pub(crate) async fn delete(
    repository: &Repository,
    actor: &Actor,
    id: u64,
) -> Result<ImageReply, Refusal> {
    change(|done| repository.delete(actor, Target::id(imgrepo_proto::ImageId(id)), done)).await
}

pub(crate) async fn purge(repository: &Repository, actor: &Actor) -> Result<PurgeReply, Refusal> {
    change(|done| repository.purge(actor, command::Purge::default(), done)).await
}

pub(crate) async fn read(
    repository: &Repository,
    actor: &Actor,
    target: &Target,
) -> Result<Vec<u8>, Refusal> {
    let (_, content) = repository.content(actor, target).await?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < content.size() {
        let piece = content.read(bytes.len() as u64, 100_000, 12).await?;
        assert_eq!(piece[..12], [0; 12]);
        bytes.extend_from_slice(&piece[12..]);
    }
    Ok(bytes)
}

pub(crate) async fn guest(repository: &Repository, name: &str) -> Actor {
    repository.guest(&PersonName::parse(name).unwrap(), true, "10.0.0.7").await.unwrap()
}

pub(crate) fn named(name: &str) -> Target {
    Target::name(ImageName::parse(name).unwrap())
}

/// The contents that are in their places; the small ones of a repository that is closed too.
pub(crate) fn blobs(data: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for directory in std::fs::read_dir(data.join("blobs")).unwrap() {
        for blob in std::fs::read_dir(directory.unwrap().path()).unwrap() {
            names.push(blob.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

pub(crate) fn staged(data: &Path) -> usize {
    std::fs::read_dir(data.join("staging")).unwrap().count()
}

pub(crate) async fn kinds(repository: &Repository) -> Vec<EventKind> {
    let page = repository.events(Seq(0), 500).await.unwrap();
    let seqs: Vec<u64> = page.events.iter().map(|event| event.seq.unwrap().0).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    page.events.into_iter().map(|event| event.event).collect()
}
