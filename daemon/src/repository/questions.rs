//! Short questions to the catalog, such as a record by its number. What is in memory is answered where
//! it is asked: 9 us, where a thread that is woken for it and wakes its asker takes 80. Once one had to
//! wait, for the disk or for others, few threads of their own answer for a while, each taking several at
//! once: no worker of the runtime stands still again and again.
//!
//! Asked by `finding`; the threads are started and joined by the repository that owns this. What looks
//! at many records does not belong here: the next question would wait for it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imgrepo_proto::{ErrorCode, Refusal};

use super::catalog::Catalog;
use super::queue::Answer;
use super::{Done, faults};
use crate::host;

/// Threads that answer: while one waits for the disk the other goes on.
const THREADS: usize = 2;

/// As many questions may wait; more is `busy`. What 250 sessions at their limit of requests ask.
const QUESTIONS: usize = 16_384;

/// So many are left to the thread that is answering already: waking another costs as much as some
/// answers.
const LEFT_TO_ONE: usize = 16;

/// One that took longer than this had to wait.
const SLOW: Duration = Duration::from_millis(1);

/// For so long after it the threads answer.
const SLOW_FOR: Duration = Duration::from_secs(1);

/// Finds the answer and gives it.
type Question = Box<dyn FnOnce(&dyn Catalog) + Send>;

/// The questions that wait, and who answers them.
pub(crate) struct Questions {
    catalog: Arc<dyn Catalog>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    /// Threads that have nothing to do and were not woken yet.
    idle: usize,
    /// Those that were, and have not come to it yet.
    woken: usize,
    /// Until then the threads answer.
    slow_until: Option<Instant>,
    is_closed: bool,
}

impl Waiting {
    /// Whether an answer may be expected at once. None is given before those that were asked first.
    fn is_quick(&self) -> bool {
        self.questions.is_empty() && self.slow_until.is_none_or(|until| until <= Instant::now())
    }
}

impl Questions {
    /// Starts the threads.
    pub(crate) fn start(catalog: &Arc<dyn Catalog>) -> io::Result<Questions> {
        let shared = Arc::<Shared>::default();
        let start = |n: usize| {
            let (shared, catalog) = (shared.clone(), catalog.clone());
            // Joined when this is dropped.
            std::thread::Builder::new()
                .name(format!("answers-{n}"))
                .spawn(move || shared.answer(&*catalog))
        };
        let count = if host::is_simulated() { 0 } else { THREADS };
        let threads = (0..count).map(start).collect::<io::Result<Vec<_>>>()?;
        Ok(Questions { catalog: catalog.clone(), shared, threads })
    }

