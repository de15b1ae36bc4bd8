//! The file of a download: written beside its place under a name of its own, checked against the
//! image's hash, and moved to its place when it is whole and on the disk.
//!
//! A content whose hash is known has a partial ([`super::partial`]) that outlives a command which is
//! broken off; every other file goes with the command. Never overwrites without being told to.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::{BlobHash, ErrorCode, ImageRecord, Refusal};
use tempfile::{Builder, NamedTempFile};

use super::{partial, unwritable};
use crate::cancel::Undo;
use crate::context::Context;

/// Read at once for the hash of what is there already: less makes BLAKE3 slower.
const PIECE_BYTES: usize = 256 * 1024;

/// A file on its way.
pub(super) struct Incoming {
    file: NamedTempFile,
    place: PathBuf,
    /// What the whole must be; not known of an image of an old server.
    hash: Option<BlobHash>,
    hasher: blake3::Hasher,
    written: u64,
    /// Bytes that an earlier download left.
    found: u64,
    /// It may be gone on with later.
    is_partial: bool,
    // Removes what is of no use should the process end before this is dropped.
    _undo: Undo,
}

/// What stands in the way.
pub(super) fn exists(path: &Path) -> Refusal {
    Refusal::new(
        ErrorCode::Conflict,
        format!("cannot write `{}`: it exists already", path.display()),
    )
    .hint("overwrite it with `--force`, or save elsewhere with `-o PATH`")
}

impl Incoming {
    /// The file of an image in the folder of `place`: what an earlier download left of the same
    /// content, or an empty one.
    pub(super) fn open(
        context: &Arc<Context>,
        image: &ImageRecord,
        place: &Path,
    ) -> Result<Self, Refusal> {
        let wrap = |error| unwritable(place, &error);
        let folder = folder(place);
        let partial = match image.hash {
            Some(hash) => partial::open(folder, &hash).map_err(wrap)?,
            None => None,
        };
        let is_partial = partial.is_some();
        let file = match partial {
            Some(file) => file,
            None => create(folder, ".imgctl-").map_err(wrap)?,
        };
        let path = file.path().to_owned();
        let undo = context.cancel.undo(move || {
            let is_empty = || fs::metadata(&path).is_ok_and(|meta| meta.len() == 0);
            if !is_partial || is_empty() {
                let _ = fs::remove_file(&path);
            }
        });
        let mut incoming = Incoming {
            file,
            place: place.to_owned(),
            hash: image.hash,
            hasher: blake3::Hasher::new(),
            written: 0,
            found: 0,
            is_partial,
            _undo: undo,
        };
        if is_partial {
            incoming.read(image.size).map_err(wrap)?;
        }
        Ok(incoming)
    }

    /// Takes in what is there already, unless it is more than the image has.
    fn read(&mut self, size: Option<u64>) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match self.file.read(&mut piece)? {
                0 => break,
                count => {
                    self.hasher.update(&piece[..count]);
                    self.written += count as u64;
                }
            }
        }
        self.found = self.written;
        match size.is_some_and(|size| self.written > size) {
            true => self.empty(),
            false => Ok(()),
        }
    }

    fn empty(&mut self) -> io::Result<()> {
        self.file.as_file().set_len(0)?;
        self.file.rewind()?;
        self.hasher.reset();
        (self.written, self.found) = (0, 0);
        Ok(())
    }

    /// Throws away what an earlier download left.
    pub(super) fn begin_anew(&mut self) -> Result<(), Refusal> {
        self.empty().map_err(|error| unwritable(&self.place, &error))
    }

    /// Bytes that are here.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether some of them are an earlier download's.
    pub(super) fn goes_on(&self) -> bool {
        self.found > 0
    }

    /// The next bytes; gives how many there are now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<u64, Refusal> {
        self.file.write_all(bytes).map_err(|error| unwritable(&self.place, &error))?;
        if self.hash.is_some() {
            self.hasher.update(bytes);
        }
        self.written += bytes.len() as u64;
        Ok(self.written)
    }

    /// Whether this is the content that was announced.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let ours = BlobHash(*self.hasher.finalize().as_bytes());
        match self.hash.is_none_or(|hash| hash == ours) {
            true => Ok(()),
            false => Err(Refusal::new(
                ErrorCode::WrongHash,
                "the bytes that came are not the ones that were announced: their hash is another",
            )),
        }
    }

    /// All of it is there: to the disk, and to its place.
    pub(super) fn finish(self, force: bool) -> Result<(), Refusal> {
        let Incoming { file, place, is_partial, .. } = self;
        let wrap = |error| unwritable(&place, &error);
        if is_partial {
            set_mode(&file, folder(&place)).map_err(wrap)?;
        }
        file.as_file().sync_all().map_err(wrap)?;
        let moved = match force {
            true => file.persist(&place),
            false => file.persist_noclobber(&place),
        };
        moved.map_err(|error| wrap(error.error))?;
        // The name is as durable as the content, where the system lets a folder be synced at all.
        if let Ok(folder) = File::open(folder(&place)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// It was broken off: kept where the same download may go on with it, else removed.
    pub(super) fn break_off(mut self, refusal: &Refusal) {
        // A disk that is full needs the room more than it needs this.
        let passes = !matches!(refusal.code, ErrorCode::StorageFull)
            && (refusal.code.is_passing()
                || matches!(refusal.code, ErrorCode::NotRunning | ErrorCode::TimedOut));
        if self.is_partial && self.written > 0 && passes {
            self.file.disable_cleanup(true);
        }
    }
}

/// The folder that a file is, or will be, in.
pub(super) fn folder(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Gives a partial the rights that a new file of the caller has there.
fn set_mode(file: &NamedTempFile, folder: &Path) -> io::Result<()> {
    let mode = |file: &NamedTempFile| file.as_file().metadata().map(|meta| meta.permissions());
    let due = mode(&create(folder, ".imgctl-")?)?;
    match mode(file)? == due {
        // Some file systems have but one, and refuse to be told.
        true => Ok(()),
        false => file.as_file().set_permissions(due),
    }
}

/// An empty file that goes when it is dropped, with the rights that the caller's umask leaves.
fn create(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(prefix).suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
