//! Contents in memory: the second implementation, which keeps the trait honest. For tests; a
//! repository of such blobs forgets them when it ends.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use super::{Anew, Blob, BlobStore, Reading};

/// Contents in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<BlobHash, Bytes>>,
}

impl MemoryBlobs {
    /// None yet.
    #[must_use]
    pub fn new() -> MemoryBlobs {
        MemoryBlobs::default()
    }

    /// Another one of what is in this one now: what a crash would leave of it.
    #[must_use]
    pub fn copy(&self) -> MemoryBlobs {
        MemoryBlobs { blobs: Mutex::new(self.lock().clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobHash, Bytes>> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemoryBlobs {
    fn place(&self, hash: BlobHash, staged: &Path) -> io::Result<()> {
        let content = fs::read(staged)?;
        fs::remove_file(staged)?;
        self.lock().insert(hash, content.into());
        Ok(())
    }

    fn append(&self, contents: &[(BlobHash, Bytes)]) -> io::Result<()> {
        self.lock().extend(contents.iter().cloned());
        Ok(())
    }

    fn wants_appends(&self) -> bool {
        true
    }

    fn open(&self, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>> {
        let blob = self.lock().get(&hash).cloned();
        Ok(blob.map(|content| Arc::new(MemoryBlob(content)) as Arc<dyn Blob>))
    }

    fn remove(&self, hash: BlobHash) -> io::Result<()> {
        self.lock().remove(&hash);
        Ok(())
    }

    fn slice(&self, first_byte: u8) -> io::Result<Vec<BlobHash>> {
        Ok(self.lock().keys().filter(|hash| hash.0[0] == first_byte).copied().collect())
    }

    fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>> {
        let blobs = self.lock();
        let of_slice = blobs.iter().filter(|(hash, _)| hash.0[0] == first_byte);
        Ok(of_slice.map(|(hash, content)| (*hash, content.len() as u64)).collect())
    }

    fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>> {
        let Some(content) = self.lock().get(&hash).cloned() else { return Ok(None) };
        let (bytes, reading) = (content.len() as u64, Reading::Memory);
        if !goes_on(bytes) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let hash = BlobHash(*blake3::hash(&content).as_bytes());
        Ok(Some(Anew { hash, bytes, reading }))
    }

    fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool> {
        let Some(content) = self.lock().get(&hash).cloned() else { return Ok(false) };
        fs::write(to, &content)?;
        self.lock().remove(&hash);
        Ok(true)
    }
}

struct MemoryBlob(Bytes);

impl Blob for MemoryBlob {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.0.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}
