//! Where pictures are made: threads that ask the [`Agenda`] what is next, have a child make it, keep it
//! and note it. Started and ended by the repository, told by it of new images.
//!
//! A thread here never decodes anything: it hands bytes to a child and takes checked pictures from it.
//! What came of it is noted in the catalog for many at once, as every note there costs a sync.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imgrepo_proto::session::view::Variant;
use imgrepo_proto::{BlobHash, Refusal};
use tokio::sync::oneshot;

use super::agenda::{Agenda, Job, Next, Task, Waiter};
use super::notes::Notes;
use crate::cache::{Cache, Kept};
use crate::metrics::Counter;
use crate::repository::blobs::BlobStore;
use crate::repository::catalog::{Catalog, KnownPicture};
use crate::repository::faults;
use crate::repository::picture::{Made, Order, PIPELINE, Unshown};

mod making;

/// Images that one step of the search looks at: less than a millisecond.
const SEARCH_STEP: u32 = 256;

/// How long it is at most until what was made is noted: soon enough for who looks at a list, and no more
/// than a few syncs a second.
const NOTED_WITHIN: Duration = Duration::from_millis(250);

/// Pictures that were made, or are on their way out.
pub(super) type Ready = Arc<Vec<(Variant, Arc<Kept>)>>;

/// Why there is no picture.
#[derive(Debug, Clone)]
pub(super) enum NotMade {
    /// The image cannot be shown, because of this.
    Fault(String),
    /// The content is gone.
    Gone,
    /// The content is damaged or missing, and images have it.
    Damaged,
    /// It may be made another time.
    Passing(Refusal),
}

/// Hears of it.
type Answer = oneshot::Sender<Result<Ready, NotMade>>;

impl Waiter for Answer {
    fn is_gone(&self) -> bool {
        self.is_closed()
    }
}

/// Reads the content of an image into a buffer, from an offset.
type ReadAt<'a> = dyn FnMut(&mut [u8], u64) -> std::io::Result<()> + 'a;

/// Makes pictures of one content; blocks. Gives up when it is told to stop.
pub(super) type Render =
    Box<dyn Fn(&Order, u64, &mut ReadAt<'_>, &AtomicBool) -> Result<Made, Unshown> + Send + Sync>;

/// What the workshop works with.
pub(super) struct Tools {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) cache: Cache,
    /// Bytes of the disk that pictures leave free, in this directory.
    pub(super) reserve_bytes: u64,
    pub(super) data: PathBuf,
    pub(super) render: Render,
}

/// See the module.
pub(super) struct Workshop {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    tools: Tools,
    agenda: Mutex<Agenda<Answer>>,
    changed: Condvar,
    notes: Mutex<Notes>,
    made: Counter,
    failed: Counter,
    stop: AtomicBool,
}

impl Workshop {
    /// Starts so many threads.
    pub(super) fn start(tools: Tools, threads: usize) -> std::io::Result<Workshop> {
        let shared = Arc::new(Shared {
            tools,
            agenda: Mutex::new(Agenda::new()),
            changed: Condvar::new(),
            notes: Mutex::default(),
            made: Counter::default(),
            failed: Counter::default(),
            stop: AtomicBool::new(false),
        });
        let workshop = Workshop { shared, threads: Mutex::default() };
        for _ in 0..threads.max(1) {
            let shared = workshop.shared.clone();
            // Joined by `close`.
            let thread = std::thread::Builder::new().name("pictures".to_owned());
            let thread = thread.spawn(move || shared.work())?;
            workshop.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(workshop)
    }

    /// Where pictures are kept.
    pub(super) fn cache(&self) -> &Cache {
        &self.shared.tools.cache
    }

    /// Asks for pictures that are not kept.
    pub(super) fn want(
        &self,
        task: Task,
    ) -> Result<oneshot::Receiver<Result<Ready, NotMade>>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let mut agenda = self.shared.agenda();
        match agenda.want(task, answer) {
            Ok(()) => {
                drop(agenda);
                self.shared.changed.notify_one();
                Ok(answered)
            }
            Err(_) if agenda.is_closed() => Err(faults::shutting_down()),
            Err(_) => Err(busy("too many pictures are waited for already")),
        }
    }

