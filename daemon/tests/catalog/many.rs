//! A catalog of as many images as anyone wants, in seconds: the rows that commits would have left,
//! written table by table. Used by the figures; the test beside it holds it to what commits leave.
//!
//! Contents, people and times are made up from an image's number, so that the same number of images
//! is always the same catalog. Their blobs are nowhere.

use std::path::Path;

use imgrepo_proto::{BlobHash, ImageId, ImageName, ImageRecord, PersonName};
use imgrepod::repository::catalog::glob::fold;
use imgrepod::repository::catalog::sqlite::{SqliteCatalog, SqliteOptions};
use imgrepod::repository::catalog::{
    Again, Catalog as _, Change, NewImage, PersonId, PersonKind, Proposal,
};
use imgrepod::repository::picture::PIPELINE;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

/// The people, who have the more images the earlier they come: the last have hardly any.
pub(crate) const PEOPLE: [&str; 24] = [
    "ana", "bruno", "clara", "david", "elena", "felipe", "gabriela", "hugo", "ines", "joana",
    "katia", "luis", "marta", "nuno", "olga", "pedro", "rita", "sofia", "tiago", "ursula", "vasco",
    "xavier", "yara", "zita",
];

/// Words that people call pictures by.
const WORDS: [&str; 16] = [
    "beach",
    "garden",
    "birthday",
    "mountain",
    "lake",
    "dinner",
    "school",
    "holiday",
    "lisbon",
    "winter",
    "praia",
    "jardim",
    "família",
    "été",
    "São João",
    "写真",
];

/// A preview as a picture has one: 25 bytes in base64.
pub(crate) const PLACEHOLDER: &str = "1QcSHQRnh493V4dIh4eXh1h4kJUI1QcSHQ==";

/// One of so many images is in the trash.
const TRASHED: u64 = 50;

/// Proposals of one commit.
const GROUP: usize = 500;

/// When image 0 would have been stored.
fn begin() -> Timestamp {
    Timestamp::from_second(1_400_000_000).expect("a time")
}

/// The moment of an image: one every six minutes, for eleven years of a million.
pub(crate) fn stored_at(n: u64) -> Timestamp {
    begin() + SignedDuration::from_secs(360 * n as i64)
}

/// A number without any order, from one in order (splitmix64).
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whose image it is: each person has about two thirds of what the one before has.
fn person(n: u64) -> usize {
    let zeros = (mixed(n ^ 0xabcd) as f64 / u64::MAX as f64).max(1e-9).ln() / (2.0f64 / 3.0).ln();
    (zeros as usize).min(PEOPLE.len() - 1)
}

/// As cameras, telephones and people call pictures. The first few are called as no later one is.
fn name(n: u64) -> String {
    let word = |of: u64| WORDS[(mixed(of) % WORDS.len() as u64) as usize];
    match n % 10 {
        _ if n <= 20 => format!("scan of grandmother's album {n}.tif"),
        0..=5 => {
            let date = stored_at(n).to_zoned(jiff::tz::TimeZone::UTC);
            format!("IMG_{}.jpg", date.strftime("%Y%m%d_%H%M%S"))
        }
        6 | 7 => format!("DSC{:05}.JPG", n % 100_000),
        8 => format!("{} {} {}.jpg", word(n), word(n ^ 7), n % 1000),
        _ => format!("Screenshot {}.png", stored_at(n).strftime("%Y-%m-%d %H-%M-%S")),
    }
}

