//! What pictures are to be made, and which is next. Pure: the workshop asks, does it and says what came
//! of it; the time comes from outside.
//!
//! What somebody waits for goes first; then small pictures of new images, the newest first; then those
//! that an earlier run left unmade; large ones only when nothing else is left. While images come in, what
//! nobody waits for keeps to the [`Pace`]. Of one content one thing is made at a time. Every list here
//! has a bound: what falls out of it is found again in the catalog, or made when somebody asks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use imgrepo_proto::session::view::Variant;
use imgrepo_proto::{BlobHash, ImageId};

use super::pace::Pace;

/// Things that are waited for at once. Beyond it requests are `busy`.
const WANTED: usize = 256;

/// Who waits for one thing at once.
const WAITERS: usize = 4096;

/// New images whose pictures are to be made. Of more the oldest are found again in the catalog.
const FRESH: usize = 1024;

/// Large pictures to be made when nothing else is; more are made when somebody asks.
const LARGE: usize = 256;

/// Things that are to be tried again; more are found at the next start.
const LATER: usize = 256;

/// The pauses before something that failed for no fault of its own is tried again. After the last it is
/// left to the next start, or to whoever asks.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(30), Duration::from_secs(300)];

/// One or several pictures that are made together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Those of 256 and of 512 pixels, and the placeholder.
    Small,
    /// The one for a whole screen.
    Large,
}

impl Part {
    /// The part that this picture is of.
    pub(super) fn of(variant: Variant) -> Part {
        match variant {
            Variant::Small | Variant::Medium => Part::Small,
            Variant::Display => Part::Large,
        }
    }

    /// What is made for it.
    pub(super) fn variants(self) -> &'static [Variant] {
        match self {
            Part::Small => &[Variant::Small, Variant::Medium],
            Part::Large => &[Variant::Display],
        }
    }
}

/// What is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Task {
    /// Of which content.
    pub(super) hash: BlobHash,
    /// Which pictures.
    pub(super) part: Part,
}

/// A task that is begun. It is to be given back: [`Agenda::done`] or [`Agenda::failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) task: Task,
    /// Nobody waits for it.
    pub(super) is_background: bool,
    /// It is of an image that came just now.
    pub(super) is_fresh: bool,
    /// How often it failed.
    tries: usize,
    /// Since when it is under way.
    since: Instant,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Make this.
    Make(Job),
    /// Look in the catalog for what is unmade, below this image; answered by [`Agenda::found`].
    Search(Option<ImageId>),
    /// Nothing, until something comes or this time does.
    Wait(Option<Instant>),
    /// Nothing any more.
    Stop,
}

/// Somebody who waits.
pub(super) trait Waiter {
    /// Whether they have gone.
    fn is_gone(&self) -> bool;
}

/// Where the search of the catalog is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    Due(Option<ImageId>),
    UnderWay,
    Done,
}

/// A task that failed, and when it is tried again.
#[derive(Debug)]
struct Later {
    at: Instant,
    task: Task,
    tries: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Agenda<W> {
    wanted: VecDeque<Task>,
    waiters: HashMap<Task, Vec<W>>,
    fresh: VecDeque<BlobHash>,
    older: VecDeque<BlobHash>,
    large: VecDeque<BlobHash>,
    later: Vec<Later>,
    making: HashSet<BlobHash>,
    pace: Pace,
    search: Search,
    /// Something fell out of `fresh`: the search begins again.
    is_missing: bool,
    is_closed: bool,
}

impl<W: Waiter> Agenda<W> {
    /// With a search of the catalog to do, and nothing else yet.
    pub(super) fn new() -> Agenda<W> {
        Agenda {
            wanted: VecDeque::new(),
            waiters: HashMap::new(),
            fresh: VecDeque::new(),
            older: VecDeque::new(),
            large: VecDeque::new(),
            later: Vec::new(),
            making: HashSet::new(),
            pace: Pace::default(),
            search: Search::Due(None),
            is_missing: false,
            is_closed: false,
        }
    }

    /// Somebody waits for this. The error gives them back: too many do.
    pub(super) fn want(&mut self, task: Task, waiter: W) -> Result<(), W> {
        if self.is_closed {
            return Err(waiter);
        }
        if let Some(waiters) = self.waiters.get_mut(&task) {
            waiters.retain(|waiter| !waiter.is_gone());
            if waiters.len() >= WAITERS {
                return Err(waiter);
            }
            waiters.push(waiter);
            return Ok(());
        }
        if self.wanted.len() >= WANTED {
            self.drop_gone();
        }
        if self.wanted.len() >= WANTED {
            return Err(waiter);
        }
        self.wanted.push_back(task);
        self.waiters.insert(task, vec![waiter]);
        Ok(())
    }

    /// A new image has this content. Whether those who asked what is next are to ask again; else they
    /// were told when to.
    pub(super) fn fresh(&mut self, hash: BlobHash, now: Instant) -> bool {
        let is_news = self.pace.came(now) | self.fresh.is_empty();
        if self.fresh.len() >= FRESH {
            self.fresh.pop_front();
            self.is_missing = true;
            if self.search == Search::Done {
                self.restart_search();
            }
        }
        self.fresh.push_back(hash);
        is_news
    }

