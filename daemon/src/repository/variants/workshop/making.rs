//! What a thread of the workshop does for one content: has a child make its pictures, keeps them and
//! notes what it came to. Called by the workshop's threads alone; decides nothing of what is next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use imgrepo_proto::name::shown;
use imgrepo_proto::session::view::Variant;
use imgrepo_proto::{BlobHash, Refusal};

use super::super::agenda::{Job, Part, Task};
use super::{NotMade, Ready, Shared, Tools, busy};
use crate::cache::{Kept, Key};
use crate::repository::catalog::{KnownPicture, NewPicture};
use crate::repository::picture::{DECIDING_BYTES, Guess, Made, Order, PIPELINE, Unshown, kind_of};
use crate::repository::{faults, room};

/// The longest reason that is kept of why something cannot be shown.
pub(super) const FAULT_CHARS: usize = 200;

impl Shared {
    /// Whether a job is still to be done: not where it was done, or failed, before.
    pub(super) fn is_worth(&self, job: Job) -> Result<bool, NotMade> {
        let known = self.known(job.task.hash).map_err(NotMade::Passing)?;
        let (is_made, fault) = match job.task.part {
            Part::Small => (known.placeholder.is_some(), known.fault),
            Part::Large => {
                let key = Key { hash: job.task.hash, variant: Variant::Display };
                (job.is_background && self.tools.cache.has(&key), known.display_fault)
            }
        };
        match fault {
            Some(fault) => Err(NotMade::Fault(fault)),
            None => Ok(!(job.is_background && is_made)),
        }
    }

    pub(super) fn make(&self, job: Job) -> Result<Made, NotMade> {
        let Task { hash, part } = job.task;
        let blob = self.tools.blobs.open(hash).map_err(|error| passing("open a blob", &error))?;
        let Some(blob) = blob else {
            let is_wanted = self.tools.catalog.is_referenced(hash);
            return Err(if matches!(is_wanted, Ok(true)) {
                NotMade::Damaged
            } else {
                NotMade::Gone
            });
        };
        let size_bytes = blob.size_bytes();
        let mut first = [0; DECIDING_BYTES];
        let len = usize::try_from(size_bytes).unwrap_or(usize::MAX).min(DECIDING_BYTES);
        blob.read_exact_at(&mut first[..len], 0).map_err(|error| passing("read a blob", &error))?;
        let Guess::Image(kind) = kind_of(&first[..len]) else {
            // It was taken as one: a version before this one knew more kinds, or other ones.
            return Err(self.fault(job.task, "it is of no kind that this program knows"));
        };
        let order = Order {
            kind,
            variants: part.variants().to_vec(),
            placeholder: part == Part::Small,
            is_background: job.is_background,
        };
        let mut read_at = |buffer: &mut [u8], offset| blob.read_exact_at(buffer, offset);
        let made = match (self.tools.render)(&order, size_bytes, &mut read_at, &self.stop) {
            Ok(made) => made,
            Err(Unshown::NotViewable(why)) => {
                return Err(match self.is_whole(hash) {
                    true => self.fault(job.task, &why),
                    false => NotMade::Damaged,
                });
            }
            Err(Unshown::Passing(error)) => {
                return Err(match self.stop.load(Ordering::Relaxed) {
                    true => NotMade::Passing(faults::shutting_down()),
                    false => passing("make a picture", &error),
                });
            }
        };
        let has = |variant| made.pictures.iter().any(|(made, _)| made == variant);
        let is_whole = order.variants.iter().all(has);
        if !is_whole || (order.placeholder && made.placeholder.is_none()) {
            return Err(passing("make a picture", &std::io::Error::other("one is missing")));
        }
        self.keep(job.task, &made);
        if let Some(placeholder) = made.placeholder.clone().filter(|_| part == Part::Small) {
            let known = KnownPicture { placeholder: Some(placeholder), ..KnownPicture::default() };
            self.note(NewPicture { hash, orientation: Some(made.orientation), known });
        }
        if job.is_fresh && self.has_room_for_large() {
            self.agenda().large(hash);
        }
        Ok(made)
    }

