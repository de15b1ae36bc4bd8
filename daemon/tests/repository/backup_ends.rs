//! Backups that do not come to their end, disks that are full, and the first version's format.

use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::maintenance::{Backup, Maintenance};
use imgrepo_proto::session::command::Target;
use imgrepo_proto::{ErrorCode, ImageId, Seq};
use imgrepod::repository::backup::{Restore, restore};
use imgrepod::repository::{OpenError, Repository, Told};

use crate::backup::{Scene, back_up, bring_back, place, restored};
use crate::small_disk::SmallDisk;
use crate::support::{change, delete, image, open, purge, read, settings};

#[tokio::test]
async fn what_is_cut_short_leaves_the_former_backup_and_goes_on() {
    let scene = Scene::new();
    scene.store("a.ppm", &image(1, 300_000)).await;
    scene.back_up().await;
    let folder = scene.at("backup");
    for seed in 2..200 {
        scene.store("b.ppm", &image(seed, 5_000)).await;
    }
    let owner = scene.repository.owner();
    delete(&scene.repository, &owner, 1).await.unwrap();
    purge(&scene.repository, &owner).await.unwrap();
    let before = fs::read(folder.join("backup.json")).unwrap();
    // Nobody hears any more: it ends at its next word.
    let (told, items) = Told::channel();
    drop(items);
    let work = Maintenance::Backup(Backup { folder: folder.clone(), check: false });
    let refusal = scene.repository.maintain(work, told).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Cancelled);
    assert_eq!(fs::read(folder.join("backup.json")).unwrap(), before);
    // As a process that was killed leaves it.
    fs::create_dir(folder.join("snapshot-2")).unwrap();
    fs::write(folder.join("snapshot-2/catalog.db"), "half").unwrap();
    let half = folder.join("contents/ab").join(format!("{}.new", "ab".repeat(32)));
    fs::write(&half, "half").unwrap();
    let former = restored(&folder, &scene.at("former")).await;
    let target = Target::id(ImageId(1));
    assert_eq!(read(&former, &former.owner(), &target).await.unwrap(), image(1, 300_000));
    let done = scene.back_up().await;
    assert_eq!((done.copied, done.removed), (198, 1));
    assert!(!half.exists());

    // A restore that is cut short: more is missing than fits on the way to who does not listen.
    let home = scene.at("new");
    let wanted = Restore {
        folder: folder.clone(),
        data: home.join("data"),
        config: home.join("config.toml"),
        accept_missing: false,
    };
    let away: Vec<PathBuf> =
        (150..200).map(|seed| place(&folder.join("contents"), &image(seed, 5_000))).collect();
    for path in &away {
        fs::rename(path, path.with_extension("away")).unwrap();
    }
    let (told, mut items) = Told::channel();
    let work = tokio::task::spawn_blocking(move || restore(&wanted, told));
    items.recv().await.unwrap();
    drop(items);
    let cut = work.await.unwrap();
    assert!(matches!(&cut, Err(refusal) if refusal.code == ErrorCode::Cancelled), "{cut:?}");
    let refused = Repository::open(settings(&home.join("data"))).unwrap_err();
    assert!(matches!(refused, OpenError::Unfinished { .. }), "{refused}");
    for path in &away {
        fs::rename(path.with_extension("away"), path).unwrap();
    }
    // Another backup has no business there.
    let stranger = Scene::new();
    stranger.back_up().await;
    let (done, _) = bring_back(&stranger.at("backup"), &home, false).await;
    assert!(done.unwrap_err().message.contains("another restore was begun"));
    let back = restored(&folder, &home).await;
    assert_eq!(back.standing().await.unwrap().listed, 198);
    assert!(!home.join("data/restoring.json").exists());
    scene.repository.close().await;
}

#[tokio::test]
async fn a_full_disk_costs_the_new_backup_alone() {
    let Some(disk) = SmallDisk::mount("size=3m") else { return };
    let scene = Scene::new();
    let folder = disk.path().join("backup");
    let small = image(1, 300_000);
    scene.store("a.ppm", &small).await;
    let (done, _) = back_up(&scene.repository, &folder, false).await;
    done.unwrap();
    for seed in 2..8 {
        scene.store("b.ppm", &image(seed, 900_000)).await;
    }
    let refusal = back_up(&scene.repository, &folder, false).await.0.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::StorageFull, "{refusal}");
    let back = restored(&folder, &scene.at("new")).await;
    let target = Target::id(ImageId(1));
    assert_eq!(read(&back, &back.owner(), &target).await.unwrap(), small);
}

/// What the first version's sample has: two images, the second in the trash.
const SAMPLE: [(u64, usize); 2] = [(1, 2_000), (2, 300)];

/// Wrote the sample; its folder is named by `IMGREPO_SAMPLE`.
#[tokio::test]
#[ignore = "a format that was released is never written anew"]
async fn write_the_sample() {
    let folder = std::env::var_os("IMGREPO_SAMPLE").unwrap();
    let scene = Scene::new();
    for (seed, bytes) in SAMPLE {
        scene.store(&format!("{seed}.ppm"), &image(seed, bytes)).await;
    }
    delete(&scene.repository, &scene.repository.owner(), 2).await.unwrap();
    back_up(&scene.repository, Path::new(&folder), false).await.0.unwrap();
}

#[tokio::test]
async fn a_backup_of_the_first_version_is_restored_for_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/backup-v1");
    let home = tempfile::tempdir().unwrap();
    let (done, faults) = bring_back(&folder, home.path(), false).await;
    assert_eq!(faults, []);
    let done = done.unwrap();
    assert_eq!((done.owner.as_str(), done.images, done.seq), ("olga", 2, Seq(3)));
    let back = open(&home.path().join("data"));
    assert_eq!(back.id().0, "21e4e70e6056793d2c0f4c08ef1336a9");
    let owner = back.owner();
    change(|done| back.restore(&owner, Target::id(ImageId(2)), done)).await.unwrap();
    for (seed, bytes) in SAMPLE {
        let target = Target::id(ImageId(seed));
        assert_eq!(read(&back, &owner, &target).await.unwrap(), image(seed, bytes));
    }
}
