//! An upload, carried out: reads the file, talks to the session, and asks [`Machine`] what to do.
//!
//! To a server of v2 the content goes in pieces and from where it stopped; an old server takes it
//! whole, in one message, and cannot say what it has: there a list is looked at before it is sent
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::limits::{V1_MAX_IMAGE_BYTES, V1_MESSAGE_BYTES};
use imgrepo_proto::session::command;
use imgrepo_proto::session::data::HEADER_BYTES;
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::session::v1::Entry;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};
use tokio::sync::watch;

use crate::host::random;
use crate::session::{CallError, Dialect, Peer, UploadCall, UploadStep, classic};

use super::machine::{Action, Input, Machine, too_large};
use super::reader::Reader;
use super::source::Source;
use super::{Transfers, cut};

/// The least bytes of a piece, however low the rate: below, heads and acknowledgements weigh more.
const LEAST_PIECE_BYTES: usize = 1024;

/// What an upload is called and how it treats what was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMeta {
    /// The image's name; the server checks it.
    pub name: String,
    /// Refuse (`deleted`) what this person has deleted, instead of bringing it back.
    pub unless_deleted: bool,
}

/// One upload under way.
pub(super) struct Sending<'a> {
    transfers: &'a Transfers,
    source: Source,
    meta: UploadMeta,
    hash: BlobHash,
    progress: watch::Sender<Progress>,
    /// The only session that it is for, and whether it may be stored, unheard.
    bound: Option<(Peer, Arc<AtomicBool>)>,
    /// At an old server: how many images of our name it had before the first attempt.
    old: Option<usize>,
    /// How often a session to an old server ended while it was sent.
    old_cuts: u32,
}

impl<'a> Sending<'a> {
    /// Of a content with this hash; bound to a session, or to whatever there is.
    pub(super) fn new(
        transfers: &'a Transfers,
        source: Source,
        meta: UploadMeta,
        hash: BlobHash,
        progress: watch::Sender<Progress>,
        bound: Option<(Peer, Arc<AtomicBool>)>,
    ) -> Self {
        Sending { transfers, source, meta, hash, progress, bound, old: None, old_cuts: 0 }
    }

    /// Sends it.
    pub(super) async fn run(self) -> Result<UploadReply, Refusal> {
        // Until then nothing is offered.
        self.tell(Phase::Waiting, 0);
        let _turn = self.transfers.session.turn(self.hash).await;
        self.offer().await
    }

    /// The server to offer it to.
    async fn server(&self) -> Result<Peer, Refusal> {
        let session = &self.transfers.session;
        let bound = self.bound.as_ref().map(|(peer, _)| peer);
        match bound {
            None => session.peer_unbounded().await,
            Some(bound) if !bound.is_over() => Ok(bound.clone()),
            Some(bound) if bound.dialect() == Dialect::V2 => Err(cut()),
            Some(bound) => {
                let there = session.peer_unbounded().await?;
                let is_same = there.membership() == bound.membership();
                if is_same { Ok(there) } else { Err(cut()) }
            }
        }
    }

    async fn offer(mut self) -> Result<UploadReply, Refusal> {
        let mut machine = match &self.bound {
            None => Machine::new(self.source.size()),
            Some((_, maybe_stored)) => {
                Machine::once(self.source.size(), maybe_stored.load(Ordering::Relaxed))
            }
        };
        let mut peer: Option<Peer> = None;
        loop {
            let input = match machine.action() {
                Action::End(outcome) => return *outcome,
                Action::Connect => {
                    self.tell(Phase::Waiting, machine.acked());
                    match self.server().await {
                        Err(refusal) => Input::NoServer(refusal),
                        Ok(there) => {
                            let limits = there.limits();
                            peer = Some(there);
                            Input::Connected {
                                max_image_bytes: limits.max_image_size,
                                window: limits.window,
                            }
                        }
                    }
                }
                Action::Offer => {
                    if peer.is_some() {
                        // From here on nothing waits for a session, only for the server's answer.
                        self.tell(Phase::Sending, machine.acked());
                    }
                    match &peer {
                        None => machine.handle(Input::Cut, random()),
                        Some(there) if there.dialect() == Dialect::V1 => {
                            let there = there.clone();
                            match self.give_to_old_server(&there).await {
                                Ok(reply) => {
                                    self.tell(Phase::Sending, self.source.size());
                                    return Ok(reply);
                                }
                                Err(CallError::Refused(refusal)) => return Err(refusal),
                                Err(CallError::Cut) => {
                                    self.cut_by_old_server()?;
                                    machine.handle(Input::Offered, random());
                                    machine.handle(Input::Cut, random());
                                }
                            }
                        }
                        Some(there) => self.attempt(there, &mut machine).await?,
                    }
                    continue;
                }
                Action::Check => Input::Checked(self.check().await),
                Action::Rest(pause) => {
                    self.tell(Phase::Waiting, machine.acked());
                    tokio::time::sleep(pause).await;
                    Input::Rested
                }
                // Only within an attempt.
                Action::Send(_) | Action::Listen => Input::Cut,
            };
            machine.handle(input, random());
        }
    }

