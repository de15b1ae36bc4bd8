//! An image on its way in: from the announcement of an upload to the proposal of its record.
//!
//! The bytes go to staging, the last of them also through hash, probe and place, all in one visit
//! to the blocking pool; the record goes to the committer only when the blob is durable, and staging
//! lets go of the content only when the record is. A small content that comes whole is hashed and
//! probed where it is, in memory and at once, and goes to the appender before its record goes to the
//! committer. Called by the server, one [`Receiving`] for each upload.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use imgrepo_proto::session::command::Upload;
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::announced::{Decision, Wanted, check, decide};
use super::appending::Append;
use super::blobs::APPENDED_BYTES;
use super::catalog::{Again, Change, NewImage};
use super::people::Actor;
use super::picture::{self, Probe};
use super::pins::Pin;
use super::queue::{Answer, Queue, Work};
use super::staging::Slot;
use super::{Done, Inner, Repository, faults};

/// An upload that takes bytes. Dropped before its end it is suspended: where a hash was announced,
/// what came so far is kept for the next upload of the same content.
pub struct Receiving {
    repository: Repository,
    slot: Arc<Slot>,
    wanted: Wanted,
    offset: u64,
    answer: Answer<UploadReply>,
    /// What became of the content once all of it was there.
    outcome: Option<Result<Placed, Refusal>>,
}

/// A blob in its place, or on its way there, that no record may have yet: removed again unless it is
/// kept.
struct Placed {
    hash: BlobHash,
    probe: Probe,
    /// What is still to be made durable, and its share of the room for such.
    content: Option<Bytes>,
    _share: Option<OwnedSemaphorePermit>,
    slot: Arc<Slot>,
    pin: Option<Pin>,
    queue: Arc<Queue>,
    is_kept: bool,
}

impl Repository {
    /// Begins an upload. None: `done` was called, or will be when the catalog has answered
    /// (refused, a duplicate, brought back from the trash).
    pub async fn begin(
        &self,
        actor: &Actor,
        upload: Upload,
        again: Again,
        done: Done<UploadReply>,
    ) -> Option<Receiving> {
        let answer = Answer::new(done);
        match check(actor, &upload, again, self.inner.settings.max_image_bytes) {
            Ok(wanted) => self.begin_wanted(wanted, answer).await,
            Err(refusal) => {
                answer.give(Err(refusal));
                None
            }
        }
    }

    /// Begins an upload whose announcement was checked.
    pub(crate) async fn begin_wanted(
        &self,
        wanted: Wanted,
        mut answer: Answer<UploadReply>,
    ) -> Option<Receiving> {
        loop {
            let question = wanted.clone();
            let decision = self.hop(move |inner| decide(inner, &question)).await;
            match decision {
                Ok(Decision::Receive(slot, offset, share)) => {
                    let answer = answer.holding(share);
                    let repository = self.clone();
                    return Some(Receiving {
                        repository,
                        slot,
                        wanted,
                        offset,
                        answer,
                        outcome: None,
                    });
                }
                Ok(Decision::Stored(image)) => {
                    answer.give(Ok(UploadReply { image: *image, duplicate: true }));
                    return None;
                }
                Ok(Decision::Wait(ended)) => ended.cancelled().await,
                // Whether it still is in the trash, the commit decides: if not, ask again.
                Ok(Decision::Restore(id)) => answer = self.bring_back(&wanted, id, answer).await?,
                Err(refusal) => {
                    answer.give(Err(faults::of_upload(refusal, &wanted.name)));
                    return None;
                }
            }
        }
    }

    /// Restores an image in place of an upload; gives the answer back where it is not in the trash
    /// any more.
    async fn bring_back(
        &self,
        wanted: &Wanted,
        id: ImageId,
        answer: Answer<UploadReply>,
    ) -> Option<Answer<UploadReply>> {
        let (give_back, given_back) = oneshot::channel();
        let name = wanted.name.clone();
        self.inner.queue.push(Work::Propose {
            by: wanted.actor.person,
            from: wanted.actor.from.clone(),
            make: Box::new(move |_| Ok(Change::Restore(id))),
            then: Box::new(move |outcome| match outcome {
                Ok(committed) => {
                    answer.give(Ok(UploadReply { image: committed.image, duplicate: true }));
                }
                Err(refusal)
                    if matches!(refusal.code, ErrorCode::Conflict | ErrorCode::NotFound) =>
                {
                    // Where nobody waits any more, the answer says so as it goes.
                    let _ = give_back.send(answer);
                }
                Err(refusal) => answer.give(Err(faults::of_upload(refusal, &name))),
            }),
        });
        given_back.await.ok()
    }
}

