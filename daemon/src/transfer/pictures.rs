//! Pictures of images, fetched for looking at them: each whole, checked, and kept, so that a second
//! look asks nobody.
//!
//! The picture of a content does not change, so one is found by the content's hash. Which content an
//! image has is told by every record that passes ([`Pictures::learn`]) and does not change either; it
//! is remembered while the daemon runs, for the server and the person that the session is of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use imgrepo_proto::control::reply::Info;
use imgrepo_proto::limits::V1_MAX_IMAGE_BYTES;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Target;
use imgrepo_proto::session::view::{Variant, View};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageRecord, Refusal, RepositoryId};
use tokio::sync::Semaphore;

use super::rate::Gate;
use crate::cache::{Cache, Key};
use crate::host::random;
use crate::repository::picture::{DECIDING_BYTES, Guess, Kind, kind_of};
use crate::session::{Backoff, DownloadCall, DownloadStep, Session};

/// Pictures that are fetched at once: a screen of small ones comes in one go, and no more than these are
/// in memory.
const AT_ONCE: usize = 16;

/// How often one is asked for where the session is cut, or the server has no time.
const TRIES: u32 = 5;

/// Images whose content is remembered. Beyond it all are forgotten, and asked for again.
const REMEMBERED: usize = 50_000;

/// The largest picture that is taken: what an old server sends at most, which is more than any picture.
const MOST_BYTES: u64 = V1_MAX_IMAGE_BYTES;

/// A picture of an image, whole and checked.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Of which image.
    pub image: ImageId,
    /// Its name, and the picture's size, hash and media type.
    pub info: Info,
    /// The picture.
    pub bytes: Bytes,
}

/// The pictures of one daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    session: Session,
    cache: Arc<Cache>,
    remembered: Arc<Mutex<Remembered>>,
    turns: Arc<Semaphore>,
}

/// Where the images are: the server's address, and as whom.
type Place = (Option<String>, String);

#[derive(Debug, Default)]
struct Remembered {
    place: Place,
    repository: Option<RepositoryId>,
    images: HashMap<ImageId, (BlobHash, String)>,
}

impl Pictures {
    pub(super) fn new(session: Session, cache: Cache) -> Pictures {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Pictures { session, cache: Arc::new(cache), remembered: Arc::default(), turns }
    }

    /// Remembers which contents these images have.
    pub(super) fn learn<'a>(&self, records: impl IntoIterator<Item = &'a ImageRecord>) {
        let mut remembered = self.remembered();
        for record in records {
            let Some(hash) = record.hash else { continue };
            if remembered.images.len() >= REMEMBERED {
                remembered.images.clear();
            }
            remembered.images.insert(record.id, (hash, record.name.clone()));
        }
    }

    /// A picture: as it is kept, or else as the server sends it.
    pub(super) async fn view(
        &self,
        gate: &Gate,
        target: Target,
        variant: Variant,
    ) -> Result<Picture, Refusal> {
        let known = target.image.and_then(|id| {
            let (hash, name) = self.remembered().images.get(&id).cloned()?;
            Some((id, Some(hash), name))
        });
        let (id, hash, name) = match known {
            Some(known) => known,
            None => {
                let record = self.session.peer().await?.info(target).await?.image;
                self.learn([&record]);
                (record.id, record.hash, record.name)
            }
        };
        let key = hash.map(|hash| Key { hash, variant });
        if let Some(key) = key
            && let Some((bytes, info)) = self.kept(key, &name).await
        {
            return Ok(Picture { image: id, info, bytes });
        }
        // None would mean that the semaphore was closed, which nobody does.
        let _turn = self.turns.acquire().await.ok();
        let (bytes, info) = self.fetch(gate, id, variant).await?;
        if let Some(key) = key {
            self.keep(key, &info, &bytes).await;
        }
        Ok(Picture { image: id, info, bytes })
    }

    /// What is remembered of where the session leads now.
    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        let (place, repository) = {
            let status = self.session.status();
            let status = status.borrow();
            ((status.url.clone(), status.user.clone()), status.repository.clone())
        };
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = repository.is_some() && remembered.repository != repository;
        if remembered.place != place || is_other {
            *remembered = Remembered { place, repository, images: HashMap::new() };
        }
        remembered
    }

    async fn kept(&self, key: Key, name: &str) -> Option<(Bytes, Info)> {
        let cache = Arc::clone(&self.cache);
        let found = tokio::task::spawn_blocking(move || {
            let kept = cache.get(&key, SystemTime::now())?;
            Some((kept.bytes().ok()?, kept))
        });
        let (bytes, kept) = found.await.ok().flatten()?;
        let info = Info {
            size: bytes.len() as u64,
            name: name.to_owned(),
            hash: Some(kept.hash),
            media_type: Some(kept.media_type),
        };
        Some((bytes, info))
    }

    /// What cannot be kept is fetched again.
    async fn keep(&self, key: Key, info: &Info, bytes: &Bytes) {
        let Some(media_type) = info.media_type.clone() else { return };
        let (cache, bytes) = (Arc::clone(&self.cache), bytes.clone());
        let put = tokio::task::spawn_blocking(move || cache.put(&key, &media_type, &bytes));
        if let Ok(Err(error)) = put.await {
            tracing::debug!("cannot keep a picture: {error}");
        }
    }

    async fn fetch(
        &self,
        gate: &Gate,
        image: ImageId,
        variant: Variant,
    ) -> Result<(Bytes, Info), Refusal> {
        let (mut tries, mut backoff) = (0, Backoff::default());
        loop {
            let peer = self.session.peer().await?;
            let mut call = peer.view(View { target: Target::id(image), variant }).await;
            tries += 1;
            match collect(&mut call, gate).await {
                Ok(picture) => return checked(picture),
                Err(Some(refusal)) if refusal.code != ErrorCode::Busy || tries >= TRIES => {
                    return Err(refusal);
                }
                Err(Some(_)) => tokio::time::sleep(backoff.after_failure(random())).await,
                Err(None) if tries >= TRIES => {
                    let message = format!("cannot show image {image}: the session was cut");
                    return Err(Refusal::new(ErrorCode::NotConnected, message));
                }
                Err(None) => {}
            }
        }
    }
}

