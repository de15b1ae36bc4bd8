//! What a person can bring back: contents that are lost here, and that they uploaded. Called by the
//! server for a session that asks.

use imgrepo_proto::session::reply::{LostContent, LostReply};
use imgrepo_proto::{BlobHash, Refusal};
use tokio::sync::watch;

use super::catalog::ImageState;
use super::people::{Action, Actor, Object, authorize};
use super::{Repository, faults};

/// Lost contents that one question looks at: some ten milliseconds.
const LOOKED_AT: usize = 1000;

impl Repository {
    /// The lost contents behind this one that this person has listed images of. Nobody is asked for
    /// what they did not upload: by sending it again they tell nothing that is not known of them, and
    /// nothing changes but that it is there again.
    ///
    /// # Errors
    /// `denied` where they may not upload.
    pub async fn lost(&self, actor: &Actor, after: Option<BlobHash>) -> Result<LostReply, Refusal> {
        authorize(actor, Action::Upload, Object::Any)?;
        let person = actor.person;
        self.hop(move |inner| {
            let hashes = inner.sound.lost().after(after, LOOKED_AT);
            let next = hashes.last().copied().filter(|_| hashes.len() == LOOKED_AT);
            let mut lost = Vec::new();
            for hash in hashes {
                let stored = inner.catalog.stored_by(person, hash);
                let stored = stored.map_err(|error| faults::catalog(&error))?;
                let listed = stored.filter(|image| image.state == ImageState::Listed);
                lost.extend(listed.map(|image| LostContent { hash, size: image.size_bytes }));
            }
            Ok(LostReply { lost, next })
        })
        .await
    }

    /// Whether anything is lost.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        !self.inner.sound.lost().after(None, 1).is_empty()
    }

    /// Wakes when something more is lost.
    #[must_use]
    pub fn loses(&self) -> watch::Receiver<u64> {
        self.inner.sound.lost().found()
    }
}
