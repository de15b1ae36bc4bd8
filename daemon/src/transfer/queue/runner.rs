//! The task that gives uploads their turn: learns whose queue it is, fills the lanes, and stops what
//! was given up. It outlives cuts, servers and full disks, and ends by its token alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::host::{self, random};
use crate::session::Peer;
use crate::state::{End, Lane, MembershipId, Turn};

use super::Shared;
use super::attempt::{Attempt, Done};
use super::schedule::{LONGEST, Schedule};

/// How long until a state that could not be asked (a full disk) is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long the end waits for attempts to write down that they were stopped. Those that do not have
/// their turn again as well.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Runner {
    shared: Arc<Shared>,
    end: CancellationToken,
    attempts: JoinSet<Done>,
    running: HashMap<Id, Running>,
    schedule: Schedule,
    current: Option<Current>,
    /// How often there was another server, or this one may have taken something else.
    met: u64,
    /// Whether more may be waiting in a lane: small, large.
    waiting: [bool; 2],
    /// When to look again though nothing happens.
    look_at: Option<Instant>,
}

struct Running {
    id: UploadId,
    lane: Lane,
    given_up: CancellationToken,
    /// [`Runner::met`] when it began.
    met: u64,
}

/// The server to send to, and whose queue goes there.
struct Current {
    peer: Peer,
    membership: MembershipId,
}

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, end: CancellationToken) -> Runner {
        Runner {
            shared,
            end,
            attempts: JoinSet::new(),
            running: HashMap::new(),
            schedule: Schedule::new(1),
            current: None,
            met: 0,
            waiting: [true; 2],
            look_at: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut servers = self.shared.transfers.session.servers();
        let mut told = self.shared.told.subscribe();
        let end = self.end.clone();
        let shared = self.shared.clone();
        let mut peer = servers.now();
        let mut is_known = self.meet(peer.clone()).await;
        loop {
            if !is_known {
                is_known = self.meet(peer.clone()).await;
            }
            self.fill().await;
            let look_at = self.look_at.map_or_else(
                || Instant::now() + LONGEST,
                |at| at.max(Instant::now() + Duration::from_millis(1)),
            );
            // Dropping any branch is safe: `join_next` loses nothing, the others only wake and say so
            // again or keep their word for the next time.
            tokio::select! {
                biased;
                // What is rare goes first: left behind, it would wait as long as uploads end.
                () = end.cancelled() => break,
                () = servers.changed() => {
                    peer = servers.now();
                    is_known = self.meet(peer.clone()).await;
                }
                _ = told.changed() => {
                    self.waiting = [true; 2];
                    if told.borrow_and_update().paused {
                        self.running.values().for_each(|running| running.given_up.cancel());
                    }
                }
                () = shared.wake.notified() => {
                    self.waiting = [true; 2];
                    self.stop_given_up().await;
                }
                Some(done) = self.attempts.join_next_with_id() => self.finished(done).await,
                () = tokio::time::sleep_until(look_at) => {
                    self.waiting = [true; 2];
                    self.look_at = None;
                }
            }
        }
        self.running.values().for_each(|running| running.given_up.cancel());
        let written = async { while self.attempts.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYE, written).await;
        self.attempts.shutdown().await;
    }

    /// There is this server now, or none: whose queue is that? False where it has to be asked again.
    async fn meet(&mut self, peer: Option<Peer>) -> bool {
        self.current = None;
        self.waiting = [true; 2];
        let membership = match self.shared.whose(peer.as_ref()).await {
            Ok(membership) => membership,
            Err(refusal) => {
                // The state has said so in the log, once.
                tracing::debug!("{refusal}; nothing is sent until it can be");
                self.look_again_in(ASK_AGAIN);
                return refusal.code == ErrorCode::ShuttingDown;
            }
        };
        self.shared.membership.send_if_modified(|known| {
            let is_new = *known != membership;
            *known = membership;
            is_new
        });
        if let Some((peer, membership)) = peer.zip(membership) {
            self.schedule.serve(peer.limits().max_requests);
            self.current = Some(Current { peer, membership });
            self.met += 1;
            self.retry_refused().await;
        }
        true
    }

    /// Has tried again what this server did not refuse, or would not refuse now.
    async fn retry_refused(&mut self) {
        let Some(Current { peer, membership }) = &self.current else { return };
        let (server, may_upload) = (peer.server(), peer.may_upload());
        match self.shared.state.retry_refused(*membership, server, may_upload).await {
            Ok(0) => {}
            Ok(again) => {
                tracing::info!("{again} refused uploads are tried again: another server or role");
                self.waiting = [true; 2];
            }
            Err(refusal) => tracing::debug!("{refusal}; what was refused stays so"),
        }
    }

    /// Begins what may be begun.
    async fn fill(&mut self) {
        if self.shared.told.borrow().paused {
            return;
        }
        for lane in [Lane::Small, Lane::Large] {
            let Some(current) = &self.current else { return };
            let room = self.schedule.room(lane, Instant::now());
            let at = lane as usize;
            if current.peer.is_over() || room == 0 || !self.waiting[at] {
                continue;
            }
            let membership = current.membership;
            let now = host::now();
            match self.shared.state.take(membership, lane, room, now).await {
                Ok(taken) => {
                    self.waiting[at] = taken.turns.len() as u64 >= u64::from(room);
                    if let Some(retry_at) = taken.retry_at {
                        self.look_again_at(retry_at, now);
                    }
                    for turn in taken.turns {
                        self.begin(lane, turn);
                    }
                }
                Err(refusal) => {
                    tracing::debug!("{refusal}; nothing is sent until it can be");
                    self.look_again_in(ASK_AGAIN);
                    return;
                }
            }
        }
        if let Some(until) = self.schedule.rest_until().filter(|until| *until > Instant::now()) {
            self.look_at = Some(self.look_at.map_or(until, |at| at.min(until)));
        }
    }

    fn begin(&mut self, lane: Lane, turn: Turn) {
        let Some(current) = &self.current else { return };
        let given_up = CancellationToken::new();
        let id = turn.id;
        let attempt = Attempt {
            shared: self.shared.clone(),
            peer: current.peer.clone(),
            turn,
            lane,
            given_up: given_up.clone(),
        };
        self.schedule.began(lane);
        // Joined by `run`, at the latest at its end.
        let task = self.attempts.spawn(attempt.run()).id();
        self.running.insert(task, Running { id, lane, given_up, met: self.met });
    }

    async fn finished(&mut self, done: Result<(Id, Done), JoinError>) {
        let now = Instant::now();
        match done {
            Ok((task, done)) => {
                let running = self.running.remove(&task);
                self.schedule.ended(done.lane, done.strained, now, random());
                if done.again {
                    self.waiting = [true; 2];
                }
                if let Some(retry_at) = done.retry_at {
                    self.look_again_at(retry_at, host::now());
                }
                // What it was refused may have been written down after that was looked for.
                if running.is_some_and(|running| running.met != self.met) {
                    self.retry_refused().await;
                }
            }
            Err(error) => {
                let Some(running) = self.running.remove(&error.id()) else { return };
                tracing::error!(%error, upload = %running.id, "an upload failed");
                self.schedule.ended(running.lane, false, now, random());
                let why = format!("a task of the upload failed: {error}");
                let end = End::Failed(Refusal::new(ErrorCode::Internal, why));
                // Where even this fails it has its turn again after a restart.
                let _ = self.shared.state.ended(running.id, end, host::now()).await;
            }
        }
    }

    /// Stops the attempts whose rows are `sending` no more: given up, forgotten, or begun anew.
    async fn stop_given_up(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let ids = self.running.values().map(|running| running.id).collect();
        // Where it cannot be asked the rows decide when they end.
        let Ok(still) = self.shared.state.still_sending(ids).await else { return };
        for running in self.running.values() {
            if !still.contains(&running.id) {
                running.given_up.cancel();
            }
        }
    }

    fn look_again_in(&mut self, pause: Duration) {
        let at = Instant::now() + pause;
        self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
    }

    /// By the wall's clock, which may be set: never later than anything waits.
    fn look_again_at(&mut self, at: Timestamp, now: Timestamp) {
        let pause = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        self.look_again_in(pause.min(LONGEST));
    }
}
