//! Uploads in progress: which partial contents are on disk, whose they are, who receives them now.
//!
//! A partial belongs to (person, hash, size). One receiver at a time holds it, as a [`Slot`]; when
//! that ends before the content is whole, the partial stays behind, suspended, until it is
//! resumed, too old, or in the way of the quota. An upload that announced no hash leaves nothing.
//! A content that is whole keeps a second name here while its file goes to the blob store, until a
//! record has it: whatever ends before that, none of what was acknowledged is lost.
//! Called by `receiving` and at open and close; never looks into the blob store.
//!
//! Lock order: a slot's body may be held when the table is locked, never the other way round
//! (under the table a body is only tried).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::SystemTime;

use imgrepo_proto::BlobHash;
use tokio_util::sync::CancellationToken;

use super::catalog::{Catalog, PersonId};
use super::room;
use body::Body;

mod body;
mod recover;
mod slot;
mod survey;

pub(crate) use slot::{SYNC_EVERY_BYTES, Slot};

/// Which partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) person: PersonId,
    pub(crate) hash: BlobHash,
    pub(crate) size_bytes: u64,
}

/// What may lie in staging, and what must stay free beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) quota_bytes: u64,
    pub(crate) reserve_bytes: u64,
    /// A partial is synced after so many more bytes.
    pub(crate) sync_every_bytes: u64,
}

/// All uploads in progress of a repository.
pub(crate) struct Staging {
    directory: PathBuf,
    room: Room,
    catalog: Arc<dyn Catalog>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// Every staged file gets a name of its own, so that removing one that is no longer in the
    /// table never hits a newer one of the same key.
    next_file: u64,
    /// Every slot has a turn of its own, so that one that ends late never speaks for a newer one.
    next_turn: u64,
}

enum Entry {
    Suspended(Suspended),
    Live(Live),
}

#[derive(Clone)]
struct Live {
    slot: Weak<Slot>,
    turn: u64,
    path: PathBuf,
    ended: CancellationToken,
}

#[derive(Debug, Clone)]
struct Suspended {
    path: PathBuf,
    held_bytes: u64,
    synced_bytes: u64,
}

/// What came of asking for a partial.
pub(crate) enum Claim {
    /// It is the caller's now.
    Slot(Arc<Slot>),
    /// Its content is whole and being committed: ask again after that.
    Wait(CancellationToken),
}

impl Staging {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the partial of this key, from nothing, from where it was suspended, or over from who
    /// receives it now. Without a key: something of its own, from nothing. Blocks while the other
    /// writes what it has.
    pub(crate) fn claim(self: &Arc<Self>, key: Option<Key>, size_bytes: u64) -> Claim {
        let Some(key) = key else {
            let path = self.new_path(&mut self.table(), None);
            let slot = Slot::new(self, None, 0, size_bytes, path, Body::default());
            return Claim::Slot(Arc::new(slot));
        };
        loop {
            let mut table = self.table();
            let live = match table.entries.get(&key) {
                None => {
                    let path = self.new_path(&mut table, Some(&key));
                    return Claim::Slot(self.enter(&mut table, key, path, Body::default()));
                }
                Some(Entry::Suspended(partial)) => {
                    let body = Body::suspended(partial.held_bytes, partial.synced_bytes);
                    let path = partial.path.clone();
                    return Claim::Slot(self.enter(&mut table, key, path, body));
                }
                Some(Entry::Live(live)) => live.clone(),
            };
            let Some(older) = live.slot.upgrade() else { return Claim::Wait(live.ended) };
            // From here on the table is let go of before `older`, which may be the last hold of
            // its slot: a slot that ends locks the table.
            let taken = match older.body.try_lock() {
                Ok(mut body) => body.take_over(),
                Err(TryLockError::Poisoned(_)) => None,
                Err(TryLockError::WouldBlock) => {
                    drop(table);
                    drop(older.body());
                    continue;
                }
            };
            let slot = taken.map(|body| self.enter(&mut table, key, live.path, body));
            drop(table);
            return match slot {
                Some(slot) => {
                    older.superseded.cancel();
                    Claim::Slot(slot)
                }
                None => Claim::Wait(live.ended),
            };
        }
    }

    fn enter(
        self: &Arc<Self>,
        table: &mut Table,
        key: Key,
        path: PathBuf,
        body: Body,
    ) -> Arc<Slot> {
        table.next_turn += 1;
        let turn = table.next_turn;
        let slot = Slot::new(self, Some(key), turn, key.size_bytes, path.clone(), body);
        let slot = Arc::new(slot);
        let live = Live { slot: Arc::downgrade(&slot), turn, path, ended: slot.ended.clone() };
        table.entries.insert(key, Entry::Live(live));
        slot
    }

