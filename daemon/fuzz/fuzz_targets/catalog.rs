//! Searches: names by glob, by text and exactly, page by page. The catalog on disk, which looks for parts of
//! names in an index first, finds what the one in memory finds; a glob fits what a plain reading of it fits;
//! any text is a cursor or refused.

#![no_main]

use std::sync::LazyLock;

use imgrepo_proto::session::command::{Filter, Sort};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageName, PersonName, RepositoryId};
use imgrepod::repository::catalog::glob::{NameGlob, fold_char};
use imgrepod::repository::catalog::memory::MemoryCatalog;
use imgrepod::repository::catalog::sqlite::{SqliteCatalog, SqliteOptions};
use imgrepod::repository::catalog::{
    Again, Catalog, Change, NewImage, PageQuery, PersonId, PersonKind, Proposal,
};
use libfuzzer_sys::fuzz_target;

/// Names that differ in what a search folds, and in what it must not.
const NAMES: [&str; 24] = [
    "a",
    "A",
    "ab",
    "abc.jpg",
    "ABC.JPG",
    "abcabcabc",
    "beach.jpg",
    "Beach 2.jpg",
    "[x]",
    "a*b",
    "a?b",
    "straße.png",
    "STRASSE.png",
    "ß",
    "ÀÉÎ.gif",
    "àéî.gif",
    "ΣΑΣ",
    "σας",
    "文件.png",
    "İi",
    "ıI",
    "😀😀.png",
    "%_%",
    "a'b\"c",
];

static CATALOGS: LazyLock<[Box<dyn Catalog>; 2]> = LazyLock::new(|| {
    let shm = std::path::Path::new("/dev/shm");
    let folder = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let folder = folder.join(format!("imgrepo-fuzz-catalog-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("room for it");
    let path = folder.join("catalog.db");
    let on_disk = SqliteCatalog::open(&path, &SqliteOptions::default()).expect("a catalog");
    let both: [Box<dyn Catalog>; 2] =
        [Box::new(MemoryCatalog::new(RepositoryId("00ff".to_owned()))), Box::new(on_disk)];
    for catalog in &both {
        fill(catalog.as_ref());
    }
    // Its files are open, and nobody else's.
    let _ = std::fs::remove_dir_all(&folder);
    both
});

fn fill(catalog: &dyn Catalog) {
    let now = "2026-11-23T06:00:00Z".parse().expect("a time");
    let people = ["ana", "bo"].map(|name| {
        let name = PersonName::parse(name).expect("a name");
        catalog.person(PersonKind::Guest, &name, now).expect("a person")
    });
    for (at, name) in NAMES.into_iter().enumerate() {
        let person: PersonId = people[at % 2];
        let image = NewImage {
            person,
            name: ImageName::parse(name).expect("a name"),
            hash: BlobHash([at as u8; 32]),
            size_bytes: 1,
            media_type: if at % 3 == 0 { "image/png" } else { "image/jpeg" }.to_owned(),
            width: None,
            height: None,
            orientation: None,
            taken_at: None,
            again: Again::Reuse,
            imported: None,
        };
        let proposal = Proposal { by: person, from: String::new(), change: Change::Store(image) };
        catalog.commit(&[proposal], now).expect("a commit").remove(0).expect("an image");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&flags, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, other) = text.split_once('\n').unwrap_or((text, ""));
    let mut filter = Filter::default();
    match flags & 3 {
        0 => filter.name = Some(pattern.to_owned()),
        1 => filter.text = Some(pattern.to_owned()),
        2 => filter.exact_name = Some(pattern.to_owned()),
        _ => filter.uploader = Some(pattern.to_owned()),
    }
    if flags & 4 != 0 {
        filter.text = Some(other.to_owned());
    }
    let sort = if flags & 8 == 0 { Sort::Newest } else { Sort::Oldest };
    let limit = u32::from(flags >> 4) + 1;
    let query = PageQuery { filter, sort, limit, ..PageQuery::default() };
    let [in_memory, on_disk] = &*CATALOGS;
    let found = all(in_memory.as_ref(), query.clone());
    assert_eq!(found, all(on_disk.as_ref(), query.clone()), "{query:?}");
    // A cursor of a stranger's making.
    let query = PageQuery { cursor: Some(other.to_owned()), ..query };
    for catalog in &*CATALOGS {
        match catalog.page(&query).expect("no disk is full") {
            Ok(page) => assert!(page.images.len() <= limit as usize),
            Err(refusal) => assert_eq!(refusal.code, ErrorCode::BadRequest),
        }
    }
    if let Ok(glob) = NameGlob::parse(pattern)
        && !pattern.contains('[')
        && pattern.is_ascii()
    {
        let pieces: Vec<char> = pattern.chars().collect();
        for name in NAMES.into_iter().chain([other]) {
            let name_chars: Vec<char> = name.chars().collect();
            assert_eq!(glob.fits(name), fits(&pieces, &name_chars), "`{pattern}` and `{name}`");
        }
    }
});

/// Every page of a search, or that it is refused.
fn all(catalog: &dyn Catalog, mut query: PageQuery) -> Result<Vec<ImageId>, ErrorCode> {
    let mut found = Vec::new();
    for _ in 0..=NAMES.len() {
        let page =
            catalog.page(&query).expect("no disk is full").map_err(|refusal| refusal.code)?;
        found.extend(page.images.iter().map(|image| image.id));
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(found);
        }
    }
    panic!("pages without end: {query:?}");
}

/// A glob of `*`, `?` and letters, read plainly: a table of which beginnings of both fit.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let mut row: Vec<bool> = vec![false; name.len() + 1];
    row[0] = true;
    for piece in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match piece {
                '*' => row[at] || at > 0 && next[at - 1],
                '?' => at > 0 && row[at - 1],
                letter => at > 0 && row[at - 1] && fold_char(*letter) == fold_char(name[at - 1]),
            };
        }
        row = next;
    }
    row[name.len()]
}
