//! One upload in progress, as its receiver holds it. Called by `receiving` from the blocking pool;
//! when the last hold of a slot goes, its partial is suspended, or removed where nobody could
//! ever ask for it again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::body::{Body, Phase, Sealed};
use super::recover::{put_back, whole};
use super::{Key, Staging, Suspended, remove_file};
use crate::host;
use crate::repository::catalog::{Catalog, SyncedPartial};
use crate::repository::durable::{self, SyncPoint};
use crate::repository::faults;
use crate::repository::picture::{self, Guess};

/// After this many bytes a partial is synced and the catalog told, where nothing else was chosen.
pub(crate) const SYNC_EVERY_BYTES: u64 = 16 * 1024 * 1024;

/// The first bytes that tell what is certainly no image.
const GUESS_BYTES: usize = 64;

/// An upload in progress.
pub(crate) struct Slot {
    staging: Arc<Staging>,
    key: Option<Key>,
    turn: u64,
    size_bytes: u64,
    path: PathBuf,
    pub(super) body: Mutex<Body>,
    /// Fires when a newer upload has taken this one's bytes.
    pub(crate) superseded: CancellationToken,
    /// Fires when this slot is no more.
    pub(super) ended: CancellationToken,
}

impl Slot {
    pub(super) fn new(
        staging: &Arc<Staging>,
        key: Option<Key>,
        turn: u64,
        size_bytes: u64,
        path: PathBuf,
        body: Body,
    ) -> Slot {
        Slot {
            staging: staging.clone(),
            key,
            turn,
            size_bytes,
            path,
            body: Mutex::new(body),
            superseded: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn body(&self) -> MutexGuard<'_, Body> {
        // A panic in the middle of a write leaves `growing` empty, which reads the file again.
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The staged file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes ready to go on: hashes what is held. The offset to go on from.
    pub(crate) fn resume(&self) -> Result<u64, Refusal> {
        let mut body = self.open_body()?;
        if body.written > 0
            && let Err(error) = body.warm_up(&self.path)
        {
            tracing::warn!("cannot read a partial upload again, it starts over: {error}");
            self.discard(&mut body);
            *body = Body::default();
        }
        if body.written > 0 && host::is_mutant(host::Mutant::ResumeBeyond) {
            return Ok(body.written + 1);
        }
        Ok(body.written)
    }

    /// Adds pieces at the end; the new offset. Refuses early what is certainly no image.
    pub(crate) fn write(&self, pieces: &[Bytes]) -> Result<u64, Refusal> {
        let mut body = self.open_body()?;
        let added: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if body.written.saturating_add(added) > self.size_bytes {
            return Err(Refusal::new(
                ErrorCode::WrongSize,
                format!("more bytes came than the {} that were announced", self.size_bytes),
            ));
        }
        if !body.is_promising {
            self.look_at_first(&mut body, pieces)?;
        }
        if !self.staging.fits(added) {
            return Err(faults::storage_full());
        }
        body.grow(&self.path, pieces).map_err(|error| faults::disk("write a content", &error))?;
        if let Some(key) = &self.key
            && body.written - body.synced >= self.staging.room.sync_every_bytes
            && body.written < self.size_bytes
        {
            self.sync(key, &mut body)?;
        }
        Ok(body.written)
    }

    fn look_at_first(&self, body: &mut Body, pieces: &[Bytes]) -> Result<(), Refusal> {
        for piece in pieces {
            let room = GUESS_BYTES.saturating_sub(body.first.len());
            body.first.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        match picture::kind_of(&body.first) {
            Guess::NotAnImage => {
                self.discard(body);
                Err(faults::not_an_image())
            }
            Guess::Image(_) => {
                body.is_promising = true;
                Ok(())
            }
            Guess::NeedMore => Ok(()),
        }
    }

    fn sync(&self, key: &Key, body: &mut Body) -> Result<(), Refusal> {
        let written = body.written;
        let Some(file) = body.file() else { return Ok(()) };
        durable::sync_bytes(SyncPoint::Partial, file)
            .map_err(|error| faults::disk("sync a content", &error))?;
        let partial = SyncedPartial {
            person: key.person,
            hash: key.hash,
            size_bytes: key.size_bytes,
            synced_bytes: written,
        };
        self.staging
            .catalog
            .put_partial(&partial, host::now())
            .map_err(|error| faults::catalog(&error))?;
        body.synced = written;
        Ok(())
    }

    /// Ends the growing: checks the hash. The caller keeps and places the content or lets it go.
    pub(crate) fn seal(&self) -> Result<Sealed, Refusal> {
        let mut body = self.open_body()?;
        if body.written != self.size_bytes {
            return Err(Refusal::new(
                ErrorCode::WrongSize,
                format!("{} of {} bytes came", body.written, self.size_bytes),
            ));
        }
        let sealed = match body.finish(&self.path) {
            Ok(sealed) => sealed,
            Err(error) => return Err(faults::disk("read a content again", &error)),
        };
        if let Err(refusal) = self.announced(sealed.hash) {
            self.discard(&mut body);
            return Err(refusal);
        }
        body.phase = Phase::Sealed;
        Ok(sealed)
    }

    /// Ends an upload whose content never was in a file: checks the size and the hash.
    pub(crate) fn seal_whole(&self, content: &[u8]) -> Result<BlobHash, Refusal> {
        let mut body = self.open_body()?;
        if body.written > 0 || content.len() as u64 != self.size_bytes {
            return Err(faults::internal(&"a content that came whole is not the whole content"));
        }
        let hash = BlobHash(*blake3::hash(content).as_bytes());
        match self.announced(hash) {
            Ok(()) => body.phase = Phase::Sealed,
            Err(refusal) => {
                self.discard(&mut body);
                return Err(refusal);
            }
        }
        Ok(hash)
    }

    /// Whether this is the hash that was announced, where one was.
    fn announced(&self, hash: BlobHash) -> Result<(), Refusal> {
        match self.key {
            Some(key) if key.hash != hash => Err(Refusal::new(
                ErrorCode::WrongHash,
                format!("the content's hash is {hash}, announced was {}", key.hash),
            )),
            _ => Ok(()),
        }
    }

    /// Syncs a sealed content and gives it a second name, so that it is still here when it has gone
    /// to the blob store and no record has it yet: all of it was acknowledged.
    pub(crate) fn keep(&self, file: &File) -> io::Result<()> {
        durable::sync_bytes(SyncPoint::Blob, file)?;
        if self.key.is_none() {
            return Ok(()); // nobody could ask for it
        }
        match fs::hard_link(&self.path, whole(&self.path)) {
            Ok(()) => self.body().phase = Phase::Kept,
            // Some file systems know no second names, a full one has no room for it. The upload goes
            // on; only an end of the process before its record would start it anew.
            Err(error) => tracing::debug!("a content gets no second name: {error}"),
        }
        Ok(())
    }

    /// A record has the content.
    pub(crate) fn stored(&self) {
        let mut body = self.body();
        if body.phase == Phase::Kept {
            remove_file(&whole(&self.path));
        }
        *body = Body::dropped();
    }

    /// No record comes of the sealed content: it is dropped, or where it is kept, suspended with the
    /// end of this slot.
    pub(crate) fn let_go(&self) {
        let mut body = self.body();
        if body.phase != Phase::Kept {
            self.discard(&mut body);
        }
    }

    fn discard(&self, body: &mut Body) {
        if matches!(body.phase, Phase::TakenOver | Phase::Dropped) {
            return;
        }
        let had_row = body.synced > 0;
        *body = Body::dropped();
        remove_file(&self.path);
        if let Some(key) = self.key.filter(|_| had_row) {
            self.staging.forget(&key);
        }
    }

    fn open_body(&self) -> Result<MutexGuard<'_, Body>, Refusal> {
        let body = self.body();
        match body.phase {
            Phase::Open => Ok(body),
            Phase::TakenOver => Err(Refusal::new(
                ErrorCode::Superseded,
                "a newer upload of the same content took this one over",
            )),
            Phase::Sealed | Phase::Kept | Phase::Dropped => {
                Err(Refusal::new(ErrorCode::Internal, "this upload has ended"))
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.key.filter(|_| body.phase == Phase::Kept) {
            body.phase = Phase::Open;
            match put_back(&*self.staging.catalog, &key, &self.path, host::now()) {
                Ok(synced_bytes) => body.synced = synced_bytes,
                Err(error) => {
                    tracing::warn!("cannot keep a whole upload: {error}");
                    body.written = 0;
                }
            }
        }
        match (self.key, body.phase) {
            (Some(key), Phase::Open) if body.written > 0 => {
                let partial = Suspended {
                    path: self.path.clone(),
                    held_bytes: body.written,
                    synced_bytes: body.synced,
                };
                self.staging.leave(&key, self.turn, Some(partial));
            }
            (Some(key), phase) => {
                self.staging.leave(&key, self.turn, None);
                if phase == Phase::Open {
                    remove_file(&self.path);
                }
            }
            (None, Phase::Open) => {
                drop(std::mem::take(body));
                remove_file(&self.path);
            }
            (None, _) => {}
        }
        self.ended.cancel();
    }
}

/// Syncs a suspended partial whole and tells the catalog.
pub(super) fn sync_partial(
    catalog: &dyn Catalog,
    key: &Key,
    partial: &Suspended,
    now: Timestamp,
) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(&partial.path)?;
    durable::sync_bytes(SyncPoint::Partial, &file)?;
    let synced = SyncedPartial {
        person: key.person,
        hash: key.hash,
        size_bytes: key.size_bytes,
        synced_bytes: partial.held_bytes,
    };
    catalog.put_partial(&synced, now).map_err(io::Error::other)
}
