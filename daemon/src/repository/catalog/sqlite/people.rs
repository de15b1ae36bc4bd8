//! People on disk: the rows of persons, devices, invitations and the record, as the rules read and write
//! them, and the lists that are asked for.
//!
//! Called by the catalog, on a reader's connection or within the writer's transaction.

use imgrepo_proto::PersonName;
use imgrepo_proto::session::people::{
    AccountRole, AuditEntry, DeviceId, DeviceKind, InvitationId, Person,
};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::rows::{Lookup, integer, kind_word, number, time};
use crate::repository::catalog::people::book::Book;
use crate::repository::catalog::people::{
    KnownDevice, KnownInvitation, KnownPerson, NewDevice, NewInvitation, Record, SecretHash, fold,
};
use crate::repository::catalog::{PersonId, PersonKind};

const PERSON: &str = "id, kind, name, shown, role, disabled";
const DEVICE: &str = "id, person, label, kind, created_at, seen_at, revoked_at";
const INVITATION: &str = "id, role, person, guest, uses_left, by, device, created_at, expires_at, \
    used_at, revoked_at";
const LIVE: &str = "revoked_at IS NULL AND uses_left > 0";

/// People in a page of them, in this order.
const KINDS: [PersonKind; 4] =
    [PersonKind::Owner, PersonKind::Account, PersonKind::Guest, PersonKind::Imported];

