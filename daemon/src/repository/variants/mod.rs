//! Pictures of images, made for looking at them: found in the cache, or made by the workshop, and given
//! to whoever may have the original; and what the camera wrote.
//!
//! Called by the server for VIEW and EXIF, by the committer when an image came or its content goes. The
//! pixels are `picture`'s, in a child; what is next is the agenda's.

mod agenda;
mod notes;
mod pace;
mod workshop;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Target;
use imgrepo_proto::session::view::{Exif, Variant, View};
use imgrepo_proto::{BlobHash, ErrorCode, ImageRecord, Refusal};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use self::agenda::{Part, Task};
use self::workshop::{NotMade, Ready, Tools, Workshop, busy};
use super::blobs::{Blob, BlobStore, Reader};
use super::catalog::{Catalog, ImageState};
use super::content::Content;
use super::finding::find;
use super::people::{Action, Actor, Object, authorize};
use super::{Inner, Repository, Settings, faults, picture};
use crate::cache::{Cache, Kept, Key};

/// How long somebody waits for a picture: what is before it in the queue has gone on for that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of pictures that are whole in memory at once, on their way to browsers.
pub(super) const SHOWN_BYTES: usize = 64 * 1024 * 1024;

/// How pictures are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Making {
    /// The program that makes one: this one, executed anew.
    pub program: PathBuf,
    /// Made at once.
    pub threads: usize,
    /// Bytes of pictures that are kept.
    pub budget_bytes: u64,
}

/// A picture of an image, open: it can be read to its end even when it goes meanwhile.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The image.
    pub record: ImageRecord,
    /// The picture's media type.
    pub media_type: String,
    /// The picture's own hash.
    pub hash: BlobHash,
    /// The picture.
    pub content: Content,
}

/// A picture of an image, whole in memory. It counts as such until it is dropped.
#[derive(Debug)]
pub struct Shown {
    /// The image.
    pub record: ImageRecord,
    /// The picture's media type.
    pub media_type: String,
    /// The picture's own hash.
    pub hash: BlobHash,
    /// The picture.
    pub bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// What stands before a picture.
enum Found {
    Kept(Box<ImageRecord>, Arc<Kept>),
    Waiting(Box<ImageRecord>, oneshot::Receiver<Result<Ready, NotMade>>),
}

/// The making of pictures, where a repository makes any.
pub(super) struct Variants(Option<Workshop>);

impl Variants {
    pub(super) fn open(
        settings: &Settings,
        catalog: &Arc<dyn Catalog>,
        blobs: &Arc<dyn BlobStore>,
    ) -> io::Result<Variants> {
        let Some(making) = &settings.making else { return Ok(Variants(None)) };
        let program = making.program.clone();
        let folder = settings.data.join("variants");
        let tools = Tools {
            catalog: catalog.clone(),
            blobs: blobs.clone(),
            cache: Cache::new(folder, picture::PIPELINE, making.budget_bytes),
            reserve_bytes: settings.reserve_bytes,
            data: settings.data.clone(),
            render: Box::new(move |order, size_bytes, read_at, stop| {
                picture::render_until(&program, order, size_bytes, read_at, stop)
            }),
        };
        Workshop::start(tools, making.threads).map(Some).map(Variants)
    }

    /// A new image has this content. Takes no time.
    pub(super) fn fresh(&self, hash: BlobHash) {
        if let Some(workshop) = &self.0 {
            workshop.fresh(hash);
        }
    }

    /// Nothing has this content any more.
    pub(super) fn forget(&self, hash: BlobHash) {
        if let Some(workshop) = &self.0 {
            workshop.forget(hash);
        }
    }

    /// Ends every child and begins nothing more. Blocks.
    pub(super) fn close(&self) {
        if let Some(workshop) = &self.0 {
            workshop.close();
        }
    }
}

/// How the making of pictures stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MakingStatus {
    /// Images whose pictures are to be made.
    pub waiting: usize,
    /// Whether there may be more: the catalog is still searched.
    pub is_searching: bool,
    /// Bytes of the pictures that are kept, once they were counted.
    pub kept_bytes: Option<u64>,
    /// Pictures that were made since the start.
    pub made: u64,
    /// Contents of which none could be made, since the start.
    pub failed: u64,
}

impl Repository {
    /// How the making of pictures stands; None where none are made.
    #[must_use]
    pub fn making(&self) -> Option<MakingStatus> {
        let workshop = self.inner.variants.0.as_ref()?;
        let (waiting, is_searching) = workshop.waiting();
        let (made, failed) = workshop.done();
        let kept_bytes = workshop.cache().held_bytes();
        Some(MakingStatus { waiting, is_searching, kept_bytes, made, failed })
    }