    /// Whether a content that cannot be shown is what it was; where it is not, that is why.
    fn is_whole(&self, hash: BlobHash) -> bool {
        let hashed = self.tools.blobs.hash_anew(hash, &mut |_| !self.stop.load(Ordering::Relaxed));
        !matches!(hashed, Ok(Some(anew)) if anew.hash != hash)
    }

    /// Puts pictures into the cache. What it does not take is made again when somebody asks.
    fn keep(&self, task: Task, made: &Made) {
        let Tools { cache, data, reserve_bytes, catalog, .. } = &self.tools;
        let bytes: usize = made.pictures.iter().map(|(_, picture)| picture.bytes.len()).sum();
        let wanted = reserve_bytes.saturating_add(bytes as u64);
        if room::free_bytes(data).is_some_and(|free| free < wanted) {
            return tracing::debug!("a picture was not kept: the disk is full");
        }
        for (variant, picture) in &made.pictures {
            let key = Key { hash: task.hash, variant: *variant };
            if let Err(error) = cache.put(&key, picture.media_type, &picture.bytes) {
                tracing::warn!("cannot keep a picture: {error}");
            }
        }
        // It may have been purged meanwhile, and then nothing of it may stay.
        if matches!(catalog.is_referenced(task.hash), Ok(false)) {
            cache.forget(task.hash);
        }
    }

    /// The pictures for those who wait: from their files, so that a slow reader holds no memory.
    pub(super) fn ready(&self, task: Task, made: Made) -> Ready {
        let pictures = made.pictures.into_iter().map(|(variant, picture)| {
            let key = Key { hash: task.hash, variant };
            let kept = self.tools.cache.get(&key, SystemTime::now());
            let kept = kept.unwrap_or_else(|| Kept::new(picture.media_type, picture.bytes.into()));
            (variant, Arc::new(kept))
        });
        Arc::new(pictures.collect())
    }

    /// Whether large pictures that nobody asked for would take nothing from the small ones.
    fn has_room_for_large(&self) -> bool {
        let cache = &self.tools.cache;
        cache.held_bytes().is_some_and(|held| held < cache.budget_bytes() / 2)
    }

    /// Remembers that something cannot be shown.
    fn fault(&self, task: Task, why: &str) -> NotMade {
        // The words may be a child's.
        let why: String = shown(why).chars().take(FAULT_CHARS).collect();
        let fault = Some(why.clone());
        let known = match task.part {
            Part::Small => KnownPicture { fault, ..KnownPicture::default() },
            Part::Large => KnownPicture { display_fault: fault, ..KnownPicture::default() },
        };
        tracing::debug!(hash = %task.hash, part = ?task.part, "an image cannot be shown: {why}");
        self.note(NewPicture { hash: task.hash, orientation: None, known });
        NotMade::Fault(why)
    }

    fn note(&self, new: NewPicture) {
        self.notes().add(new, Instant::now());
    }

    pub(super) fn known(&self, hash: BlobHash) -> Result<KnownPicture, Refusal> {
        // In this order: what leaves the notes is in the catalog before.
        let noted = self.notes().get(hash);
        let known = self.tools.catalog.picture(hash, PIPELINE);
        let mut known = known.map_err(|error| faults::catalog(&error))?.unwrap_or_default();
        if let Some(noted) = noted {
            known.placeholder = noted.placeholder.or(known.placeholder);
            known.fault = noted.fault.or(known.fault);
            known.display_fault = noted.display_fault.or(known.display_fault);
        }
        Ok(known)
    }

    /// Writes the notes into the catalog. Those that it does not take are lost: what they are about is
    /// made again.
    pub(super) fn write_notes(&self) {
        let notes = self.notes().list();
        if notes.is_empty() {
            return;
        }
        if let Err(error) = self.tools.catalog.note_pictures(&notes, PIPELINE) {
            tracing::warn!("cannot note which pictures were made: {error}");
        }
        self.notes().remove(&notes);
    }
}

fn passing(act: &str, error: &std::io::Error) -> NotMade {
    tracing::warn!("cannot {act}: {error}");
    NotMade::Passing(busy("the picture could not be made this time"))
}