/// All that comes. The error: why not, or None where the session was cut.
async fn collect(call: &mut DownloadCall, gate: &Gate) -> Result<(Bytes, Info), Option<Refusal>> {
    let broke = |what: &str| {
        let message = format!("the server broke the protocol: {what}");
        Err(Some(Refusal::new(ErrorCode::Internal, message)))
    };
    let (mut bytes, mut info) = (BytesMut::new(), None::<Info>);
    loop {
        match call.next().await {
            DownloadStep::Size(size) if size.info.size > MOST_BYTES => {
                return broke("a picture is larger than any picture is");
            }
            DownloadStep::Size(size) => info = Some(size.info),
            DownloadStep::Data { offset, bytes: piece } => {
                if offset != bytes.len() as u64 || bytes.len() + piece.len() > MOST_BYTES as usize {
                    return broke("bytes came that were not due");
                }
                gate.pass(piece.len() as u64).await;
                bytes.extend_from_slice(&piece);
                call.acked(bytes.len() as u64);
            }
            DownloadStep::Done(hash) => {
                let Some(info) = info else { return broke("a picture came without its size") };
                let found = Some(BlobHash(*blake3::hash(&bytes).as_bytes()));
                let is_whole = info.size == bytes.len() as u64
                    && (info.hash.is_none() || info.hash == found)
                    && (hash.is_none() || hash == found);
                return match is_whole {
                    true => Ok((bytes.freeze(), info)),
                    false => broke("a picture is not the one that was announced"),
                };
            }
            DownloadStep::Refused(refusal) => return Err(Some(refusal)),
            DownloadStep::Cut => return Err(None),
        }
    }
}

/// An old server makes no pictures, so the image itself came: it is as good as one where every viewer
/// shows its kind. It is here by then, so there is nothing to save by refusing large ones.
fn checked((bytes, mut info): (Bytes, Info)) -> Result<(Bytes, Info), Refusal> {
    if info.media_type.is_some() {
        return Ok((bytes, info));
    }
    let first = bytes.get(..DECIDING_BYTES).unwrap_or(&bytes);
    match kind_of(first) {
        Guess::Image(kind @ (Kind::Jpeg | Kind::Png | Kind::Gif | Kind::WebP)) => {
            info.media_type = Some(kind.media_type().to_owned());
            Ok((bytes, info))
        }
        _ => {
            let name = shown(&info.name);
            let message =
                format!("cannot show `{name}`: an old server makes no pictures of images");
            Err(Refusal::new(ErrorCode::Unsupported, message).hint("download the image itself"))
        }
    }
}
