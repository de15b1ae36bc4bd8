//! Every content against its hash: several readers, so that a disk has always something to do while
//! another piece is hashed. Called by the check for a 256th part of the contents at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::{io, thread};

use imgrepo_proto::control::maintenance::FaultKind;
use imgrepo_proto::{BlobHash, Refusal};

use super::{Run, step, words};
use crate::repository::blobs::sound::is_damage;
use crate::repository::blobs::{Anew, BlobStore};
use crate::repository::faults;

/// Readers at once. A disk of today wants several requests at a time, an old one is not hurt by four.
const READERS: usize = 4;

/// What a reader tells.
enum Heard {
    /// So many bytes more.
    Bytes(u64),
    /// What came of one content.
    Read(BlobHash, io::Result<Option<Anew>>),
}

impl Run<'_> {
    /// Reads these contents.
    pub(super) fn read(&mut self, hashes: &[BlobHash], total: u64) -> Result<(), Refusal> {
        let inner = self.inner.clone();
        let raw = inner.sound.raw();
        let (is_over, next) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut doubtful = Vec::new();
        thread::scope(|scope| {
            let (tell, heard) = mpsc::sync_channel(READERS * 2);
            for _ in 0..READERS.min(hashes.len()) {
                let tell = tell.clone();
                let (is_over, next) = (&is_over, &next);
                // Joined by the scope.
                scope.spawn(move || read_all(raw, hashes, next, is_over, &tell));
            }
            drop(tell);
            let mut done = Ok(());
            // To the end even when it is given up: no reader waits for anybody then.
            for heard in heard {
                match heard {
                    Heard::Bytes(bytes) => self.checked.read_bytes += bytes,
                    Heard::Read(hash, read) => {
                        self.checked.read += 1;
                        match read {
                            Ok(Some(anew)) => {
                                self.reading = self.reading.max(Some(anew.reading));
                                if anew.hash != hash {
                                    doubtful.push((hash, Ok(())));
                                }
                            }
                            Ok(None) => doubtful.push((hash, Ok(()))),
                            Err(error) => doubtful.push((hash, Err(error))),
                        }
                    }
                }
                if done.is_ok() {
                    let bytes = self.checked.read_bytes;
                    done = self.told.step(|| step("reading contents", bytes, total, true));
                    is_over.store(done.is_err(), Ordering::Relaxed);
                }
            }
            done
        })?;
        for (hash, read) in doubtful {
            self.doubtful(hash, read)?;
        }
        Ok(())
    }

    /// Looks once more at a content that did not read as it should.
    fn doubtful(&mut self, hash: BlobHash, read: io::Result<()>) -> Result<(), Refusal> {
        let failed = |error| faults::catalog(&error);
        if !self.inner.catalog.is_referenced(hash).map_err(failed)? {
            return Ok(());
        }
        match (self.raw().hash_anew(hash, &mut |_| true), read) {
            (Ok(Some(anew)), _) if anew.hash == hash => Ok(()),
            (Ok(Some(_)), _) => self.damaged(hash, "is damaged: its bytes have another hash"),
            (Err(error), _) | (Ok(None), Err(error)) if is_damage(&error) => {
                self.damaged(hash, &format!("cannot be read: {error}"))
            }
            (Err(error), _) => {
                let message = format!("cannot read content {hash}: {error}");
                self.fault(words::fault(FaultKind::Unread, message))
            }
            // It went between the looks, or it is missing: the look at what is there decides.
            (Ok(None), _) => {
                let doubts = [(hash, super::Doubt::Missing)];
                for (hash, doubt) in self.look_again(&doubts)? {
                    self.found(hash, doubt)?;
                }
                Ok(())
            }
        }
    }
}

fn read_all(
    raw: &dyn BlobStore,
    hashes: &[BlobHash],
    next: &AtomicUsize,
    is_over: &AtomicBool,
    tell: &mpsc::SyncSender<Heard>,
) {
    while !is_over.load(Ordering::Relaxed) {
        let Some(hash) = hashes.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
        let mut goes_on = |bytes| {
            let is_heard = tell.send(Heard::Bytes(bytes)).is_ok();
            is_heard && !is_over.load(Ordering::Relaxed)
        };
        let read = raw.hash_anew(*hash, &mut goes_on);
        if is_over.load(Ordering::Relaxed) || tell.send(Heard::Read(*hash, read)).is_err() {
            return;
        }
    }
}
