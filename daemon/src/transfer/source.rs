//! The file that an upload reads: opened once, hashed once, read by place from one descriptor.
//!
//! The upload's shell owns it. A file that changes, or goes away, while it is read is noticed before
//! its last byte leaves: then nothing is stored.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use imgrepo_proto::control::reply::{Phase, Progress};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::data::HEADER_BYTES;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};
use rustix::fs::Mode;
use tokio::sync::watch;

use crate::host;
use crate::repository::not_an_image;
use crate::repository::picture::{DECIDING_BYTES, Guess, kind_of};
use crate::state::Stamp;

use super::opening::{NotOpened, READ};

/// Bytes read at once for the hash: BLAKE3 is at its fastest from 64 KiB on, and fewer calls are
/// cheaper.
const HASH_BYTES: usize = 256 * 1024;

/// An open file to upload. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source(Arc<Open>);

#[derive(Debug)]
struct Open {
    file: File,
    /// None for what was spooled: nobody else has it.
    path: Option<PathBuf>,
    /// Whether the path may be a link.
    follows: bool,
    stamp: Stamp,
}

impl Source {
    /// Opens a regular file. Blocks.
    ///
    /// # Errors
    /// `file_error` where it is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Source, Refusal> {
        // A link is followed, as by every program that is given a path.
        let opened = rustix::fs::open(path, READ, Mode::empty())
            .map_err(|error| NotOpened::because(path, error))
            .and_then(|file| Source::of(File::from(file), path, true));
        opened.map_err(NotOpened::refusal)
    }

    /// Of a file that was opened.
    pub(super) fn of(file: File, path: &Path, follows: bool) -> Result<Source, NotOpened> {
        let metadata = file
            .metadata()
            .map_err(|error| NotOpened::Unreadable(cannot_read(path, &error.to_string())))?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "it is a folder" } else { "it is no regular file" };
            return Err(NotOpened::Another(cannot_read(path, what)));
        }
        let stamp = Stamp::of(&metadata);
        Ok(Source(Arc::new(Open { file, path: Some(path.to_owned()), follows, stamp })))
    }

    /// Takes a file that nobody else knows: content that was streamed to the daemon. Blocks.
    ///
    /// # Errors
    /// `file_error` where it cannot be looked at.
    pub fn spooled(file: File) -> Result<Source, Refusal> {
        let metadata = file
            .metadata()
            .map_err(|error| file_error("cannot read the spooled content", &error.to_string()))?;
        let stamp = Stamp::of(&metadata);
        Ok(Source(Arc::new(Open { file, path: None, follows: false, stamp })))
    }

    /// Bytes of the content, as it was when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.stamp.size
    }

    /// As it was when it was opened.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.0.stamp
    }

    /// Whether there is something to upload.
    pub(super) fn check_not_empty(&self) -> Result<(), Refusal> {
        match self.size() {
            0 => {
                let message = format!("cannot upload {}: it is empty", self.name());
                Err(Refusal::new(ErrorCode::NotAnImage, message))
            }
            _ => Ok(()),
        }
    }

    /// Whether its first bytes are an image's. Blocks.
    pub(super) fn check_is_image(&self) -> Result<(), Refusal> {
        let mut first = [0; DECIDING_BYTES];
        let len = first.len().min(usize::try_from(self.size()).unwrap_or(usize::MAX));
        self.read_exact(&mut first[..len], 0)?;
        check_is_image(&first[..len], len as u64 == self.size())
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match &self.0.path {
            Some(path) => format!("`{}`", show(path)),
            None => "the content".to_owned(),
        }
    }

    /// Reads all of it for its hash, in the blocking pool; dropping the future stops that.
    pub(super) async fn hash(
        &self,
        progress: &watch::Sender<Progress>,
    ) -> Result<BlobHash, Refusal> {
        let (source, progress) = (self.clone(), progress.clone());
        let abandoned = Abandoned::default();
        let seen = abandoned.0.clone();
        let hash = host::blocking(move || source.hash_now(&progress, &seen)).await;
        drop(abandoned);
        hash.unwrap_or_else(|_| Err(self.fault("the reading was given up")))
    }

    fn hash_now(
        &self,
        progress: &watch::Sender<Progress>,
        abandoned: &AtomicBool,
    ) -> Result<BlobHash, Refusal> {
        let total = self.size();
        let mut hasher = blake3::Hasher::new();
        let room = usize::try_from(total).unwrap_or(HASH_BYTES).clamp(1, HASH_BYTES);
        let mut buffer = vec![0; room];
        let mut done = 0;
        while done < total && !abandoned.load(Ordering::Relaxed) {
            let part = buffer.len().min(usize::try_from(total - done).unwrap_or(usize::MAX));
            self.read_exact(&mut buffer[..part], done)?;
            hasher.update(&buffer[..part]);
            done += part as u64;
            progress.send_replace(Progress { phase: Phase::Hashing, done, total });
        }
        self.check()?;
        Ok(BlobHash(*hasher.finalize().as_bytes()))
    }

    /// Reads a stretch as pieces of at most `piece_bytes`, each behind room for a data message's
    /// head, in the blocking pool. With the last stretch comes the certainty that it is still the
    /// same file.
    pub(super) async fn pieces(
        &self,
        offset: u64,
        bytes: usize,
        piece_bytes: usize,
    ) -> Result<Vec<BytesMut>, Refusal> {
        let source = self.clone();
        let read = move || {
            let end = source.size().min(offset.saturating_add(bytes as u64));
            let mut pieces = Vec::new();
            let mut at = offset;
            while at < end {
                let len = piece_bytes.min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let mut piece = BytesMut::zeroed(HEADER_BYTES + len);
                source.read_exact(&mut piece[HEADER_BYTES..], at)?;
                pieces.push(piece);
                at += len as u64;
            }
            if end == source.size() {
                source.check()?;
            }
            Ok(pieces)
        };
        host::blocking(read).await.unwrap_or_else(|_| Err(self.fault("the reading was given up")))
    }

    /// Whether it is the same file as when it was opened, by its place, size and time of change.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let Open { file, path, follows, stamp } = &*self.0;
        let now = file.metadata().map_err(|error| self.fault(&error.to_string()))?;
        if Stamp::of(&now) != *stamp {
            return Err(self.fault("it changed while it was read"));
        }
        let Some(path) = path else { return Ok(()) };
        let there = match follows {
            true => std::fs::metadata(path),
            false => std::fs::symlink_metadata(path),
        };
        match there {
            Ok(there) if Stamp::of(&there) == *stamp => Ok(()),
            Ok(_) => Err(self.fault("it was replaced while it was read")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.fault("it was deleted while it was read"))
            }
            Err(error) => Err(self.fault(&error.to_string())),
        }
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), Refusal> {
        self.0.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault("it changed while it was read"),
            _ => self.fault(&error.to_string()),
        })
    }

    fn fault(&self, why: &str) -> Refusal {
        file_error(&format!("cannot read {}", self.name()), why)
    }
}

