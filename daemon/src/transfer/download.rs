//! A download, carried out: talks to the session, hands the bytes to a sink, and asks [`Machine`]
//! what to do.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use imgrepo_proto::control::reply::Size;
use imgrepo_proto::session::command::Target;
use imgrepo_proto::{ImageRecord, Refusal};
use tokio::time::timeout;

use crate::session::{DownloadStep, Session, random};

use super::fetching::{Action, Machine};

/// How long the sink may take for a piece before the server is told that nobody waits for the rest: it
/// ends a whole session in which a download is not acknowledged for a minute, and holds a window of
/// memory until then. What was on its way is asked for again.
const SLOW_SINK: Duration = Duration::from_secs(20);

/// Where a download's bytes go. An error ends the download, and is its outcome.
pub trait AsyncSink: Send {
    /// What will come: once, before the first bytes.
    fn size(&mut self, size: Size) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The next bytes, in order. The server is told that they are taken when this is done, so a
    /// slow sink slows down its own download only.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Fetches a content from this offset on, through cuts of the session, and checks the whole of it
/// against its hash (which an old server does not tell). Only after that is it an image: what the
/// sink had before is to be thrown away when this fails. With an offset whoever has the beginning
/// checks the whole. Dropping the future gives it up.
///
/// # Errors
/// The server's refusal, the sink's error, `wrong_hash`, `not_connected` where the person went
/// offline.
pub(super) async fn download(
    session: &Session,
    target: Target,
    offset: u64,
    mut sink: impl AsyncSink,
) -> Result<ImageRecord, Refusal> {
    // A name may come to mean another image; from here on it is this one.
    let record = session.peer().await?.info(target).await?.image;
    let mut machine = Machine::new(record.hash, offset);
    let mut call = None;
    loop {
        match machine.action() {
            Action::End(outcome) => return outcome.map(|()| record),
            Action::Rest(pause) => {
                tokio::time::sleep(pause).await;
                machine.rested();
            }
            Action::Ask(offset) => {
                // The call of a session that was cut is over; it must not outlive its successor.
                drop(call.take());
                let peer = session.peer_unbounded().await?;
                call = Some(peer.download(Target::id(record.id), offset).await);
                machine.asked();
            }
            Action::Listen => {
                let Some(call) = &mut call else {
                    machine.cut();
                    continue;
                };
                match call.next().await {
                    DownloadStep::Size(size) => {
                        if machine.size(&size.info) {
                            sink.size(size).await?;
                        }
                    }
                    DownloadStep::Data { offset, bytes } => {
                        if machine.data(offset, &bytes) {
                            let mut writing = pin!(sink.write(bytes));
                            match timeout(SLOW_SINK, &mut writing).await {
                                Ok(written) => {
                                    written?;
                                    call.acked(machine.taken());
                                }
                                Err(_) => {
                                    call.suspend();
                                    writing.await?;
                                }
                            }
                        }
                    }
                    DownloadStep::Done(hash) => machine.done(hash),
                    DownloadStep::Refused(refusal) => machine.refused(refusal, random()),
                    DownloadStep::Cut => machine.cut(),
                }
            }
        }
    }
}
