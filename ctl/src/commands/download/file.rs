//! The file of a download: written beside its place under a name of its own, and moved there when
//! it is whole and on the disk. Never overwrites without being told to, never leaves a piece behind.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::{ErrorCode, Refusal};
use tempfile::{Builder, NamedTempFile};

use super::unwritable;
use crate::cancel::Undo;
use crate::context::Context;

/// A file on its way.
pub(super) struct Incoming {
    file: NamedTempFile,
    place: PathBuf,
    written: u64,
    // Removes the file should the process end before this is dropped.
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
    /// An empty file in the folder of `place`.
    pub(super) fn create(context: &Arc<Context>, place: &Path) -> Result<Self, Refusal> {
        let folder = match place.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = Builder::new();
        builder.prefix(".imgctl-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // The system takes the caller's umask away from these.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|error| unwritable(place, &error))?;
        let path = file.path().to_owned();
        let undo = context.cancel.undo(move || drop(fs::remove_file(path)));
        Ok(Incoming { file, place: place.to_owned(), written: 0, _undo: undo })
    }

    /// The next bytes; gives how many there are now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<u64, Refusal> {
        self.file.write_all(bytes).map_err(|error| unwritable(&self.place, &error))?;
        self.written += bytes.len() as u64;
        Ok(self.written)
    }

    /// All of it is there: to the disk, and to its place.
    pub(super) fn finish(self, force: bool) -> Result<(), Refusal> {
        let Incoming { file, place, .. } = self;
        file.as_file().sync_all().map_err(|error| unwritable(&place, &error))?;
        let moved = match force {
            true => file.persist(&place),
            false => file.persist_noclobber(&place),
        };
        moved.map_err(|error| unwritable(&place, &error.error))?;
        // The name is as durable as the content, where the system lets a folder be synced at all.
        let folder = place.parent().filter(|folder| *folder != Path::new(""));
        if let Ok(folder) = fs::File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}
