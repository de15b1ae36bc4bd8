//! One upload and one download under way on one session. Dropped before its end, a call is given up
//! and the server told.
//!
//! Contents go as fast as the windows allow; what survives a cut is the `transfer` room's business.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use imgrepo_proto::control::reply::{Info, Size};
use imgrepo_proto::limits::{DATA_MESSAGE_BYTES, SessionLimits};
use imgrepo_proto::session::command::{Command, Download, Target, Upload, View};
use imgrepo_proto::session::data::{DataHeader, HEADER_BYTES};
use imgrepo_proto::session::reply::{DownloadReply, UploadReply};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use tokio::sync::oneshot;

use crate::link::window::SendFlow;

use super::slot::{Said, Slot};
use super::v1::V1;
use super::v2::{Call, V2, read_end};
use super::{CallError, classic, old_list};

/// What the server says to an upload.
#[derive(Debug, Clone, PartialEq)]
pub enum UploadStep {
    /// It takes the content from this offset on.
    Ready(u64),
    /// It has written all before this offset.
    Acked(u64),
    /// The end: the image is stored for good.
    Done(UploadReply),
    /// The end: it is not.
    Refused(Refusal),
    /// The session ended before.
    Cut,
}

/// An upload under way.
#[derive(Debug)]
pub struct UploadCall {
    call: Result<(Call, SendFlow), CallError>,
    piece_bytes: usize,
}

impl UploadCall {
    pub(super) fn failed(error: CallError) -> Self {
        UploadCall { call: Err(error), piece_bytes: DATA_MESSAGE_BYTES }
    }

    pub(super) async fn begin(v2: &Arc<V2>, upload: Upload) -> Self {
        let limits = v2.limits();
        let piece_bytes = DATA_MESSAGE_BYTES
            .min(usize::try_from(limits.chunk).unwrap_or(usize::MAX))
            .min(usize::try_from(limits.window).unwrap_or(usize::MAX))
            .max(1);
        let flow = SendFlow::new(0, limits.window, v2.window.clone());
        let call = v2.begin(Command::Upload(upload), Slot::sending(flow.clone())).await;
        UploadCall { call: call.map(|call| (call, flow)), piece_bytes }
    }

    /// The most bytes of one piece.
    #[must_use]
    pub fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// The next thing that the server says; after an end, that end. Cancel-safe.
    pub async fn next(&self) -> UploadStep {
        let (call, _flow) = match &self.call {
            Ok(call) => call,
            Err(CallError::Cut) => return UploadStep::Cut,
            Err(CallError::Refused(refusal)) => return UploadStep::Refused(refusal.clone()),
        };
        loop {
            return match call.slot.next().await {
                Said::Ready(offset) => UploadStep::Ready(offset),
                Said::Acked(offset) => UploadStep::Acked(offset),
                Said::Ended(ended) => match read_end("UPLOAD", ended) {
                    Ok(reply) => UploadStep::Done(reply),
                    Err(CallError::Refused(refusal)) => UploadStep::Refused(refusal),
                    Err(CallError::Cut) => UploadStep::Cut,
                },
                Said::Size(_) | Said::Piece(..) => continue,
            };
        }
    }

    /// Waits until so many bytes, at most [`UploadCall::piece_bytes`], may be sent, and counts them
    /// as sent: they are then to be sent. Cancel-safe. Never ends once the call has; wait for
    /// [`UploadCall::next`] beside it.
    pub async fn room(&self, bytes: usize) {
        match &self.call {
            Ok((_call, flow)) => drop(flow.reserve(bytes).await),
            Err(_) => std::future::pending().await,
        }
    }

    /// Sends a piece that there is room for. Its first 12 bytes are room for the head.
    pub async fn send(&self, offset: u64, mut piece: BytesMut) {
        let Ok((call, _flow)) = &self.call else { return };
        if call.slot.is_ended() || piece.len() < HEADER_BYTES {
            return;
        }
        piece[..HEADER_BYTES].copy_from_slice(&DataHeader { id: call.id, offset }.encode());
        // A link that is over is told by `next`.
        let _ = call.v2.outbox.data(piece.freeze()).await;
    }
}

/// What the server says to a download.
#[derive(Debug, Clone, PartialEq)]
pub enum DownloadStep {
    /// What comes.
    Size(Size),
    /// The next bytes: each is told once, in order, from the offset that was asked for.
    Data {
        /// Where they begin in the whole content.
        offset: u64,
        /// They.
        bytes: Bytes,
    },
    /// The end, with the whole content's hash, which an old server does not tell.
    Done(Option<BlobHash>),
    /// The end: it was refused, or the server broke the rules.
    Refused(Refusal),
    /// The session ended before.
    Cut,
}

/// A download under way.
#[derive(Debug)]
pub struct DownloadCall(Kind);