    /// One attempt on one session: from the offer until the machine wants something else.
    ///
    /// # Errors
    /// The file cannot be read: the upload is given up, and nothing is stored.
    async fn attempt(&self, peer: &Peer, machine: &mut Machine) -> Result<(), Refusal> {
        let offer = command::Upload {
            name: self.meta.name.clone(),
            size: self.source.size(),
            hash: Some(self.hash),
            taken_at: None,
            unless_deleted: self.meta.unless_deleted,
        };
        let call = peer.upload(offer).await;
        machine.handle(Input::Offered, random());
        let mut reader = Reader::new(self.source.clone(), self.piece_bytes(&call));
        loop {
            if let Some((_, maybe_stored)) = &self.bound {
                // Now, as this upload may be dropped at any time.
                maybe_stored.store(machine.may_be_stored(), Ordering::Relaxed);
            }
            let step = match machine.action() {
                Action::Send(next) => match self.send(&call, &mut reader, next).await? {
                    Moved::Sent(end) => {
                        machine.handle(Input::Sent(end), random());
                        continue;
                    }
                    Moved::Said(step) => *step,
                },
                Action::Listen => call.next().await,
                _ => return Ok(()),
            };
            let input = match step {
                UploadStep::Ready(offset) => Input::Ready(offset),
                UploadStep::Acked(offset) => Input::Acked(offset),
                UploadStep::Done(reply) => Input::Done(reply),
                UploadStep::Refused(refusal) => Input::Refused(refusal),
                UploadStep::Cut => Input::Cut,
            };
            machine.handle(input, random());
            self.tell(Phase::Sending, machine.acked());
        }
    }

    /// Sends one piece, unless the server says something first.
    async fn send(
        &self,
        call: &UploadCall,
        reader: &mut Reader,
        next: u64,
    ) -> Result<Moved, Refusal> {
        // The rate may be another by now.
        reader.piece_bytes = self.piece_bytes(call);
        // The piece is read before room is taken for it: room that is taken has to be used.
        let len = tokio::select! {
            biased;
            // What the server said is taken only when it is given.
            step = call.next() => return Ok(Moved::Said(Box::new(step))),
            // A reading that is dropped goes on in the reader.
            len = reader.ready(next) => len?,
        };
        tokio::select! {
            biased;
            step = call.next() => return Ok(Moved::Said(Box::new(step))),
            // What has not passed is not counted.
            () = self.transfers.gates.up.pass(len as u64) => {}
        }
        tokio::select! {
            biased;
            step = call.next() => return Ok(Moved::Said(Box::new(step))),
            // Room that was not got is not taken.
            () = call.room(len) => {}
        }
        if let Some(piece) = reader.take() {
            call.send(next, piece).await;
        }
        Ok(Moved::Sent(next + len as u64))
    }

    /// Bytes of a piece: of a limited rate an eighth of a second's, so that it flows.
    fn piece_bytes(&self, call: &UploadCall) -> usize {
        let rate = self.transfers.gates.up.rate().unwrap_or(u64::MAX);
        let piece = usize::try_from(rate / 8).unwrap_or(usize::MAX).max(LEAST_PIECE_BYTES);
        call.piece_bytes().min(piece)
    }