/// Text that is none of those that this column may hold.
fn unreadable(column: usize, what: &str) -> rusqlite::Error {
    let error = std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<PersonName> {
    let text = row.get_ref(column)?.as_str()?;
    PersonName::parse(text).map_err(|_| unreadable(column, "it is no person's name"))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<PersonKind> {
    let word = row.get_ref(column)?.as_str()?;
    let found = KINDS.into_iter().find(|kind| kind_word(*kind) == word);
    found.ok_or_else(|| unreadable(column, "it is no kind of person"))
}

fn role(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<AccountRole>> {
    let Some(word) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    AccountRole::of(&word).map(Some).ok_or_else(|| unreadable(column, "it is no role"))
}

fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?.map(|at| time(column, at)).transpose()
}

fn device_kind_word(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Program => "program",
        DeviceKind::Browser => "browser",
    }
}

fn device_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<DeviceKind> {
    let word = row.get_ref(column)?.as_str()?;
    let mut kinds = [DeviceKind::Program, DeviceKind::Browser].into_iter();
    let found = kinds.find(|kind| device_kind_word(*kind) == word);
    found.ok_or_else(|| unreadable(column, "it is no kind of device"))
}

fn person(row: &Row<'_>) -> rusqlite::Result<KnownPerson> {
    Ok(KnownPerson {
        id: PersonId(row.get(0)?),
        kind: kind(row, 1)?,
        name: name(row, 2)?,
        shown: name(row, 3)?,
        role: role(row, 4)?,
        is_disabled: row.get(5)?,
    })
}

fn device(row: &Row<'_>) -> rusqlite::Result<KnownDevice> {
    Ok(KnownDevice {
        id: DeviceId(number(row, 0)?),
        person: PersonId(row.get(1)?),
        label: row.get(2)?,
        kind: device_kind(row, 3)?,
        created_at: time(4, row.get(4)?)?,
        seen_at: maybe_time(row, 5)?,
        revoked_at: maybe_time(row, 6)?,
    })
}

fn invitation(row: &Row<'_>) -> rusqlite::Result<KnownInvitation> {
    let device: Option<i64> = row.get(6)?;
    Ok(KnownInvitation {
        id: InvitationId(number(row, 0)?),
        role: role(row, 1)?,
        person: row.get::<_, Option<i64>>(2)?.map(PersonId),
        guest: row.get::<_, Option<i64>>(3)?.map(PersonId),
        uses_left: row.get(4)?,
        by: PersonId(row.get(5)?),
        device: device.and_then(|id| u64::try_from(id).ok()).map(DeviceId),
        created_at: time(7, row.get(7)?)?,
        expires_at: time(8, row.get(8)?)?,
        used_at: maybe_time(row, 9)?,
        revoked_at: maybe_time(row, 10)?,
    })
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(params, read).optional()
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

impl Book for Lookup<'_> {
    type Error = rusqlite::Error;

    fn person(&self, id: PersonId) -> rusqlite::Result<Option<KnownPerson>> {
        one(self.0, &format!("SELECT {PERSON} FROM person WHERE id = ?"), [id.0], person)
    }

    fn person_named(
        &self,
        kind: PersonKind,
        name: &PersonName,
    ) -> rusqlite::Result<Option<KnownPerson>> {
        let sql = format!("SELECT {PERSON} FROM person WHERE name = ? AND kind = ?");
        one(self.0, &sql, (name.as_str(), kind_word(kind)), person)
    }

    fn alike(&self, kind: PersonKind, folded: &str) -> rusqlite::Result<Vec<KnownPerson>> {
        let sql = format!("SELECT {PERSON} FROM person INDEXED BY person_kind WHERE kind = ?");
        let people = all(self.0, &sql, [kind_word(kind)], person)?.into_iter();
        Ok(people.filter(|person| fold::folded(&person.name) == folded).collect())
    }

    fn device(&self, id: DeviceId) -> rusqlite::Result<Option<KnownDevice>> {
        one(self.0, &format!("SELECT {DEVICE} FROM device WHERE id = ?"), [integer(id.0)], device)
    }

    fn device_count(&self, person: PersonId) -> rusqlite::Result<u32> {
        let sql = "SELECT count(*) FROM device WHERE person = ? AND revoked_at IS NULL";
        self.0.prepare_cached(sql)?.query_row([person.0], |row| row.get(0))
    }

    fn invitation(&self, id: InvitationId) -> rusqlite::Result<Option<KnownInvitation>> {
        let sql = format!("SELECT {INVITATION} FROM invitation WHERE id = ?");
        one(self.0, &sql, [integer(id.0)], invitation)
    }

    fn invitation_of(&self, secret: SecretHash) -> rusqlite::Result<Option<KnownInvitation>> {
        let sql = format!("SELECT {INVITATION} FROM invitation WHERE secret = ?");
        one(self.0, &sql, [secret.0], invitation)
    }

    fn live_invitations(&self, now: Timestamp) -> rusqlite::Result<Vec<KnownInvitation>> {
        let sql = format!(
            "SELECT {INVITATION} FROM invitation WHERE {LIVE} AND expires_at > ? ORDER BY id"
        );
        all(self.0, &sql, [now.as_millisecond()], invitation)
    }

    fn add_person(
        &mut self,
        kind: PersonKind,
        name: &PersonName,
        shown: &PersonName,
        role: Option<AccountRole>,
        now: Timestamp,
    ) -> rusqlite::Result<PersonId> {
        let sql = "INSERT INTO person (kind, name, shown, role, created_at) VALUES (?, ?, ?, ?, ?)";
        let role = role.map(AccountRole::word);
        let (name, shown) = (name.as_str(), shown.as_str());
        let values = (kind_word(kind), name, shown, role, now.as_millisecond());
        self.0.prepare_cached(sql)?.insert(values).map(PersonId)
    }

    fn put_person(&mut self, person: &KnownPerson) -> rusqlite::Result<()> {
        let sql = "UPDATE person SET kind = ?, name = ?, shown = ?, role = ?, disabled = ? \
            WHERE id = ?";
        let (name, shown) = (person.name.as_str(), person.shown.as_str());
        let role = person.role.map(AccountRole::word);
        let values = (kind_word(person.kind), name, shown, role, person.is_disabled, person.id.0);
        self.0.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    fn add_device(
        &mut self,
        person: PersonId,
        device: &NewDevice,
        now: Timestamp,
    ) -> rusqlite::Result<DeviceId> {
        let sql = "INSERT INTO device (person, credential, label, kind, created_at) \
            VALUES (?, ?, ?, ?, ?)";
        let kind = device_kind_word(device.kind);
        let values = (person.0, device.credential.0, &device.label, kind, now.as_millisecond());
        let id = self.0.prepare_cached(sql)?.insert(values)?;
        Ok(DeviceId(id.unsigned_abs()))
    }

    fn revoke_device(&mut self, id: DeviceId, now: Timestamp) -> rusqlite::Result<()> {
        let sql = "UPDATE device SET revoked_at = ? WHERE id = ?";
        self.0.prepare_cached(sql)?.execute((now.as_millisecond(), integer(id.0))).map(|_| ())
    }

    fn add_invitation(
        &mut self,
        new: &NewInvitation,
        by: (PersonId, Option<DeviceId>),
        now: Timestamp,
    ) -> rusqlite::Result<InvitationId> {
        let sql = "INSERT INTO invitation (secret, role, person, guest, uses_left, by, device, \
            created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let id = self.0.prepare_cached(sql)?.insert((
            new.secret.0,
            new.role.map(AccountRole::word),
            new.person.map(|person| person.0),
            new.guest.map(|guest| guest.0),
            new.uses,
            by.0.0,
            by.1.map(|device| integer(device.0)),
            now.as_millisecond(),
            new.expires_at.as_millisecond(),
        ))?;
        Ok(InvitationId(id.unsigned_abs()))
    }

    fn put_invitation(&mut self, invitation: &KnownInvitation) -> rusqlite::Result<()> {
        let sql = "UPDATE invitation SET uses_left = ?, used_at = ?, revoked_at = ? WHERE id = ?";
        let used_at = invitation.used_at.map(Timestamp::as_millisecond);
        let revoked_at = invitation.revoked_at.map(Timestamp::as_millisecond);
        let values = (invitation.uses_left, used_at, revoked_at, integer(invitation.id.0));
        self.0.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    fn add_record(&mut self, record: &Record, now: Timestamp) -> rusqlite::Result<()> {
        let sql = "INSERT INTO audit (at, person, by_name, origin, act, object) \
            VALUES (?, ?, ?, ?, ?, ?)";
        let Record { by, by_name, from, act, object } = record;
        let values = (now.as_millisecond(), by.0, by_name, from, act, object);
        self.0.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

/// The device that has this credential.
pub(super) fn holder(
    connection: &Connection,
    credential: SecretHash,
) -> rusqlite::Result<Option<KnownDevice>> {
    let sql = format!("SELECT {DEVICE} FROM device WHERE credential = ?");
    one(connection, &sql, [credential.0], device)
}

/// See [`super::Catalog::devices`].
pub(super) fn devices(
    connection: &Connection,
    of: PersonId,
    revoked_since: Timestamp,
    revoked_limit: u32,
) -> rusqlite::Result<Vec<KnownDevice>> {
    let sql = format!(
        "SELECT {DEVICE} FROM device WHERE person = ?1 AND (revoked_at IS NULL OR id IN ( \
            SELECT id FROM device WHERE person = ?1 AND revoked_at >= ?2 \
            ORDER BY id DESC LIMIT ?3)) ORDER BY id DESC"
    );
    let values = (of.0, revoked_since.as_millisecond(), revoked_limit);
    all(connection, &sql, values, device)
}

/// See [`super::Catalog::invitations`].
pub(super) fn invitations(
    connection: &Connection,
    by: Option<PersonId>,
    now: Timestamp,
    ended_since: Timestamp,
    ended_limit: u32,
) -> rusqlite::Result<Vec<KnownInvitation>> {
    let sql = format!(
        "SELECT {INVITATION} FROM invitation WHERE (?1 IS NULL OR by = ?1) \
         AND (({LIVE} AND expires_at > ?2) OR id IN ( \
            SELECT id FROM invitation WHERE (?1 IS NULL OR by = ?1) \
            AND NOT ({LIVE} AND expires_at > ?2) \
            AND coalesce(revoked_at, iif(uses_left = 0, used_at, expires_at)) >= ?3 \
            ORDER BY id DESC LIMIT ?4)) ORDER BY id DESC"
    );
    let (now, since) = (now.as_millisecond(), ended_since.as_millisecond());
    all(connection, &sql, (by.map(|by| by.0), now, since, ended_limit), invitation)
}

const TOLD: &str = "id, kind, shown, role, disabled, created_at, listed + trashed, bytes, \
    (SELECT count(*) FROM device WHERE device.person = person.id AND revoked_at IS NULL)";

fn told(row: &Row<'_>) -> rusqlite::Result<(PersonId, Person)> {
    let kind = kind(row, 1)?;
    let person = Person {
        name: row.get(2)?,
        kind,
        role: match kind {
            PersonKind::Owner => Some(AccountRole::Admin),
            _ => role(row, 3)?,
        },
        disabled: row.get(4)?,
        since: time(5, row.get(5)?)?,
        images: number(row, 6)?,
        bytes: number(row, 7)?,
        devices: row.get(8)?,
    };
    Ok((PersonId(row.get(0)?), person))
}

/// A person as others are told of them.
pub(super) fn told_person(
    connection: &Connection,
    id: PersonId,
) -> rusqlite::Result<Option<Person>> {
    let sql = format!("SELECT {TOLD} FROM person WHERE id = ?");
    Ok(one(connection, &sql, [id.0], told)?.map(|(_, person)| person))
}

/// See [`super::Catalog::people`].
pub(super) fn people(
    connection: &Connection,
    after: Option<(PersonKind, PersonId)>,
    limit: u32,
) -> rusqlite::Result<Vec<(PersonId, Person)>> {
    let sql = format!(
        "SELECT {TOLD} FROM person INDEXED BY person_kind WHERE kind = ? AND id > ? \
         ORDER BY id LIMIT ?"
    );
    let mut found = Vec::new();
    for kind in KINDS {
        let from = match after {
            Some((last, _)) if kind < last => continue,
            Some((last, id)) if kind == last => id.0,
            _ => 0,
        };
        let left = i64::from(limit) - found.len() as i64;
        found.extend(all(connection, &sql, (kind_word(kind), from, left.max(0)), told)?);
    }
    Ok(found)
}

/// See [`super::Catalog::audit`].
pub(super) fn audit(
    connection: &Connection,
    before: Option<u64>,
    limit: u32,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let sql = "SELECT id, at, by_name, origin, act, object FROM audit WHERE id < ? \
        ORDER BY id DESC LIMIT ?";
    let entry = |row: &Row<'_>| {
        Ok(AuditEntry {
            id: number(row, 0)?,
            at: time(1, row.get(1)?)?,
            by: row.get(2)?,
            from: row.get(3)?,
            act: row.get(4)?,
            object: row.get(5)?,
        })
    };
    all(connection, sql, (integer(before.unwrap_or(u64::MAX)), limit), entry)
}

/// Bytes of this person's images that are not purged.
pub(super) fn bytes_of(connection: &Connection, person: PersonId) -> rusqlite::Result<u64> {
    let sql = "SELECT bytes FROM person WHERE id = ?";
    Ok(one(connection, sql, [person.0], |row| number(row, 0))?.unwrap_or(0))
}

/// See [`super::Catalog::seen`].
pub(super) fn seen(
    connection: &mut Connection,
    devices: &[DeviceId],
    last_before: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let sql = "UPDATE device SET seen_at = ?1 WHERE id = ?2 AND (seen_at IS NULL OR seen_at < ?3)";
    let (now, last_before) = (now.as_millisecond(), last_before.as_millisecond());
    let mut statement = transaction.prepare_cached(sql)?;
    for device in devices {
        statement.execute((now, integer(device.0), last_before))?;
    }
    drop(statement);
    transaction.commit()
}