    /// The large picture of this content is worth making when nothing else is to do.
    pub(super) fn large(&mut self, hash: BlobHash) {
        if self.large.len() < LARGE {
            self.large.push_back(hash);
        }
    }

    /// What the search found, and where it goes on.
    pub(super) fn found(&mut self, hashes: Vec<BlobHash>, next: Option<ImageId>) {
        self.older.extend(hashes);
        match next {
            Some(below) => self.search = Search::Due(Some(below)),
            None if self.is_missing => self.restart_search(),
            None => self.search = Search::Done,
        }
    }

    fn restart_search(&mut self) {
        self.is_missing = false;
        self.search = Search::Due(None);
    }

    /// What is next. A job that is given counts as under way.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.is_closed {
            return Next::Stop;
        }
        self.drop_gone();
        let job = |task, is_background, is_fresh, tries| {
            Next::Make(Job { task, is_background, is_fresh, tries, since: now })
        };
        let free = |making: &HashSet<BlobHash>, hash: &BlobHash| !making.contains(hash);
        if let Some(at) = self.wanted.iter().position(|task| free(&self.making, &task.hash))
            && let Some(task) = self.wanted.remove(at)
        {
            self.making.insert(task.hash);
            return job(task, false, false, 0);
        }
        if let Some(until) = self.pace.rests_until(now) {
            return Next::Wait(Some(until));
        }
        let small = |hash| Task { hash, part: Part::Small };
        if let Some(at) = self.fresh.iter().rposition(|hash| free(&self.making, hash))
            && let Some(hash) = self.fresh.remove(at)
        {
            self.making.insert(hash);
            return job(small(hash), true, true, 0);
        }
        if let Some(at) = self.older.iter().position(|hash| free(&self.making, hash))
            && let Some(hash) = self.older.remove(at)
        {
            self.making.insert(hash);
            return job(small(hash), true, false, 0);
        }
        let due = |later: &Later| later.at <= now && !self.making.contains(&later.task.hash);
        if let Some(at) = self.later.iter().position(due) {
            let Later { task, tries, .. } = self.later.swap_remove(at);
            self.making.insert(task.hash);
            return job(task, true, false, tries);
        }
        if let Search::Due(below) = self.search {
            self.search = Search::UnderWay;
            return Next::Search(below);
        }
        if let Some(at) = self.large.iter().position(|hash| free(&self.making, hash))
            && let Some(hash) = self.large.remove(at)
        {
            self.making.insert(hash);
            return job(Task { hash, part: Part::Large }, true, false, 0);
        }
        Next::Wait(self.later.iter().map(|later| later.at).filter(|at| *at > now).min())
    }

    /// A job was carried out: who waits for what it made.
    pub(super) fn done(&mut self, job: Job, now: Instant) -> Vec<W> {
        self.ended(job, now);
        self.waiters_of(job.task)
    }

    /// A job was not worth doing. Who waits for the same goes on waiting.
    pub(super) fn skipped(&mut self, job: Job) {
        self.making.remove(&job.task.hash);
    }

    /// A job failed for no fault of its own: who waits for it. It is tried again later where nobody did.
    pub(super) fn failed(&mut self, job: Job, now: Instant) -> Vec<W> {
        self.ended(job, now);
        if let Some(pause) = PAUSES.get(job.tries)
            && job.is_background
            && self.later.len() < LATER
        {
            self.later.push(Later { at: now + *pause, task: job.task, tries: job.tries + 1 });
        }
        self.waiters_of(job.task)
    }

    fn ended(&mut self, job: Job, now: Instant) {
        self.making.remove(&job.task.hash);
        if job.is_background {
            self.pace.worked(job.since, now);
        }
    }

    /// Nothing more is begun: all who wait.
    pub(super) fn close(&mut self) -> Vec<W> {
        self.is_closed = true;
        self.wanted.clear();
        self.waiters.drain().flat_map(|(_, waiters)| waiters).collect()
    }

    /// Whether nothing more is begun.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How many things are to be made, as far as is known, and whether the search may find more.
    pub(super) fn waiting(&self) -> (usize, bool) {
        let lists = [self.fresh.len(), self.older.len(), self.large.len()];
        let count = self.wanted.len() + lists.iter().sum::<usize>();
        (count + self.later.len() + self.making.len(), self.search != Search::Done)
    }

    fn waiters_of(&mut self, task: Task) -> Vec<W> {
        self.wanted.retain(|wanted| *wanted != task);
        self.waiters.remove(&task).unwrap_or_default()
    }

    /// Forgets what nobody waits for any more.
    fn drop_gone(&mut self) {
        let waiters = &mut self.waiters;
        self.wanted.retain(|task| {
            let waits = waiters.get(task).is_some_and(|all| all.iter().any(|one| !one.is_gone()));
            if !waits {
                waiters.remove(task);
            }
            waits
        });
    }
}

#[cfg(test)]
#[path = "agenda_tests.rs"]
mod tests;
