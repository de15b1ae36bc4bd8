//! One act on several objects: a few at once, their outcomes in the order in which they were given,
//! and one that fails does not stop the others.
//!
//! Every worker has a connection of its own, because a connection carries one request at a time.
//! Called by the verbs that take several objects; what is done to one is theirs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
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

/// Does `act` to every object, `at_once` of them at a time, and hands the outcomes to `take` in
/// order. When the command is told to stop, all that is not done has that refusal as its outcome.
pub(crate) fn run<J, T>(
    context: &Arc<Context>,
    jobs: Vec<J>,
    at_once: usize,
    act: impl Fn(&mut Line, &J) -> Result<T, Refusal> + Send + Sync + 'static,
    mut take: impl FnMut(&J, Result<T, Refusal>),
) where
    J: Send + Sync + 'static,
    T: Send + 'static,
{
    let jobs = Arc::new(jobs);
    let act = Arc::new(act);
    let next = Arc::new(AtomicUsize::new(0));
    let common: Arc<Mutex<Option<Refusal>>> = Arc::default();
    let (turns, heard) = mpsc::channel();
    let wake = turns.clone();
    context.cancel.wake(move |refusal| drop(wake.send(Turn::Stop(refusal.clone()))));
    for _ in 0..at_once.min(jobs.len()) {
        let (jobs, act, next) = (Arc::clone(&jobs), Arc::clone(&act), Arc::clone(&next));
        let (common, turns) = (Arc::clone(&common), turns.clone());
        let mut line = Line::new(context);
        // Not joined: it ends with its last object, or with the process when that must stop.
        thread::spawn(move || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(at) else { break };
                let known = common.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let outcome = known.map_or_else(|| act(&mut line, job), Err);
                if let Err(refusal) = &outcome
                    && concerns_all(refusal.code)
                {
                    *common.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.clone());
                }
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
                next.store(jobs.len(), Ordering::Relaxed);
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
