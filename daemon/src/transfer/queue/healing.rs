//! What the server has lost and this computer still has goes there once more: the files of past
//! uploads, by the queue's own rows. Runs beside the runner, with which it ends.
//!
//! The server asks for contents that this person uploaded; a file is sent only when it has, at this
//! moment, the very bytes that were asked for. What was deleted there since stays deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::{BlobHash, Refusal};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::session::{Dialect, Peer};
use crate::state::{Held, MembershipId, NewUpload, QueuedContent};
use crate::transfer::Source;

use super::Shared;

/// Heals until the end.
pub(super) async fn run(shared: Arc<Shared>, end: CancellationToken) {
    let session = &shared.transfers.session;
    let (mut servers, mut losses) = (session.servers(), session.losses());
    let mut is_told = false;
    loop {
        let peer = servers.now().filter(|peer| peer.dialect() == Dialect::V2);
        let wanted = peer.filter(|peer| (is_told || peer.has_lost()) && peer.may_upload());
        let heal = async {
            let Some(peer) = wanted else { return };
            if let Err(refusal) = heal(&shared, &peer).await {
                // The next session begins anew.
                tracing::debug!(%refusal, "what the server lost could not all be sent again");
            }
        };
        // Dropping the healing is safe: what it queued is queued, the rest is asked for again.
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            () = heal => {}
        }
        // Each only wakes.
        is_told = tokio::select! {
            biased;
            () = end.cancelled() => return,
            told = losses.changed() => told.is_ok(),
            () = servers.changed() => false,
        };
    }
}

/// Asks for all that is lost and queues what is here of it.
async fn heal(shared: &Shared, peer: &Peer) -> Result<(), Refusal> {
    let Some(membership) = shared.whose(Some(peer)).await? else { return Ok(()) };
    let mut after = None;
    loop {
        let page = peer.lost(after).await?;
        let sizes: BTreeMap<BlobHash, u64> =
            page.lost.iter().map(|lost| (lost.hash, lost.size)).collect();
        if !sizes.is_empty() {
            let hashes = sizes.keys().copied().collect();
            let held = shared.state.held(membership, hashes).await?;
            queue(shared, membership, held, &sizes).await?;
        }
        // A server that means ill would have us go in circles.
        match page.next.filter(|next| after.is_none_or(|after| *next > after)) {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Queues the first file of each content that still has it.
async fn queue(
    shared: &Shared,
    membership: MembershipId,
    held: Vec<Held>,
    sizes: &BTreeMap<BlobHash, u64>,
) -> Result<(), Refusal> {
    let mut healed = BTreeSet::new();
    for file in held {
        if healed.contains(&file.hash) {
            continue;
        }
        let Some(source) = still(&file, sizes.get(&file.hash).copied()).await else { continue };
        let now = Timestamp::now();
        let is_queued = match file.is_moved {
            false => shared.state.once_more(file.id, now).await?,
            true => {
                let (content, stamp) = (QueuedContent::File(file.path.clone()), source.stamp());
                let name = file.name.clone();
                let upload = NewUpload { membership, content, name, stamp, unless_deleted: true };
                shared.state.enqueue(vec![upload], now).await.map(|_| true)?
            }
        };
        if is_queued {
            let path = imgrepo_proto::name::shown(&file.path.to_string_lossy());
            tracing::info!("the server lost the content of `{path}`: it is sent once more");
            healed.insert(file.hash);
            shared.wake.notify_one();
        }
    }
    Ok(())
}

/// The file, if it has this content now.
async fn still(file: &Held, size: Option<u64>) -> Option<Source> {
    let (path, stamp, is_moved) = (file.path.clone(), file.stamp, file.is_moved);
    let open = move || {
        let source = Source::open_itself(&path).ok()?;
        let is_same = is_moved || source.stamp() == stamp;
        (is_same && Some(source.size()) == size).then_some(source)
    };
    let source = spawn_blocking(open).await.ok().flatten()?;
    let progress = Progress { phase: Phase::Hashing, done: 0, total: source.size() };
    let hash = source.hash(&watch::Sender::new(progress)).await.ok()?;
    (hash == file.hash).then_some(source)
}
