//! Uploads that stop and go on: what is kept, for whom, for how long, and what a power cut leaves.

use std::path::Path;

use bytes::Bytes;
use imgrepo_proto::session::command::{Target, Upload};
use imgrepo_proto::{ErrorCode, ImageId};
use imgrepod::repository::{Actor, Repository, Settings};

use crate::support::*;

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped() {
    let data = tempfile::tempdir().unwrap();
    let content = image(7, 600_000);
    let ana = {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        let (receiving, told) = begin(&repository, &ana, announce("a", &content)).await;
        let mut receiving = receiving.unwrap();
        assert_eq!(receiving.offset(), 0);
        let pieces = content[..250_000].chunks(777).map(Bytes::copy_from_slice).collect();
        assert_eq!(receiving.write(pieces).await.unwrap(), 250_000);
        drop(receiving);
        assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);

        // Another person's is not theirs, nor one of another size; one without a hash leaves nothing.
        let bea = guest(&repository, "bea").await;
        let offset = async |actor: &Actor, upload: Upload| {
            begin(&repository, actor, upload).await.0.unwrap().offset()
        };
        assert_eq!(offset(&bea, announce("a", &content)).await, 0);
        assert_eq!(offset(&ana, Upload { size: 1, ..announce("a", &content) }).await, 0);
        let (receiving, _) =
            begin(&repository, &ana, Upload { hash: None, ..announce("a", &content) }).await;
        let mut receiving = receiving.unwrap();
        receiving.write(vec![Bytes::copy_from_slice(&content[..1000])]).await.unwrap();
        drop(receiving);
        assert_eq!(staged(data.path()), 1);
        assert_eq!(offset(&ana, announce("b", &content)).await, 250_000);
        repository.close().await;
        ana
    };
    // A clean end syncs it, so that it counts even where the lengths of files do not.
    let line = std::fs::read_to_string(data.path().join("repository.lock")).unwrap();
    assert!(line.starts_with("closed "), "{line}");
    std::fs::write(data.path().join("repository.lock"), "").unwrap();
    let repository = open(data.path());
    let (receiving, told) = begin(&repository, &ana, announce("b", &content)).await;
    let mut receiving = receiving.unwrap();
    assert_eq!(receiving.offset(), 250_000);
    receiving.write(vec![Bytes::copy_from_slice(&content[250_000..])]).await.unwrap();
    receiving.finish().await;
    assert_eq!(told.await.unwrap().unwrap().image.name, "b");
    assert_eq!(read(&repository, &ana, &named("b")).await.unwrap(), content);
    assert_eq!(staged(data.path()), 0);
}

#[tokio::test]
async fn after_a_power_cut_only_what_was_synced_counts() {
    const MIB: usize = 1024 * 1024;
    let data = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let content = image(7, 40 * MIB);
    let small = image(8, 1000);
    {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        let (receiving, _told) = begin(&repository, &ana, announce("a", &content)).await;
        let mut receiving = receiving.unwrap();
        for piece in content[..20 * MIB].chunks(MIB) {
            receiving.write(vec![Bytes::copy_from_slice(piece)]).await.unwrap();
        }
        let (receiving, _told) = begin(&repository, &ana, announce("b", &small)).await;
        receiving.unwrap().write(vec![Bytes::copy_from_slice(&small[..500])]).await.unwrap();
        // What the disk holds at this moment, of which the next start may believe only a part.
        copy_directory(data.path(), copy.path());
    }
    for (lock, offsets) in [(true, [20 * MIB, 500]), (false, [16 * MIB, 0])] {
        let data = tempfile::tempdir().unwrap();
        copy_directory(copy.path(), data.path());
        if !lock {
            std::fs::write(data.path().join("repository.lock"), "open another-boot/1\n").unwrap();
        } else if !same_mount(copy.path(), data.path()) {
            continue;
        }
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        for (upload, offset) in
            [announce("a", &content), announce("b", &small)].into_iter().zip(offsets)
        {
            let receiving = begin(&repository, &ana, upload).await.0.unwrap();
            assert_eq!(receiving.offset(), offset as u64);
        }
        upload(&repository, &ana, "a", &content).await.unwrap();
        assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), content);
    }
}

fn same_mount(_: &Path, _: &Path) -> bool {
    // Both are in the temporary directory; only Linux can tell that nothing was unmounted since.
    cfg!(target_os = "linux")
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a kill leaves at the moment when a content is in its place and has no record yet.
async fn placed_without_a_record(content: &[u8]) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let (receiving, _told) = begin(&repository, &ana, announce("a", content)).await;
    let mut receiving = receiving.unwrap();
    receiving.write(vec![Bytes::copy_from_slice(content)]).await.unwrap();
    copy_directory(data.path(), copy.path());
    let [blob] = &blobs(copy.path())[..] else { panic!("one blob") };
    let blob = copy.path().join("blobs").join(&blob[..2]).join(blob);
    let kept = std::fs::read_dir(copy.path().join("staging")).unwrap().next().unwrap().unwrap();
    // One file of two names, which a copy does not tell.
    std::fs::remove_file(kept.path()).unwrap();
    std::fs::hard_link(blob, kept.path()).unwrap();
    copy
}

