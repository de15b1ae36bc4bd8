//! One act on several objects: a few at once, their outcomes in the order in which they were given,
//! and one that fails does not stop the others.
//!
//! Every worker has a connection of its own, because a connection carries one request at a time.
//! Called by the verbs that take several objects; what is done to one is theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use imgrepo_proto::control::client::Client;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, exit_code_of};
use crate::output::{DOCUMENTS, Output, json};

/// Transfers at once: with small images the daemon's work, the way to the server and the server's
/// disk overlap; more than this gains nothing and only makes the first one wait.
pub(crate) const AT_ONCE: usize = 8;

/// How many objects are under way together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many, whichever is done making room for the next.
    AtOnce(usize),
    /// So many, and the next so many when all of them are done: nothing is overtaken by more than those.
    Rounds(usize),
}

impl Pace {
    fn at_once(self) -> usize {
        let (Pace::AtOnce(at_once) | Pace::Rounds(at_once)) = self;
        at_once
    }
}

/// Which object is begun next, over all workers.
struct Order {
    pace: Pace,
    jobs: usize,
    places: Mutex<Places>,
    moved: Condvar,
}

#[derive(Default)]
struct Places {
    begun: usize,
    ended: usize,
    /// No other is begun.
    stopped: bool,
}

impl Order {
    fn new(pace: Pace, jobs: usize) -> Self {
        Order { pace, jobs, places: Mutex::default(), moved: Condvar::new() }
    }

    /// The place of the next one, when it may begin; None when there is none.
    fn begin(&self) -> Option<usize> {
        let has_to_wait = |places: &mut Places| match self.pace {
            Pace::AtOnce(_) => false,
            Pace::Rounds(round) => {
                let is_first = places.begun.is_multiple_of(round.max(1));
                !places.stopped && is_first && places.ended < places.begun
            }
        };
        let places = self.moved.wait_while(self.places(), has_to_wait);
        let mut places = places.unwrap_or_else(PoisonError::into_inner);
        if places.stopped || places.begun == self.jobs {
            return None;
        }
        places.begun += 1;
        Some(places.begun - 1)
    }

    fn ended(&self) {
        self.places().ended += 1;
        self.moved.notify_all();
    }

    fn stop(&self) {
        self.places().stopped = true;
        self.moved.notify_all();
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to the daemon, opened when it is first used.
pub(crate) struct Line {
    context: Arc<Context>,
    open: Option<Client>,
}

impl Line {
    /// Not connected yet.
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        Line { context: Arc::clone(context), open: None }
    }

    /// The connection, for one request.
    pub(crate) fn daemon(&mut self) -> Result<&mut Client, Refusal> {
        match &mut self.open {
            Some(daemon) => Ok(daemon),
            empty => Ok(empty.insert(self.context.open()?)),
        }
    }
}

/// What came of the objects that were not begun when the command had to stop.
fn stopped(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Cancelled | ErrorCode::TimedOut)
}

/// Whether the next object would fail for the same cause, so that it need not be tried.
fn concerns_all(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotRunning
            | ErrorCode::NotConnected
            | ErrorCode::Unauthenticated
            | ErrorCode::ShuttingDown
    )
}

enum Turn<T> {
    /// The outcome of the object at this place.
    Outcome(usize, Result<T, Refusal>),
    /// The command must stop now.
    Stop(Refusal),
}

