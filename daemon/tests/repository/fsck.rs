//! Whether a check finds all that is wrong and nothing else, and whether what is lost comes back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use imgrepo_proto::control::maintenance::{
    Check, Checked, Fault, FaultKind, Maintenance, MaintenanceItem, MaintenanceOutcome,
};
use imgrepo_proto::{BlobHash, ErrorCode};
use imgrepod::repository::catalog::Again;
use imgrepod::repository::{Repository, Told};

use crate::damage::{flip, flip_content, flip_placed, placed};
use crate::small_disk::SmallDisk;
use crate::support::*;

pub(crate) const LOOK: Check = Check { read_data: false, repair: false };
pub(crate) const READ: Check = Check { read_data: true, repair: false };
pub(crate) const REPAIR: Check = Check { read_data: true, repair: true };

pub(crate) async fn check(repository: &Repository, wanted: Check) -> (Checked, Vec<Fault>) {
    let (told, mut items) = Told::channel();
    let hear = async {
        let mut faults = Vec::new();
        while let Some(item) = items.recv().await {
            if let MaintenanceItem::Fault(fault) = item {
                faults.push(*fault);
            }
        }
        faults
    };
    let (outcome, faults) =
        tokio::join!(repository.maintain(Maintenance::Check(wanted), told), hear);
    let MaintenanceOutcome::Checked(checked) = outcome.unwrap() else { panic!("not checked") };
    assert_eq!(checked.faults, faults.len() as u64);
    assert_eq!(checked.repaired, faults.iter().filter(|fault| fault.repaired).count() as u64);
    (*checked, faults)
}

pub(crate) fn kinds(faults: &[Fault]) -> Vec<FaultKind> {
    faults.iter().map(|fault| fault.kind).collect()
}

#[tokio::test]
async fn a_sound_repository_has_no_faults() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    assert_eq!(check(&repository, READ).await, (Checked::default(), vec![]));
    let (ana, bo) = (guest(&repository, "ana").await, guest(&repository, "bo").await);
    for (seed, size) in [(1, 1000), (2, 300_000), (3, 2_000_000)] {
        upload(&repository, &ana, "a", &image(seed, size)).await.unwrap();
    }
    upload(&repository, &bo, "b", &image(1, 1000)).await.unwrap();
    let trashed = upload(&repository, &bo, "c", &image(4, 70_000)).await.unwrap().image.id;
    delete(&repository, &bo, trashed.0).await.unwrap();
    for closed in [false, true] {
        if closed {
            repository.close().await;
        }
        let repository = if closed { open(data.path()) } else { repository.clone() };
        let (checked, faults) = check(&repository, READ).await;
        assert_eq!(faults, []);
        assert_eq!((checked.images, checked.contents, checked.changes), (5, 4, 6));
        assert_eq!((checked.read, checked.read_bytes), (4, 2_371_000));
        assert!(checked.reading.is_some());
        let (checked, faults) = check(&repository, LOOK).await;
        assert_eq!((faults, checked.read, checked.reading), (vec![], 0, None));
    }
    assert!(!data.path().join("damaged").exists());
}

/// How many, where `FSCK_FLIPS` does not say.
const FLIPS: u64 = 60;

