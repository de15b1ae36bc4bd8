//! Whether everything is there: every image its content, every content its hash, the history whole, the
//! counts right, and nothing left over. Called by `maintenance`, while the repository serves or not.
//!
//! What is compared is never of one moment, so a fault is told only after a second look, on the
//! committer's thread, where no change is half done. A content that is damaged or missing is lost from
//! then on (`blobs::lost`), repaired or not; nothing else is changed without `--repair`, and no byte is
//! ever thrown away that an image has.

use std::sync::Arc;
use std::sync::mpsc;

use imgrepo_proto::control::maintenance::{Check, Checked, Fault, FaultKind, Step};
use imgrepo_proto::{BlobHash, Refusal};

use super::blobs::{BlobStore, Reading};
use super::catalog::inspection::KeptContent;
use super::maintenance::Told;
use super::pins::Removal;
use super::queue::Work;
use super::{Inner, faults};
use compare::{Doubt, compare};
use words::{Mended, mendable};

mod beside;
mod catalog;
mod compare;
mod reading;
mod words;

/// Images of a damaged content that are named.
const NAMED: u32 = 5;

/// Doubts that one visit to the committer's thread looks at: a millisecond or so.
const LOOKED_AT: usize = 64;

/// Looks whether everything is there. Blocks, for as long as it takes.
pub(super) fn check(
    inner: &Arc<Inner>,
    wanted: Check,
    told: &mut Told,
) -> Result<Checked, Refusal> {
    let mut run = Run { inner, wanted, told, checked: Checked::default(), reading: None };
    let bytes = run.catalog()?;
    for first_byte in 0..=u8::MAX {
        run.slice(first_byte, bytes)?;
    }
    run.staging()?;
    for complaint in inner.sound.raw().inspect() {
        let fault = words::fault(FaultKind::Damaged, complaint);
        let remedy = "what follows it there would be lost by a power cut before it has its place, \
                      which it gets by itself within seconds";
        run.fault(Fault { remedy: Some(remedy.to_owned()), ..fault })?;
    }
    run.checked.reading = run.reading.map(|reading| reading.words().to_owned());
    Ok(run.checked)
}

/// A check that goes on.
struct Run<'a> {
    inner: &'a Arc<Inner>,
    wanted: Check,
    told: &'a mut Told,
    checked: Checked,
    /// The least of the ways in which contents were read.
    reading: Option<Reading>,
}