fn hash(n: u64) -> BlobHash {
    BlobHash(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

fn is_trashed(n: u64) -> bool {
    n.is_multiple_of(TRASHED)
}

/// What is stored as image `n`, by the people of these numbers.
pub(crate) fn new_image(n: u64, people: &[PersonId]) -> NewImage {
    let name = name(n);
    let media_type = match name.rsplit('.').next() {
        Some("png") => "image/png",
        Some("tif") => "image/tiff",
        _ => "image/jpeg",
    };
    NewImage {
        person: people[person(n)],
        name: ImageName::parse(&name).expect("a name"),
        hash: hash(n),
        size_bytes: 100_000 + mixed(n) % 6_000_000,
        media_type: media_type.to_owned(),
        width: Some(4032),
        height: Some(3024),
        orientation: Some(1),
        taken_at: (n % 10 < 8).then(|| stored_at(n).strftime("%Y-%m-%dT%H:%M:%S").to_string()),
        again: Again::Reuse,
        imported: None,
    }
}

/// Names that come to the search at once, where commits come one by one.
const SEARCHED_TOGETHER: u64 = 1000;

/// Puts so many images into a catalog that has none; those in the trash came there at `now`.
pub(crate) fn fill(path: &Path, count: u64, now: Timestamp) -> anyhow::Result<()> {
    let people = people(&SqliteCatalog::open(path, &SqliteOptions::default())?)?;
    if count == 0 {
        return Ok(());
    }
    let mut connection = Connection::open(path)?;
    // Whoever loses power makes it anew.
    connection.pragma_update(None, "journal_mode", "delete")?;
    connection.pragma_update(None, "journal_mode", "off")?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.pragma_update(None, "cache_size", -256 * 1024)?;
    let transaction = connection.transaction()?;
    // Made again in the end, of sorted rows: a tenth of the time.
    let indices: Vec<(String, String)> = transaction
        .prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL \
             AND tbl_name IN ('image', 'change')",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (index, _) in &indices {
        transaction.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    let searched = count / SEARCHED_TOGETHER * SEARCHED_TOGETHER;
    for n in 1..=count {
        insert(&transaction, n, &people, searched)?;
    }
    let sql = "UPDATE counter SET value = ? WHERE name = 'searched'";
    transaction.execute(sql, [searched as i64])?;
    for (_, sql) in &indices {
        transaction.execute_batch(sql)?;
    }
    transaction.execute_batch(
        "UPDATE counter SET value = (SELECT max(id) FROM image) WHERE name IN ('image', 'seq'); \
         UPDATE counter SET value = (SELECT count(*) FROM image) WHERE name = 'listed'; \
         UPDATE counter SET value = (SELECT sum(size_bytes) FROM image) WHERE name = 'bytes'; \
         UPDATE person SET (listed, bytes) = (SELECT count(*), coalesce(sum(size_bytes), 0) \
             FROM image WHERE person = person.id)",
    )?;
    transaction.execute(
        "INSERT INTO picture (hash, pipeline, placeholder) \
         SELECT blob, ?, placeholder FROM image ORDER BY 1",
        [PIPELINE],
    )?;
    transaction.commit()?;
    merge_names(&connection)?;
    drop(connection);
    let catalog = SqliteCatalog::open(path, &SqliteOptions::default())?;
    throw_away(&catalog, count, &people, now)
}

/// Merges the search's segments as commits one by one would have merged them: one long transaction leaves
/// that work to those after it.
fn merge_names(connection: &Connection) -> anyhow::Result<()> {
    let mut merge =
        connection.prepare("INSERT INTO name_search (name_search, rank) VALUES ('merge', 1000)")?;
    loop {
        let before = connection.total_changes();
        merge.execute([])?;
        // One change is the command itself (FTS5, "The 'merge' command").
        if connection.total_changes() - before < 2 {
            return Ok(());
        }
    }
}

pub(crate) fn people(catalog: &SqliteCatalog) -> anyhow::Result<Vec<PersonId>> {
    let mut people = Vec::new();
    for name in PEOPLE {
        people.push(catalog.person(PersonKind::Guest, &PersonName::parse(name)?, begin())?);
    }
    Ok(people)
}

/// What a commit leaves of a new image, but for what is made of all of them together.
fn insert(
    connection: &Connection,
    n: u64,
    people: &[PersonId],
    searched: u64,
) -> anyhow::Result<()> {
    let (id, at) = (n as i64, stored_at(n).as_millisecond());
    let new = new_image(n, people);
    let record = ImageRecord {
        id: ImageId(n),
        name: new.name.as_str().to_owned(),
        uploader: PEOPLE[person(n)].to_owned(),
        size: Some(new.size_bytes),
        hash: Some(new.hash),
        media_type: Some(new.media_type),
        width: new.width,
        height: new.height,
        orientation: new.orientation,
        uploaded_at: Some(stored_at(n)),
        taken_at: new.taken_at,
        // The history tells it as it was then: nobody had looked at it.
        placeholder: None,
        trashed_at: None,
    };
    connection
        .prepare_cached(
            "INSERT INTO image (id, person, name, blob, size_bytes, media_type, width, height, \
             uploaded_at, taken_at, placeholder, state, orientation) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        )?
        .execute((
            id,
            new.person.0,
            &record.name,
            new.hash.0,
            new.size_bytes as i64,
            &record.media_type,
            new.width,
            new.height,
            at,
            &record.taken_at,
            PLACEHOLDER,
            new.orientation,
        ))?;
    if n <= searched {
        connection
            .prepare_cached("INSERT INTO name_search (rowid, name) VALUES (?, ?)")?
            .execute((id, fold(&record.name)))?;
    }
    connection
        .prepare_cached(
            "INSERT INTO change (seq, at, person, by_name, kind, image, record) \
             VALUES (?1, ?2, ?3, ?4, 'NEW_UPLOAD', ?1, ?5)",
        )?
        .execute((id, at, new.person.0, &record.uploader, serde_json::to_string(&record)?))?;
    Ok(())
}

/// The trash, by commits: they are few.
pub(crate) fn throw_away(
    catalog: &SqliteCatalog,
    count: u64,
    people: &[PersonId],
    now: Timestamp,
) -> anyhow::Result<()> {
    let trashed: Vec<u64> = (1..=count).filter(|n| is_trashed(*n)).collect();
    for ids in trashed.chunks(GROUP) {
        let delete = |&n: &u64| Proposal {
            by: people[person(n)],
            from: String::new(),
            change: Change::Delete(ImageId(n)),
        };
        let group: Vec<Proposal> = ids.iter().map(delete).collect();
        for outcome in catalog.commit(&group, now)? {
            outcome.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        }
    }
    Ok(())
}