#[tokio::test]
async fn every_flipped_bit_is_found_wherever_its_content_is() {
    let flips = std::env::var("FSCK_FLIPS").ok().and_then(|text| text.parse().ok());
    let flips: u64 = flips.unwrap_or(FLIPS);
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    // Half of them is sound; a tenth of them is placed at once, the others are journaled first.
    let size = |seed: u64| if seed.is_multiple_of(10) { 270_000 } else { 900 + seed as usize };
    for seed in 0..flips * 2 {
        upload(&repository, &ana, "a", &image(seed, size(seed))).await.unwrap();
    }
    let mut flipped = BTreeSet::new();
    for seed in 0..flips {
        // Some of them before they are settled, the rest once all of them are.
        if seed == flips / 2 {
            repository.close().await;
            // One that was being settled at that very moment has its place as it was read before.
            for seed in 0..seed {
                flip_placed(data.path(), &image(seed * 2, size(seed * 2)), seed);
            }
        }
        let content = image(seed * 2, size(seed * 2));
        flip_content(data.path(), &content, seed);
        flipped.insert(hash(&content));
    }
    drop(repository);
    let repository = open(data.path());
    assert_eq!(check(&repository, LOOK).await.1, [], "none has another size");
    let (checked, faults) = check(&repository, READ).await;
    let found: BTreeSet<BlobHash> = faults.iter().filter_map(|fault| fault.hash).collect();
    assert_eq!(found, flipped);
    assert_eq!(checked.faults, flips, "each once");
    for fault in &faults {
        assert_eq!(fault.kind, FaultKind::Damaged);
        assert_eq!(fault.images.len(), 1);
        assert_eq!((&*fault.images[0].name, &*fault.images[0].uploader), ("a", "ana"));
    }
    eprintln!("found {} of {flips} flipped bits among {} contents", found.len(), flips * 2);

    // None of them is served, all others are.
    for seed in 0..flips * 2 {
        let target = imgrepo_proto::session::command::Target::id(imgrepo_proto::ImageId(seed + 1));
        let outcome = read(&repository, &ana, &target).await;
        match seed % 2 {
            0 => {
                let refusal = outcome.unwrap_err();
                assert_eq!(refusal.code, ErrorCode::Damaged);
                assert!(refusal.message.contains("is damaged on the server"), "{refusal}");
            }
            _ => assert_eq!(outcome.unwrap(), image(seed, size(seed))),
        }
    }
    // Twice the same, and after a restart: it was remembered.
    assert_eq!(check(&repository, READ).await.0.faults, flips);
    repository.close().await;
    let repository = open(data.path());
    assert_eq!(repository.lost(&ana, None).await.unwrap().lost.len() as u64, flips.min(1000));
    assert_eq!(check(&repository, LOOK).await.0.faults, flips);
}

