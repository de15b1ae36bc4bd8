//! What the server said to one request of v2, until the caller takes it.
//!
//! The dispatcher puts in without ever waiting; one caller takes out. Acknowledgements replace each
//! other and contents are bounded by their window, so a slot is bounded whatever the server does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::session::reply::SizeInfo;
use imgrepo_proto::{ErrorCode, Refusal};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::link::window::{ReceiveWindow, SendFlow};

/// Pieces that may wait: a window of pieces of 4 KiB. A server that sends smaller ones faster than
/// they are taken means no good: each costs memory beyond its bytes.
const PIECES: usize = 256;

/// How a request came to its end.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// Carried out, with what the server says of it.
    Success(Box<RawValue>),
    /// Not carried out.
    Refused(Refusal),
    /// The session ended before.
    Cut,
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: Option<u64>,
    /// Whether the caller has taken READY: from then on acknowledgements move the flow.
    begun: bool,
    acked: Option<u64>,
    flow: Option<SendFlow>,
    size: Option<SizeInfo>,
    /// A download's first byte and window, until SIZE_INFO says its end.
    wanted: Option<(u64, u64)>,
    receive: Option<ReceiveWindow>,
    pieces: VecDeque<(u64, Bytes)>,
    end: Option<Ended>,
    /// Whether the server's final reply came, or the session ended: there is nothing to cancel.
    over: bool,
    /// Nobody takes anything out any more.
    abandoned: bool,
}

/// What a caller takes out.
#[derive(Debug)]
pub(crate) enum Said {
    Ready(u64),
    Acked(u64),
    Size(SizeInfo),
    Piece(u64, Bytes),
    Ended(Ended),
}

impl Slot {
    /// For an upload whose bytes this flow counts.
    pub(crate) fn sending(flow: SendFlow) -> Self {
        let state = State { flow: Some(flow), ..State::default() };
        Slot { state: Mutex::new(state), moved: Notify::new() }
    }

    /// For a download from this offset, within this window.
    pub(crate) fn receiving(offset: u64, window: u64) -> Self {
        let state = State { wanted: Some((offset, window)), ..State::default() };
        Slot { state: Mutex::new(state), moved: Notify::new() }
    }

    /// The next thing that the server said. Cancel-safe: it is taken only when it is given.
    pub(crate) async fn next(&self) -> Said {
        loop {
            if let Some(said) = self.take() {
                return said;
            }
            self.moved.notified().await;
        }
    }

    fn take(&self) -> Option<Said> {
        let mut state = self.state();
        if let Some(offset) = state.ready.take() {
            state.begun = true;
            let acked = state.acked;
            if let Some(flow) = &state.flow {
                flow.restart(offset);
                // What was acknowledged meanwhile is at most what was sent or is held over there.
                let _ = acked.map(|acked| flow.acked(acked));
            }
            return Some(Said::Ready(offset));
        }
        if state.begun
            && let Some(offset) = state.acked.take()
        {
            return Some(Said::Acked(offset));
        }
        if let Some(info) = state.size.take() {
            return Some(Said::Size(info));
        }
        if let Some((offset, piece)) = state.pieces.pop_front() {
            return Some(Said::Piece(offset, piece));
        }
        state.end.clone().map(Said::Ended)
    }

    pub(crate) fn ready(&self, offset: u64) {
        self.put(|state| state.ready = Some(offset));
    }

    /// The server has taken so much.
    ///
    /// # Errors
    /// More than was sent.
    pub(crate) fn acked(&self, offset: u64) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        self.put(|state| {
            state.acked = state.acked.max(Some(offset));
            if state.begun
                && let Some(flow) = &state.flow
            {
                outcome = flow.acked(offset).map_err(|bad| fault(&bad.to_string()));
            }
        });
        outcome
    }

    /// What a download will carry.
    ///
    /// # Errors
    /// It is no download, or it was told before.
    pub(crate) fn size(&self, info: SizeInfo) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        self.put(|state| match state.wanted.take() {
            Some((offset, window)) => {
                state.receive = Some(ReceiveWindow::new(offset, info.size, window));
                state.size = Some(info);
            }
            None => outcome = Err(fault("SIZE_INFO where none was due")),
        });
        outcome
    }

    /// Content came.
    ///
    /// # Errors
    /// It was not due.
    pub(crate) fn piece(&self, offset: u64, mut bytes: Bytes) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        self.put(|state| {
            if state.abandoned || state.end.is_some() {
                return;
            }
            let Some(window) = &mut state.receive else {
                outcome = Err(fault("content came where none was due"));
                return;
            };
            match window.accept(offset, bytes.len()) {
                Ok(held) if held == bytes.len() => {}
                Ok(_) if state.pieces.len() >= PIECES => {
                    outcome = Err(fault("content came in too many small pieces"));
                }
                Ok(held) => {
                    let bytes = bytes.split_off(held);
                    state.pieces.push_back((offset + held as u64, bytes));
                }
                Err(error) => outcome = Err(fault(&error.to_string())),
            }
        });
        outcome
    }

    /// The caller tells the server that it has taken all before `offset`.
    pub(crate) fn told(&self, offset: u64) {
        if let Some(window) = &mut self.state().receive {
            window.acked(offset);
        }
    }

    /// The final reply, or the end of the session.
    pub(crate) fn finish(&self, ended: Ended) {
        self.put(|state| {
            state.end.get_or_insert(ended);
            state.over = true;
            state.flow = None;
        });
    }

    /// The request has failed on this side; the server does not know yet.
    pub(crate) fn fail(&self, refusal: Refusal) {
        self.put(|state| {
            state.end.get_or_insert(Ended::Refused(refusal));
        });
    }

    /// The caller is gone: what comes is dropped. Whether the server has to be told.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state();
        state.abandoned = true;
        state.pieces = VecDeque::new();
        state.flow = None;
        !state.over
    }

    /// Whether nothing more is to be sent.
    pub(crate) fn is_ended(&self) -> bool {
        self.state().end.is_some()
    }

    fn put(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.moved.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fault(what: &str) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("the server broke the protocol: {what}"))
}