    /// Whether the file still has the hash that was announced.
    async fn check(&self) -> Result<(), Refusal> {
        let again = self.source.hash(&self.progress).await?;
        match again == self.hash {
            true => Ok(()),
            false => Err(Refusal::new(
                ErrorCode::FileError,
                format!("cannot read {}: it changed while it was read", self.source.name()),
            )),
        }
    }

    /// The whole content in one message.
    async fn give_to_old_server(&mut self, peer: &Peer) -> Result<UploadReply, CallError> {
        let size = self.source.size();
        if size > V1_MAX_IMAGE_BYTES {
            return Err(CallError::Refused(too_large(size, V1_MAX_IMAGE_BYTES)));
        }
        let user = peer.old_user().unwrap_or_default().to_owned();
        // Before its turn: at a low rate others would wait as long for a mere list.
        self.transfers.gates.up.pass(size).await;
        // One content at a time is in memory: it is read when it is this upload's turn.
        let turn = peer.turn().await.unwrap_or(Err(CallError::Cut))?;
        let (turn, before) = turn.list().await?;
        let ours = self.ours(&before, &user);
        match self.old {
            // It was sent before a cut, and there is one more of it than before.
            Some(known) if ours.len() > known => return Ok(stored(&before, &ours)),
            _ => self.old = Some(ours.len()),
        }
        self.tell(Phase::Sending, 0);
        let whole = usize::try_from(size).unwrap_or(usize::MAX);
        let mut pieces = self.source.pieces(0, whole, whole).await.map_err(CallError::Refused)?;
        let Some(mut content) = pieces.pop() else { return Err(CallError::Cut) };
        let content = content.split_off(HEADER_BYTES).freeze();
        turn.upload(&self.meta.name, content).await?;
        // The server's word is enough; its list only tells the number, and may do so later.
        let after = match peer.turn().await.unwrap_or(Err(CallError::Cut)) {
            Ok(turn) => turn.list().await.map(|(_turn, after)| after).unwrap_or(before),
            Err(_) => before,
        };
        let ours = self.ours(&after, &user);
        Ok(stored_or(&after, &ours, &self.meta.name, &user))
    }

    /// A cut by an old server. One that finds a message too large says so and hangs up, and the
    /// words can be lost in that: after some such cuts it is taken as said.
    fn cut_by_old_server(&mut self) -> Result<(), Refusal> {
        const PATIENCE: u32 = 3;
        self.old_cuts += u32::from(self.old.is_some());
        if self.old_cuts < PATIENCE || self.source.size() <= V1_MESSAGE_BYTES as u64 {
            return Ok(());
        }
        let message = format!(
            "cannot upload {}: the old server hung up {} times at its {} bytes",
            self.source.name(),
            self.old_cuts,
            self.source.size()
        );
        Err(Refusal::new(ErrorCode::TooLarge, message)
            .hint("old servers take at most 1 MiB unless they are told otherwise"))
    }

    /// The places of our images of this name.
    fn ours(&self, entries: &[Entry], user: &str) -> Vec<usize> {
        let same = |entry: &Entry| entry.filename == self.meta.name && entry.uploader == user;
        entries.iter().enumerate().filter(|(_, entry)| same(entry)).map(|(at, _)| at).collect()
    }

    fn tell(&self, phase: Phase, done: u64) {
        self.progress.send_replace(Progress { phase, done, total: self.source.size() });
    }
}

/// The newest of our images in an old server's list.
fn stored(entries: &[Entry], ours: &[usize]) -> UploadReply {
    let name = |at: &usize| entries.get(*at).map(|entry| (*at, entry.clone()));
    match ours.last().and_then(name) {
        Some((at, entry)) => UploadReply { image: classic::record(at, &entry), duplicate: false },
        None => stored_or(entries, &[], "", ""),
    }
}

/// As [`stored`]; where it is not in the list, at its end.
fn stored_or(entries: &[Entry], ours: &[usize], name: &str, user: &str) -> UploadReply {
    if !ours.is_empty() {
        return stored(entries, ours);
    }
    let entry = Entry { filename: name.to_owned(), uploader: user.to_owned() };
    UploadReply { image: classic::record(entries.len(), &entry), duplicate: false }
}

enum Moved {
    Sent(u64),
    Said(Box<UploadStep>),
}
