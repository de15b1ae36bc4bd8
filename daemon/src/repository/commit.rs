//! The committer: one thread that turns what waits into transactions, tells who asked, announces,
//! and removes garbage; while one group commits, the next one collects.
//!
//! Blobs are durable before their change gets here (see `receiving`), so a commit never waits for
//! contents. Order for every group: the catalog commits, each asker hears, everyone hears, then
//! blobs that nothing refers to any more go. Started and joined by [`super::Repository`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgrepo_proto::session::people::DeviceId;
use imgrepo_proto::{BlobHash, Refusal, Seq};
use tokio::sync::watch;

use super::blobs::BlobStore;
use super::catalog::{Catalog, Change, Committed, Proposal};
use super::faults;
use super::figures::Figures;
use super::latest::Latest;
use super::lock::Lock;
use super::people;
use super::pins::{Pins, Removal};
use super::queue::{GROUP, Next, Purge, Queue, Then, Work};
use super::variants::Variants;
use crate::host::{self, Mutant};

/// Blobs that the sweep looks at before it looks whether anybody waits: about a millisecond.
const SWEEP_STEP: usize = 64;

/// What the committer works with.
pub(crate) struct Committer {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) variants: Arc<Variants>,
    pub(crate) announced: watch::Sender<Seq>,
    pub(crate) latest: Arc<Latest>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) sweep: Option<Sweep>,
    /// Held until the last change is committed; None for a repository in memory.
    pub(crate) lock: Option<Lock>,
    /// Whether all garbage so far could be removed.
    pub(crate) is_clean: bool,
}

/// What the committer leaves.
pub(crate) struct Ended {
    /// The directory's lock, for the last word.
    pub(crate) lock: Option<Lock>,
    /// Whether no garbage can be left.
    pub(crate) is_clean: bool,
}

/// What came of a step of the committer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stepped {
    /// It committed something, or removed garbage.
    Worked,
    /// Nothing waited.
    Idle,
    /// Nothing will come.
    Ended,
}

/// Who hears of a change of a group.
enum Hearer {
    Asker(Then),
    /// The purge of this number among the group's.
    Purge(usize),
}

