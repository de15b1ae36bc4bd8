//! A download, carried out: talks to the session, hands the bytes to a sink, and asks [`Machine`]
//! what to do.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use imgrepo_proto::control::reply::Size;
use imgrepo_proto::session::command::Target;
use imgrepo_proto::{ImageRecord, Refusal};
use tokio::time::timeout;

use crate::host::random;
use crate::session::{Dialect, DownloadStep, Session};

use super::fetching::{Action, Machine};
use super::rate::Gate;

/// How long the sink may take for a piece before the server is told that nobody waits for the rest: it
/// ends a whole session in which a download is not acknowledged for a minute, and holds a window of
/// memory until then. What was on its way is asked for again.
const SLOW_SINK: Duration = Duration::from_secs(20);

/// Below this rate a content is asked for in portions that may come at once, so that nothing is on its
/// way that would have to wait here. Above it as many downloads as a server takes (64), each with a
/// message of 64 KiB, have had their turn within 16 s, before [`SLOW_SINK`].
const PORTIONS_BELOW_RATE: u64 = 256 * 1024;

/// The least bytes of a portion, however low the rate: below, the asking weighs more.
const LEAST_PORTION_BYTES: u64 = 1024;

/// Where a download's bytes go. An error ends the download, and is its outcome.
pub trait AsyncSink: Send {
    /// What will come: once, before the first bytes.
    fn size(&mut self, size: Size) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The next bytes, in order. The server is told that they are taken when this is done, so a
    /// slow sink slows down its own download only.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Carries out [`super::Transfers::download`], no faster than the gate lets it.
pub(super) async fn download(
    session: &Session,
    gate: &Gate,
    target: Target,
    offset: u64,
    mut sink: impl AsyncSink,
) -> Result<ImageRecord, Refusal> {
    // A name may come to mean another image; from here on it is this one.
    let record = session.peer().await?.info(target).await?.image;
    let mut machine = Machine::new(record.hash, offset);
    let mut call = None;
    // Bytes that are on their way and have passed the gate.
    let mut passed = 0;
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
                let portion = match session.peer_unbounded().await?.dialect() {
                    Dialect::V2 => portion(gate.rate(), record.size, offset),
                    // A content comes whole.
                    Dialect::V1 => None,
                };
                passed = portion.unwrap_or_default();
                gate.pass(passed).await;
                // That may have taken long.
                let peer = session.peer_unbounded().await?;
                call = Some(peer.download(Target::id(record.id), offset, portion).await);
                machine.asked(portion);
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
                            let unpassed = (bytes.len() as u64).saturating_sub(passed);
                            passed = passed.saturating_sub(bytes.len() as u64);
                            let mut writing = pin!(async {
                                gate.pass(unpassed).await;
                                sink.write(bytes).await
                            });
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

/// How much to ask for at once at this rate: a second's worth. None: all of it.
fn portion(rate: Option<u64>, size: Option<u64>, offset: u64) -> Option<u64> {
    let portion = rate.filter(|rate| *rate < PORTIONS_BELOW_RATE)?.max(LEAST_PORTION_BYTES);
    let left = size.map_or(portion, |size| size.saturating_sub(offset));
    Some(portion.min(left)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_downloads_ask_for_what_may_come_within_a_second() {
        assert_eq!(portion(None, Some(10_000_000), 0), None);
        assert_eq!(portion(Some(PORTIONS_BELOW_RATE), Some(10_000_000), 0), None);
        assert_eq!(portion(Some(50_000), Some(10_000_000), 0), Some(50_000));
        assert_eq!(portion(Some(50_000), None, 7), Some(50_000));
        assert_eq!(portion(Some(1), Some(10_000_000), 9_999_000), Some(1000));
        assert_eq!(portion(Some(1), Some(10_000_000), 0), Some(LEAST_PORTION_BYTES));
        assert_eq!(portion(Some(50_000), Some(10_000_000), 10_000_000), None);
    }
}
