//! Contents in memory: the second implementation, which keeps the trait honest. For tests; a
//! repository of such blobs forgets them when it ends.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use super::{Blob, BlobStore};

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
