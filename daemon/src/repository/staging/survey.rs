//! What lies in staging and belongs to nothing. Called by the check, while uploads go on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::recover::{is_ours, whole};
use super::{Entry, Key, Staging};
use crate::repository::catalog::CatalogResult;

impl Staging {
    /// The staged files that no upload has.
    pub(crate) fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_ours) {
                found.push(entry.path());
            }
        }
        // An upload has its entry before its file, and its file goes before its entry; one without a
        // hash has none, and a name with a number that was given to this process.
        let table = self.table();
        let mut held = table.entries.values().map(|entry| match entry {
            Entry::Suspended(partial) => &partial.path,
            Entry::Live(live) => &live.path,
        });
        let held: std::collections::HashSet<PathBuf> =
            held.by_ref().flat_map(|path| [path.clone(), whole(path)]).collect();
        drop(table);
        found.retain(|path| !held.contains(path) && !self.is_anonymous(path));
        // What went a moment ago was left by nobody.
        found.retain(|path| path.exists());
        Ok(found)
    }

    /// The uploads that the catalog remembers and that have no file here.
    pub(crate) fn without_file(&self) -> CatalogResult<Vec<Key>> {
        let remembered = self.catalog.partials()?;
        let key = |partial: &crate::repository::catalog::SyncedPartial| Key {
            person: partial.person,
            hash: partial.hash,
            size_bytes: partial.size_bytes,
        };
        let unheld = |keys: Vec<Key>| -> Vec<Key> {
            let table = self.table();
            keys.into_iter().filter(|key| !table.entries.contains_key(key)).collect()
        };
        let doubtful = unheld(remembered.iter().map(key).collect());
        if doubtful.is_empty() {
            return Ok(doubtful);
        }
        // One that ended between the two looks is forgotten by now.
        let still: std::collections::HashSet<Key> =
            self.catalog.partials()?.iter().map(key).collect();
        Ok(unheld(doubtful).into_iter().filter(|key| still.contains(key)).collect())
    }

    /// Whether this may be the file of an upload without a hash, which is in no table.
    fn is_anonymous(&self, path: &Path) -> bool {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("new."))
    }
}
