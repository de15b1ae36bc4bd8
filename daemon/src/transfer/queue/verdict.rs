//! What an attempt's end means for its upload. Pure.
//!
//! A receipt is the server's word alone. A passing fault is tried again, a refusal is not until the
//! server is another, and a file that is not what was queued goes back to who found it.

use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use jiff::Timestamp;

use crate::state::End;

use super::schedule::pause;

/// Faults of a server's own that are taken as passing; then it is as good as a refusal.
const PATIENCE: u32 = 10;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The server has this content, as this image.
    Stored { hash: BlobHash, image: ImageId, duplicate: bool },
    /// The server, or this side on its behalf, does not take it, or not now.
    Refused(Refusal),
    /// It was stopped from here: the person paused or gave it up, or the daemon ends.
    GivenUp,
    /// The file is not there any more.
    Missing(Refusal),
    /// The whole watched folder is not there.
    Away(Refusal),
    /// It is another file than was queued, or became one while it was read.
    Changed(Refusal),
    /// It is no regular file any more: a link, a folder, a pipe.
    Another(Refusal),
    /// It cannot be read.
    Unreadable(Refusal),
}

/// Whose attempt it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    /// Whether it is a file of a watched folder.
    pub(super) watched: bool,
    /// Passing faults since something went well.
    pub(super) faults: u32,
    /// The server's name and version.
    pub(super) server: String,
}

/// What it means.
pub(super) fn verdict(outcome: Outcome, about: &About, now: Timestamp, random: u64) -> End {
    let later = |why: Refusal| {
        let pause = pause(about.faults, random);
        // A clock at the end of time waits for none.
        End::Waiting(why, Some(now.checked_add(pause).unwrap_or(now)))
    };
    match outcome {
        Outcome::Stored { hash, image, duplicate } => End::Receipt { hash, image, duplicate },
        Outcome::GivenUp => End::Queued,
        Outcome::Missing(_) if about.watched => End::Gone,
        Outcome::Changed(_) | Outcome::Another(_) if about.watched => End::Settling,
        Outcome::Missing(why) | Outcome::Another(why) | Outcome::Unreadable(why) => {
            End::Failed(why)
        }
        Outcome::Changed(why) | Outcome::Away(why) => later(why),
        Outcome::Refused(why) => match why.code {
            ErrorCode::NotConnected => End::Waiting(why, None),
            ErrorCode::Busy
            | ErrorCode::StorageFull
            | ErrorCode::ShuttingDown
            | ErrorCode::Superseded
            | ErrorCode::Cancelled
            | ErrorCode::TimedOut => later(why),
            ErrorCode::Internal if about.faults < PATIENCE => later(why),
            ErrorCode::FileError | ErrorCode::WrongSize | ErrorCode::WrongHash => End::Failed(why),
            ErrorCode::Deleted if about.watched => End::Ignored(why, None),
            ErrorCode::NotAnImage if about.watched => End::Ignored(why, Some(about.server.clone())),
            _ => End::Refused(why, about.server.clone()),
        },
    }
}

/// Whether it says that the server has no room or no time, for this upload or any other.
pub(super) fn is_strained(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused(why) => {
            matches!(why.code, ErrorCode::Busy | ErrorCode::StorageFull | ErrorCode::ShuttingDown)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::LONGEST;
    use super::*;

    fn about(watched: bool, faults: u32) -> About {
        About { watched, faults, server: "s 1".to_owned() }
    }

    fn refusal(code: ErrorCode) -> Refusal {
        Refusal::new(code, "no")
    }

    #[test]
    fn only_the_servers_word_is_a_receipt() {
        let now = Timestamp::UNIX_EPOCH;
        let hash = BlobHash([1; 32]);
        for duplicate in [false, true] {
            let image = ImageId(7);
            let stored = Outcome::Stored { hash, image, duplicate };
            let receipt = End::Receipt { hash, image, duplicate };
            assert_eq!(verdict(stored, &about(true, 0), now, 0), receipt);
        }
        let file = [
            Outcome::GivenUp,
            Outcome::Missing(refusal(ErrorCode::FileError)),
            Outcome::Away(refusal(ErrorCode::FileError)),
            Outcome::Changed(refusal(ErrorCode::FileError)),
            Outcome::Another(refusal(ErrorCode::FileError)),
            Outcome::Unreadable(refusal(ErrorCode::FileError)),
        ];
        let server = ErrorCode::ALL.map(|code| Outcome::Refused(refusal(code)));
        for outcome in file.into_iter().chain(server) {
            for watched in [true, false] {
                for faults in [0, 9, 10, u32::MAX] {
                    let end = verdict(outcome.clone(), &about(watched, faults), now, 5);
                    assert!(!matches!(end, End::Receipt { .. }), "{outcome:?}");
                    if let End::Waiting(_, Some(at)) = end {
                        assert!(at > now && at <= now + LONGEST, "{outcome:?}");
                    }
                    // What nobody watches is never forgotten, nor left to a watcher.
                    let left = matches!(end, End::Gone | End::Settling | End::Ignored(..));
                    assert!(watched || !left, "{outcome:?}");
                }
            }
        }
    }

    #[test]
    fn refusals_end_it_and_passing_faults_do_not() {
        let now = Timestamp::UNIX_EPOCH;
        let end = |code, watched, faults| {
            let outcome = Outcome::Refused(refusal(code));
            verdict(outcome, &about(watched, faults), now, 0)
        };
        use ErrorCode::{Busy, Deleted, Denied, Internal, NotAnImage, NotConnected, TooLarge};
        assert!(matches!(end(TooLarge, true, 0), End::Refused(_, by) if by == "s 1"));
        assert!(matches!(end(Denied, false, 0), End::Refused(..)));
        assert!(matches!(end(NotAnImage, true, 0), End::Ignored(_, Some(by)) if by == "s 1"));
        assert!(matches!(end(NotAnImage, false, 0), End::Refused(..)));
        assert!(matches!(end(Deleted, true, 0), End::Ignored(_, None)));
        assert!(matches!(end(NotConnected, true, 0), End::Waiting(_, None)));
        assert!(matches!(end(Busy, true, 99), End::Waiting(_, Some(_))));
        assert!(matches!(end(Internal, true, 9), End::Waiting(_, Some(_))));
        assert!(matches!(end(Internal, true, 10), End::Refused(..)));
    }
}
