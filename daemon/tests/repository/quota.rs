//! Quotas: of a person and of the repository, with uploads side by side, resumed, and given up.

use imgrepo_proto::ErrorCode;
use imgrepod::repository::{Repository, Settings};

use crate::support::{announce, begin, delete, guest, image, purge, settings, upload};

const KIB: usize = 1024;

fn limited(data: &std::path::Path, person: Option<u64>, all: Option<u64>) -> Repository {
    let settings =
        Settings { person_quota_bytes: person, repository_quota_bytes: all, ..settings(data) };
    Repository::open(settings).unwrap()
}

#[tokio::test]
async fn a_person_keeps_to_their_quota_and_makes_room_in_the_trash() {
    let data = tempfile::tempdir().unwrap();
    let repository = limited(data.path(), Some(300 * KIB as u64), None);
    let (ana, bea) = (guest(&repository, "ana").await, guest(&repository, "bea").await);
    for seed in 1..=3 {
        upload(&repository, &ana, "a.ppm", &image(seed, 100 * KIB)).await.unwrap();
    }
    let refusal = upload(&repository, &ana, "b.ppm", &image(4, 24)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::StorageFull);
    assert_eq!(
        refusal.message,
        "cannot store `b.ppm`: `ana` has 300.0 KiB of images here, this one has 24 B, the limit is 300.0 KiB"
    );
    assert!(refusal.hint.unwrap().contains("imgctl trash empty"));
    // What is there already needs no room, and others have their own.
    assert!(upload(&repository, &ana, "a.ppm", &image(3, 100 * KIB)).await.unwrap().duplicate);
    upload(&repository, &bea, "b.ppm", &image(4, 300 * KIB)).await.unwrap();
    delete(&repository, &ana, 1).await.unwrap();
    assert!(upload(&repository, &ana, "b.ppm", &image(4, 24)).await.is_err(), "trash counts");
    purge(&repository, &ana).await.unwrap();
    upload(&repository, &ana, "b.ppm", &image(4, 100 * KIB)).await.unwrap();
    let usage = repository.usage().await.unwrap();
    assert_eq!((usage.kept_bytes, usage.coming_bytes), (600 * KIB as u64, 0));
}

#[tokio::test]
async fn uploads_side_by_side_do_not_pass_it_together() {
    let data = tempfile::tempdir().unwrap();
    let repository = limited(data.path(), None, Some(1000 * KIB as u64));
    let (ana, bea) = (guest(&repository, "ana").await, guest(&repository, "bea").await);
    let mut stored = 0;
    for round in 0..4_u64 {
        let contents: Vec<_> = (0..4).map(|n| image(round * 4 + n + 1, 150 * KIB)).collect();
        let (a, b, c, d) = tokio::join!(
            upload(&repository, &ana, "a.ppm", &contents[0]),
            upload(&repository, &bea, "b.ppm", &contents[1]),
            upload(&repository, &ana, "c.ppm", &contents[2]),
            upload(&repository, &bea, "d.ppm", &contents[3]),
        );
        for outcome in [a, b, c, d] {
            match outcome {
                Ok(_) => stored += 1,
                Err(refusal) => assert_eq!(refusal.code, ErrorCode::StorageFull, "{refusal}"),
            }
        }
        let usage = repository.usage().await.unwrap();
        assert!(usage.kept_bytes <= 1000 * KIB as u64, "{usage:?}");
        assert_eq!((usage.kept_bytes, usage.coming_bytes), (stored * 150 * KIB as u64, 0));
    }
    assert_eq!(stored, 6);
}

#[tokio::test]
async fn an_upload_that_is_taken_over_or_given_up_is_not_counted_twice() {
    let data = tempfile::tempdir().unwrap();
    let repository = limited(data.path(), Some(500 * KIB as u64), None);
    let ana = guest(&repository, "ana").await;
    let content = image(1, 400 * KIB);
    let (first, _told) = begin(&repository, &ana, announce("a.ppm", &content)).await;
    let mut first = first.unwrap();
    first.write(vec![content[..100 * KIB].to_vec().into()]).await.unwrap();
    assert_eq!(repository.usage().await.unwrap().coming_bytes, 400 * KIB as u64);
    let (other, told) = begin(&repository, &ana, announce("b.ppm", &image(2, 200 * KIB))).await;
    assert!(other.is_none());
    assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::StorageFull);
    // The same content from another session takes the first one over.
    upload(&repository, &ana, "a.ppm", &content).await.unwrap();
    drop(first);
    assert_eq!(repository.usage().await.unwrap().coming_bytes, 0);
    // One that is given up gives its room back.
    let (given_up, _) = begin(&repository, &ana, announce("c.ppm", &image(3, 90 * KIB))).await;
    drop(given_up);
    upload(&repository, &ana, "d.ppm", &image(4, 90 * KIB)).await.unwrap();
}
