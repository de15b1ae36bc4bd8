//! Someone who follows what happens: each event once, in order, through cuts of the session.
//!
//! It stands on its own place in the history. What the latest events do not hold it reads from the
//! server, page by page, so nobody else ever waits for a slow follower.

use std::collections::VecDeque;

use imgrepo_proto::limits::MAX_PAGE;
use imgrepo_proto::session::event::Event;
use imgrepo_proto::{ErrorCode, Refusal, Seq};

use super::Session;
use super::feed::{Cursor, Look};

/// See [`Session::follow`].
#[derive(Debug)]
pub struct Follower {
    session: Session,
    cursor: Cursor,
    /// Events of the last page that were not given yet.
    page: VecDeque<Event>,
}

impl Follower {
    pub(super) fn new(session: Session, since: Option<Seq>) -> Self {
        let mut cursor = session.feed().end();
        if let Some(since) = since {
            // Of an old server: all that is still here.
            cursor.seq = Some(since);
            cursor.notices = 0;
        }
        Follower { session, cursor, page: VecDeque::new() }
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// `not_connected` where the person went offline, the server's refusal where it refused;
    /// `conflict` once the session leads to another repository, and `ahead` where the repository
    /// does not have the event that was to be followed from. Of an old server, whose notices cannot
    /// be read again, `internal` once for those that were missed; the next call goes on.
    pub async fn next(&mut self) -> Result<Event, Refusal> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.cursor.seq = event.seq.max(self.cursor.seq);
                return Ok(event);
            }
            let mut moved = self.session.feed().moved();
            let mut connection = self.session.0.connection.seen();
            match self.session.feed().look(&mut self.cursor) {
                Look::Event(event) => return Ok(*event),
                Look::Fetch(since) => self.fetch(since).await?,
                Look::Nothing => {
                    let standing = self.session.standing(&connection.look());
                    standing?;
                    // Both only wake: what there is, is looked for again.
                    tokio::select! {
                        biased;
                        _ = moved.changed() => {}
                        () = connection.changed() => {}
                    }
                }
                Look::Gap(missed) => {
                    let message =
                        format!("{missed} notices of the old server came too fast and are lost");
                    return Err(Refusal::new(ErrorCode::Internal, message));
                }
                Look::Elsewhere => {
                    let message = "the session leads to another repository now";
                    return Err(Refusal::new(ErrorCode::Conflict, message));
                }
                Look::Ahead(newest) => {
                    let since = self.cursor.seq.unwrap_or_default();
                    let message =
                        format!("there is no event {since}: the repository's newest is {newest}");
                    return Err(Refusal::new(ErrorCode::Ahead, message)
                        .hint("was the server restored from a backup? read the events from 0"));
                }
            }
        }
    }

    async fn fetch(&mut self, since: Seq) -> Result<(), Refusal> {
        let peer = self.session.peer_unbounded().await?;
        match peer.events(since, MAX_PAGE).await {
            // Answered after the session had gone elsewhere: the next look says so.
            Ok(_) if !self.session.feed().has(&self.cursor) => Ok(()),
            Ok(reply) => {
                self.page.extend(reply.events.into_iter().filter(|event| event.seq > Some(since)));
                if self.page.is_empty() {
                    let message = format!("the server does not give its events after {since}");
                    return Err(Refusal::new(ErrorCode::Internal, message));
                }
                if let Some(last) = self.page.back().and_then(|event| event.seq) {
                    self.session.feed().heard_of(last);
                }
                Ok(())
            }
            // Cut again while it was asked: the next look waits for the session.
            Err(refusal) if refusal.code == ErrorCode::NotConnected => {
                self.session.peer_unbounded().await.map(drop)
            }
            Err(refusal) => Err(refusal),
        }
    }
}
