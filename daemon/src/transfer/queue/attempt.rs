//! One attempt at one upload: opens its file, reads it for its hash where nobody has, offers it, and
//! writes down what came of it. The runner spawns it; what its end means [`verdict()`] says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::host::{self, Mutant, random};
use crate::session::Peer;
use crate::state::{End, Lane, QueuedContent, Stamp, Turn};
use crate::transfer::{Bound, NotOpened, Source, UploadMeta, machine};

use super::Shared;
use super::verdict::{About, Outcome, is_strained, verdict};

/// How long until a state that could not be written (a full disk) is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// What the runner hears of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// In which lane it was.
    pub(super) lane: Lane,
    /// Whether the server had no room or no time for it.
    pub(super) strained: bool,
    /// Whether it has its turn again as soon as there is a server to send to.
    pub(super) again: bool,
    /// When it is tried again, where that waits for the clock.
    pub(super) retry_at: Option<Timestamp>,
}

/// One attempt, from its turn to what is written down of it.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Peer,
    pub(super) turn: Turn,
    pub(super) lane: Lane,
    /// Stops it.
    pub(super) given_up: CancellationToken,
}

impl Attempt {
    pub(super) async fn run(self) -> Done {
        let about = About {
            watched: self.turn.folder.is_some(),
            faults: self.turn.faults,
            server: self.peer.server(),
        };
        // A transfer that is dropped is given up: what the server holds of it stays there.
        let outcome = tokio::select! {
            biased;
            outcome = self.send() => outcome,
            () = self.given_up.cancelled() => Outcome::GivenUp,
        };
        let strained = is_strained(&outcome);
        let end = verdict(outcome, &about, host::now(), random());
        let is_unheard = matches!(end, End::Waiting(_, None));
        let end = match is_unheard && host::is_mutant(Mutant::ForgetUnheard) {
            true => End::Gone,
            false => end,
        };
        self.write_down(&end).await;
        self.tell(&end).await;
        if !matches!(end, End::Waiting(..) | End::Queued) {
            self.shared.unheard.forget(self.turn.id);
        }
        let again = matches!(end, End::Waiting(_, None) | End::Queued);
        let retry_at = match end {
            End::Waiting(_, at) => at,
            _ => None,
        };
        Done { lane: self.lane, strained, again, retry_at }
    }

    async fn send(&self) -> Outcome {
        let Attempt { shared, peer, turn, .. } = self;
        let size = turn.stamp.size;
        let blank = Progress { phase: Phase::Hashing, done: 0, total: size };
        let progress = watch::Sender::new(blank);
        let _listed = shared.transfers.list_queued(turn.id, turn.name.clone(), &progress);
        let source = match self.open().await {
            Ok(source) => source,
            Err(outcome) => return outcome,
        };
        let is_same = source.stamp() == turn.stamp;
        if !is_same {
            if turn.folder.is_some() {
                return Outcome::Changed(changed(&source));
            }
            // Who queues a file by hand means the file: it is taken as it is now.
            if let Err(refusal) = shared.state.restamp(turn.id, source.stamp()).await {
                return Outcome::Refused(refusal);
            }
        }
        let largest = peer.limits().max_image_size;
        let checked = match source.size() > largest {
            true => Err(machine::too_large(source.size(), largest)),
            false => source.check_not_empty(),
        };
        if let Err(refusal) = checked {
            return Outcome::Refused(refusal);
        }
        let hash = match turn.hash.filter(|_| is_same) {
            Some(hash) => hash,
            None => match source.hash(&progress).await {
                Ok(hash) => hash,
                Err(refusal) => return self.unreadable(refusal, source.stamp()).await,
            },
        };
        let meta = UploadMeta { name: turn.name.clone(), unless_deleted: turn.unless_deleted };
        let stamp = source.stamp();
        let maybe_stored = shared.unheard.of(turn.id, hash);
        let bound = Bound { source, meta, hash, peer: peer.clone(), maybe_stored };
        let (noted, stored) = tokio::join!(
            shared.state.hashed(turn.id, hash, host::now()),
            shared.transfers.upload_bound(bound, progress),
        );
        if let Err(refusal) = noted {
            tracing::debug!(%refusal, "a hash was not written down");
        }
        match stored {
            Ok(reply) => {
                Outcome::Stored { hash, image: reply.image.id, duplicate: reply.duplicate }
            }
            Err(refusal) if refusal.code == ErrorCode::FileError => {
                self.unreadable(refusal, stamp).await
            }
            // A server that speaks of a session that there is would be asked again without end.
            Err(refusal) if refusal.code == ErrorCode::NotConnected && !peer.is_over() => {
                Outcome::Refused(Refusal { code: ErrorCode::Internal, ..refusal })
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    async fn open(&self) -> Result<Source, Outcome> {
        let (turn, spool) = (&self.turn, &self.shared.spool);
        let (path, folder) = match &turn.content {
            QueuedContent::File(path) => (path.clone(), turn.folder.clone()),
            QueuedContent::Spooled(number) => (spool.path(*number), None),
        };
        let open = move || match folder {
            Some(folder) => Source::open_beneath(&folder.path, folder.root, &path),
            None => Source::open_itself(&path),
        };
        let failed = |error: tokio::task::JoinError| {
            Err(NotOpened::Unreadable(Refusal::new(ErrorCode::Internal, error.to_string())))
        };
        let opened = host::blocking(open).await.unwrap_or_else(failed);
        opened.map_err(|not| match not {
            NotOpened::Missing(why) => Outcome::Missing(why),
            NotOpened::Away(why) => Outcome::Away(why),
            NotOpened::Another(why) => Outcome::Another(why),
            NotOpened::Unreadable(why) => Outcome::Unreadable(why),
        })
    }

    /// A file that looked so could not be read to its end: what has become of it.
    async fn unreadable(&self, why: Refusal, stamp: Stamp) -> Outcome {
        match self.open().await {
            Ok(source) if source.stamp() == stamp => Outcome::Unreadable(why),
            Ok(_) => Outcome::Changed(why),
            Err(outcome) => outcome,
        }
    }

    /// Writes down what came of it, however long that takes: until then its place is taken, and
    /// after the process's end it has its turn again.
    async fn write_down(&self, end: &End) {
        let mut is_told = false;
        loop {
            let written = self.shared.state.ended(self.turn.id, end.clone(), host::now());
            match written.await {
                Ok(()) => return,
                Err(refusal) if refusal.code == ErrorCode::ShuttingDown => return,
                Err(refusal) if !is_told => {
                    tracing::error!(upload = %self.turn.id, "{refusal}; it is tried again");
                    is_told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(WRITE_AGAIN).await;
        }
    }

    async fn tell(&self, end: &End) {
        let Attempt { shared, turn, .. } = self;
        match (end, &turn.content, &turn.folder) {
            (End::Receipt { .. }, _, Some(_)) => {
                shared.receipts.send_modify(|number| *number += 1);
            }
            (End::Receipt { .. }, QueuedContent::Spooled(number), _) => {
                let (spool, number) = (shared.spool.clone(), *number);
                // Where it fails the next start removes it.
                let _ = host::blocking(move || spool.remove(number)).await;
            }
            (End::Settling, QueuedContent::File(path), Some(folder)) => {
                let file: (_, PathBuf) = (folder.id, path.clone());
                // A watcher that is behind finds it in the state.
                let _ = shared.unsettle.try_send(file);
            }
            _ => {}
        }
    }
}

fn changed(source: &Source) -> Refusal {
    let message = format!("cannot upload {}: it changed after it was queued", source.name());
    Refusal::new(ErrorCode::FileError, message)
}