    fn new_path(&self, table: &mut Table, key: Option<&Key>) -> PathBuf {
        table.next_file += 1;
        self.directory.join(recover::file_name(key, table.next_file))
    }

    /// A slot ends: what it leaves is suspended, or forgotten where it leaves nothing.
    fn leave(&self, key: &Key, turn: u64, partial: Option<Suspended>) {
        let mut table = self.table();
        if !matches!(table.entries.get(key), Some(Entry::Live(live)) if live.turn == turn) {
            return;
        }
        match partial {
            Some(partial) => table.entries.insert(*key, Entry::Suspended(partial)),
            None => table.entries.remove(key),
        };
    }

    /// Drops what the catalog remembers of a partial that is gone.
    fn forget(&self, key: &Key) {
        if let Err(error) = self.catalog.remove_partial(key.person, key.hash, key.size_bytes) {
            tracing::warn!("cannot forget a dropped partial upload: {error}");
        }
    }

    /// Whether this many bytes fit on the disk, beside what must stay free.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        room::free_bytes(&self.directory)
            .is_none_or(|free| bytes <= free.saturating_sub(self.room.reserve_bytes))
    }

    /// As [`Staging::fits`], at the cost of suspended partials, the oldest first.
    pub(crate) fn make_room(&self, bytes: u64) -> bool {
        if self.fits(bytes) {
            return true;
        }
        let suspended = self.suspended();
        // Dropping them all for a content that fits nowhere would help nobody.
        let held: u64 = suspended.iter().map(|(_, partial, _)| partial.held_bytes).sum();
        if !self.fits(bytes.saturating_sub(held)) {
            return false;
        }
        for (key, partial, _) in suspended {
            self.drop_suspended(&key, &partial.path);
            if self.fits(bytes) {
                return true;
            }
        }
        false
    }

    /// Drops suspended partials that nobody touched since `before`, and then the oldest until all
    /// fit the quota.
    pub(crate) fn trim(&self, before: SystemTime) {
        let suspended = self.suspended();
        let mut total: u64 = suspended.iter().map(|(_, partial, _)| cost(partial.held_bytes)).sum();
        for (key, partial, touched) in suspended {
            if touched < before || total > self.room.quota_bytes {
                self.drop_suspended(&key, &partial.path);
                total = total.saturating_sub(cost(partial.held_bytes));
            }
        }
    }

    /// The suspended partials, the oldest first.
    fn suspended(&self) -> Vec<(Key, Suspended, SystemTime)> {
        let found: Vec<(Key, Suspended)> = self
            .table()
            .entries
            .iter()
            .filter_map(|(key, entry)| match entry {
                Entry::Suspended(partial) => Some((*key, partial.clone())),
                Entry::Live(_) => None,
            })
            .collect();
        let touched = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
        let mut found: Vec<_> = found
            .into_iter()
            .map(|(key, partial)| {
                let touched = touched(&partial.path).unwrap_or(SystemTime::UNIX_EPOCH);
                (key, partial, touched)
            })
            .collect();
        found.sort_by_key(|(_, _, touched)| *touched);
        found
    }

    fn drop_suspended(&self, key: &Key, path: &Path) {
        {
            let mut table = self.table();
            match table.entries.get(key) {
                Some(Entry::Suspended(partial)) if partial.path == path => {
                    table.entries.remove(key);
                }
                // Resumed since we looked: it stays.
                _ => return,
            }
        }
        remove_file(path);
        self.forget(key);
    }

    /// Syncs every suspended partial whole, so that an orderly end loses none of it to a power cut.
    pub(crate) fn sync_suspended(&self, now: jiff::Timestamp) {
        for (key, partial, _) in self.suspended() {
            if partial.synced_bytes == partial.held_bytes {
                continue;
            }
            if let Err(error) = slot::sync_partial(&*self.catalog, &key, &partial, now) {
                tracing::warn!("cannot sync a partial upload: {error}");
            }
        }
    }
}

/// What a partial counts for in the quota: many small ones cost more than their bytes.
fn cost(held_bytes: u64) -> u64 {
    held_bytes.max(64 * 1024)
}

fn remove_file(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("cannot remove `{}`: {error}", path.display());
    }
}
