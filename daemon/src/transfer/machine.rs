//! An upload, decided: what is done next, and what a cut or a refusal means. Pure: the shell
//! ([`super::upload::Sending`]) tells what happened and does what it is told.
//!
//! A success is the server's alone. A cut is waited out; a passing fault is tried again later; a
//! wrong hash once more from the first byte, if the file is still the same.

use std::time::Duration;

use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::{ErrorCode, Refusal};

use crate::session::Backoff;

/// What came of an upload. Boxed: it is far larger than all else that is decided.
pub(super) type Outcome = Box<Result<UploadReply, Refusal>>;

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// There is a server to ask; it takes images and first windows of at most so many bytes.
    Connected { max_image_bytes: u64, window: u64 },
    /// There is none and there will be none.
    NoServer(Refusal),
    /// The upload was offered.
    Offered,
    /// The server takes the content from here on.
    Ready(u64),
    /// The server has all before this.
    Acked(u64),
    /// All before this was sent.
    Sent(u64),
    /// The server stored it.
    Done(UploadReply),
    /// The server refused it.
    Refused(Refusal),
    /// The session was cut.
    Cut,
    /// Whether the file still has the hash that was announced.
    Checked(Result<(), Refusal>),
    /// The pause is over.
    Rested,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Wait for a server.
    Connect,
    /// Offer the upload.
    Offer,
    /// Send what follows this offset as far as the windows allow, and listen.
    Send(u64),
    /// Listen.
    Listen,
    /// Look whether the file still has the hash that was announced.
    Check,
    /// Wait.
    Rest(Duration),
    /// The end.
    End(Outcome),
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Connecting,
    Offering {
        window: u64,
    },
    /// READY has not come. A small content is sent meanwhile: that halves its way.
    Waiting {
        next: u64,
        at_once: bool,
    },
    Sending {
        next: u64,
    },
    Checking,
    Resting(Duration),
    Over(Outcome),
}

/// One upload.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    size: u64,
    state: State,
    acked: u64,
    backoff: Backoff,
    /// The server has computed another hash once.
    mistaken: bool,
    /// A server that has no time now is the end: whoever asked tries again.
    once: bool,
    /// A session ended when it had been sent whole, to a server that did not have it before.
    maybe_stored: bool,
}

impl Machine {
    /// Of a content of so many bytes.
    pub(super) fn new(size: u64) -> Self {
        let backoff = Backoff::default();
        Machine {
            size,
            state: State::Connecting,
            acked: 0,
            backoff,
            mistaken: false,
            once: false,
            maybe_stored: false,
        }
    }

    /// As [`Machine::new`], of one that somebody tries again who knows what else waits, and what an
    /// earlier one came to: whether it [may be stored](Machine::may_be_stored).
    pub(super) fn once(size: u64, maybe_stored: bool) -> Self {
        Machine { once: true, maybe_stored, ..Machine::new(size) }
    }

    /// Whether a server that did not have it was sent all of it: should nobody hear its answer, it may
    /// have it all the same.
    pub(super) fn may_be_stored(&self) -> bool {
        self.maybe_stored || matches!(self.state, State::Sending { next } if next == self.size)
    }

    /// Bytes that the server has.
    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// What to do now.
    pub(super) fn action(&self) -> Action {
        match &self.state {
            State::Connecting => Action::Connect,
            State::Offering { .. } => Action::Offer,
            State::Waiting { next, at_once: true } | State::Sending { next }
                if *next < self.size =>
            {
                Action::Send(*next)
            }
            State::Waiting { .. } | State::Sending { .. } => Action::Listen,
            State::Checking => Action::Check,
            State::Resting(pause) => Action::Rest(*pause),
            State::Over(outcome) => Action::End(outcome.clone()),
        }
    }

    /// Takes what happened. What does not belong to the state is late and changes nothing.
    pub(super) fn handle(&mut self, input: Input, random: u64) {
        let state = match (&self.state, input) {
            (State::Over(_), _) => return,
            (State::Connecting, Input::Connected { max_image_bytes, window }) => {
                match self.size > max_image_bytes {
                    true => failed(too_large(self.size, max_image_bytes)),
                    false => State::Offering { window },
                }
            }
            (_, Input::NoServer(refusal)) => failed(refusal),
            (State::Offering { window }, Input::Offered) => {
                self.acked = 0;
                State::Waiting { next: 0, at_once: self.size <= *window }
            }
            (State::Waiting { next, .. }, Input::Ready(offset)) => match offset > self.size {
                true => failed(broken("it has more of the content than there is")),
                false => {
                    self.acked = offset;
                    State::Sending { next: (*next).max(offset) }
                }
            },
            (State::Sending { .. }, Input::Ready(_)) => failed(broken("it was ready twice")),
            (State::Waiting { at_once, .. }, Input::Sent(end)) => {
                State::Waiting { next: end, at_once: *at_once }
            }
            (State::Sending { .. }, Input::Sent(end)) => State::Sending { next: end },
            (State::Sending { next }, Input::Acked(offset)) => match offset > *next {
                true => failed(broken("it has bytes that were not sent")),
                false => {
                    if offset > self.acked {
                        self.acked = offset;
                        self.backoff.reset();
                    }
                    return;
                }
            },
            (State::Waiting { .. } | State::Sending { .. }, Input::Done(mut reply)) => {
                self.acked = self.size;
                // What it has now is what it was sent: its first answer was lost in the cut.
                reply.duplicate &= !self.maybe_stored;
                State::Over(Box::new(Ok(reply)))
            }
            (State::Waiting { .. } | State::Sending { .. }, Input::Refused(refusal)) => {
                self.refused(refusal, random)
            }
            (State::Waiting { .. } | State::Sending { .. }, Input::Cut) => {
                self.maybe_stored = self.may_be_stored();
                State::Connecting
            }
            (State::Checking, Input::Checked(Ok(()))) => State::Connecting,
            (State::Checking, Input::Checked(Err(refusal))) => failed(refusal),
            (State::Resting(_), Input::Rested) => State::Connecting,
            _ => return,
        };
        self.state = state;
    }

    fn refused(&mut self, refusal: Refusal, random: u64) -> State {
        match refusal.code {
            ErrorCode::WrongHash if !self.mistaken => {
                self.mistaken = true;
                State::Checking
            }
            // The server has no time now; whoever waits for the upload wants it stored. Superseded it
            // is by this person's other device, or by our own request of a session that was cut, when
            // it came late: one day that has ended, and its bytes count for this one.
            ErrorCode::Busy | ErrorCode::ShuttingDown | ErrorCode::Superseded if !self.once => {
                State::Resting(self.backoff.after_failure(random))
            }
            _ => failed(refusal),
        }
    }
}

fn failed(refusal: Refusal) -> State {
    State::Over(Box::new(Err(refusal)))
}

fn broken(how: &str) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("the server broke the protocol: {how}"))
}

/// What is larger than the server takes.
pub(super) fn too_large(size: u64, limit: u64) -> Refusal {
    Refusal::new(
        ErrorCode::TooLarge,
        format!("the image has {size} bytes, the server takes at most {limit}"),
    )
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
