//! What staging finds when a repository opens: names of staged files, and how much of each partial
//! is there for sure. Called once, before any upload.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Entry, Key, Room, Staging, Suspended, Table, remove_file};
use jiff::Timestamp;

use crate::repository::catalog::{Catalog, PersonId, SyncedPartial};

/// The name of a staged file: `7-1048576-<hash>.3`, or `new.3` where no hash was announced.
pub(super) fn file_name(key: Option<&Key>, number: u64) -> String {
    match key {
        Some(key) => format!("{}-{}-{}.{number}", key.person.0, key.size_bytes, key.hash),
        None => format!("new.{number}"),
    }
}

/// The end of the second name of a content that is whole, checked and synced: it is given when the
/// file goes to the blob store, and goes when a record has the content.
const WHOLE: &str = ".whole";

/// The second name of a staged file.
pub(super) fn whole(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(WHOLE);
    name.into()
}

/// Gives a content that went to the blob store and got no record its first name again; how much of
/// it the catalog knows to be synced. It was, before it got its second name.
pub(super) fn put_back(
    catalog: &dyn Catalog,
    key: &Key,
    path: &Path,
    now: Timestamp,
) -> io::Result<u64> {
    let Key { person, hash, size_bytes } = *key;
    let synced = SyncedPartial { person, hash, size_bytes, synced_bytes: size_bytes };
    // First the word, then the name: a whole content must not be taken for one to be cut.
    let noted = catalog.put_partial(&synced, now);
    let whole = whole(path);
    fs::rename(&whole, path)?;
    // It had not gone yet: a rename of a file to its other name does nothing.
    remove_file(&whole);
    match noted {
        Ok(()) => Ok(size_bytes),
        Err(error) => {
            tracing::warn!("cannot note that an upload is whole: {error}");
            Ok(0)
        }
    }
}

/// Puts back all that the end of a process left without a record.
fn put_all_back(directory: &Path, catalog: &dyn Catalog, now: Timestamp) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(WHOLE)) else { continue };
        if let Some((Some(key), _)) = parse(name) {
            found.push((key, directory.join(name)));
        }
    }
    for (key, path) in found {
        if fs::metadata(whole(&path))?.len() != key.size_bytes {
            remove_file(&whole(&path)); // somebody else's doing
            continue;
        }
        put_back(catalog, &key, &path, now)?;
    }
    Ok(())
}

/// Whether a file of this name is one that staging makes.
pub(super) fn is_ours(name: &str) -> bool {
    parse(name.strip_suffix(WHOLE).unwrap_or(name)).is_some()
}

/// Whose partial a staged file is, and its number.
fn parse(name: &str) -> Option<(Option<Key>, u64)> {
    let (stem, number) = name.rsplit_once('.')?;
    let number = number.parse().ok()?;
    if stem == "new" {
        return Some((None, number));
    }
    let mut parts = stem.splitn(3, '-');
    let person = PersonId(parts.next()?.parse().ok()?);
    let size_bytes = parts.next()?.parse().ok()?;
    let hash = parts.next()?.parse().ok()?;
    Some((Some(Key { person, hash, size_bytes }), number))
}

impl Staging {
    /// Opens the directory. Where the lengths of its files do not hold (the power may have gone
    /// since they were written) each partial is cut to what the catalog knows to be synced.
    /// What nobody can resume is removed; a file with a name that is not ours is left alone.
    pub(crate) fn open(
        directory: &Path,
        lengths_hold: bool,
        catalog: Arc<dyn Catalog>,
        room: Room,
        now: Timestamp,
    ) -> io::Result<Staging> {
        fs::create_dir_all(directory)?;
        put_all_back(directory, &*catalog, now)?;
        let remembered = catalog.partials().map_err(io::Error::other)?;
        let mut synced: HashMap<Key, u64> = remembered.iter().map(synced_of).collect();
        let mut table = Table::default();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Some((key, number)) = entry.file_name().to_str().and_then(parse) else { continue };
            table.next_file = table.next_file.max(number);
            let partial = key.filter(|key| !is_stored(&*catalog, key)).and_then(|key| {
                let length = entry.metadata().ok()?.len();
                let synced_bytes = synced.get(&key).copied().unwrap_or(0).min(length);
                let held_bytes = if lengths_hold { length } else { synced_bytes };
                // A file cannot be longer than its content, but for somebody else's doing.
                (held_bytes > 0 && held_bytes <= key.size_bytes)
                    .then_some((key, Suspended { path: entry.path(), held_bytes, synced_bytes }))
            });
            match partial {
                Some((key, partial)) => keep_longer(&mut table, key, partial),
                None => remove_file(&entry.path()),
            }
        }
        synced.retain(|key, _| !table.entries.contains_key(key));
        let staging =
            Staging { directory: directory.to_owned(), room, catalog, table: Mutex::new(table) };
        for key in synced.keys() {
            staging.forget(key);
        }
        Ok(staging)
    }
}

/// Whether the upload of this content had succeeded.
fn is_stored(catalog: &dyn Catalog, key: &Key) -> bool {
    // Where that cannot be told it stays: the upload that asks for it will tell.
    let stored = catalog.stored_by(key.person, key.hash).ok().flatten();
    stored.is_some_and(|stored| stored.size_bytes == key.size_bytes)
}

fn synced_of(partial: &SyncedPartial) -> (Key, u64) {
    let SyncedPartial { person, hash, size_bytes, synced_bytes } = *partial;
    (Key { person, hash, size_bytes }, synced_bytes)
}

/// Keeps the longer of two files of one key: an end at the wrong moment may leave both.
fn keep_longer(table: &mut Table, key: Key, partial: Suspended) {
    let other: Option<PathBuf> = match table.entries.get(&key) {
        Some(Entry::Suspended(held)) if held.held_bytes >= partial.held_bytes => {
            return remove_file(&partial.path);
        }
        Some(Entry::Suspended(held)) => Some(held.path.clone()),
        _ => None,
    };
    table.entries.insert(key, Entry::Suspended(partial));
    if let Some(path) = other {
        remove_file(&path);
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::BlobHash;

    use super::*;

    #[test]
    fn names_go_round() {
        let key = Key { person: PersonId(7), hash: BlobHash([0xab; 32]), size_bytes: 1 << 40 };
        assert_eq!(parse(&file_name(Some(&key), 3)), Some((Some(key), 3)));
        assert_eq!(parse(&file_name(None, 3)), Some((None, 3)));
        for name in ["", ".", "new", "new.x", "1-2.3", "1-2-zz.3", ".DS_Store"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