impl Run<'_> {
    fn fault(&mut self, fault: Fault) -> Result<(), Refusal> {
        self.checked.faults += 1;
        self.checked.repaired += u64::from(fault.repaired);
        self.told.fault(fault)
    }

    fn raw(&self) -> &dyn BlobStore {
        self.inner.sound.raw()
    }

    /// Looks at the contents whose hashes begin with this byte.
    fn slice(&mut self, first_byte: u8, bytes: u64) -> Result<(), Refusal> {
        let (read_data, read_bytes) = (self.wanted.read_data, self.checked.read_bytes);
        self.told.step(|| match read_data {
            true => step("reading contents", read_bytes, bytes, true),
            false => step("looking at contents", u64::from(first_byte), 256, false),
        })?;
        let failed = |error| faults::catalog(&error);
        let there = self.raw().sizes(first_byte);
        let kept = self.inner.catalog.contents(first_byte).map_err(failed)?;
        self.checked.contents += kept.len() as u64;
        self.contradicted(&kept)?;
        let mut there = match there {
            Ok(there) => there,
            Err(error) => {
                let message = format!("cannot list the contents `{first_byte:02x}…`: {error}");
                return self.fault(words::fault(FaultKind::Unread, message));
            }
        };
        there.sort_unstable();
        let doubts = compare(&kept, &there);
        for doubts in doubts.chunks(LOOKED_AT) {
            for (hash, doubt) in self.look_again(doubts)? {
                self.found(hash, doubt)?;
            }
        }
        self.known_lost(first_byte)?;
        if self.wanted.read_data {
            let is_doubtful = |hash| doubts.iter().any(|(doubtful, _)| *doubtful == hash);
            let lost = self.inner.sound.lost();
            let sound = |content: &KeptContent| {
                (!is_doubtful(content.hash) && !lost.contains(content.hash)).then_some(content.hash)
            };
            let hashes: Vec<BlobHash> = kept.iter().filter_map(sound).collect();
            self.read(&hashes, bytes)?;
        }
        self.variants(first_byte, &kept)
    }

    /// Images that say different things of one content.
    fn contradicted(&mut self, kept: &[KeptContent]) -> Result<(), Refusal> {
        for content in kept.iter().filter(|content| content.size_bytes != content.most_bytes) {
            let KeptContent { hash, size_bytes, most_bytes, .. } = content;
            let message = format!(
                "images say of content {hash} that it has {size_bytes} and {most_bytes} bytes"
            );
            let fault = words::fault(FaultKind::Inconsistent, message);
            self.fault(Fault { hash: Some(*hash), ..fault })?;
        }
        Ok(())
    }

    /// Those of the doubts that still hold where no change is half done.
    fn look_again(&self, doubts: &[(BlobHash, Doubt)]) -> Result<Vec<(BlobHash, Doubt)>, Refusal> {
        let (inner, doubts) = (Arc::downgrade(self.inner), doubts.to_vec());
        self.between_changes(move || {
            let Some(inner) = inner.upgrade() else { return Vec::new() };
            let raw = inner.sound.raw();
            let holds = |(hash, doubt): &(BlobHash, Doubt)| {
                // Somebody is about to give it a record, or its bytes.
                if inner.pins.holds(*hash) {
                    return false;
                }
                let Ok(is_referenced) = inner.catalog.is_referenced(*hash) else { return true };
                let size_bytes = raw.open(*hash).map(|blob| blob.map(|blob| blob.size_bytes()));
                match doubt {
                    Doubt::Missing => is_referenced && matches!(size_bytes, Ok(None)),
                    Doubt::LeftOver => !is_referenced && matches!(size_bytes, Ok(Some(_))),
                    Doubt::WrongSize { .. } => is_referenced,
                }
            };
            doubts.into_iter().filter(holds).collect()
        })
    }

    /// Runs something on the committer's thread, when the consequences of all that was committed are
    /// drawn.
    fn between_changes<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (tell, told) = mpsc::sync_channel(1);
        let look = Work::Look(Box::new(move || {
            // Nobody waits any more where this fails.
            let _ = tell.send(look());
        }));
        self.inner.queue.push(look);
        // Ends with the look, done or dropped: the channel's other end goes with it.
        told.recv().map_err(|_| faults::shutting_down())
    }

    /// A doubt that held.
    fn found(&mut self, hash: BlobHash, doubt: Doubt) -> Result<(), Refusal> {
        match doubt {
            Doubt::Missing => {
                self.inner.sound.lost().mark(hash, &"it is missing");
                self.lost(FaultKind::Missing, hash, "is missing", None)
            }
            Doubt::WrongSize { .. } if self.inner.sound.lost().contains(hash) => Ok(()),
            Doubt::WrongSize { is, should } => {
                self.damaged(hash, &format!("has {is} bytes instead of {should}"))
            }
            Doubt::LeftOver => self.left_over(hash),
        }
    }

    fn left_over(&mut self, hash: BlobHash) -> Result<(), Refusal> {
        let message = format!("content {hash} is there, and no image has it");
        let fault = Fault { hash: Some(hash), ..words::fault(FaultKind::LeftOver, message) };
        let mended = match self.wanted.repair {
            false => Mended::NotTried,
            true => {
                let Inner { pins, catalog, blobs, .. } = &**self.inner;
                match pins.remove_garbage(hash, &**catalog, &**blobs) {
                    Removal::Removed => Mended::Done("it was removed"),
                    // An image has it now, so nothing is left over.
                    Removal::Kept => return Ok(()),
                    Removal::Failed => Mended::Failed("the log says why".to_owned()),
                }
            }
        };
        self.fault(mendable(fault, mended))
    }

    /// What was lost before: it may be there again, by somebody's hand, or not be needed any more.
    fn known_lost(&mut self, first_byte: u8) -> Result<(), Refusal> {
        for hash in self.inner.sound.lost().slice(first_byte) {
            let failed = |error| faults::catalog(&error);
            if !self.inner.catalog.is_referenced(hash).map_err(failed)? {
                self.inner.sound.lost().unmark(hash);
                continue;
            }
            match self.raw().hash_anew(hash, &mut |_| true) {
                Ok(Some(anew)) if anew.hash == hash => self.inner.sound.lost().unmark(hash),
                // That was told a moment ago.
                Ok(None) => {}
                Ok(Some(_)) => self.damaged(hash, "is damaged: its bytes have another hash")?,
                Err(error) => self.damaged(hash, &format!("cannot be read: {error}"))?,
            }
        }
        Ok(())
    }

    /// Whether what is there are the bytes of this hash, by another look at the disk.
    fn is_whole(&self, hash: BlobHash) -> bool {
        matches!(self.raw().hash_anew(hash, &mut |_| true), Ok(Some(anew)) if anew.hash == hash)
    }

    /// A content whose bytes are not its own. It is lost from now on.
    fn damaged(&mut self, hash: BlobHash, why: &str) -> Result<(), Refusal> {
        let sound = &self.inner.sound;
        sound.lost().mark(hash, &why);
        let mut aside = None;
        let mut is_whole = self.is_whole(hash);
        // Below a damaged one in the journal there may be a whole one in its place.
        while self.wanted.repair && !is_whole {
            match sound.set_aside(hash) {
                Ok(true) => aside = Some(Mended::Done("its bytes were moved to `damaged`")),
                Ok(false) => break,
                Err(error) => {
                    aside = Some(Mended::Failed(error.to_string()));
                    break;
                }
            }
            is_whole = self.is_whole(hash);
        }
        if is_whole {
            // It was healed meanwhile, or lay there twice.
            sound.lost().unmark(hash);
            return Ok(());
        }
        self.lost(FaultKind::Damaged, hash, why, aside.as_ref())
    }

    fn lost(
        &mut self,
        kind: FaultKind,
        hash: BlobHash,
        why: &str,
        aside: Option<&Mended>,
    ) -> Result<(), Refusal> {
        let failed = |error| faults::catalog(&error);
        let images = self.inner.catalog.images_of(hash, NAMED).map_err(failed)?;
        if images.is_empty() {
            // Purged meanwhile: nobody misses it.
            self.inner.sound.lost().unmark(hash);
            return Ok(());
        }
        self.fault(words::lost(kind, hash, why, &images, aside))
    }
}

fn step(act: &str, done: u64, total: u64, bytes: bool) -> Step {
    Step { act: act.to_owned(), done, total: Some(total), bytes }
}
