//! What a catalog's file is. A change of the schema begins here: add the next numbered file, enter it
//! below, and freeze a sample of the version before in the tests.

use rusqlite::Connection;

use crate::database::Format;

/// The catalog.
pub(super) const FORMAT: Format<'_> = Format {
    noun: "catalog",
    // "imgr"
    application_id: 0x696d_6772,
    migrations: &[
        include_str!("schema/0001.sql"),
        include_str!("schema/0002.sql"),
        include_str!("schema/0003.sql"),
        include_str!("schema/0004.sql"),
        include_str!("schema/0005.sql"),
        include_str!("schema/0006.sql"),
        include_str!("schema/0007.sql"),
    ],
    first: "INSERT INTO meta (key, value) VALUES ('repository', lower(hex(randomblob(16))))",
    tables: &[
        (1, "meta", "key"),
        (1, "counter", "name"),
        (1, "person", "id"),
        (1, "image", "id"),
        (1, "tombstone", "person"),
        (1, "change", "seq"),
        (1, "staging", "person"),
        (2, "imported", "image"),
        (3, "device", "id"),
        (3, "invitation", "id"),
        (3, "audit", "id"),
        (4, "picture", "hash"),
    ],
    look,
};

/// Whether its search can be read and its counters are right.
fn look(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection
        .prepare("SELECT rowid FROM name_search WHERE name_search MATCH '\"jpg\"' LIMIT 1")?
        .query([])?
        .next()?;
    let agrees: bool = connection.query_row(
        "SELECT (SELECT value FROM counter WHERE name = 'seq') = (SELECT coalesce(max(seq), 0) FROM change) \
            AND (SELECT value FROM counter WHERE name = 'image') = (SELECT coalesce(max(id), 0) FROM image)",
        [],
        |row| row.get(0),
    )?;
    Ok((!agrees).then(|| "its counters are not those of its images and changes".to_owned()))
}
