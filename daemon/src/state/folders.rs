//! Memberships, watched folders, and what a person told the queue.

use std::path::{Path, PathBuf};

use imgrepo_proto::control::queue::Rates;
use imgrepo_proto::control::watch::After;
use imgrepo_proto::{PersonName, Refusal};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::rows::{bytes, identity, optional_path, path, signed, time};
use super::{Folder, FolderId, MembershipId, State, Told};

/// The columns of a folder, in the order of [`folder`].
const FOLDER: &str =
    "id, membership, path, after, move_to, paused, root_device, root_inode, scanned_at";

impl State {
    /// The membership of this person in this repository, which is at this address now.
    ///
    /// # Errors
    /// The disk's, as everywhere here: `storage_full` or `internal`; `shutting_down` at the end.
    pub async fn join(
        &self,
        repository: String,
        person: PersonName,
        url: String,
    ) -> Result<MembershipId, Refusal> {
        self.keep(move |db| {
            let sql = "SELECT id, url, met = (SELECT max(met) FROM membership) FROM membership \
                 WHERE repository = ? AND person = ?";
            let known = db
                .prepare_cached(sql)?
                .query_row((&repository, person.as_str()), |row| {
                    Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?))
                })
                .optional()?;
            if let Some((id, at, true)) = &known
                && *at == url
            {
                return Ok(MembershipId(*id));
            }
            let sql = "INSERT INTO membership (repository, person, url, met) \
                 VALUES (?, ?, ?, (SELECT coalesce(max(met), 0) + 1 FROM membership)) \
                 ON CONFLICT DO UPDATE SET url = excluded.url, met = excluded.met RETURNING id";
            let values = (&repository, person.as_str(), &url);
            let id = db.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
            Ok(MembershipId(id))
        })
        .await
    }

    /// The membership that this person had at this address when it was last reached.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn membership_at(
        &self,
        url: String,
        person: PersonName,
    ) -> Result<Option<MembershipId>, Refusal> {
        self.read(move |db| {
            let sql = "SELECT id FROM membership WHERE url = ? AND person = ? \
                 ORDER BY met DESC LIMIT 1";
            let mut ask = db.prepare_cached(sql)?;
            let id = ask.query_row((url, person.as_str()), |row| row.get(0)).optional()?;
            Ok(id.map(MembershipId))
        })
        .await
    }

    /// Forgets a membership with its folders and uploads, whatever has become of them.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn forget_membership(&self, id: MembershipId) -> Result<(), Refusal> {
        self.keep(move |db| {
            db.execute("DELETE FROM upload WHERE membership = ?", [id.0])?;
            db.execute("DELETE FROM tally WHERE membership = ?", [id.0])?;
            db.execute("DELETE FROM folder WHERE membership = ?", [id.0])?;
            db.execute("DELETE FROM membership WHERE id = ?", [id.0])?;
            Ok(())
        })
        .await
    }

    /// All watched folders, of every membership.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn folders(&self) -> Result<Vec<Folder>, Refusal> {
        self.read(|db| {
            let sql = format!("SELECT {FOLDER} FROM folder ORDER BY id");
            let mut ask = db.prepare_cached(&sql)?;
            let all = ask.query_map([], folder)?.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(all)
        })
        .await
    }

    /// Watches this folder; one that is watched already gets the new `after`.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn add_folder(
        &self,
        membership: MembershipId,
        path: PathBuf,
        after: After,
    ) -> Result<Folder, Refusal> {
        self.keep(move |db| {
            let (word, move_to) = match &after {
                After::Keep => ("keep", None),
                After::Move(to) => ("move", Some(bytes(to))),
                After::Trash => ("trash", None),
            };
            let sql = format!(
                "INSERT INTO folder (membership, path, after, move_to) VALUES (?, ?, ?, ?) \
                 ON CONFLICT DO UPDATE SET after = excluded.after, move_to = excluded.move_to \
                 RETURNING {FOLDER}"
            );
            let values = (membership.0, bytes(&path), word, move_to);
            Ok(db.prepare_cached(&sql)?.query_row(values, folder)?)
        })
        .await
    }

    /// Forgets a folder and all uploads of its files, those that were not made too.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn remove_folder(&self, id: FolderId) -> Result<(), Refusal> {
        self.keep(move |db| {
            db.execute("DELETE FROM upload WHERE folder = ?", [id.0])?;
            db.execute("DELETE FROM tally WHERE folder = ?", [id.0])?;
            db.execute("DELETE FROM folder WHERE id = ?", [id.0])?;
            Ok(())
        })
        .await
    }

    /// Pauses a folder, or goes on with it.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn pause_folder(&self, id: FolderId, paused: bool) -> Result<(), Refusal> {
        self.keep(move |db| {
            db.execute("UPDATE folder SET paused = ? WHERE id = ?", (paused, id.0))?;
            Ok(())
        })
        .await
    }

    /// The directory (device, inode) that a folder's path leads to now.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn folder_root(&self, id: FolderId, root: (u64, u64)) -> Result<(), Refusal> {
        self.keep(move |db| {
            let sql = "UPDATE folder SET root_device = ?, root_inode = ? WHERE id = ?";
            db.execute(sql, (signed(root.0), signed(root.1), id.0))?;
            Ok(())
        })
        .await
    }

    /// All of a folder was looked at.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn folder_scanned(&self, id: FolderId, at: Timestamp) -> Result<(), Refusal> {
        self.soon(move |db| {
            let sql = "UPDATE folder SET scanned_at = ? WHERE id = ?";
            db.prepare_cached(sql)?.execute((at.as_millisecond(), id.0))?;
            Ok(())
        })
        .await
    }

    /// What a person told the queue.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn told(&self) -> Result<Told, Refusal> {
        self.read(|db| {
            let value = |key: &str| -> rusqlite::Result<Option<u64>> {
                let mut ask = db.prepare_cached("SELECT value FROM setting WHERE key = ?")?;
                let value: Option<i64> = ask.query_row([key], |row| row.get(0)).optional()?;
                Ok(value.map(i64::cast_unsigned))
            };
            Ok(Told {
                paused: value("paused")?.is_some(),
                rates: Rates { up: value("rate_up")?, down: value("rate_down")? },
            })
        })
        .await
    }

    /// Remembers that the queue is to pause, or to go on.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn tell_paused(&self, paused: bool) -> Result<(), Refusal> {
        self.keep(move |db| Ok(set(db, "paused", paused.then_some(1))?)).await
    }

    /// Remembers the limits of transfers.
    ///
    /// # Errors
    /// As [`State::join`].
    pub async fn tell_rates(&self, rates: Rates) -> Result<(), Refusal> {
        self.keep(move |db| {
            set(db, "rate_up", rates.up)?;
            set(db, "rate_down", rates.down)?;
            Ok(())
        })
        .await
    }
}