#[tokio::test]
async fn a_kill_before_the_record_costs_no_byte() {
    let content = image(7, 600_000);
    // After a power cut too: the content was synced before it went to its place.
    for lock in [None, Some("open another-boot/1\n")] {
        let data = placed_without_a_record(&content).await;
        if let Some(line) = lock {
            std::fs::write(data.path().join("repository.lock"), line).unwrap();
        }
        let repository = open(data.path());
        assert_eq!((blobs(data.path()).len(), staged(data.path())), (0, 1));
        let ana = guest(&repository, "ana").await;
        let (receiving, told) = begin(&repository, &ana, announce("a", &content)).await;
        let receiving = receiving.unwrap();
        assert_eq!(receiving.offset(), content.len() as u64);
        receiving.finish().await;
        assert!(!told.await.unwrap().unwrap().duplicate);
        assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), content);
        assert_eq!((blobs(data.path()).len(), staged(data.path())), (1, 0));
    }
}

#[tokio::test]
async fn a_kill_right_after_the_record_leaves_nothing_in_staging() {
    let content = image(7, 600_000);
    let data = placed_without_a_record(&content).await;
    let kept = std::fs::read_dir(data.path().join("staging")).unwrap().next().unwrap().unwrap();
    let (name, path) = (kept.file_name(), kept.path());
    let aside = data.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        upload(&repository, &ana, "a", &content).await.unwrap();
        repository.close().await;
    }
    std::fs::rename(&aside, data.path().join("staging").join(name)).unwrap();
    let repository = open(data.path());
    assert_eq!((blobs(data.path()).len(), staged(data.path())), (1, 0));
    let ana = guest(&repository, "ana").await;
    assert!(upload(&repository, &ana, "a", &content).await.unwrap().duplicate);
    assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), content);
}

#[tokio::test]
async fn a_whole_content_that_gets_no_record_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let content = image(7, 600_000);
    let size = content.len() as u64;
    {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        let (receiving, told) = begin(&repository, &ana, announce("a", &content)).await;
        let mut receiving = receiving.unwrap();
        receiving.write(vec![Bytes::copy_from_slice(&content)]).await.unwrap();
        // The session is cut; the next one meets the repository's end.
        drop(receiving);
        assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);
        let (receiving, told) = begin(&repository, &ana, announce("a", &content)).await;
        let receiving = receiving.unwrap();
        assert_eq!(receiving.offset(), size);
        repository.close().await;
        receiving.finish().await;
        assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::ShuttingDown);
    }
    let repository = open(data.path());
    assert_eq!((blobs(data.path()).len(), staged(data.path())), (0, 1));
    let ana = guest(&repository, "ana").await;
    let (receiving, told) = begin(&repository, &ana, announce("a", &content)).await;
    let receiving = receiving.unwrap();
    assert_eq!(receiving.offset(), size);
    receiving.finish().await;
    told.await.unwrap().unwrap();
    assert_eq!((blobs(data.path()).len(), staged(data.path())), (1, 0));
}

#[tokio::test]
async fn a_newer_upload_takes_over() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(7, 300_000);
    let (older, older_told) = begin(&repository, &ana, announce("older", &content)).await;
    let mut older = older.unwrap();
    older.write(vec![Bytes::copy_from_slice(&content[..100_000])]).await.unwrap();
    let superseded = older.superseded();
    let (newer, newer_told) = begin(&repository, &ana, announce("newer", &content)).await;
    let mut newer = newer.unwrap();
    assert_eq!(newer.offset(), 100_000);
    superseded.await;
    let piece = Bytes::copy_from_slice(&content[100_000..]);
    let refusal = older.write(vec![piece.clone()]).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Superseded);
    older.fail(refusal);
    assert_eq!(older_told.await.unwrap().unwrap_err().code, ErrorCode::Superseded);
    newer.write(vec![piece]).await.unwrap();
    newer.finish().await;
    assert_eq!(newer_told.await.unwrap().unwrap().image.name, "newer");
    assert_eq!(staged(data.path()), 0);
    assert_eq!(read(&repository, &ana, &named("newer")).await.unwrap(), content);
}

#[tokio::test]
async fn a_wrong_partial_is_dropped_and_the_next_starts_over() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(7, 300_000);
    let (receiving, _) = begin(&repository, &ana, announce("a", &content)).await;
    receiving.unwrap().write(vec![Bytes::copy_from_slice(&content[..1000])]).await.unwrap();
    let file = std::fs::read_dir(data.path().join("staging")).unwrap().next().unwrap().unwrap();
    std::fs::write(file.path(), vec![b'P'; 1000]).unwrap();
    let refusal = upload(&repository, &ana, "a", &content).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::WrongHash);
    assert_eq!(staged(data.path()), 0);
    upload(&repository, &ana, "a", &content).await.unwrap();
}

#[tokio::test]
async fn trash_and_partials_go_when_their_time_is_over() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings { staging_quota_bytes: 100_000, ..settings(data.path()) };
    let repository = Repository::open(settings).unwrap();
    let ana = guest(&repository, "ana").await;
    for seed in 0..300 {
        let content = image(seed, 100);
        let id = upload(&repository, &ana, "a", &content).await.unwrap().image.id;
        change(|done| repository.delete(&ana, Target::id(id), done)).await.unwrap();
    }
    for seed in [1001, 1002] {
        let content = image(seed, 200_000);
        let (receiving, _) = begin(&repository, &ana, announce("b", &content)).await;
        receiving.unwrap().write(vec![Bytes::copy_from_slice(&content[..70_000])]).await.unwrap();
    }
    let now = jiff::Timestamp::now();
    repository.sweep(now).await;
    assert_eq!(staged(data.path()), 1);
    assert!(repository.info(&ana, &Target::id(ImageId(1))).await.is_ok());
    repository.sweep(now + jiff::SignedDuration::from_hours(24 * 31)).await;
    assert_eq!(staged(data.path()), 0);
    assert_eq!(kinds(&repository).await.len(), 500);
    repository.close().await;
    assert_eq!(blobs(data.path()).len(), 0);
}
