//! Backups: what is in one, what a second run adds and drops, what stands in the way, and what a restore
//! makes of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::maintenance::{
    BackedUp, Backup, Fault, FaultKind, Maintenance, MaintenanceItem, MaintenanceOutcome,
};
use imgrepo_proto::session::command::Target;
use imgrepo_proto::session::people::{DeviceKind, Invite, Join};
use imgrepo_proto::{ErrorCode, ImageId, Refusal, Seq};
use imgrepod::repository::backup::{Restore, Restored, restore};
use imgrepod::repository::{Authentication, OpenError, Repository, Settings, Told};

use crate::support::{delete, hash, image, open, purge, read, settings, upload};

/// A repository with its home, and a folder for its backups.
pub(crate) struct Scene {
    home: tempfile::TempDir,
    pub(crate) repository: Repository,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let home = tempfile::tempdir().unwrap();
        let repository = open(&home.path().join("data"));
        Scene { home, repository }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) async fn store(&self, name: &str, content: &[u8]) -> u64 {
        let owner = self.repository.owner();
        upload(&self.repository, &owner, name, content).await.unwrap().image.id.0
    }

    pub(crate) async fn back_up(&self) -> BackedUp {
        let (done, faults) = back_up(&self.repository, &self.at("backup"), false).await;
        assert_eq!(faults, []);
        done.unwrap()
    }

    fn contents(&self) -> BTreeSet<String> {
        files(&self.at("backup/contents"))
    }
}

pub(crate) async fn back_up(
    repository: &Repository,
    folder: &Path,
    check: bool,
) -> (Result<BackedUp, Refusal>, Vec<Fault>) {
    let (told, mut items) = Told::channel();
    let work = Maintenance::Backup(Backup { folder: folder.to_owned(), check });
    let mut faults = Vec::new();
    let hear = async {
        while let Some(item) = items.recv().await {
            if let MaintenanceItem::Fault(fault) = item {
                faults.push(*fault);
            }
        }
    };
    let (done, ()) = tokio::join!(repository.maintain(work, told), hear);
    let done = done.map(|done| match done {
        MaintenanceOutcome::BackedUp(done) => *done,
        other => panic!("{other:?}"),
    });
    (done, faults)
}

async fn refused(repository: &Repository, folder: &Path) -> Refusal {
    back_up(repository, folder, false).await.0.unwrap_err()
}

/// Restores into `home`, which is like that of a program.
pub(crate) async fn bring_back(
    folder: &Path,
    home: &Path,
    accept_missing: bool,
) -> (Result<Restored, Refusal>, Vec<Fault>) {
    let wanted = Restore {
        folder: folder.to_owned(),
        data: home.join("data"),
        config: home.join("config/config.toml"),
        accept_missing,
    };
    let (told, mut items) = Told::channel();
    let work = tokio::task::spawn_blocking(move || restore(&wanted, told));
    let mut faults = Vec::new();
    while let Some(item) = items.recv().await {
        if let MaintenanceItem::Fault(fault) = item {
            faults.push(*fault);
        }
    }
    (work.await.unwrap(), faults)
}

pub(crate) async fn restored(folder: &Path, home: &Path) -> Repository {
    let (done, faults) = bring_back(folder, home, false).await;
    assert_eq!(faults, []);
    assert!(done.unwrap().is_finished);
    open(&home.join("data"))
}

/// The names of all files below a folder.
pub(crate) fn files(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => names.extend(files(&entry.path())),
            false => assert!(names.insert(entry.file_name().into_string().unwrap())),
        }
    }
    names
}

pub(crate) fn place(root: &Path, content: &[u8]) -> PathBuf {
    let name = hash(content).to_string();
    root.join(&name[..2]).join(name)
}