/// Checks, probes and places a content that is all there.
fn place(inner: &Arc<Inner>, slot: &Arc<Slot>, size_bytes: u64) -> Result<Placed, Refusal> {
    let mut sealed = slot.seal()?;
    let hash = sealed.hash;
    let failed = |error| faults::disk("place a blob", &error);
    let placed = picture::probe(&mut sealed.file, size_bytes)
        .map_err(|error| faults::disk("look at a content", &error))
        .and_then(|probe| probe.ok_or_else(faults::not_an_image))
        .and_then(|probe| {
            slot.keep(&sealed.file).map_err(failed)?;
            let pin = Some(inner.pins.pin(hash).ok_or_else(faults::shutting_down)?);
            let (slot, queue) = (slot.clone(), inner.queue.clone());
            let content = None;
            Ok(Placed { hash, probe, content, _share: None, slot, pin, queue, is_kept: false })
        });
    match placed {
        Ok(placed) => inner.blobs.place(hash, slot.path()).map(|()| placed).map_err(failed),
        Err(refusal) => {
            slot.let_go();
            Err(refusal)
        }
    }
}

/// Checks and probes a content that came whole; the appender makes it durable.
fn take(
    inner: &Arc<Inner>,
    slot: &Arc<Slot>,
    pieces: Vec<Bytes>,
    share: OwnedSemaphorePermit,
) -> Result<Placed, Refusal> {
    let content = match <[Bytes; 1]>::try_from(pieces) {
        Ok([content]) => content,
        Err(pieces) => pieces.concat().into(),
    };
    let hash = slot.seal_whole(&content)?;
    let taken = picture::probe(&mut Cursor::new(&content), content.len() as u64)
        .map_err(|error| faults::disk("look at a content", &error))
        .and_then(|probe| probe.ok_or_else(faults::not_an_image))
        .and_then(|probe| {
            let pin = Some(inner.pins.pin(hash).ok_or_else(faults::shutting_down)?);
            let (slot, queue) = (slot.clone(), inner.queue.clone());
            let (content, _share) = (Some(content), Some(share));
            Ok(Placed { hash, probe, content, _share, slot, pin, queue, is_kept: false })
        });
    if taken.is_err() {
        slot.let_go();
    }
    taken
}

impl Placed {
    /// A record has it: it stays.
    fn keep(mut self) {
        self.slot.stored();
        self.is_kept = true;
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // The pin goes first: who looks at the garbage must not find it.
        let pin = self.pin.take();
        if !self.is_kept {
            if let Some(pin) = pin {
                pin.doom();
            }
            self.slot.let_go();
            self.queue.push(Work::Collect(self.hash));
        }
    }
}

impl Receiving {
    /// Bytes that are held already: where the client continues.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether it is of use to wait for the whole content: one that is written at once, as the first
    /// bytes, needs no file of its own to become durable.
    #[must_use]
    pub fn wants_all_at_once(&self) -> bool {
        let inner = &self.repository.inner;
        self.offset == 0 && self.wanted.size_bytes <= APPENDED_BYTES && inner.blobs.wants_appends()
    }