#[tokio::test]
async fn what_is_lost_comes_back_by_who_uploads_it_again() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let (ana, bo) = (guest(&repository, "ana").await, guest(&repository, "bo").await);
    let contents = [image(1, 400_000), image(2, 400_001), image(3, 400_002), image(4, 500)];
    for content in &contents {
        upload(&repository, &ana, "a", content).await.unwrap();
    }
    repository.close().await;
    let repository = open(data.path());
    let path = |at: usize| placed(data.path(), hash(&contents[at]));
    flip(&path(0), 77, 3);
    fs::remove_file(path(1)).unwrap();
    fs::File::options().write(true).open(path(2)).unwrap().set_len(399_999).unwrap();
    flip(&path(3), 77, 3);

    // What has another size, or is missing, is met by who downloads it.
    for (at, word) in [(1, "missing"), (2, "damaged")] {
        let id = imgrepo_proto::ImageId(at as u64 + 1);
        let target = imgrepo_proto::session::command::Target::id(id);
        let refusal = read(&repository, &ana, &target).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Damaged);
        assert_eq!(
            refusal.message,
            format!("the content of `a` (image {id}) is {word} on the server")
        );
    }
    let (_, faults) = check(&repository, REPAIR).await;
    let mut found = kinds(&faults);
    found.sort_unstable();
    use FaultKind::{Damaged, Missing};
    assert_eq!(found, [Damaged, Damaged, Damaged, Missing]);
    let aside = |at: usize| data.path().join("damaged").join(format!("{}.1", hash(&contents[at])));
    assert!(aside(0).exists() && !aside(1).exists() && aside(2).exists() && aside(3).exists());
    assert_eq!(fs::metadata(aside(2)).unwrap().len(), 399_999);

    // Twice repaired is no more.
    let again = check(&repository, REPAIR).await.1;
    assert_eq!(kinds(&again), [Missing; 4]);
    let hashes: Vec<BlobHash> = contents.iter().map(|content| hash(content)).collect();
    let have = repository.have(&bo, hashes.clone()).await.unwrap().have;
    assert!(have.values().all(Vec::is_empty), "{have:?}");
    let lost = repository.lost(&ana, None).await.unwrap();
    assert_eq!((lost.lost.len(), lost.next), (4, None));
    assert!(lost.lost.iter().all(|lost| hashes.contains(&lost.hash)));
    assert_eq!(repository.lost(&bo, None).await.unwrap().lost, [], "it never was theirs");

    // By its uploader, as a duplicate; with bytes that are not those of its hash, not.
    let wrong = image(9, 400_000);
    let lie = announce("a", &contents[0]);
    let refusal = upload_as(&repository, &ana, lie, Again::Reuse, &wrong).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::WrongHash);
    assert_eq!(check(&repository, LOOK).await.0.faults, 4);
    for at in [0, 2] {
        let healed = upload(&repository, &ana, "other", &contents[at]).await.unwrap();
        assert!(healed.duplicate && healed.image.name == "a");
        assert_eq!(healed.image.id.0, at as u64 + 1);
    }
    // By anybody who has it.
    assert!(!upload(&repository, &bo, "b", &contents[1]).await.unwrap().duplicate);
    upload(&repository, &bo, "b", &contents[3]).await.unwrap();
    for (at, content) in contents.iter().enumerate() {
        let id = imgrepo_proto::ImageId(at as u64 + 1);
        let target = imgrepo_proto::session::command::Target::id(id);
        assert_eq!(read(&repository, &ana, &target).await.unwrap(), *content);
    }
    assert_eq!(check(&repository, READ).await.1, []);
    assert!(!repository.has_losses());
    assert!(aside(0).exists() && aside(2).exists() && aside(3).exists(), "kept for ever");
    assert_eq!(repository.events(imgrepo_proto::Seq(0), 99).await.unwrap().events.len(), 6);
    repository.close().await;
    assert_eq!(check(&open(data.path()), READ).await.1, []);
}

#[tokio::test]
async fn what_was_put_back_by_hand_is_served_again() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(1, 400_000);
    upload(&repository, &ana, "a", &content).await.unwrap();
    let path = placed(data.path(), hash(&content));
    fs::remove_file(&path).unwrap();
    assert_eq!(check(&repository, LOOK).await.0.faults, 1);
    fs::write(&path, &content).unwrap();
    assert_eq!(read(&repository, &ana, &named("a")).await.unwrap_err().code, ErrorCode::Damaged);
    assert_eq!(check(&repository, LOOK).await.1, []);
    assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), content);
}

#[tokio::test]
async fn what_belongs_to_nothing_is_told_and_goes_by_repair_alone() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    upload(&repository, &ana, "a", &image(1, 400_000)).await.unwrap();
    let stray = image(2, 1000);
    let files = [
        placed(data.path(), hash(&stray)),
        data.path().join("staging").join(format!("1-1000-{}.99", hash(&stray))),
        data.path().join("variants/ab").join(format!("ab{}.1.256", "0".repeat(62))),
    ];
    fs::create_dir_all(data.path().join("variants/ab")).unwrap();
    for file in &files {
        fs::write(file, &stray).unwrap();
    }
    let theirs = data.path().join("blobs/ab/.DS_Store");
    fs::write(&theirs, b"x").unwrap();
    for _ in 0..2 {
        let (_, faults) = check(&repository, LOOK).await;
        assert_eq!(kinds(&faults), [FaultKind::LeftOver; 3]);
        assert!(files.iter().all(|file| file.exists()));
    }
    let (checked, faults) = check(&repository, REPAIR).await;
    assert_eq!((checked.faults, checked.repaired), (3, 3), "{faults:?}");
    assert!(!files.iter().any(|file| file.exists()));
    assert!(theirs.exists());
    assert_eq!(check(&repository, REPAIR).await.1, []);
}

