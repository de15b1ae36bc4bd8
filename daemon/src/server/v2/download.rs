//! DOWNLOAD and VIEW: one task reads and sends as far as the client's acknowledgements let it.

use std::time::Duration;

use tokio::time::timeout;

use imgrepo_proto::limits::DATA_MESSAGE_BYTES;
use imgrepo_proto::session::command::Download;
use imgrepo_proto::session::data::HEADER_BYTES;
use imgrepo_proto::session::reply::{DownloadReply, SizeInfo};
use imgrepo_proto::session::view::View;
use imgrepo_proto::session::{DataHeader, ServerMessage};
use imgrepo_proto::{ErrorCode, Refusal};

use super::flight::Flight;
use crate::link::window::{SendFlow, SharedWindow};
use crate::repository::{Actor, Content};

/// How far this download may go, as its acknowledgements come.
pub(super) fn flow(offset: u64, window: u64, session: &SharedWindow) -> SendFlow {
    SendFlow::new(offset, window, session.clone())
}

pub(super) async fn run(flight: Flight, flow: SendFlow, actor: Actor, download: Download) {
    let opened = open(&flight, &actor, download).await;
    finish(flight, flow, opened).await;
}

pub(super) async fn view(flight: Flight, flow: SendFlow, actor: Actor, view: View) {
    let seen = flight.repository().view(&actor, &view).await;
    let opened = seen.map(|seen| {
        let (size, media_type) = (seen.content.size(), Some(seen.media_type));
        let info = SizeInfo { size, name: seen.record.name, hash: seen.hash, media_type };
        Outgoing { info, content: seen.content, from: 0, to: size }
    });
    finish(flight, flow, opened).await;
}

/// A content on its way out.
struct Outgoing {
    info: SizeInfo,
    content: Content,
    from: u64,
    to: u64,
}

async fn finish(flight: Flight, flow: SendFlow, opened: Result<Outgoing, Refusal>) {
    let sent = match opened {
        Ok(outgoing) => send(&flight, &flow, outgoing).await,
        Err(refusal) => Err(refusal),
    };
    match sent {
        Ok(Some(reply)) => flight.reply_in_order(reply).await,
        // The link is over or about to be.
        Ok(None) => {}
        Err(refusal) => flight.reply::<DownloadReply>(Err(refusal)),
    }
}

async fn open(flight: &Flight, actor: &Actor, download: Download) -> Result<Outgoing, Refusal> {
    let (record, content) = flight.repository().content(actor, &download.target).await?;
    let size = content.size();
    if download.offset > size {
        let message =
            format!("cannot begin at byte {}: the image has {size} bytes", download.offset);
        return Err(Refusal::new(ErrorCode::BadRequest, message));
    }
    let Some(hash) = record.hash else {
        return Err(Refusal::new(ErrorCode::Internal, "the image's hash is not known"));
    };
    let from = download.offset;
    let to = download.length.map_or(size, |length| from.saturating_add(length).min(size));
    let info = SizeInfo { size, name: record.name, hash, media_type: record.media_type };
    Ok(Outgoing { info, content, from, to })
}

async fn send(
    flight: &Flight,
    flow: &SendFlow,
    outgoing: Outgoing,
) -> Result<Option<DownloadReply>, Refusal> {
    let Outgoing { info, content, from, to } = outgoing;
    let (id, hash) = (flight.id(), info.hash);
    let outbox = &flight.common().outbox;
    if outbox.send(ServerMessage::SizeInfo { id, info }.encode()).await.is_err() {
        return Ok(None);
    }
    let patience = flight.common().context.settings.timeouts.download_stall;
    let chunk = flight.common().context.settings.limits.chunk as usize;
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let want = left.min(DATA_MESSAGE_BYTES).min(chunk);
        let Some((offset, len)) = reserve(flow, want, patience).await else {
            outbox.close(1008, "the client does not acknowledge what it is sent");
            return Ok(None);
        };
        let mut message = content.read(offset, len, HEADER_BYTES).await?;
        match message.get_mut(..HEADER_BYTES) {
            Some(head) => head.copy_from_slice(&DataHeader { id, offset }.encode()),
            None => return Err(Refusal::new(ErrorCode::Internal, "the content was cut short")),
        }
        if message.len() != HEADER_BYTES + len {
            return Err(Refusal::new(ErrorCode::Internal, "the content was cut short"));
        }
        if outbox.data(message.freeze()).await.is_err() {
            return Ok(None);
        }
        at = offset + len as u64;
    }
    Ok(Some(DownloadReply { hash }))
}

/// Waits until so much may be sent; None where the client has acknowledged nothing for too long
/// while bytes were under way to it.
async fn reserve(flow: &SendFlow, want: usize, patience: Duration) -> Option<(u64, usize)> {
    loop {
        let acked = flow.acked_to();
        // Dropping the wait is safe: nothing is reserved until it returns.
        if let Ok(reserved) = timeout(patience, flow.reserve(want)).await {
            return Some(reserved);
        }
        let under_way = flow.sent() > flow.acked_to();
        if under_way && flow.acked_to() == acked {
            return None;
        }
    }
}
