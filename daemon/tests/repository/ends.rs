//! How a repository begins and ends: closed, locked, damaged, with garbage of an unclean end.

use bytes::Bytes;
use imgrepo_proto::ErrorCode;
use imgrepod::repository::{OpenError, Repository};

use crate::support::*;

#[tokio::test]
async fn garbage_of_an_unclean_end_is_gone_after_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let ana = {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        upload(&repository, &ana, "a", &image(1, 1000)).await.unwrap();
        repository.close().await;
        ana
    };
    let garbage = data.path().join("blobs").join("ab").join(format!("ab{}", "0".repeat(62)));
    let place = || std::fs::write(&garbage, b"x").unwrap();
    // After a clean end nobody looks: that is what makes a start quick.
    place();
    open(data.path()).close().await;
    assert!(garbage.exists());
    std::fs::write(data.path().join("repository.lock"), "open x/1\n").unwrap();
    std::fs::write(data.path().join("staging").join("new.7"), b"x").unwrap();
    let repository = open(data.path());
    assert!(!garbage.exists());
    assert_eq!(staged(data.path()), 0);
    assert_eq!(read(&repository, &ana, &named("a")).await.unwrap(), image(1, 1000));
}

#[tokio::test]
async fn a_closed_repository_takes_nothing_more() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    let content = image(1, 1000);
    let (receiving, told) = begin(&repository, &ana, announce("b", &content)).await;
    upload(&repository, &ana, "a", &image(2, 1000)).await.unwrap();
    repository.close().await;
    let mut receiving = receiving.unwrap();
    receiving.write(vec![Bytes::copy_from_slice(&content)]).await.unwrap();
    receiving.finish().await;
    assert_eq!(told.await.unwrap().unwrap_err().code, ErrorCode::ShuttingDown);
    let refusal = upload(&repository, &ana, "c", &image(3, 1000)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ShuttingDown);
    assert_eq!(delete(&repository, &ana, 1).await.unwrap_err().code, ErrorCode::ShuttingDown);
    assert!(read(&repository, &ana, &named("a")).await.is_ok());
    assert_eq!(blobs(data.path()).len(), 1);
}

#[test]
fn one_process_has_a_directory() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path());
    let error = Repository::open(settings(data.path())).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(data.path().to_str().unwrap()), "{error}");
    drop(first);
    open(data.path());
}

#[tokio::test]
async fn a_catalog_that_is_damaged_newer_or_missing_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    {
        let repository = open(data.path());
        let ana = guest(&repository, "ana").await;
        upload(&repository, &ana, "a", &image(1, 1000)).await.unwrap();
        repository.close().await;
    }
    let catalog = data.path().join("catalog.db");
    let good = std::fs::read(&catalog).unwrap();
    let refused = || {
        let error = Repository::open(settings(data.path())).unwrap_err().to_string();
        assert!(error.contains("catalog.db"), "{error}");
        assert_eq!(blobs(data.path()).len(), 1);
    };
    let bad = [b"no database at all, but some text".repeat(100), vec![0; 8192]];
    for bad in bad {
        std::fs::write(&catalog, &bad).unwrap();
        refused();
        assert_eq!(std::fs::read(&catalog).unwrap(), bad);
    }
    std::fs::remove_file(&catalog).unwrap();
    refused();
    assert!(!catalog.exists());
    std::fs::write(&catalog, &good).unwrap();
    open(data.path());
}