#[tokio::test]
async fn the_catalog_is_compared_with_itself() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    for seed in 1..=5 {
        upload(&repository, &ana, "a", &image(seed, 1000)).await.unwrap();
    }
    repository.close().await;
    let sql = |sql: &str| {
        let catalog = rusqlite::Connection::open(data.path().join("catalog.db")).unwrap();
        catalog.execute_batch(sql).unwrap();
    };
    sql("DELETE FROM change WHERE seq IN (1, 3, 4); \
         UPDATE counter SET value = value + 7 WHERE name IN ('listed', 'bytes'); \
         UPDATE person SET trashed = 3, bytes = bytes - 1 WHERE shown = 'ana'; \
         PRAGMA foreign_keys = off; \
         INSERT INTO imported VALUES (77, 1, 'a', 'b');");
    let repository = open(data.path());
    let (_, faults) = check(&repository, LOOK).await;
    use FaultKind::{Gap, Inconsistent, WrongCount};
    let expected = [Gap, Gap, WrongCount, WrongCount, WrongCount, WrongCount, Inconsistent];
    assert_eq!(kinds(&faults), expected, "{faults:?}");
    assert_eq!(faults[0].message, "the history lacks change 1");
    assert_eq!(faults[1].message, "the history lacks the changes 3 to 4");
    let (checked, faults) = check(&repository, REPAIR).await;
    assert_eq!((checked.faults, checked.repaired), (7, 4), "{faults:?}");
    let left = check(&repository, REPAIR).await.1;
    assert_eq!(kinds(&left), [Gap, Gap, Inconsistent], "nothing is invented");
    for seed in 1..=5 {
        assert!(upload(&repository, &ana, "b", &image(seed, 1000)).await.unwrap().duplicate);
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_no_loss() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(1, 400_000);
    upload(&repository, &ana, "a", &content).await.unwrap();
    let directory = placed(data.path(), hash(&content)).parent().unwrap().to_owned();
    let away = data.path().join("away");
    fs::rename(&directory, &away).unwrap();
    fs::write(&directory, b"no directory").unwrap();
    let (_, faults) = check(&repository, REPAIR).await;
    assert!(faults.iter().any(|fault| fault.kind == FaultKind::Unread), "{faults:?}");
    assert!(!repository.has_losses(), "nobody knows");
    fs::remove_file(&directory).unwrap();
    fs::rename(&away, &directory).unwrap();
    assert_eq!(check(&repository, READ).await.1, []);
    assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), content);
}

#[tokio::test]
async fn a_repair_that_the_disk_refuses_loses_nothing() {
    let Some(disk) = SmallDisk::mount("size=4m") else { return };
    let data = disk.path().join("data");
    let repository = open(&data);
    let ana = guest(&repository, "ana").await;
    let contents = [image(1, 400_000), image(2, 200_000)];
    for content in &contents {
        upload(&repository, &ana, "a", content).await.unwrap();
        flip_content(&data, content, 5);
    }
    let filler = disk.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);
    let (_, faults) = check(&repository, REPAIR).await;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| !fault.repaired));
    for content in &contents {
        let refusal = read(
            &repository,
            &ana,
            &imgrepo_proto::session::command::Target::id(imgrepo_proto::ImageId(1)),
        )
        .await
        .unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Damaged);
        let lost = repository.lost(&ana, None).await.unwrap().lost;
        assert!(lost.iter().any(|lost| lost.hash == hash(content)));
    }
    fs::remove_file(&filler).unwrap();
    for content in &contents {
        upload(&repository, &ana, "a", content).await.unwrap();
    }
    assert_eq!(check(&repository, READ).await.1, []);
    let kept = fs::read_dir(data.join("damaged")).unwrap().count();
    assert_eq!(kept, 2, "the bytes of both, and no marker");
}