/// Tells a reading in the blocking pool that nobody waits for it any more.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether these first bytes, or all that there are, can be an image's.
pub(super) fn check_is_image(first: &[u8], is_all: bool) -> Result<(), Refusal> {
    match kind_of(first) {
        Guess::Image(_) => Ok(()),
        Guess::NeedMore if !is_all => Ok(()),
        Guess::NeedMore | Guess::NotAnImage => Err(not_an_image()),
    }
}

pub(super) fn show(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

pub(super) fn cannot_read(path: &Path, why: &str) -> Refusal {
    file_error(&format!("cannot read `{}`", show(path)), why)
}

pub(super) fn file_error(act: &str, why: &str) -> Refusal {
    Refusal::new(ErrorCode::FileError, format!("{act}: {}", shown(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> watch::Sender<Progress> {
        watch::Sender::new(Progress { phase: Phase::Hashing, done: 0, total: 0 })
    }

    #[tokio::test]
    async fn a_file_is_read_in_pieces_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for size in [0, 1, 9, 10, 11, HASH_BYTES - 1, HASH_BYTES, HASH_BYTES + 1] {
            let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let source = Source::open(&path).unwrap();
            let progress = quiet();
            let hash = source.hash(&progress).await.unwrap();
            assert_eq!(hash.0, *blake3::hash(&content).as_bytes());
            if size > 0 {
                let done = size as u64;
                let all = Progress { phase: Phase::Hashing, done, total: done };
                assert_eq!(*progress.borrow(), all);
            }
            let mut read = Vec::new();
            for piece in source.pieces(0, size, 10).await.unwrap() {
                assert!(piece.len() <= HEADER_BYTES + 10);
                read.extend_from_slice(&piece[HEADER_BYTES..]);
            }
            assert!(read == content, "{size}");
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_or_goes_away_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let fresh = || {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, b"0123456789").unwrap();
            Source::open(&path).unwrap()
        };
        let error = |source: Source| async move {
            let pieces = source.pieces(5, 5, 5).await.unwrap_err();
            assert_eq!(source.hash(&quiet()).await.unwrap_err(), pieces);
            assert_eq!(pieces.code, ErrorCode::FileError);
            pieces.message
        };
        let source = fresh();
        std::fs::write(&path, b"0123").unwrap();
        assert!(error(source).await.contains("changed"));
        let source = fresh();
        std::fs::write(&path, b"0123456789+").unwrap();
        assert!(error(source).await.contains("changed"));
        let source = fresh();
        std::fs::remove_file(&path).unwrap();
        assert!(error(source).await.contains("deleted"));
        let source = fresh();
        std::fs::write(folder.path().join("b"), b"9876543210").unwrap();
        std::fs::rename(folder.path().join("b"), &path).unwrap();
        assert!(error(source).await.contains("replaced"));
        let source = fresh();
        assert_eq!(source.pieces(0, 5, 5).await.unwrap().len(), 1, "checked at the end alone");
    }

    #[test]
    fn only_a_regular_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| Source::open(path).unwrap_err().message;
        assert!(message(folder.path()).contains("folder"));
        assert!(message(Path::new("/dev/null")).contains("no regular file"));
        assert!(message(&folder.path().join("none")).contains("No such file"));
    }
}