#[tokio::test]
async fn a_restore_has_all_that_was_there_and_a_second_backup_what_is_new() {
    let mut scene = Scene::new();
    scene.repository.close().await;
    let config = scene.at("config.toml");
    let kept = Settings { config: Some(config.clone()), ..settings(&scene.at("data")) };
    scene.repository = Repository::open(kept).unwrap();
    fs::write(&config, "[server]\n").unwrap();
    fs::create_dir(scene.at("data/tls")).unwrap();
    fs::write(scene.at("data/tls/key.pem"), "secret").unwrap();
    // In the journal, in its place, in the trash, and one that is gone for ever.
    let contents = [image(1, 100), image(2, 700_000), image(3, 1_000), image(4, 90)];
    for (at, content) in contents.iter().enumerate() {
        scene.store(&format!("{at}.ppm"), content).await;
    }
    let owner = scene.repository.owner();
    delete(&scene.repository, &owner, 4).await.unwrap();
    purge(&scene.repository, &owner).await.unwrap();
    delete(&scene.repository, &owner, 3).await.unwrap();
    // Somebody's device, who is let in afterwards as before.
    let (_, secret) = scene.repository.invite(&owner, &Invite::default()).await.unwrap();
    let join = Join { secret, user: Some("ana".into()), device: "laptop".into(), client: None };
    let joined = scene.repository.join(&join, DeviceKind::Program, "192.0.2.7").await.unwrap().0;
    let done = scene.back_up().await;
    assert_eq!((done.images, done.contents, done.seq), (3, 3, Seq(7)));
    assert_eq!((done.copied, done.copied_bytes), (3, 701_100));
    assert_eq!((done.removed, done.missing), (0, 0));
    let expected: BTreeSet<String> =
        contents[..3].iter().map(|content| hash(content).to_string()).collect();
    assert_eq!(scene.contents(), expected);

    // Once more: what is new comes, what went goes, and nothing else is touched.
    purge(&scene.repository, &owner).await.unwrap();
    let more = image(5, 300);
    scene.store("5.ppm", &more).await;
    let again = scene.back_up().await;
    assert_eq!((again.copied, again.copied_bytes, again.removed), (1, 300, 1));
    assert_eq!((again.images, again.seq), (3, Seq(9)));
    let still = scene.back_up().await;
    assert_eq!((still.copied, still.removed), (0, 0));
    let top = files(&scene.at("backup"));
    for name in ["backup.json", "backup.lock", "catalog.db", "key.pem", "config.toml"] {
        assert!(top.contains(name), "{name} in {top:?}");
    }
    assert_eq!(top.len(), 5 + 3, "nothing of the former ones is left: {top:?}");
    let id = scene.repository.id();
    scene.repository.close().await;

    #[cfg(unix)]
    {
        // Nobody else may look, and a disk may be read-only.
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let mode = |path: &str| fs::metadata(scene.at(path)).unwrap().mode() & 0o777;
        assert_eq!(mode("backup"), 0o700);
        for snapshot in fs::read_dir(scene.at("backup")).unwrap() {
            let path = snapshot.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "contents") {
                assert_eq!(fs::metadata(path.join("key.pem")).unwrap().mode() & 0o777, 0o600);
                assert_eq!(fs::metadata(path.join("catalog.db")).unwrap().mode() & 0o777, 0o600);
                fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).unwrap();
            }
        }
    }
    let home = scene.at("new");
    let back = restored(&scene.at("backup"), &home).await;
    assert_eq!(back.id(), id);
    let owner = back.owner();
    for (id, content) in [(1, &contents[0]), (2, &contents[1]), (5, &more)] {
        let target = Target::id(ImageId(id));
        assert_eq!(read(&back, &owner, &target).await.unwrap(), *content, "image {id}");
    }
    assert_eq!(fs::read_to_string(home.join("data/tls/key.pem")).unwrap(), "secret");
    assert_eq!(fs::read_to_string(home.join("config/config.toml")).unwrap(), "[server]\n");
    let known = back.authenticate(Some("ana"), &joined.credential, "192.0.2.7").await.unwrap();
    assert!(matches!(known, Authentication::Known(_)), "{known:?}");
    // It goes on where it was.
    assert_eq!(upload(&back, &owner, "6.ppm", &image(6, 50)).await.unwrap().image.id.0, 6);
    assert_eq!(back.events(Seq(9), 10).await.unwrap().events.len(), 1);
    let ahead = back.events(Seq(11), 1).await.unwrap_err();
    assert_eq!(ahead.code, ErrorCode::Ahead);
    back.close().await;
}

