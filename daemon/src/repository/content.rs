//! An image's bytes on their way out: opened once, read in pieces, from the blocking pool where the
//! disk has to be waited for. Called by the server's downloads; holds no more than the piece that is
//! asked for.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use imgrepo_proto::session::command::Target;
use imgrepo_proto::{ImageRecord, Refusal};

use super::blobs::Blob;
use super::catalog::ImageState;
use super::figures::Figures;
use super::finding::find;
use super::people::{Action, Actor, Object, authorize};
use super::{Repository, faults};

/// An image's content, open: it can be read to its end even when the image is purged meanwhile.
#[derive(Clone)]
pub struct Content {
    blob: Arc<dyn Blob>,
    /// Where what is read of it counts.
    figures: Option<Arc<Figures>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("size_bytes", &self.size()).finish()
    }
}

impl Repository {
    /// Opens an image's content.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, and `damaged` where the blob is, or is missing.
    pub async fn content(
        &self,
        actor: &Actor,
        target: &Target,
    ) -> Result<(ImageRecord, Content), Refusal> {
        let (record, mut content) = self.look_into(actor, target).await?;
        self.inner.figures.downloads.one();
        content.figures = Some(self.inner.figures.clone());
        Ok((record, content))
    }

    /// The same for the repository itself, which gives nothing of it out as it is.
    pub(super) async fn look_into(
        &self,
        actor: &Actor,
        target: &Target,
    ) -> Result<(ImageRecord, Content), Refusal> {
        authorize(actor, Action::Download, Object::Any)?;
        let (actor, target) = (actor.clone(), target.clone());
        self.hop(move |inner| {
            // Between the look at the catalog and that at the blob a purge may come: look again.
            let mut image = find(&*inner.catalog, &actor, &target, ImageState::Listed)?;
            let mut blob = inner.blobs.open(image.hash);
            if matches!(blob, Ok(None)) {
                image = find(&*inner.catalog, &actor, &target, ImageState::Listed)?;
                blob = inner.blobs.open(image.hash);
            }
            let id = image.record.id;
            let lost = inner.sound.lost();
            let blob = match blob {
                Ok(Some(blob)) if blob.size_bytes() == image.size_bytes => blob,
                Ok(Some(blob)) => {
                    let (is, should) = (blob.size_bytes(), image.size_bytes);
                    lost.mark(image.hash, &format!("it has {is} bytes instead of {should}"));
                    return Err(faults::damaged(&image.record, "damaged"));
                }
                Ok(None) if lost.contains(image.hash) => {
                    return Err(faults::damaged(&image.record, "damaged"));
                }
                Ok(None) => {
                    lost.mark(image.hash, &format!("image {id} has it, and it is missing"));
                    return Err(faults::damaged(&image.record, "missing"));
                }
                Err(_) if lost.contains(image.hash) => {
                    return Err(faults::damaged(&image.record, "damaged"));
                }
                Err(error) => {
                    return Err(faults::internal(&format!(
                        "cannot open blob {} of image {id}: {error}",
                        image.hash
                    )));
                }
            };
            Ok((image.record, Content::of(blob)))
        })
        .await
    }
}

impl Content {
    /// What this blob holds.
    pub(super) fn of(blob: Arc<dyn Blob>) -> Content {
        Content { blob, figures: None }
    }

    fn count(&self, bytes: usize) {
        if let Some(figures) = &self.figures {
            figures.download_bytes.add(bytes as u64);
        }
    }

    pub(super) fn into_blob(self) -> Arc<dyn Blob> {
        self.blob
    }

    /// Bytes of it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.blob.size_bytes()
    }

    /// All of it: for what is known to be small.
    ///
    /// # Errors
    /// `internal` where the disk fails.
    pub async fn whole(&self) -> Result<Bytes, Refusal> {
        match self.blob.in_memory() {
            Some(bytes) => Ok(bytes),
            None => self.read(0, usize::MAX, 0).await.map(BytesMut::freeze),
        }
    }

    /// At most `len` bytes from `offset`, fewer only at the end, behind `head` zero bytes: room for
    /// a header before them.
    ///
    /// # Errors
    /// `internal` where the disk fails.
    pub async fn read(&self, offset: u64, len: usize, head: usize) -> Result<BytesMut, Refusal> {
        let left = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let mut message = BytesMut::zeroed(head + len);
        // What is in memory needs no other thread: the way there and back costs as much as the bytes.
        let had = head + self.blob.read_at_once(&mut message[head..], offset);
        if had >= message.len() {
            self.count(len);
            return Ok(message);
        }
        let blob = self.blob.clone();
        let read = crate::host::blocking(move || {
            let rest = message.get_mut(had..).unwrap_or_default();
            blob.read_exact_at(rest, offset + (had - head) as u64).map(|()| message)
        });
        match read.await {
            Ok(Ok(message)) => {
                self.count(len);
                Ok(message)
            }
            Ok(Err(error)) => Err(faults::internal(&format!("cannot read a blob: {error}"))),
            Err(error) => Err(faults::internal(&error)),
        }
    }
}