    /// Adds bytes at the end, in order; the new offset, which may be acknowledged unless all came at
    /// once: then they are in memory until the upload's end.
    ///
    /// # Errors
    /// `superseded`, `not_an_image` where the first bytes show it, `wrong_size`, `storage_full`,
    /// `internal`: the upload has ended then, and [`Receiving::fail`] says so to who asked.
    pub async fn write(&mut self, pieces: Vec<Bytes>) -> Result<u64, Refusal> {
        let added: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if added == 0 {
            return Ok(self.offset);
        }
        let size_bytes = self.wanted.size_bytes;
        if added == size_bytes
            && self.wants_all_at_once()
            && let Some(share) = self.repository.share(added)
        {
            // Not in the blocking pool: 60 us for the largest (256 KiB, 4.2 GB/s), about what the way
            // there and back takes, and the probe is bounded.
            self.outcome = Some(take(&self.repository.inner, &self.slot, pieces, share));
            self.offset = added;
            return Ok(added);
        }
        let permit = match self.offset.saturating_add(added) >= size_bytes {
            true => self.repository.permit().await,
            false => None,
        };
        let slot = self.slot.clone();
        let written = self.repository.hop(move |inner| {
            let _permit = permit;
            let offset = slot.write(&pieces)?;
            let outcome = (offset == size_bytes).then(|| place(inner, &slot, size_bytes));
            Ok((offset, outcome))
        });
        let (offset, outcome) =
            written.await.map_err(|refusal| faults::of_upload(refusal, &self.wanted.name))?;
        self.offset = offset;
        self.outcome = outcome;
        Ok(offset)
    }

    /// All bytes are there: proposes the record, or says why there can be none.
    pub async fn finish(self) {
        let Receiving { repository, slot, wanted, answer, outcome, .. } = self;
        let size_bytes = wanted.size_bytes;
        let outcome = match outcome {
            Some(outcome) => outcome,
            // Resumed at its very end, or cut short, which the seal refuses.
            None => {
                let permit = repository.permit().await;
                repository
                    .hop(move |inner| {
                        let _permit = permit;
                        place(inner, &slot, size_bytes)
                    })
                    .await
            }
        };
        let mut placed = match outcome {
            Ok(placed) => placed,
            Err(refusal) => return answer.give(Err(faults::of_upload(refusal, &wanted.name))),
        };
        let (hash, content) = (placed.hash, placed.content.take());
        let then = proposal(wanted, placed, answer);
        match content {
            Some(content) => repository.inner.appends.push(Append { hash, content, then }),
            None => repository.inner.queue.push(then),
        }
    }

    /// Ends the upload with this refusal; what came so far is kept where a hash was announced.
    pub fn fail(self, refusal: Refusal) {
        let Receiving { slot, answer, outcome, .. } = self;
        // What was kept is there for the next upload before its client hears of the end of this.
        drop((slot, outcome));
        answer.give(Err(refusal));
    }

    /// Resolves when a newer upload of the same content by the same person took this one over.
    pub fn superseded(&self) -> WaitForCancellationFutureOwned {
        self.slot.superseded.clone().cancelled_owned()
    }
}

fn proposal(wanted: Wanted, placed: Placed, answer: Answer<UploadReply>) -> Work {
    let Wanted { actor, name, size_bytes, taken_at, again, imported, .. } = wanted;
    let probe = &placed.probe;
    let image = NewImage {
        person: actor.person,
        name: name.clone(),
        hash: placed.hash,
        size_bytes,
        media_type: probe.media_type.to_owned(),
        width: probe.width,
        height: probe.height,
        orientation: Some(probe.orientation),
        taken_at: taken_at.or_else(|| probe.taken_at.clone()),
        again,
        imported,
    };
    Work::Propose {
        by: actor.person,
        from: actor.from,
        make: Box::new(move |_| Ok(Change::Store(image))),
        then: Box::new(move |outcome| match outcome {
            Ok(committed) => {
                placed.keep();
                let duplicate = committed.duplicate;
                answer.give(Ok(UploadReply { image: committed.image, duplicate }));
            }
            Err(refusal) => {
                drop(placed);
                answer.give(Err(faults::of_upload(refusal, &name)));
            }
        }),
    }
}

impl Repository {
    /// Leave to sync a content. None would mean that the semaphore was closed, which nobody does.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.sealing.clone().acquire_owned().await.ok()
    }

    /// Leave to keep so many bytes in memory until they are durable.
    fn share(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        self.inner.in_memory.clone().try_acquire_many_owned(bytes).ok()
    }
}