#[tokio::test]
async fn what_is_damaged_is_named_and_the_rest_is_there() {
    let scene = Scene::new();
    let contents = [image(1, 400_000), image(2, 300_000), image(3, 350_000)];
    for (at, content) in contents.iter().enumerate() {
        scene.store(&format!("{at}.ppm"), content).await;
    }
    let blobs = scene.at("data/blobs");
    let flipped = place(&blobs, &contents[0]);
    let mut bytes = fs::read(&flipped).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&flipped, bytes).unwrap();
    fs::remove_file(place(&blobs, &contents[1])).unwrap();
    let folder = scene.at("backup");
    let (done, mut faults) = back_up(&scene.repository, &folder, false).await;
    let done = done.unwrap();
    assert_eq!((done.contents, done.copied, done.missing), (3, 1, 2));
    faults.sort_by_key(|fault| fault.images[0].id);
    let told: Vec<_> = faults.iter().map(|fault| (fault.kind, fault.hash)).collect();
    let [first, second] = [0, 1].map(|at: usize| Some(hash(&contents[at])));
    assert_eq!(told, [(FaultKind::Damaged, first), (FaultKind::Missing, second)]);
    assert_eq!(faults[1].images[0].name, "1.ppm");

    // A restore comes to no end that nobody wanted.
    let home = scene.at("new");
    let (done, faults) = bring_back(&folder, &home, false).await;
    let done = done.unwrap();
    assert_eq!((done.missing, done.is_finished, faults.len()), (2, false, 2));
    let refused = Repository::open(settings(&home.join("data"))).unwrap_err();
    assert!(matches!(refused, OpenError::Unfinished { .. }), "{refused}");
    // One is found elsewhere and put there, the other is given up.
    let found = place(&folder.join("contents"), &contents[1]);
    fs::write(found, &contents[1]).unwrap();
    let (done, faults) = bring_back(&folder, &home, true).await;
    let done = done.unwrap();
    assert_eq!((done.missing, done.is_finished, faults.len()), (1, true, 1));
    let back = open(&home.join("data"));
    let owner = back.owner();
    for (id, content) in [(2, &contents[1]), (3, &contents[2])] {
        let target = Target::id(ImageId(id));
        assert_eq!(read(&back, &owner, &target).await.unwrap(), *content, "image {id}");
    }
    assert!(read(&back, &owner, &Target::id(ImageId(1))).await.is_err());
    // What the backup has whole already is not lost with the original; damaged there it is copied anew.
    fs::write(place(&blobs, &contents[1]), &contents[1]).unwrap();
    let kept = place(&folder.join("contents"), &contents[2]);
    let mut bytes = contents[2].clone();
    bytes[0] ^= 1;
    fs::write(&kept, bytes).unwrap();
    let (done, _) = back_up(&scene.repository, &folder, false).await;
    assert_eq!(done.unwrap().copied, 0, "by its size it is there");
    let (done, _) = back_up(&scene.repository, &folder, true).await;
    assert_eq!(done.unwrap().copied, 1);
    assert_eq!(fs::read(&kept).unwrap(), contents[2]);
}

#[tokio::test]
async fn nothing_else_is_overwritten_and_no_newer_history() {
    let scene = Scene::new();
    scene.store("a.ppm", &image(1, 100)).await;
    let repository = &scene.repository;
    let other = scene.at("pictures");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine.jpg"), "x").unwrap();
    assert_eq!(refused(repository, &other).await.code, ErrorCode::Conflict);
    assert_eq!(files(&other).len(), 1);
    let inside = refused(repository, &scene.at("data/copies")).await;
    assert_eq!(inside.code, ErrorCode::Conflict);
    assert!(!scene.at("data/copies").exists());

    scene.back_up().await;
    let folder = scene.at("backup");
    let stranger = Scene::new();
    assert!(refused(&stranger.repository, &folder).await.message.contains("another repository"));
    // The same one in an older state, which then goes on otherwise.
    let older = restored(&folder, &scene.at("older")).await;
    scene.store("b.ppm", &image(2, 100)).await;
    scene.back_up().await;
    assert!(refused(&older, &folder).await.message.contains("older backup"));
    let owner = older.owner();
    // Times are kept in milliseconds.
    while jiff::Timestamp::now().as_millisecond()
        <= scene.repository.events(Seq(1), 1).await.unwrap().events[0].at.unwrap().as_millisecond()
    {
        tokio::task::yield_now().await;
    }
    for seed in [7, 8] {
        upload(&older, &owner, "c.ppm", &image(seed, 100)).await.unwrap();
    }
    assert!(refused(&older, &folder).await.message.contains("history is another"));
    // What it cannot read it does not replace.
    let manifest = folder.join("backup.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    for (text, expected) in
        [(&whole[..20], "damaged"), (&whole.replace("\"v\": 1", "\"v\": 9"), "newer version")]
    {
        fs::write(&manifest, text).unwrap();
        let refusal = refused(&scene.repository, &folder).await;
        assert!(refusal.message.contains(expected), "{refusal}");
        let (done, _) = bring_back(&folder, &scene.at("nowhere"), false).await;
        assert!(done.unwrap_err().message.contains(expected));
        assert_eq!(fs::read_to_string(&manifest).unwrap(), text);
    }
    fs::write(&manifest, whole).unwrap();
    // Into no home but an empty one.
    let (done, _) = bring_back(&folder, &scene.at("older"), false).await;
    let refusal = done.unwrap_err();
    assert!(refusal.code == ErrorCode::Conflict, "{refusal}");
    older.close().await;
    let (done, _) = bring_back(&folder, &scene.at("older"), false).await;
    assert!(done.unwrap_err().message.contains("there is a repository already"));
    let (done, _) = bring_back(&scene.at("pictures"), &scene.at("nowhere"), false).await;
    assert_eq!(done.unwrap_err().code, ErrorCode::NotFound);
    assert!(!scene.at("nowhere/data/catalog.db").exists());
}