    /// A new image has this content. Takes no time.
    pub(super) fn fresh(&self, hash: BlobHash) {
        let is_news = self.shared.agenda().fresh(hash, Instant::now());
        if is_news {
            // Each is told when it may begin.
            self.shared.changed.notify_all();
        }
    }

    /// What making pictures of this content came to. Blocks.
    pub(super) fn known(&self, hash: BlobHash) -> Result<KnownPicture, Refusal> {
        self.shared.known(hash)
    }

    /// Nothing has this content any more.
    pub(super) fn forget(&self, hash: BlobHash) {
        self.shared.tools.cache.forget(hash);
    }

    /// How many things are to be made, and whether there may be more.
    pub(super) fn waiting(&self) -> (usize, bool) {
        self.shared.agenda().waiting()
    }

    /// How many pictures were made, and of how many contents none could be.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.shared.made.get(), self.shared.failed.get())
    }

    /// Ends what is under way and begins nothing more. Blocks until the last child is gone.
    pub(super) fn close(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let waiting = self.shared.agenda().close();
        self.shared.changed.notify_all();
        for answer in waiting {
            // Who has gone needs no answer.
            let _ = answer.send(Err(NotMade::Passing(faults::shutting_down())));
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that makes pictures panicked");
            }
        }
    }
}

impl Shared {
    fn agenda(&self) -> MutexGuard<'_, Agenda<Answer>> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one thread does until the end.
    fn work(&self) {
        loop {
            match self.next() {
                Next::Make(job) => self.carry_out(job),
                Next::Search(below) => {
                    let found = self.tools.catalog.unmade(PIPELINE, below, SEARCH_STEP);
                    let found = found.unwrap_or_else(|error| {
                        tracing::warn!("cannot look for images without pictures: {error}");
                        Default::default()
                    });
                    self.agenda().found(found.hashes, found.next);
                }
                Next::Wait(_) => {}
                Next::Stop => break,
            }
            if self.notes().due_at(NOTED_WITHIN).is_some_and(|at| at <= Instant::now()) {
                self.write_notes();
            }
        }
        self.write_notes();
    }

    /// What is next; waits for it, unless notes are due.
    fn next(&self) -> Next {
        let mut agenda = self.agenda();
        loop {
            let now = Instant::now();
            let next = agenda.next(now);
            let Next::Wait(until) = next else { return next };
            let noting = self.notes().due_at(NOTED_WITHIN);
            if noting.is_some_and(|at| at <= now) {
                return next;
            }
            agenda = match until.into_iter().chain(noting).min() {
                None => self.changed.wait(agenda).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let pause = until.saturating_duration_since(now);
                    let waited = self.changed.wait_timeout(agenda, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn carry_out(&self, job: Job) {
        let outcome = match self.is_worth(job) {
            Ok(true) => {
                let made = self.make(job);
                match &made {
                    Ok(made) => self.made.add(made.pictures.len() as u64),
                    Err(NotMade::Fault(_)) => self.failed.one(),
                    Err(NotMade::Gone | NotMade::Damaged | NotMade::Passing(_)) => {}
                }
                made
            }
            Ok(false) => return self.agenda().skipped(job),
            Err(not_made) => Err(not_made),
        };
        let waiters = match &outcome {
            Err(NotMade::Passing(_)) => self.agenda().failed(job, Instant::now()),
            _ => self.agenda().done(job, Instant::now()),
        };
        // Another thread may have passed over what this job held up.
        self.changed.notify_one();
        if waiters.is_empty() {
            return;
        }
        let answer = outcome.map(|pictures| self.ready(job.task, pictures));
        for waiter in waiters {
            // Who has gone needs no answer.
            let _ = waiter.send(answer.clone());
        }
    }
}

/// Too much at once, or something that may not happen again.
pub(super) fn busy(why: &str) -> Refusal {
    Refusal::new(imgrepo_proto::ErrorCode::Busy, why).hint("try again in a moment")
}

#[cfg(test)]
#[path = "workshop_tests.rs"]
mod tests;
