//! Pictures that can be made or fetched again, as files within a budget: those that a server made of
//! its images, and those that a client has looked at.
//!
//! Called by the server's workshop and by the client's transfers. The folder may be deleted at any time,
//! also while this runs. A file is checked against its own hash before it is given; one that is damaged
//! goes. Nothing is synced, and nothing here ever fails a request: what cannot be kept is made again.

mod kept;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use imgrepo_proto::BlobHash;
use imgrepo_proto::session::view::Variant;

pub use kept::Kept;

/// A use is noted when the last one is this long ago: often enough to tell what is in use, and a second
/// look at a page costs no writing.
const USE_NOTED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is left when the budget is exceeded, in eighths: so much room is made that the folder, of
/// hundreds of thousands of files, is read rarely.
const LEFT_EIGHTHS: u64 = 7;

/// The ending of a file that is being written.
const NEW: &str = ".new";

/// Which picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The image's content.
    pub hash: BlobHash,
    /// Which picture of it.
    pub variant: Variant,
}

/// A folder of pictures.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Stands in the files' names: those of another are garbage.
    pipeline: u32,
    budget_bytes: u64,
    /// Bytes that are there, once they were counted. Whoever writes has it.
    held: Mutex<Option<u64>>,
}

impl Cache {
    /// The pictures in this folder, whether or not it is there. With a budget of 0 nothing is kept.
    #[must_use]
    pub fn new(folder: PathBuf, pipeline: u32, budget_bytes: u64) -> Cache {
        Cache { folder, pipeline, budget_bytes, held: Mutex::new(None) }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that it takes at most.
    #[must_use]
    pub fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// Bytes that it takes, where they have been counted.
    #[must_use]
    pub fn held_bytes(&self) -> Option<u64> {
        // Whoever writes may be at it for a while.
        self.held.try_lock().ok().and_then(|held| *held)
    }

    /// The picture, if it is there and whole.
    #[must_use]
    pub fn get(&self, key: &Key, now: SystemTime) -> Option<Kept> {
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        let Some(kept) = Kept::read(&file) else {
            tracing::warn!("the kept picture `{}` is damaged and goes", path.display());
            // Should it stay, it is found damaged again.
            let _ = fs::remove_file(&path);
            return None;
        };
        let used = file.metadata().and_then(|file| file.modified()).unwrap_or(now);
        if now.duration_since(used).is_ok_and(|ago| ago >= USE_NOTED_AFTER) {
            // At worst it goes before its time.
            let _ = file.set_modified(now);
        }
        Some(kept.within(file))
    }

    /// Whether the picture is there; it may be damaged.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        self.path(key).exists()
    }

    /// Keeps a picture. Blocks, now and then for as long as it takes to read the folder.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&self, key: &Key, media_type: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let head = kept::head(media_type, bytes);
        let len = (head.len() + bytes.len()) as u64;
        if len > self.budget_bytes {
            return Ok(());
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = path.clone().into_os_string();
        new.push(NEW);
        let new = PathBuf::from(new);
        let written = write(&new, &head, bytes).and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        let bytes = match *held {
            Some(bytes) => bytes.saturating_add(len),
            None => self.trim(self.budget_bytes),
        };
        *held = Some(match bytes > self.budget_bytes {
            true => self.trim(self.budget_bytes / 8 * LEFT_EIGHTHS),
            false => bytes,
        });
        Ok(())
    }

    /// Drops all pictures of a content.
    pub fn forget(&self, hash: BlobHash) {
        for variant in Variant::ALL {
            // What is counted too much is counted anew when the budget seems to be exceeded.
            let _ = fs::remove_file(self.path(&Key { hash, variant }));
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        let Key { hash, variant } = key;
        let name = format!("{hash}.{}.{}", self.pipeline, variant.word());
        self.folder.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Drops what is no picture of this pipeline, and if the rest takes more than this, the oldest used
    /// until so much is left. The bytes that are.
    fn trim(&self, left_bytes: u64) -> u64 {
        let mut files = Vec::new();
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in
            folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten().flatten()
        {
            let Ok(told) = file.metadata() else { continue };
            if !told.is_file() {
                continue;
            }
            match file.file_name().to_str().is_some_and(|name| self.is_ours(name)) {
                true => files.push((told.modified().ok(), told.len(), file.path())),
                false => drop(fs::remove_file(file.path())),
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        if bytes <= left_bytes {
            return bytes;
        }
        files.sort_unstable();
        for (_, len, path) in files {
            if bytes <= left_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                bytes -= len;
            }
        }
        bytes
    }

    /// Whether a file of this name is a whole picture of this pipeline.
    fn is_ours(&self, name: &str) -> bool {
        let mut parts = name.split('.');
        let hash = parts.next().is_some_and(|hash| hash.parse::<BlobHash>().is_ok());
        let pipeline = parts.next().and_then(|pipeline| pipeline.parse().ok());
        let variant = parts.next();
        hash && pipeline == Some(self.pipeline)
            && Variant::ALL.iter().any(|known| Some(known.word()) == variant)
            && parts.next().is_none()
    }
}

/// Writes a file for this user alone, in a folder that is made where it is missing.
fn write(path: &Path, head: &[u8], bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(path.parent().unwrap_or(Path::new("")))?;
            options.open(path)?
        }
        opened => opened?,
    };
    file.write_all(head)?;
    file.write_all(bytes)
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