#[derive(Debug)]
enum Kind {
    Failed(CallError),
    V2 { call: Call, word: &'static str, image: ImageId, ack_every: u64, acked: u64 },
    Old(Old),
}

/// A content that an old server sends whole.
#[derive(Debug)]
struct Old {
    answer: oneshot::Receiver<Result<Bytes, CallError>>,
    size: Size,
    start: u64,
    content: Option<(u64, Bytes)>,
    told: bool,
}

impl DownloadCall {
    pub(super) async fn begin(v2: &Arc<V2>, download: Download) -> Self {
        let (offset, image) = (download.offset, download.target.image);
        DownloadCall::ask(v2, Command::Download(download), image, offset).await
    }

    /// A picture comes as a content does.
    pub(super) async fn view(v2: &Arc<V2>, view: View) -> Self {
        let image = view.target.image;
        DownloadCall::ask(v2, Command::View(view), image, 0).await
    }

    async fn ask(v2: &Arc<V2>, command: Command, image: Option<ImageId>, offset: u64) -> Self {
        let limits = v2.limits();
        let (word, image) = (command.word(), image.unwrap_or(ImageId(0)));
        let slot = Slot::receiving(offset, limits.window);
        match v2.begin(command, slot).await {
            Ok(call) => {
                let ack_every = ack_every(limits);
                DownloadCall(Kind::V2 { call, word, image, ack_every, acked: offset })
            }
            Err(error) => DownloadCall(Kind::Failed(error)),
        }
    }

    pub(super) async fn begin_old(v1: &Arc<V1>, target: &Target, start: u64) -> Self {
        let begin = async {
            let entries = old_list(v1).await?;
            let image = classic::find(&entries, target).map_err(CallError::Refused)?;
            if !classic::is_served(&entries, &image) {
                return Err(CallError::Refused(Refusal::new(
                    ErrorCode::Unsupported,
                    format!(
                        "cannot download image {}: the old server at `{}` serves only the oldest image of a name",
                        image.id, v1.server
                    ),
                )));
            }
            let answer = v1.turn().await?.download(&image.name)?;
            let info = Info { size: 0, name: image.name, hash: None, media_type: None };
            let size = Size { image: image.id, info };
            Ok(Old { answer, size, start, content: None, told: false })
        };
        DownloadCall(begin.await.map_or_else(Kind::Failed, Kind::Old))
    }

    /// The next thing that the server says; after an end nothing more is to be asked. Cancel-safe.
    pub async fn next(&mut self) -> DownloadStep {
        match &mut self.0 {
            Kind::Failed(error) => error.clone().into(),
            Kind::Old(old) => old.next().await,
            Kind::V2 { call, word, image, .. } => loop {
                return match call.slot.next().await {
                    Said::Size(info) => {
                        DownloadStep::Size(Size { image: *image, info: info.into() })
                    }
                    Said::Piece(offset, bytes) => DownloadStep::Data { offset, bytes },
                    Said::Ended(ended) => match read_end::<DownloadReply>(word, ended) {
                        Ok(reply) => DownloadStep::Done(Some(reply.hash)),
                        Err(error) => error.into(),
                    },
                    Said::Ready(_) | Said::Acked(_) => continue,
                };
            },
        }
    }

    /// Gives up what has not been taken, where it can be asked for again: then the next step is
    /// [`DownloadStep::Cut`].
    pub fn suspend(&mut self) {
        if let Kind::V2 { .. } = self.0 {
            self.0 = Kind::Failed(CallError::Cut);
        }
    }

    /// All before `offset` was dealt with; the server is told when it is worth a message.
    pub fn acked(&mut self, offset: u64) {
        if let Kind::V2 { call, ack_every, acked, .. } = &mut self.0
            && offset.saturating_sub(*acked) >= *ack_every
        {
            *acked = offset;
            call.ack(offset);
        }
    }
}

impl From<CallError> for DownloadStep {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Cut => DownloadStep::Cut,
            CallError::Refused(refusal) => DownloadStep::Refused(refusal),
        }
    }
}

impl Old {
    async fn next(&mut self) -> DownloadStep {
        let (at, rest) = match &mut self.content {
            Some(content) => content,
            None => match (&mut self.answer).await.unwrap_or(Err(CallError::Cut)) {
                Ok(mut content) => {
                    self.size.info.size = content.len() as u64;
                    let start = usize::try_from(self.start).unwrap_or(usize::MAX);
                    let rest = content.split_off(start.min(content.len()));
                    self.content.insert((self.start, rest))
                }
                Err(error) => return error.into(),
            },
        };
        if !std::mem::replace(&mut self.told, true) {
            return DownloadStep::Size(self.size.clone());
        }
        if rest.is_empty() {
            return DownloadStep::Done(None);
        }
        let bytes = rest.split_to(rest.len().min(DATA_MESSAGE_BYTES));
        let offset = *at;
        *at += bytes.len() as u64;
        DownloadStep::Data { offset, bytes }
    }
}

/// How many bytes may be taken before the server is told. Were it more than a share of the
/// session's window, as many downloads as the server takes could each hold back a little, and all
/// wait for each other for ever.
fn ack_every(limits: &SessionLimits) -> u64 {
    let share = limits.session_window / (2 * u64::from(limits.max_requests)).max(1);
    share.min(limits.window / 4).max(1)
}