impl Committer {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) -> Ended {
        let abandon = AbandonOnDrop(self.queue.clone());
        while self.step(self.sweep.is_some()) != Stepped::Ended {}
        // An upload that placed its blob and did not propose it in time leaves garbage.
        let is_clean = self.pins.close() && self.is_clean && self.sweep.is_none();
        drop(abandon);
        Ended { lock: self.lock, is_clean }
    }

    /// Does what is next; waits for something unless it `is_restless`.
    pub(super) fn step(&mut self, is_restless: bool) -> Stepped {
        match self.queue.next(is_restless) {
            Next::Group(works) if self.announces_early(&works) => {
                works.into_iter().for_each(|work| self.queue.push_back(work));
            }
            Next::Group(works) => self.commit(works),
            Next::Garbage(hashes) => self.collect(hashes),
            Next::Idle => {
                self.sweep_step();
                return Stepped::Idle;
            }
            Next::Closed => return Stepped::Ended,
        }
        Stepped::Worked
    }

    /// Whether these are announced now and committed the next time.
    fn announces_early(&self, works: &[Work]) -> bool {
        let (announced, changes) = (self.announced.borrow().0, works.len() as u64);
        let is_new = || self.catalog.newest_seq().is_ok_and(|newest| newest.0 >= announced);
        let is_early = host::is_mutant(Mutant::AnnounceEarly) && is_new();
        if is_early {
            self.announced.send_replace(Seq(announced + changes));
        }
        is_early
    }

    fn sweep_step(&mut self) {
        if let Some(sweep) = &mut self.sweep
            && sweep.step(&*self.catalog, &*self.blobs, &self.pins)
        {
            self.sweep = None;
        }
    }

    fn collect(&mut self, hashes: Vec<BlobHash>) {
        for hash in hashes {
            let removal = self.pins.remove_garbage(hash, &*self.catalog, &*self.blobs);
            self.is_clean &= removal != Removal::Failed;
            if removal == Removal::Removed {
                self.variants.forget(hash);
            }
        }
    }

    fn commit(&mut self, works: Vec<Work>) {
        let mut proposals = Vec::with_capacity(works.len());
        let mut hearers = Vec::with_capacity(works.len());
        let mut purges: Vec<(Purge, u64, bool)> = Vec::new();
        let mut seen = Vec::new();
        for work in works {
            match work {
                Work::Propose { by, from, make, then } => match make(&*self.catalog) {
                    Ok(change) => {
                        proposals.push(Proposal { by, from, change });
                        hearers.push(Hearer::Asker(then));
                    }
                    Err(refusal) => then(Err(refusal)),
                },
                Work::Purge(purge) => {
                    let limit = u32::try_from(GROUP).unwrap_or(u32::MAX);
                    match self.catalog.trashed(purge.before, purge.person, limit) {
                        Ok(ids) => {
                            let is_last = ids.len() < GROUP;
                            for id in ids {
                                let (by, from) = (purge.by, purge.from.clone());
                                proposals.push(Proposal { by, from, change: Change::Purge(id) });
                                hearers.push(Hearer::Purge(purges.len()));
                            }
                            purges.push((purge, 0, is_last));
                        }
                        Err(error) => purge.answer.give(Err(faults::catalog(&error))),
                    }
                }
                Work::Collect(hash) => self.collect(vec![hash]),
                Work::Look(look) => look(),
                Work::Seen(device) => seen.push(device),
            }
        }
        let outcomes = self.commit_group(&proposals);
        let (mut garbage, mut fresh) = (Vec::new(), Vec::new());
        let mut newest = None;
        for ((hearer, outcome), proposal) in hearers.into_iter().zip(outcomes).zip(&proposals) {
            if let Ok(committed) = &outcome {
                newest = newest.max(committed.seq);
                if let Some(record) = &committed.record {
                    record.log();
                }
                if let Change::Store(image) = &proposal.change
                    && !committed.duplicate
                {
                    self.figures.stored.one();
                    self.figures.stored_bytes.add(image.size_bytes);
                }
                match proposal.change {
                    Change::Purge(_) => garbage.extend(committed.image.hash),
                    Change::Store(_) | Change::Restore(_) if committed.seq.is_some() => {
                        fresh.extend(committed.image.hash);
                    }
                    _ => {}
                }
            }
            match hearer {
                Hearer::Asker(then) => then(outcome),
                Hearer::Purge(at) => {
                    if let (Ok(_), Some((_, count, _))) = (outcome, purges.get_mut(at)) {
                        *count += 1;
                    }
                }
            }
        }
        for (purge, count, is_last) in purges {
            let purged = purge.purged + count;
            // Where nothing more goes, what is left was refused or is another's by now.
            if is_last || count == 0 {
                purge.answer.give(Ok(purged));
            } else {
                self.queue.push_back(Work::Purge(Purge { purged, ..purge }));
            }
        }
        if let Some(newest) = newest {
            let since = *self.announced.borrow();
            let listeners = self.announced.receiver_count();
            self.latest.read(&*self.catalog, since, newest, listeners);
            self.announced.send_replace(newest);
        }
        // In the end: nobody waits for a picture that nobody has heard of.
        fresh.into_iter().for_each(|hash| self.variants.fresh(hash));
        self.collect(garbage);
        if !seen.is_empty() {
            self.seen(&seen);
        }
    }

    /// Notes that devices were seen, when nobody of the group waits any more; a note that is lost costs
    /// nothing.
    fn seen(&self, devices: &[DeviceId]) {
        let now = host::now();
        let noted = self.catalog.seen(devices, people::seen_before(now), now);
        if let Err(error) = noted {
            tracing::warn!("cannot note when devices were seen: {error}");
        }
    }

    fn commit_group(&self, proposals: &[Proposal]) -> Vec<Result<Committed, Refusal>> {
        if proposals.is_empty() {
            return Vec::new();
        }
        let begun = Instant::now();
        let committed = self.catalog.commit(proposals, host::now());
        self.figures.groups.count(proposals.len() as u64);
        self.figures.commits.took(begun.elapsed());
        match committed {
            Ok(outcomes) if outcomes.len() == proposals.len() => outcomes,
            Ok(outcomes) => {
                let cause = format!(
                    "the catalog answered {} of {} changes",
                    outcomes.len(),
                    proposals.len()
                );
                vec![Err(faults::internal(&cause)); proposals.len()]
            }
            Err(error) => vec![Err(faults::catalog(&error)); proposals.len()],
        }
    }
}

/// Answers whoever waits, should the committer end before its time.
struct AbandonOnDrop(Arc<Queue>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The search for blobs without a record, after an unclean end: a 256th of the names at a time.
pub(crate) struct Sweep {
    slices: VecDeque<u8>,
    blobs: Vec<BlobHash>,
    removed: u64,
}

impl Sweep {
    pub(crate) fn new() -> Sweep {
        Sweep { slices: (0..=u8::MAX).collect(), blobs: Vec::new(), removed: 0 }
    }

    /// Sweeps for at most this long; whether it is done.
    pub(crate) fn run_for(
        &mut self,
        time: Duration,
        catalog: &dyn Catalog,
        blobs: &dyn BlobStore,
        pins: &Pins,
    ) -> bool {
        let start = Instant::now();
        loop {
            if self.step(catalog, blobs, pins) {
                return true;
            }
            if start.elapsed() >= time {
                return false;
            }
        }
    }

    /// Looks at some blobs; whether it is done.
    fn step(&mut self, catalog: &dyn Catalog, blobs: &dyn BlobStore, pins: &Pins) -> bool {
        if self.blobs.is_empty() {
            let Some(slice) = self.slices.pop_front() else {
                if self.removed > 0 {
                    tracing::info!("removed {} blobs that no image had", self.removed);
                }
                return true;
            };
            match blobs.slice(slice) {
                Ok(found) => self.blobs = found,
                Err(error) => tracing::warn!("cannot list blobs {slice:02x}: {error}"),
            }
        }
        let rest = self.blobs.len().saturating_sub(SWEEP_STEP);
        for hash in self.blobs.drain(rest..) {
            if pins.remove_garbage(hash, catalog, blobs) == Removal::Removed {
                self.removed += 1;
            }
        }
        false
    }
}