    /// Opens a picture of an image, made first where it is not kept.
    ///
    /// # Errors
    /// `not_viewable` where there can be none; `not_found`, `ambiguous`; `busy` where it could not be made
    /// now; `unsupported` where this repository makes none.
    pub async fn view(&self, actor: &Actor, view: &View) -> Result<Seen, Refusal> {
        authorize(actor, Action::Download, Object::Any)?;
        let (asker, target, variant) = (actor.clone(), view.target.clone(), view.variant);
        let found = self.hop(move |inner| look(inner, &asker, &target, variant)).await?;
        let (record, kept) = match found {
            Found::Kept(record, kept) => (record, kept),
            Found::Waiting(record, made) => {
                // Dropping the wait is safe: nobody waits any more then, and it may not be made.
                let made = timeout(PATIENCE, made).await;
                let made = made.map_err(|_| busy("too many pictures are being made"))?;
                let made = made.map_err(|_| faults::shutting_down())?;
                let pictures = made.map_err(|why| not_made(&record, why))?;
                let found = pictures.iter().find(|(made, _)| *made == variant);
                let Some((_, kept)) = found else {
                    return Err(faults::internal(&"a picture that was made is missing"));
                };
                (record, kept.clone())
            }
        };
        self.inner.figures.views.one();
        let (media_type, hash) = (kept.media_type.clone(), kept.hash);
        Ok(Seen { record: *record, media_type, hash, content: Content::of(kept) })
    }

    /// As [`Repository::view`], with the whole picture in memory, once there is room for it.
    ///
    /// # Errors
    /// As [`Repository::view`].
    pub async fn variant(&self, actor: &Actor, view: &View) -> Result<Shown, Refusal> {
        let Seen { record, media_type, hash, content } = self.view(actor, view).await?;
        let size_bytes = u32::try_from(content.size().min(SHOWN_BYTES as u64)).unwrap_or(u32::MAX);
        let share =
            timeout(PATIENCE, self.inner.shown.clone().acquire_many_owned(size_bytes)).await;
        let Ok(Ok(share)) = share else {
            return Err(busy("too many pictures are on their way to slow readers"));
        };
        let bytes = content.whole().await?;
        Ok(Shown { record, media_type, hash, bytes, _share: share })
    }

    /// What the camera wrote into an image; None where there is nothing of the kind.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, and `damaged` where the blob is.
    pub async fn exif(&self, actor: &Actor, target: &Target) -> Result<Option<Exif>, Refusal> {
        authorize(actor, Action::Download, Object::Any)?;
        let (_, content) = self.look_into(actor, target).await?;
        self.hop(move |_| {
            let size_bytes = content.size();
            let read = picture::exif(&mut Reader::sparse(content.into_blob()), size_bytes);
            read.map_err(|error| faults::disk("read a blob", &error))
        })
        .await
    }
}

/// Looks for a picture, and asks for it where it is not kept.
fn look(
    inner: &Arc<Inner>,
    actor: &Actor,
    target: &Target,
    variant: Variant,
) -> Result<Found, Refusal> {
    let image = find(&*inner.catalog, actor, target, ImageState::Listed)?;
    let Some(workshop) = &inner.variants.0 else {
        let why = "this server makes no pictures of its images";
        return Err(Refusal::new(ErrorCode::Unsupported, why).hint("download the image itself"));
    };
    let (hash, record) = (image.hash, Box::new(image.record));
    if let Some(kept) = workshop.cache().get(&Key { hash, variant }, SystemTime::now()) {
        return Ok(Found::Kept(record, Arc::new(kept)));
    }
    let known = workshop.known(hash)?;
    let task = Task { hash, part: Part::of(variant) };
    let fault = match task.part {
        Part::Small => known.fault,
        Part::Large => known.display_fault,
    };
    match fault {
        Some(why) => Err(not_made(&record, NotMade::Fault(why))),
        None => workshop.want(task).map(|made| Found::Waiting(record, made)),
    }
}

fn not_made(record: &ImageRecord, why: NotMade) -> Refusal {
    let (id, name) = (record.id, shown(&record.name));
    match why {
        NotMade::Fault(why) => {
            let message = format!("cannot show `{name}` (image {id}): {why}");
            Refusal::new(ErrorCode::NotViewable, message).hint("its original can be downloaded")
        }
        NotMade::Damaged => faults::damaged(record, "damaged"),
        NotMade::Gone => Refusal::new(ErrorCode::NotFound, format!("no image has the number {id}")),
        NotMade::Passing(refusal) => {
            let message = format!("cannot show `{name}` (image {id}): {}", refusal.message);
            Refusal { message, ..refusal }
        }
    }
}

impl Blob for Kept {
    fn size_bytes(&self) -> u64 {
        Kept::size_bytes(self)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        Kept::read_exact_at(self, buffer, offset)
    }

    fn in_memory(&self) -> Option<Bytes> {
        Kept::in_memory(self)
    }
}

/// The program that is running, by a name that holds when its file was replaced by a newer one.
#[must_use]
pub fn this_program() -> PathBuf {
    match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe().unwrap_or_else(|_| Path::new("imgrepod").to_owned()),
    }
}
