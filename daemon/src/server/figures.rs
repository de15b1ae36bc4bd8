//! What the server counts of its sessions and requests, for its operator. Counted where it happens, read
//! by the page of figures (`http::metrics`). No label ever says anything that a peer chose.

use std::time::Duration;

use imgrepo_proto::ErrorCode;
use imgrepo_proto::session::command::CommandKind;

use crate::metrics::{Counter, Histogram};

/// Microseconds of a command: what the catalog answers at once, what a disk is waited for, what somebody
/// feels, and transfers.
const COMMAND_MICROS: &[u64] = &[100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Microseconds from a commit until its event is on its way to a session.
const FEED_MICROS: &[u64] = &[1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// What has been counted since the server began.
#[derive(Debug)]
pub(super) struct Figures {
    v1: PerCommand,
    v2: PerCommand,
    refusals: [Counter; ErrorCode::ALL.len()],
    /// By the first digit of the status.
    http: [Counter; CLASSES.len()],
    /// How long events that came while somebody listened took to be on their way.
    pub(super) feed: Histogram,
}

/// The dialect of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    V1,
    V2,
}

/// Classes of HTTP's statuses (RFC 9110, 15).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// How long commands took, each kind by itself.
#[derive(Debug)]
struct PerCommand([Histogram; CommandKind::ALL.len()]);

impl PerCommand {
    fn new() -> PerCommand {
        PerCommand(std::array::from_fn(|_| Histogram::new(COMMAND_MICROS)))
    }
}

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            v1: PerCommand::new(),
            v2: PerCommand::new(),
            refusals: std::array::from_fn(|_| Counter::new()),
            http: std::array::from_fn(|_| Counter::new()),
            feed: Histogram::new(FEED_MICROS),
        }
    }
}

impl Figures {
    /// A command was answered, whatever the answer.
    pub(super) fn answered(&self, spoken: Spoken, kind: CommandKind, after: Duration) {
        let PerCommand(commands) = match spoken {
            Spoken::V1 => &self.v1,
            Spoken::V2 => &self.v2,
        };
        // `ALL` has every kind once, so it is as long as there are kinds.
        if let Some(histogram) = commands.get(kind as usize) {
            histogram.took(after);
        }
    }

    /// Somebody was refused something.
    pub(super) fn refused(&self, code: ErrorCode) {
        if let Some(counter) = self.refusals.get(code as usize) {
            counter.one();
        }
    }

    /// A request was answered with this status.
    pub(super) fn requested(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.http.get(class)) {
            counter.one();
        }
    }

    /// The kinds of commands that were given so far, in which dialect, and how long they took.
    pub(super) fn commands(&self) -> impl Iterator<Item = (&'static str, CommandKind, &Histogram)> {
        let dialects = [("v1", &self.v1), ("v2", &self.v2)];
        let all = dialects.into_iter().flat_map(|(dialect, PerCommand(commands))| {
            CommandKind::ALL
                .into_iter()
                .filter_map(move |kind| Some((dialect, kind, commands.get(kind as usize)?)))
        });
        all.filter(|(_, _, histogram)| !histogram.is_empty())
    }

    /// How often somebody was refused something, by each code that was ever given.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let all = ErrorCode::ALL.into_iter();
        let all = all.filter_map(|code| Some((code, self.refusals.get(code as usize)?.get())));
        all.filter(|(_, count)| *count > 0)
    }

    /// Requests by class of their answers.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.http.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_code_has_a_place_of_its_own() {
        let figures = Figures::default();
        for kind in CommandKind::ALL {
            figures.answered(Spoken::V2, kind, Duration::from_millis(1));
        }
        for code in ErrorCode::ALL {
            figures.refused(code);
        }
        assert_eq!(figures.commands().count(), CommandKind::ALL.len());
        assert!(figures.commands().all(|(dialect, ..)| dialect == "v2"));
        assert!(figures.refusals().all(|(_, count)| count == 1));
        assert_eq!(figures.refusals().count(), ErrorCode::ALL.len());
        for status in [101, 200, 204, 404, 500, 600, 0] {
            figures.requested(status);
        }
        let counts: Vec<u64> = figures.requests().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 0, 1, 1]);
    }
}
