//! What lies beside the contents: uploads in progress, and pictures that were made of contents. Called by
//! the check.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::maintenance::FaultKind;
use imgrepo_proto::{BlobHash, Refusal};

use super::words::{self, Mended, mendable};
use super::{Run, faults};
use crate::repository::catalog::inspection::KeptContent;

impl Run<'_> {
    /// Files of uploads that nobody can resume, and uploads that are remembered without a file.
    pub(super) fn staging(&mut self) -> Result<(), Refusal> {
        let staging = self.inner.staging.clone();
        match staging.left_over() {
            Ok(paths) => {
                for path in paths {
                    let message = format!("`{}` is of no upload", path.display());
                    self.left_over_file(&path, message)?;
                }
            }
            Err(error) => {
                let message = format!("cannot list the uploads in progress: {error}");
                self.fault(words::fault(FaultKind::Unread, message))?;
            }
        }
        let forgotten = staging.without_file().map_err(|error| faults::catalog(&error))?;
        for key in forgotten {
            let message =
                format!("an upload of content {} is remembered, and has no file", key.hash);
            let mended = match self.wanted.repair {
                false => Mended::NotTried,
                true => {
                    let catalog = &self.inner.catalog;
                    match catalog.remove_partial(key.person, key.hash, key.size_bytes) {
                        Ok(()) => Mended::Done("it was forgotten"),
                        Err(error) => Mended::Failed(error.to_string()),
                    }
                }
            };
            self.fault(mendable(words::fault(FaultKind::LeftOver, message), mended))?;
        }
        Ok(())
    }

    /// Pictures of contents that no image has.
    pub(super) fn variants(&mut self, first_byte: u8, kept: &[KeptContent]) -> Result<(), Refusal> {
        let folder = self.inner.settings.data.join("variants").join(format!("{first_byte:02x}"));
        let pictures = match pictures(&folder) {
            Ok(pictures) => pictures,
            Err(error) => {
                let message =
                    format!("cannot list the pictures in `{}`: {error}", folder.display());
                return self.fault(words::fault(FaultKind::Unread, message));
            }
        };
        let is_kept = |hash: &BlobHash| kept.binary_search_by_key(hash, |kept| kept.hash).is_ok();
        let mut doubtful = pictures;
        doubtful.retain(|(hash, _)| !is_kept(hash));
        if doubtful.is_empty() {
            return Ok(());
        }
        let inner = std::sync::Arc::downgrade(self.inner);
        let left_over = self.between_changes(move || {
            let Some(inner) = inner.upgrade() else { return Vec::new() };
            let is_left = |(hash, path): &(BlobHash, PathBuf)| {
                !inner.pins.holds(*hash)
                    && matches!(inner.catalog.is_referenced(*hash), Ok(false))
                    && path.exists()
            };
            doubtful.into_iter().filter(is_left).collect()
        })?;
        for (hash, path) in left_over {
            let message =
                format!("`{}` is a picture of {hash}, which no image has", path.display());
            self.left_over_file(&path, message)?;
        }
        Ok(())
    }

    fn left_over_file(&mut self, path: &Path, message: String) -> Result<(), Refusal> {
        let mended = match self.wanted.repair {
            false => Mended::NotTried,
            true => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Mended::Failed(error.to_string())
                }
                _ => Mended::Done("it was removed"),
            },
        };
        self.fault(mendable(words::fault(FaultKind::LeftOver, message), mended))
    }
}

/// The pictures in a folder of the cache, by the contents that they are of.
fn pictures(folder: &Path) -> io::Result<Vec<(BlobHash, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| name.split('.').next()?.parse::<BlobHash>().ok());
        found.extend(hash.map(|hash| (hash, entry.path())));
    }
    Ok(found)
}