fn set(db: &Connection, key: &str, value: Option<u64>) -> rusqlite::Result<()> {
    match value {
        Some(value) => db.execute(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (key, signed(value)),
        )?,
        None => db.execute("DELETE FROM setting WHERE key = ?", [key])?,
    };
    Ok(())
}

fn folder(row: &Row<'_>) -> rusqlite::Result<Folder> {
    let after: String = row.get(3)?;
    let move_to = optional_path(row, 4)?;
    Ok(Folder {
        id: FolderId(row.get(0)?),
        membership: MembershipId(row.get(1)?),
        path: path(row.get(2)?),
        after: match (after.as_str(), move_to) {
            ("move", Some(to)) => After::Move(to),
            ("trash", _) => After::Trash,
            _ => After::Keep,
        },
        paused: row.get(5)?,
        root: identity((row.get(6)?, row.get(7)?)),
        scanned_at: time(row, 8)?,
    })
}

/// The watched folders that a file is in, of every membership.
pub(super) fn folders_above(db: &Connection, file: &Path) -> rusqlite::Result<Vec<i64>> {
    let mut ask = db.prepare_cached("SELECT id, path FROM folder ORDER BY id")?;
    let all = ask.query_map([], |row| Ok((row.get(0)?, path(row.get(1)?))))?;
    let mut above = Vec::new();
    for folder in all {
        let (id, path) = folder?;
        if file.starts_with(&path) {
            above.push(id);
        }
    }
    Ok(above)
}