/// Does `act` to every object at this pace, and hands the outcomes to `take` in order. When the command is told to stop, all that is not done has that refusal as its outcome.
pub(crate) fn run<J, T>(
    context: &Arc<Context>,
    jobs: Vec<J>,
    pace: Pace,
    act: impl Fn(&mut Line, &J) -> Result<T, Refusal> + Send + Sync + 'static,
    mut take: impl FnMut(&J, Result<T, Refusal>),
) where
    J: Send + Sync + 'static,
    T: Send + 'static,
{
    let jobs = Arc::new(jobs);
    let act = Arc::new(act);
    let order = Arc::new(Order::new(pace, jobs.len()));
    let common: Arc<Mutex<Option<Refusal>>> = Arc::default();
    let (turns, heard) = mpsc::channel();
    let wake = turns.clone();
    context.cancel.wake(move |refusal| drop(wake.send(Turn::Stop(refusal.clone()))));
    for _ in 0..pace.at_once().min(jobs.len()) {
        let (jobs, act, order) = (Arc::clone(&jobs), Arc::clone(&act), Arc::clone(&order));
        let (common, turns) = (Arc::clone(&common), turns.clone());
        let mut line = Line::new(context);
        // Not joined: it ends with its last object, or with the process when that must stop.
        thread::spawn(move || {
            while let Some((at, job)) = order.begin().and_then(|at| Some((at, jobs.get(at)?))) {
                let known = common.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let outcome = known.map_or_else(|| act(&mut line, job), Err);
                if let Err(refusal) = &outcome
                    && concerns_all(refusal.code)
                {
                    *common.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.clone());
                }
                order.ended();
                if turns.send(Turn::Outcome(at, outcome)).is_err() {
                    break;
                }
            }
        });
    }
    let mut early = BTreeMap::new();
    let mut due = 0;
    while let Some(job) = jobs.get(due) {
        if let Some(outcome) = early.remove(&due) {
            take(job, outcome);
            due += 1;
            continue;
        }
        match heard.recv() {
            Ok(Turn::Outcome(at, outcome)) => drop(early.insert(at, outcome)),
            Ok(Turn::Stop(refusal)) => {
                order.stop();
                for (at, job) in jobs.iter().enumerate().skip(due) {
                    take(job, early.remove(&at).unwrap_or_else(|| Err(refusal.clone())));
                }
                return;
            }
            // The canceller keeps a sender for as long as the process lives.
            Err(mpsc::RecvError) => return,
        }
    }
}

/// The outcomes of a command over several objects: written as they come, counted for the exit code.
pub(crate) struct Results {
    out: Arc<Output>,
    started: bool,
    done: usize,
    failed: Vec<ErrorCode>,
    /// The last cause that concerns all, and how many more failed for it without a word.
    common: Option<(Refusal, usize)>,
}

impl Results {
    /// None yet.
    pub(crate) fn new(context: &Context) -> Self {
        Results {
            out: Arc::clone(&context.out),
            started: false,
            done: 0,
            failed: Vec::new(),
            common: None,
        }
    }

    /// One more that was done.
    pub(crate) fn done(&mut self) {
        self.done += 1;
    }

    /// One more that failed: `act` says at what. A cause that concerns all is said once, and how
    /// many more it met: a folder of a thousand pictures is no reason for a thousand lines.
    pub(crate) fn failed(&mut self, act: &str, refusal: &Refusal) {
        self.failed.push(refusal.code);
        if self.out.json() {
            return;
        }
        if let Some((common, more)) = &mut self.common
            && common.code == refusal.code
            && common.message == refusal.message
        {
            *more += 1;
            return;
        }
        if concerns_all(refusal.code) || stopped(refusal.code) {
            self.count_common();
            self.common = Some((refusal.clone(), 0));
        }
        self.out.complain(act, refusal);
    }

    fn count_common(&mut self) {
        if let Some((common, more @ 1..)) = self.common.take() {
            // What to do about it stands with the first one.
            let refusal = Refusal { hint: None, ..common };
            self.out.complain(&format!("go on with {more} more"), &refusal);
        }
    }

    /// Its entry in the document; nothing without `--json`.
    pub(crate) fn entry<T: Serialize>(&mut self, entry: &T) {
        if self.out.json() {
            let before = match std::mem::replace(&mut self.started, true) {
                true => ",".to_owned(),
                false => format!("{{\"v\":{DOCUMENTS},\"results\":["),
            };
            // Who reads it may go: what is being done matters more than to say it.
            let _ = self.out.document_part(&format!("{before}{}", json(entry)));
        }
    }

    /// The end of the document, and the outcome of the whole command.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.count_common();
        if self.out.json() {
            let end = match self.started {
                true => "]}\n".to_owned(),
                false => format!("{{\"v\":{DOCUMENTS},\"results\":[]}}\n"),
            };
            let _ = self.out.document_part(&end);
        }
        match exit_code_of(self.done, &self.failed) {
            0 => Ok(()),
            code => Err(Failure::Said(code)),
        }
    }
}
