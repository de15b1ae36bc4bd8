//! A download, decided: what follows from what the server says. Pure: the shell
//! ([`super::download::download`]) carries it out.
//!
//! Bytes reach the sink in order and once; after a cut they go on where they stopped, of the same
//! content or not at all; it is whole only when its hash is the one that the server announced. Where
//! the sink had the beginning already, only whoever has that can tell: it is not said here.

use std::time::Duration;

use imgrepo_proto::control::reply::Info;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};

use crate::session::Backoff;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Ask for the content from this offset on, of whatever server there is by then.
    Ask(u64),
    /// Wait, then ask.
    Rest(Duration),
    /// Listen.
    Listen,
    /// The end.
    End(Result<(), Refusal>),
}

/// One download.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// The hash in the image's record.
    known: Option<BlobHash>,
    /// What is fetched, once known; after that it may not become something else.
    pinned: Option<Info>,
    /// Bytes that the sink has.
    taken: u64,
    /// What it had before all this: nothing of it passes here.
    begun: u64,
    /// Where what was asked for ends, unless it is all.
    asked_to: Option<u64>,
    hasher: blake3::Hasher,
    backoff: Backoff,
    action: Action,
}

impl Machine {
    /// Of a content whose hash the image's record told, or did not, from this offset on.
    pub(super) fn new(known: Option<BlobHash>, offset: u64) -> Self {
        Machine {
            known,
            pinned: None,
            taken: offset,
            begun: offset,
            asked_to: None,
            hasher: blake3::Hasher::new(),
            backoff: Backoff::default(),
            action: Action::Ask(offset),
        }
    }

    pub(super) fn action(&self) -> Action {
        self.action.clone()
    }

    /// It was asked: for so many bytes, or for all.
    pub(super) fn asked(&mut self, length: Option<u64>) {
        self.asked_to = length.map(|length| self.taken.saturating_add(length));
        self.action = Action::Listen;
    }

    /// The pause is over.
    pub(super) fn rested(&mut self) {
        self.action = Action::Ask(self.taken);
    }

    /// What will come. True where the sink is to be told: once.
    pub(super) fn size(&mut self, info: &Info) -> bool {
        match &self.pinned {
            None if info.hash.is_none() && self.begun > 0 => {
                self.fail(
                    ErrorCode::Conflict,
                    "an old server cannot say whether the image is the one that was begun",
                );
                false
            }
            None => {
                self.pinned = Some(info.clone());
                true
            }
            Some(pinned) => {
                if pinned.hash != info.hash || pinned.size != info.size {
                    self.fail(
                        ErrorCode::Conflict,
                        "the image's content changed during a cut of the session",
                    );
                } else if pinned.hash.is_none() && self.taken > 0 {
                    self.fail(ErrorCode::Conflict, "the session was cut, and an old server cannot say whether the image is still the same");
                }
                false
            }
        }
    }

    /// Bytes came: whether the sink is to have them.
    pub(super) fn data(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let total = self.pinned.as_ref().map_or(0, |info| info.size);
        let fits = offset == self.taken && bytes.len() as u64 <= total.saturating_sub(offset);
        if !fits {
            self.fail(
                ErrorCode::Internal,
                "the server broke the protocol: bytes came that were not due",
            );
            return false;
        }
        self.hasher.update(bytes);
        self.taken += bytes.len() as u64;
        self.backoff.reset();
        true
    }

    /// Bytes that the sink has.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The server says that this was all that was asked for.
    pub(super) fn done(&mut self, hash: Option<BlobHash>) {
        let Some(pinned) = &self.pinned else {
            self.fail(
                ErrorCode::Internal,
                "the server broke the protocol: a content came without its size",
            );
            return;
        };
        if self.taken < pinned.size && self.asked_to == Some(self.taken) {
            self.action = Action::Ask(self.taken);
            return;
        }
        if self.taken != pinned.size {
            let message = format!("{} bytes came, {} were announced", self.taken, pinned.size);
            self.fail(ErrorCode::WrongSize, &message);
            return;
        }
        // Without the beginning there is no hash of the whole: all that was said must still agree.
        let ours = match self.begun {
            0 => Some(BlobHash(*self.hasher.finalize().as_bytes())),
            _ => pinned.hash,
        };
        let differs = |theirs: Option<BlobHash>| theirs.is_some_and(|theirs| Some(theirs) != ours);
        match differs(self.known) || differs(pinned.hash) || differs(hash) {
            true => self.fail(
                ErrorCode::WrongHash,
                "the bytes that came are not the ones that were announced: their hash is another",
            ),
            false => self.action = Action::End(Ok(())),
        }
    }

    /// The server refused it.
    pub(super) fn refused(&mut self, refusal: Refusal, random: u64) {
        self.action = match refusal.code {
            ErrorCode::Busy | ErrorCode::ShuttingDown => {
                Action::Rest(self.backoff.after_failure(random))
            }
            _ => Action::End(Err(refusal)),
        };
    }

    /// The session was cut.
    pub(super) fn cut(&mut self) {
        self.action = Action::Ask(self.taken);
    }

