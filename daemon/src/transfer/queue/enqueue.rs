//! What is put into the queue: a file by its path, or a content that is streamed and waits in the spool.

use std::path::PathBuf;

use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::{ErrorCode, Refusal};

use super::super::{NotOpened, Source};
use super::{Queue, Spooling, blocking, cannot_spool};
use crate::host;
use crate::state::{NewUpload, QueuedContent};

impl Queue {
    /// Queues a file, durably; `path` is absolute and the name was checked.
    ///
    /// # Errors
    /// `file_error` where it cannot be read; `not_an_image` where its first bytes say so;
    /// `not_connected` where nobody knows yet for which repository; the state's.
    pub async fn enqueue(
        &self,
        path: PathBuf,
        name: String,
        unless_deleted: bool,
    ) -> Result<UploadId, Refusal> {
        let look = move || {
            // The file itself: what a link leads to now is what was meant.
            let real = std::fs::canonicalize(&path).map_err(|error| {
                let shown = imgrepo_proto::name::shown(&path.to_string_lossy());
                let message = format!("cannot read `{shown}`: {error}");
                Refusal::new(ErrorCode::FileError, message)
            })?;
            let source = Source::open_itself(&real).map_err(NotOpened::refusal)?;
            source.check_is_image()?;
            Ok((real, source.stamp()))
        };
        let (path, stamp) = blocking(look).await?;
        let (content, membership) = (QueuedContent::File(path), self.whose().await?);
        self.add(NewUpload { membership, content, name, stamp, unless_deleted }).await
    }

    /// Begins to take a content that is streamed.
    ///
    /// # Errors
    /// As [`Queue::enqueue`]; the disk's.
    pub async fn begin_spooling(&self) -> Result<Spooling, Refusal> {
        self.whose().await?;
        let spool = self.0.spool.clone();
        blocking(move || spool.begin().map_err(|error| cannot_spool(&error))).await
    }

    /// Queues a content that was streamed, durably.
    ///
    /// # Errors
    /// As [`Queue::enqueue`]; then the content is gone.
    pub async fn enqueue_spooled(
        &self,
        spooling: Spooling,
        name: String,
        unless_deleted: bool,
    ) -> Result<UploadId, Refusal> {
        let finish = move || {
            let finished = spooling.finish()?;
            Ok((spooling, finished))
        };
        let (spooling, (number, stamp)) = blocking(finish).await?;
        let (content, membership) = (QueuedContent::Spooled(number), self.whose().await?);
        let id = self.add(NewUpload { membership, content, name, stamp, unless_deleted }).await?;
        spooling.keep();
        Ok(id)
    }

    async fn add(&self, upload: NewUpload) -> Result<UploadId, Refusal> {
        let ids = self.0.state.enqueue(vec![upload], host::now()).await?;
        self.wake();
        let lost = || Refusal::new(ErrorCode::Internal, "the queue gave no number");
        ids.first().copied().ok_or_else(lost)
    }
}