    /// Has this answered; `done` is called on the answering thread, which may be the caller's, so it
    /// must not block.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        find: impl FnOnce(&dyn Catalog) -> Result<T, Refusal> + Send + 'static,
        done: Done<T>,
    ) {
        let answer = Answer::new(done);
        if self.threads.is_empty() {
            let catalog = self.catalog.clone();
            // Not joined: a simulated computer ends with its tasks.
            drop(host::blocking(move || answer.give(find(&*catalog))));
            return;
        }
        // One that fails is answered all the same.
        let find = move |catalog: &dyn Catalog| {
            let found = catch_unwind(AssertUnwindSafe(|| find(catalog)));
            found.unwrap_or_else(|_| Err(faults::internal(&"a question panicked")))
        };
        let wakes = {
            let mut waiting = self.shared.lock();
            if waiting.is_quick() {
                drop(waiting);
                let begun = Instant::now();
                answer.give(find(&*self.catalog));
                let now = Instant::now();
                if now - begun > SLOW {
                    self.shared.lock().slow_until = Some(now + SLOW_FOR);
                }
                return;
            }
            if waiting.questions.len() >= QUESTIONS {
                drop(waiting);
                let message = "too many questions wait already";
                return answer.give(Err(Refusal::new(ErrorCode::Busy, message)));
            }
            waiting.questions.push_back(Box::new(move |catalog| answer.give(find(catalog))));
            let is_nobody_awake = waiting.idle == THREADS;
            let is_much = waiting.questions.len() > LEFT_TO_ONE;
            let wakes = waiting.idle > 0 && (is_nobody_awake || is_much);
            if wakes {
                waiting.idle -= 1;
                waiting.woken += 1;
            }
            wakes
        };
        if wakes {
            self.shared.came.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until nothing waits and nothing will come.
    fn answer(&self, catalog: &dyn Catalog) {
        let mut taken = VecDeque::new();
        let mut waiting = self.lock();
        loop {
            if !waiting.questions.is_empty() {
                // No more than this wait behind one that waits for the disk.
                let count = waiting.questions.len().min(LEFT_TO_ONE);
                taken.extend(waiting.questions.drain(..count));
                drop(waiting);
                taken.drain(..).for_each(|question: Question| question(catalog));
                waiting = self.lock();
            } else if waiting.is_closed {
                return;
            } else {
                waiting.idle += 1;
                while waiting.woken == 0 && !waiting.is_closed {
                    waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                match waiting.woken {
                    0 => waiting.idle -= 1,
                    _ => waiting.woken -= 1,
                }
            }
        }
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.came.notify_all();
        for thread in self.threads.drain(..) {
            // The last handle of the repository may go in an answer, on such a thread: it ends by itself.
            let is_own = thread.thread().id() == std::thread::current().id();
            if !is_own && thread.join().is_err() {
                tracing::error!("a thread that answers questions panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use imgrepo_proto::RepositoryId;

    use super::*;
    use crate::repository::catalog::memory::MemoryCatalog;

    fn questions() -> Questions {
        let catalog: Arc<dyn Catalog> =
            Arc::new(MemoryCatalog::new(RepositoryId("00ff".to_owned())));
        Questions::start(&catalog).unwrap()
    }

    /// Those that its threads answer.
    fn slow() -> Questions {
        let questions = questions();
        let long = Instant::now() + Duration::from_secs(3600);
        questions.shared.lock().slow_until = Some(long);
        questions
    }

    fn told<T: Send + 'static>() -> (Done<T>, mpsc::Receiver<Result<T, Refusal>>) {
        let (tell, told) = mpsc::channel();
        (Box::new(move |outcome| tell.send(outcome).unwrap()), told)
    }

    #[test]
    fn it_is_answered_where_it_is_asked_until_one_has_to_wait() {
        let questions = questions();
        let (tell, told) = mpsc::channel();
        let ask = |takes: Duration| {
            let tell = tell.clone();
            let find = move |_: &dyn Catalog| {
                let begun = Instant::now();
                while begun.elapsed() <= takes {}
                Ok(std::thread::current().id())
            };
            questions.ask(find, Box::new(move |found| tell.send(found).unwrap()));
            told.recv().unwrap().unwrap()
        };
        let here = std::thread::current().id();
        assert_eq!(ask(2 * SLOW), here);
        assert_ne!(ask(Duration::ZERO), here);
        questions.shared.lock().slow_until = Some(Instant::now());
        assert_eq!(ask(Duration::ZERO), here);
    }

    #[test]
    fn all_are_answered_and_one_that_waits_holds_up_no_other() {
        let questions = slow();
        let (go_on, held) = mpsc::channel::<()>();
        let (done, slow) = told();
        questions.ask(move |_| Ok(held.recv().is_ok()), done);
        let (tell, told) = mpsc::channel();
        // More than are taken with the one that waits, or left to its thread.
        for n in 0..1000 {
            let tell = tell.clone();
            questions.ask(move |_| Ok(n), Box::new(move |found| tell.send(found).unwrap()));
        }
        drop(tell);
        let mut found: Vec<i32> =
            told.iter().take(1000 - 2 * LEFT_TO_ONE).map(|found| found.unwrap()).collect();
        assert!(slow.try_recv().is_err());
        go_on.send(()).unwrap();
        found.extend(told.iter().map(|found| found.unwrap()));
        assert!(slow.recv().unwrap().unwrap());
        found.sort_unstable();
        assert_eq!(found, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_panics_is_answered_and_so_are_those_behind_it() {
        let questions = questions();
        let (done, panicked) = told::<()>();
        questions.ask(|_| panic!("it is meant to"), done);
        let (done, next) = told();
        questions.ask(|_| Ok(7), done);
        assert_eq!(panicked.recv().unwrap().unwrap_err().code, ErrorCode::Internal);
        assert_eq!(next.recv().unwrap(), Ok(7));
    }

    #[test]
    fn too_many_are_refused_and_the_others_are_answered_before_it_ends() {
        let questions = slow();
        let (go_on, held) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let held = Arc::new(Mutex::new(held));
        // More than one thread takes, and the rest is enough to wake the other.
        for _ in 0..3 * LEFT_TO_ONE {
            let (held, begun) = (held.clone(), begun.clone());
            let wait = move |_: &dyn Catalog| {
                begun.send(()).unwrap();
                let _ = held.lock().unwrap().recv();
                Ok(())
            };
            questions.ask(wait, Box::new(|_| {}));
        }
        for _ in 0..THREADS {
            begins.recv().unwrap();
        }
        let (tell, told) = mpsc::channel();
        let mut asked = 0;
        let refused = loop {
            let tell = tell.clone();
            questions.ask(|_| Ok(()), Box::new(move |found| tell.send(found).unwrap()));
            match told.try_recv() {
                Ok(refused) => break refused,
                Err(_) => asked += 1,
            }
            assert!(asked <= QUESTIONS);
        };
        drop(tell);
        assert_eq!(refused.unwrap_err().code, ErrorCode::Busy);
        assert!(asked > QUESTIONS / 2);
        drop(go_on);
        drop(questions);
        assert_eq!(told.iter().filter(Result::is_ok).count(), asked);
    }
}
