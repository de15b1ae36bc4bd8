//! UPLOAD: one task takes what the reader put into the intake, has it written, and acknowledges what
//! is. The reply is the repository's to give, when all is durable or refused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use imgrepo_proto::session::ServerMessage;
use imgrepo_proto::session::command::Upload;
use imgrepo_proto::{ErrorCode, Refusal};

use super::flight::Flight;
use super::intake::Intake;
use crate::host::{self, Mutant};
use crate::repository::Actor;
use crate::repository::catalog::Again;

/// How long a small content is waited for before any of it is staged. Within it one comes whole on
/// any link of some Mbit/s; what comes slower is worth resuming.
const WHOLE_WAIT: Duration = Duration::from_millis(200);

/// Written bytes that are acknowledged together while more is waiting. When nothing is, they are
/// acknowledged at once: the sender may be waiting for that.
const ACK_BYTES: u64 = 128 * 1024;

pub(super) async fn run(flight: Flight, intake: Arc<Intake>, actor: Actor, upload: Upload) {
    let size = upload.size;
    let again = if upload.unless_deleted { Again::UnlessDeleted } else { Again::Reuse };
    let begun = flight.repository().begin(&actor, upload, again, flight.done()).await;
    // None: the reply has been or will be given.
    let Some(mut receiving) = begun else { return };
    let id = flight.id();
    let mut written = receiving.offset();
    let mut acked = written;
    intake.begin(written);
    flight.interim(&ServerMessage::Ready { id, offset: written });
    let at_once = receiving.wants_all_at_once();
    if at_once {
        // Dropping either is safe: nothing is taken from the intake here. Who is superseded meanwhile
        // learns it below.
        tokio::select! {
            biased;
            () = receiving.superseded() => {}
            _ = tokio::time::timeout(WHOLE_WAIT, intake.whole()) => {}
        }
    }
    while written < size {
        // Dropping either is safe: what is not taken stays in the intake, and being superseded is
        // for good.
        let pieces = tokio::select! {
            biased;
            () = receiving.superseded() => {
                let message = "a newer upload of the same content took this one over";
                return receiving.fail(Refusal::new(ErrorCode::Superseded, message));
            }
            pieces = intake.take() => pieces,
        };
        let is_first = written == 0;
        if host::is_mutant(Mutant::AckUnwritten) && !at_once {
            let coming: usize = pieces.iter().map(Bytes::len).sum();
            acked = written + coming as u64;
            intake.acked(acked);
            flight.interim(&ServerMessage::Ack { id, offset: acked });
        }
        match receiving.write(pieces).await {
            Ok(offset) => written = offset,
            Err(refusal) => return receiving.fail(refusal),
        }
        if at_once && is_first && written == size {
            // It is in memory, which an acknowledgement would deny; the reply says it all.
            break;
        }
        if written == size || written.saturating_sub(acked) >= ACK_BYTES || intake.is_empty() {
            // First the window, then the word: who hears it may send at once.
            intake.acked(written);
            flight.interim(&ServerMessage::Ack { id, offset: written });
            acked = written;
        }
    }
    if flight.common().requests.commit(id) {
        receiving.finish().await;
    }
}
