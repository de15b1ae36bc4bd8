//! How a session stands and what to do next. Pure: what happened, the time and chance come in, one
//! action comes out; the keeper carries it out.

use std::time::Duration;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::reply::SessionState;
use jiff::Timestamp;

use super::backoff::Backoff;

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Whether the same attempt would fail again: credentials, a server that does not want us.
    pub(crate) permanent: bool,
    /// In words.
    pub(crate) refusal: Refusal,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The person wants a session.
    Connect,
    /// The person wants none.
    Disconnect,
    /// The server knows us: the session is up.
    Greeted,
    /// There is no session, so long after the last attempt began, or none any more.
    Failed(Failure, Duration),
    /// The wait is over.
    Woken,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing, until the person wants something else.
    Rest,
    /// Dial and say who we are.
    Dial,
    /// Take what the server says.
    Serve,
    /// Wait this long.
    Wait(Duration),
}

/// How a session stands.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) state: SessionState,
    pub(crate) since: Timestamp,
    pub(crate) retry_at: Option<Timestamp>,
    pub(crate) error: Option<Refusal>,
    backoff: Backoff,
}

impl Machine {
    pub(crate) fn new(now: Timestamp) -> Self {
        Machine {
            state: SessionState::Offline,
            since: now,
            retry_at: None,
            error: None,
            backoff: Backoff::default(),
        }
    }

    /// Takes what happened and says what to do.
    pub(crate) fn handle(&mut self, input: Input, now: Timestamp, random: u64) -> Action {
        self.retry_at = None;
        match input {
            Input::Connect => {
                self.backoff.reset();
                self.error = None;
                self.enter(SessionState::Connecting, now);
                Action::Dial
            }
            Input::Woken => {
                // The last error stays to be seen: a dial that hangs says nothing of its own.
                self.enter(SessionState::Connecting, now);
                Action::Dial
            }
            Input::Disconnect => {
                self.error = None;
                self.enter(SessionState::Offline, now);
                Action::Rest
            }
            Input::Greeted => {
                self.backoff.reset();
                self.error = None;
                self.enter(SessionState::Connected, now);
                Action::Serve
            }
            Input::Failed(Failure { permanent: true, refusal }, _) => {
                self.error = Some(refusal);
                self.enter(SessionState::Refused, now);
                Action::Rest
            }
            Input::Failed(Failure { permanent: false, refusal }, age) => {
                // From the attempt's beginning: one that hung has waited already.
                let wait = self.backoff.after_failure(random).saturating_sub(age);
                self.error = Some(refusal);
                self.enter(SessionState::Waiting, now);
                self.retry_at = now.checked_add(wait).ok();
                Action::Wait(wait)
            }
        }
    }

    fn enter(&mut self, state: SessionState, now: Timestamp) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::ErrorCode;

    use super::*;

    fn failed(permanent: bool) -> Input {
        let refusal = Refusal::new(ErrorCode::NotConnected, "the connection broke");
        Input::Failed(Failure { permanent, refusal }, Duration::ZERO)
    }

    #[test]
    fn a_passing_fault_is_tried_again_and_a_refusal_is_not() {
        let now = Timestamp::UNIX_EPOCH;
        let mut machine = Machine::new(now);
        assert_eq!(machine.handle(Input::Connect, now, 0), Action::Dial);
        let Action::Wait(first) = machine.handle(failed(false), now, 0) else { panic!() };
        assert_eq!(machine.state, SessionState::Waiting);
        assert_eq!(machine.retry_at, Some(now + first));
        assert!(machine.error.is_some());
        assert_eq!(machine.handle(Input::Woken, now, 0), Action::Dial);
        for _ in 0..9 {
            machine.handle(failed(false), now, 0);
        }
        let Action::Wait(later) = machine.handle(failed(false), now, 0) else { panic!() };
        assert!(later > first);
        assert_eq!(machine.handle(Input::Greeted, now, 0), Action::Serve);
        assert_eq!((machine.state, &machine.error), (SessionState::Connected, &None));
        let Action::Wait(again) = machine.handle(failed(false), now, 0) else { panic!() };
        assert_eq!(again, first, "a session that was up starts over");
        for (age_ms, left_ms) in [(0, 400), (100, 700), (9000, 0)] {
            let Input::Failed(failure, _) = failed(false) else { panic!() };
            let age = Duration::from_millis(age_ms);
            let Action::Wait(wait) = machine.handle(Input::Failed(failure, age), now, 0) else {
                panic!()
            };
            assert_eq!(wait.as_millis(), left_ms, "after {age_ms} ms");
        }
        assert_eq!(machine.handle(failed(true), now, 0), Action::Rest);
        assert_eq!((machine.state, machine.retry_at), (SessionState::Refused, None));
        assert_eq!(machine.handle(Input::Disconnect, now, 0), Action::Rest);
        assert_eq!((machine.state, &machine.error), (SessionState::Offline, &None));
    }
}
