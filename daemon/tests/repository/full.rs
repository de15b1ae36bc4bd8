//! A full disk: uploads are refused with `storage_full`, listing and downloads go on, and when there
//! is room again uploads do, without a restart. On small tmpfs mounts, so as root alone.

use std::path::Path;

use imgrepo_proto::ErrorCode;
use imgrepo_proto::session::command::{self, List, Target};
use imgrepod::repository::{Actor, Repository, Settings};
use tokio::sync::oneshot;

use crate::small_disk::SmallDisk;
use crate::support::{image, settings, upload};

const MIB: u64 = 1024 * 1024;

fn open(data: &Path, reserve_bytes: u64) -> Repository {
    Repository::open(Settings { reserve_bytes, ..settings(data) }).unwrap()
}

/// Uploads until there is no room; what was stored.
async fn fill(repository: &Repository, actor: &Actor, size: u64) -> Vec<(u64, Vec<u8>)> {
    let mut stored = Vec::new();
    for seed in 0..100_000 {
        let content = image(seed, size as usize);
        match upload(repository, actor, "a", &content).await {
            Ok(reply) => stored.push((reply.image.id.0, content)),
            Err(refusal) => {
                assert_eq!(refusal.code, ErrorCode::StorageFull, "{refusal}");
                return stored;
            }
        }
    }
    panic!("the disk never got full");
}

async fn all_are_there(repository: &Repository, actor: &Actor, stored: &[(u64, Vec<u8>)]) {
    let page = repository.list(actor, List { limit: Some(1), ..List::default() }).await.unwrap();
    assert_eq!(page.total, Some(stored.len() as u64));
    for (id, expected) in stored {
        let target = Target::id(imgrepo_proto::ImageId(*id));
        let (_, content) = repository.content(actor, &target).await.unwrap();
        assert_eq!(content.read(0, expected.len(), 0).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn contents_leave_room_for_the_catalog() {
    let Some(disk) = SmallDisk::mount("size=12m") else { return };
    let repository = open(disk.path(), 4 * MIB);
    let owner = repository.owner();
    let stored = fill(&repository, &owner, MIB).await;
    assert!((3..=8).contains(&stored.len()), "{}", stored.len());
    all_are_there(&repository, &owner, &stored).await;
    // Room is made with the repository's own means: trash, and the trash emptied.
    for (id, _) in &stored[..2] {
        let (tell, told) = oneshot::channel();
        let target = Target::id(imgrepo_proto::ImageId(*id));
        repository.delete(&owner, target, Box::new(move |outcome| drop(tell.send(outcome))));
        told.await.unwrap().unwrap();
    }
    let (tell, told) = oneshot::channel();
    let purge = command::Purge::default();
    repository.purge(&owner, purge, Box::new(move |outcome| drop(tell.send(outcome))));
    assert_eq!(told.await.unwrap().unwrap().purged, 2);
    // The blobs go right after the answer; by then, or with the next group, there is room.
    upload(&repository, &owner, "a", &image(999_999, 1000)).await.unwrap();
    upload(&repository, &owner, "a", &image(999_998, (MIB) as usize)).await.unwrap();
}

#[tokio::test]
async fn a_disk_without_any_room_refuses_and_recovers() {
    for options in ["size=8m", "size=64m,nr_inodes=300"] {
        let Some(disk) = SmallDisk::mount(options) else { return };
        let ballast = disk.path().join("ballast");
        std::fs::create_dir(&ballast).unwrap();
        for number in 0..10 {
            std::fs::write(ballast.join(number.to_string()), vec![0; 100_000]).unwrap();
        }
        let repository = open(disk.path(), 0);
        let owner = repository.owner();
        let mut stored = fill(&repository, &owner, 70_000).await;
        assert!(!stored.is_empty());
        // Also one that is too large from the start, and one that fills what is left.
        let refusal = upload(&repository, &owner, "a", &image(1_000_000, (65 * MIB) as usize))
            .await
            .unwrap_err();
        assert_eq!(refusal.code, ErrorCode::StorageFull);
        stored.extend(fill(&repository, &owner, 2000).await);
        all_are_there(&repository, &owner, &stored).await;
        std::fs::remove_dir_all(&ballast).unwrap();
        let content = image(2_000_000, 300_000);
        let reply = upload(&repository, &owner, "a", &content).await.unwrap();
        stored.push((reply.image.id.0, content));
        all_are_there(&repository, &owner, &stored).await;
        repository.close().await;
        drop(repository);
        let repository = open(disk.path(), 0);
        all_are_there(&repository, &owner, &stored).await;
        drop(repository);
    }
}
