//! How much is kept, and how much more may be. Called by `announced` before an upload takes a byte, and
//! by the server for its status.
//!
//! An upload is counted from its announcement to its answer, which comes after the commit: what is kept
//! and what is coming never leave out one, so that uploads side by side do not pass a quota together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal, size};

use super::announced::Wanted;
use super::catalog::{Catalog, PersonId};
use super::staging::Key;
use super::{Repository, Settings, faults};

/// Bytes of images, each counted for itself: also where two have one content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of those that are listed or in the trash.
    pub kept_bytes: u64,
    /// Of uploads in progress, as they were announced, where there is a quota.
    pub coming_bytes: u64,
}

impl Repository {
    /// How much the repository holds.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn usage(&self) -> Result<Usage, Refusal> {
        self.hop(|inner| {
            let coming_bytes = inner.coming.table().total;
            let kept = inner.catalog.kept_bytes(None).map_err(|error| faults::catalog(&error))?;
            Ok(Usage { kept_bytes: kept, coming_bytes })
        })
        .await
    }
}

/// The uploads in progress.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    total: u64,
    people: HashMap<PersonId, u64>,
    /// Uploads of one content: one that takes another over is not counted beside it.
    shared: HashMap<Key, usize>,
}

/// An upload's place among those that are coming, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    coming: Arc<Coming>,
    person: PersonId,
    key: Option<Key>,
    size_bytes: u64,
}

impl Coming {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Numbers alone, each changed by a single call: a panic elsewhere leaves them whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a share; how much is coming with it, of this person and of all.
    fn enter(
        self: &Arc<Self>,
        person: PersonId,
        key: Option<Key>,
        bytes: u64,
    ) -> (Share, u64, u64) {
        let mut table = self.table();
        let sharers = key.map_or(1, |key| {
            let count = table.shared.entry(key).or_default();
            *count += 1;
            *count
        });
        if sharers == 1 {
            table.total = table.total.saturating_add(bytes);
            let own = table.people.entry(person).or_default();
            *own = own.saturating_add(bytes);
        }
        let own = table.people.get(&person).copied().unwrap_or(0);
        let total = table.total;
        drop(table);
        (Share { coming: self.clone(), person, key, size_bytes: bytes }, own, total)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut table = self.coming.table();
        if let Some(key) = &self.key
            && let Some(count) = table.shared.get_mut(key)
        {
            *count -= 1;
            if *count > 0 {
                return;
            }
            table.shared.remove(key);
        }
        table.total = table.total.saturating_sub(self.size_bytes);
        if let Some(own) = table.people.get_mut(&self.person) {
            *own = own.saturating_sub(self.size_bytes);
            if *own == 0 {
                table.people.remove(&self.person);
            }
        }
    }
}

/// Leave for an upload to come: None where nothing limits it.
///
/// # Errors
/// `storage_full`, which says whose room there is none of.
pub(crate) fn admit(
    coming: &Arc<Coming>,
    catalog: &dyn Catalog,
    settings: &Settings,
    wanted: &Wanted,
    key: Option<Key>,
) -> Result<Option<Share>, Refusal> {
    // The owner imports what they have; their own disk limits it.
    if wanted.imported.is_some() {
        return Ok(None);
    }
    let (of_person, of_all) = (settings.person_quota_bytes, settings.repository_quota_bytes);
    if of_person.is_none() && of_all.is_none() {
        return Ok(None);
    }
    let person = wanted.actor.person;
    let (share, own, total) = coming.enter(person, key, wanted.size_bytes);
    // Kept is asked for after what is coming: an upload that was committed between is in both.
    let kept = |whose| catalog.kept_bytes(whose).map_err(|error| faults::catalog(&error));
    if let Some(most) = of_person {
        let kept = kept(Some(person))?;
        if kept.saturating_add(own) > most {
            let name = shown(wanted.actor.name.as_str());
            return Err(full(&format!("`{name}` has"), kept, wanted, most));
        }
    }
    if let Some(most) = of_all {
        let kept = kept(None)?;
        if kept.saturating_add(total) > most {
            return Err(full("the repository has", kept, wanted, most));
        }
    }
    Ok(Some(share))
}

fn full(who: &str, kept: u64, wanted: &Wanted, most: u64) -> Refusal {
    let (kept, own, most) = (size(kept), size(wanted.size_bytes), size(most));
    let message = format!("{who} {kept} of images here, this one has {own}, the limit is {most}");
    Refusal::new(ErrorCode::StorageFull, message)
        .hint("make room: imgctl rm IMAGE..., then imgctl trash empty")
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::BlobHash;

    use super::*;

    #[test]
    fn what_is_coming_is_counted_once_and_given_back() {
        let coming = Arc::new(Coming::default());
        let key = |person| Key { person: PersonId(person), hash: BlobHash([1; 32]), size_bytes: 9 };
        let (first, own, total) = coming.enter(PersonId(1), Some(key(1)), 9);
        assert_eq!((own, total), (9, 9));
        let (again, own, total) = coming.enter(PersonId(1), Some(key(1)), 9);
        assert_eq!((own, total), (9, 9));
        let (other, own, total) = coming.enter(PersonId(2), Some(key(2)), 9);
        assert_eq!((own, total), (9, 18));
        let (unknown, own, total) = coming.enter(PersonId(1), None, 5);
        assert_eq!((own, total), (14, 23));
        drop(first);
        assert_eq!(coming.table().total, 23);
        drop((again, other, unknown));
        let table = coming.table();
        assert_eq!(table.total, 0);
        assert!(table.people.is_empty() && table.shared.is_empty());
    }
}