    fn fail(&mut self, code: ErrorCode, message: &str) {
        self.action = Action::End(Err(Refusal::new(code, message)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(content: &[u8]) -> Info {
        let hash = Some(BlobHash(*blake3::hash(content).as_bytes()));
        Info { size: content.len() as u64, name: "a".to_owned(), hash, media_type: None }
    }

    fn code(machine: &Machine) -> Option<ErrorCode> {
        match machine.action() {
            Action::End(Err(refusal)) => Some(refusal.code),
            _ => None,
        }
    }

    #[test]
    fn a_content_goes_on_after_a_cut_and_is_checked_as_a_whole() {
        let content = b"0123456789";
        let mut machine = Machine::new(None, 0);
        machine.asked(None);
        assert!(machine.size(&info(content)));
        assert!(machine.data(0, &content[..4]));
        machine.cut();
        assert_eq!(machine.action(), Action::Ask(4));
        machine.asked(None);
        assert!(!machine.size(&info(content)), "told once");
        assert!(machine.data(4, &content[4..]));
        let mut other = machine.clone();
        other.done(Some(BlobHash([0; 32])));
        assert_eq!(code(&other), Some(ErrorCode::WrongHash));
        machine.done(info(content).hash);
        assert_eq!(machine.action(), Action::End(Ok(())));
    }

    #[test]
    fn what_comes_is_what_the_record_promised() {
        let content = b"0123456789";
        let outcome = |known| {
            let mut machine = Machine::new(known, 0);
            machine.asked(None);
            machine.size(&info(content));
            machine.data(0, content);
            machine.done(info(content).hash);
            code(&machine)
        };
        assert_eq!(outcome(info(content).hash), None);
        assert_eq!(outcome(info(b"another").hash), Some(ErrorCode::WrongHash));
    }

    #[test]
    fn what_was_begun_earlier_goes_on_from_there() {
        let content = b"0123456789";
        let begun = |known| {
            let mut machine = Machine::new(known, 4);
            assert_eq!(machine.action(), Action::Ask(4));
            machine.asked(None);
            machine
        };
        let mut machine = begun(info(content).hash);
        assert!(machine.size(&info(content)));
        assert!(machine.data(4, &content[4..8]));
        machine.cut();
        assert_eq!(machine.action(), Action::Ask(8));
        machine.asked(None);
        assert!(!machine.size(&info(content)));
        assert!(machine.data(8, &content[8..]));
        machine.done(info(content).hash);
        assert_eq!(machine.action(), Action::End(Ok(())));

        let mut other = begun(info(b"another").hash);
        other.size(&info(content));
        other.data(4, &content[4..]);
        other.done(info(content).hash);
        assert_eq!(code(&other), Some(ErrorCode::WrongHash));
        let mut again = begun(None);
        again.size(&info(content));
        assert!(!again.data(0, content), "bytes that are there already were not asked for");
        let mut old = begun(None);
        assert!(!old.size(&Info { hash: None, ..info(content) }));
        assert_eq!(code(&old), Some(ErrorCode::Conflict));
        let mut whole = Machine::new(None, 10);
        whole.size(&info(content));
        whole.done(info(content).hash);
        assert_eq!(whole.action(), Action::End(Ok(())));
    }

    #[test]
    fn portions_make_a_whole() {
        let content = b"0123456789";
        let mut machine = Machine::new(info(content).hash, 0);
        for (from, to) in [(0, 4), (4, 8), (8, 10)] {
            assert_eq!(machine.action(), Action::Ask(from as u64));
            machine.asked(Some(4));
            assert_eq!(machine.size(&info(content)), from == 0);
            assert!(machine.data(from as u64, &content[from..to]));
            let mut short = machine.clone();
            short.asked(Some(1));
            short.done(info(content).hash);
            assert_eq!(code(&short).is_some(), to < 10, "less came than was asked for");
            machine.done(info(content).hash);
        }
        assert_eq!(machine.action(), Action::End(Ok(())));
    }

    #[test]
    fn what_is_not_due_ends_it() {
        let content = b"0123456789";
        let begun = || {
            let mut machine = Machine::new(None, 0);
            machine.size(&info(content));
            machine.data(0, b"0123");
            machine
        };
        let mut gap = begun();
        assert!(!gap.data(5, b"5"));
        assert_eq!(code(&gap), Some(ErrorCode::Internal));
        let mut long = begun();
        assert!(!long.data(4, b"4567890"));
        let mut short = begun();
        short.done(None);
        assert_eq!(code(&short), Some(ErrorCode::WrongSize));
        let mut wrong = begun();
        assert!(wrong.data(4, b"abcdef"));
        wrong.done(None);
        assert_eq!(code(&wrong), Some(ErrorCode::WrongHash));
        let mut changed = begun();
        changed.cut();
        changed.size(&info(b"9876543210"));
        assert_eq!(code(&changed), Some(ErrorCode::Conflict));
        let mut busy = begun();
        busy.refused(Refusal::new(ErrorCode::Busy, "busy"), 0);
        assert!(matches!(busy.action(), Action::Rest(_)));
        busy.rested();
        assert_eq!(busy.action(), Action::Ask(4));
    }
}
