//! Frozen samples: a catalog of every version that there was opens for ever, and is what it was.

use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::session::command::Filter;
use imgrepo_proto::session::event::EventKind::{Deleted, Purged, Renamed, Restored};
use imgrepo_proto::session::people::DeviceKind;
use imgrepo_proto::session::reply::EventsReply;
use imgrepo_proto::{ImageId, ImageRecord, Seq};
use imgrepod::repository::catalog::people::{Act, NewDevice};
use imgrepod::repository::catalog::{
    Again, Catalog, Change, ImageState, Imported, KnownPicture, NewImage, NewPicture, PageQuery,
    PersonId, PersonKind, StoredImage, SyncedPartial,
};
use jiff::SignedDuration;
use tempfile::TempDir;

use super::files::{open, scene};
use super::people::{Folk, member, secret};
use super::scene::{Scene, hash, name, now, person};

fn frozen(version: u32) -> PathBuf {
    let name = format!("tests/data/catalog-v{version}.db");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What stands in the frozen sample, written as of its time.
fn fill(scene: &Scene) {
    let at = |n: i64| now() + SignedDuration::from_secs(n);
    scene.store("beach.jpg", 1);
    scene.store("été 2021.png", 2);
    scene.store("写真.webp", 3);
    scene.store("gone.png", 4);
    let changes = [
        Change::Rename(ImageId(2), name("summer 2021.png")),
        Change::Delete(ImageId(3)),
        Change::Delete(ImageId(4)),
        Change::Purge(ImageId(4)),
        Change::Delete(ImageId(1)),
        Change::Restore(ImageId(1)),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        scene.change_by(scene.bo, change, at(n as i64)).unwrap();
    }
    let partial = SyncedPartial {
        person: scene.bo,
        hash: hash(9),
        size_bytes: 1 << 30,
        synced_bytes: 1 << 24,
    };
    scene.catalog.put_partial(&partial, at(9)).unwrap();
}

/// What stands in the frozen sample of version 2 besides: the owner, and an image of an old catalog.
fn fill_2(scene: &Scene) {
    fill(scene);
    let olga = scene.catalog.person(PersonKind::Owner, &person("olga"), now()).unwrap();
    let rui = scene.catalog.person(PersonKind::Imported, &person("rui"), now()).unwrap();
    let entry = Imported {
        number: 40,
        timestamp: "\"2019-01-02T03:04:05\"".to_owned(),
        uploaded_at: Some("2019-01-02T03:04:05Z".parse().unwrap()),
    };
    let new = scene.new_image("old.png", 7, Again::Reuse);
    let new = NewImage { person: rui, imported: Some(entry), ..new };
    scene.change_by(olga, Change::Store(new), now()).unwrap();
}

/// What stands in the frozen sample of version 3 besides: an account with a device, and what was done.
fn fill_3(scene: Scene) -> Folk {
    fill_2(&scene);
    let folk = Folk::of(scene);
    let by = |act| folk.act_by(folk.owner, None, &act, now()).unwrap();
    by(Act::Invite(member(1)));
    by(Act::Join(NewDevice {
        invitation: secret(1),
        user: Some(person("zoe")),
        credential: secret(2),
        label: "telephone".to_owned(),
        kind: DeviceKind::Program,
    }));
    folk
}

/// What stands in the frozen sample of version 4 besides: what pictures of two contents came to.
fn fill_4(scene: Scene) -> Folk {
    let folk = fill_3(scene);
    let made = KnownPicture { placeholder: Some("1QcSHQ==".to_owned()), ..KnownPicture::default() };
    let broken =
        KnownPicture { fault: Some("it ends early".to_owned()), ..KnownPicture::default() };
    let picture =
        |content, orientation, known| NewPicture { hash: hash(content), orientation, known };
    let pictures = [picture(1, Some(6), made), picture(2, None, broken)];
    folk.scene.catalog.note_pictures(&pictures, 1).unwrap();
    folk
}

#[test]
#[ignore = "writes a new sample: only ever run for a new version, under a new name"]
fn freeze_a_sample() {
    let new = frozen(7);
    assert!(!new.exists(), "a frozen sample is never written again");
    drop(fill_4(scene(&new)));
}

/// The catalog of this frozen sample, and where it is.
fn thawed(version: u32) -> (Scene, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    fs::copy(frozen(version), &path).unwrap();
    (scene(&path), directory)
}

/// The image without its orientation, which catalogs before version 4 did not have.
fn unturned(image: StoredImage) -> StoredImage {
    let record = ImageRecord { orientation: None, ..image.record };
    StoredImage { record, ..image }
}

/// History without orientations.
fn as_then(mut page: EventsReply) -> EventsReply {
    let records = page.events.iter_mut().filter_map(|event| event.image.as_mut());
    records.for_each(|record| record.orientation = None);
    page
}

#[test]
fn a_catalog_of_version_1_opens_for_ever() {
    let (old, _directory) = thawed(1);
    let fresh = Scene::memory();
    fill(&fresh);
    let (old, fresh) = (&old.catalog, &fresh.catalog);
    let (events, wanted) = (old.changes(Seq(0), 100).unwrap(), fresh.changes(Seq(0), 100).unwrap());
    assert_eq!(events, as_then(wanted));
    for id in 1..=5 {
        let wanted = fresh.image(ImageId(id)).unwrap().map(unturned);
        assert_eq!(old.image(ImageId(id)).unwrap(), wanted);
    }
    assert_eq!(old.image(ImageId(4)).unwrap().unwrap().state, ImageState::Purged);
    let filter = Filter { text: Some("SUMMER".to_owned()), ..Filter::default() };
    for filter in [filter, Filter::default()] {
        let query = PageQuery { filter, limit: 9, ..PageQuery::default() };
        let mut wanted = fresh.page(&query).unwrap().unwrap();
        wanted.images.iter_mut().for_each(|record| record.orientation = None);
        assert_eq!(old.page(&query).unwrap().unwrap(), wanted);
    }
    assert_eq!(old.partials().unwrap(), fresh.partials().unwrap());
    let kinds: Vec<_> =
        old.changes(Seq(4), 100).unwrap().events.into_iter().map(|event| event.event).collect();
    assert_eq!(kinds, [Renamed, Deleted, Deleted, Purged, Deleted, Restored]);
}

#[test]
fn a_catalog_of_version_2_opens_for_ever() {
    let (old, directory) = thawed(2);
    let fresh = Scene::memory();
    fill_2(&fresh);
    let (old, fresh) = (&old.catalog, &fresh.catalog);
    let (events, wanted) = (old.changes(Seq(0), 100).unwrap(), fresh.changes(Seq(0), 100).unwrap());
    assert_eq!(events, as_then(wanted));
    for id in 1..=41 {
        let id = ImageId(id);
        assert_eq!(old.image(id).unwrap(), fresh.image(id).unwrap().map(unturned));
        assert_eq!(old.imported_timestamp(id).unwrap(), fresh.imported_timestamp(id).unwrap());
    }
    // What the migration computed is what is kept since.
    assert_eq!(old.people(None, 9).unwrap(), fresh.people(None, 9).unwrap());
    for person in [None, Some(PersonId(1)), Some(PersonId(2)), Some(PersonId(4))] {
        assert_eq!(old.kept_bytes(person).unwrap(), fresh.kept_bytes(person).unwrap());
    }
    assert_eq!(old.audit(None, 9).unwrap(), []);
    assert!(directory.path().join("catalog.db.v2").exists());
}

#[test]
fn a_catalog_of_version_3_opens_for_ever() {
    let (old, directory) = thawed(3);
    let fresh = fill_3(Scene::memory()).scene;
    let (old, fresh) = (&old.catalog, &fresh.catalog);
    let (events, wanted) = (old.changes(Seq(0), 100).unwrap(), fresh.changes(Seq(0), 100).unwrap());
    assert_eq!(events, as_then(wanted));
    assert_eq!(old.people(None, 9).unwrap(), fresh.people(None, 9).unwrap());
    assert_eq!(old.audit(None, 9).unwrap(), fresh.audit(None, 9).unwrap());
    let unmade = old.unmade(1, None, 9).unwrap();
    assert_eq!(unmade, fresh.unmade(1, None, 9).unwrap());
    assert_eq!(unmade.hashes, [hash(7), hash(2), hash(1)]);
    let beach = old.image(ImageId(1)).unwrap().unwrap().record;
    assert_eq!((beach.orientation, beach.placeholder), (None, None), "nobody has looked yet");
    assert!(directory.path().join("catalog.db.v3").exists());
}

#[test]
fn a_catalog_of_version_4_opens_for_ever() {
    let (old, directory) = thawed(4);
    let fresh = fill_4(Scene::memory()).scene;
    let (events, wanted) =
        (old.catalog.changes(Seq(0), 100).unwrap(), fresh.catalog.changes(Seq(0), 100).unwrap());
    assert_eq!(events, wanted);
    for id in [1, 2, 3] {
        let id = ImageId(id);
        assert_eq!(old.catalog.image(id).unwrap(), fresh.catalog.image(id).unwrap());
    }
    for content in [1, 2, 3] {
        let known = old.catalog.picture(hash(content), 1).unwrap();
        assert_eq!(known, fresh.catalog.picture(hash(content), 1).unwrap());
    }
    // Its search finds what it has, and what comes.
    old.store("summer again.png", 50);
    let filter = Filter { text: Some("SUMMER".to_owned()), ..Filter::default() };
    let query = PageQuery { filter, limit: 9, ..PageQuery::default() };
    let found = old.catalog.page(&query).unwrap().unwrap().images;
    let names: Vec<String> = found.into_iter().map(|record| record.name).collect();
    assert_eq!(names, ["summer again.png", "summer 2021.png"]);
    assert!(directory.path().join("catalog.db.v4").exists());
}

#[test]
fn a_catalog_of_version_5_opens_for_ever() {
    let (old, directory) = thawed(5);
    let fresh = fill_4(Scene::memory()).scene;
    let (events, wanted) =
        (old.catalog.changes(Seq(0), 100).unwrap(), fresh.catalog.changes(Seq(0), 100).unwrap());
    assert_eq!(events, wanted);
    assert!(directory.path().join("catalog.db.v5").exists());
    // All names that it had were in its search.
    let counters: Vec<i64> = rusqlite::Connection::open(directory.path().join("catalog.db"))
        .unwrap()
        .prepare("SELECT value FROM counter WHERE name IN ('image', 'searched')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(counters, [40, 40]);
}

/// The version of a catalog's file, and whether it has the table of contents, which version 7 dropped.
fn layout(path: &Path) -> (u32, bool) {
    let file = rusqlite::Connection::open(path).unwrap();
    let version = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let dedup = "SELECT count(*) FROM sqlite_master WHERE name = 'dedup'";
    (version, file.query_row(dedup, [], |row| row.get(0)).unwrap())
}

#[test]
fn a_catalog_of_version_6_opens_for_ever() {
    let (old, directory) = thawed(6);
    let fresh = fill_4(Scene::memory()).scene;
    let (old, fresh) = (&old.catalog, &fresh.catalog);
    assert_eq!(old.changes(Seq(0), 100).unwrap(), fresh.changes(Seq(0), 100).unwrap());
    // What the table of contents answered, the images themselves do.
    for content in 1..=9 {
        let content = hash(content);
        assert_eq!(old.have(&[content]).unwrap(), fresh.have(&[content]).unwrap());
        assert_eq!(old.is_referenced(content).unwrap(), fresh.is_referenced(content).unwrap());
        assert_eq!(old.images_of(content, 9).unwrap(), fresh.images_of(content, 9).unwrap());
    }
    assert_eq!(layout(&directory.path().join("catalog.db.v6")), (6, true));
    assert_eq!(layout(&directory.path().join("catalog.db")), (7, false));
}

#[test]
fn a_catalog_of_version_7_opens_for_ever() {
    let (old, directory) = thawed(7);
    let fresh = fill_4(Scene::memory()).scene;
    let (old, fresh) = (&old.catalog, &fresh.catalog);
    assert_eq!(old.changes(Seq(0), 100).unwrap(), fresh.changes(Seq(0), 100).unwrap());
    assert_eq!(layout(&directory.path().join("catalog.db")), (7, false));
}

#[test]
fn a_guest_under_the_owners_name_is_told_apart_by_the_migration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    fs::copy(frozen(2), &path).unwrap();
    let long = "\u{20ac}".repeat(20);
    let sql = format!(
        "INSERT INTO person (kind, name, created_at) VALUES ('guest', 'olga', 0), \
         ('owner', '{long}', 0), ('guest', '{long}', 0)"
    );
    rusqlite::Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    let catalog = open(&path).unwrap();
    let shown = |kind, name: &str| {
        String::from(catalog.person_named(kind, &person(name)).unwrap().unwrap().shown)
    };
    assert_eq!(shown(PersonKind::Guest, "olga"), "olga (guest)");
    assert_eq!(shown(PersonKind::Owner, "olga"), "olga");
    assert_eq!(shown(PersonKind::Guest, "ana"), "ana");
    assert_eq!(shown(PersonKind::Guest, &long), format!("{} (guest)", "\u{20ac}".repeat(14)));
}
