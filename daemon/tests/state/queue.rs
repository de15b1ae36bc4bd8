//! Uploads by hand and what a person asks of the queue.

use futures_util::future::join_all;
use imgrepo_proto::control::queue::UploadState::{
    Cancelled, Duplicate, Failed, Ignored, Queued, Refused, Sending, Stored, Waiting,
};
use imgrepo_proto::control::queue::{UploadId, Which};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId};
use imgrepod::state::{End, How, LARGE_ABOVE_BYTES, Lane, NewUpload, QueuedContent, State};
use jiff::Timestamp;

use crate::small_disk::SmallDisk;
use crate::{Kept, ana, at, new, receipt, refusal, states};

#[tokio::test]
async fn turns_come_by_age_in_two_lanes() {
    let kept = Kept::new().await;
    let mut ids = Vec::new();
    for size in [1, LARGE_ABOVE_BYTES + 1, LARGE_ABOVE_BYTES, 3, LARGE_ABOVE_BYTES + 2] {
        ids.push(kept.enqueue(&size.to_string(), size).await);
    }
    assert_eq!(kept.take(Lane::Small, 2, at(1)).await, [ids[0], ids[2]]);
    assert_eq!(kept.take(Lane::Large, 9, at(1)).await, [ids[1], ids[4]]);
    // What waits has its turn when it is due, by its age.
    let away = refusal(ErrorCode::NotConnected);
    kept.end(ids[0], End::Waiting(refusal(ErrorCode::StorageFull), Some(at(100)))).await;
    let turns = kept.state.take(kept.mine, Lane::Small, 0, at(50)).await.unwrap();
    assert_eq!((turns.turns.len(), turns.retry_at), (0, Some(at(100))));
    let turns = kept.state.take(kept.mine, Lane::Small, 9, at(100)).await.unwrap();
    let taken: Vec<_> = turns.turns.iter().map(|turn| (turn.id, turn.attempts)).collect();
    assert_eq!((taken, turns.retry_at), (vec![(ids[0], 2), (ids[3], 1)], None));
    kept.end(ids[0], End::Waiting(away.clone(), None)).await;
    let waiting = &kept.all().await[0];
    assert_eq!((waiting.state, &waiting.error, waiting.ended_at), (Waiting, &Some(away), None));
    assert_eq!(kept.take(Lane::Small, 9, at(0)).await, [ids[0]], "as soon as there is a session");
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_a_year_makes_nobody_wait_for_it() {
    let kept = Kept::new().await;
    let year = 365 * 24 * 60 * 60;
    let id = kept.enqueue("a", 10).await;
    kept.take(Lane::Small, 9, at(year)).await;
    let later = Some(at(year + 60));
    kept.end(id, End::Waiting(refusal(ErrorCode::StorageFull), later)).await;
    assert!(kept.take(Lane::Small, 9, at(year)).await.is_empty());
    assert_eq!(kept.take(Lane::Small, 9, at(0)).await, [id]);
}

#[tokio::test]
async fn another_membership_is_another_queue() {
    let kept = Kept::new().await;
    let other = kept.state.join("r2".to_owned(), ana(), "ws://b/".to_owned()).await.unwrap();
    kept.enqueue("a", 10).await;
    let theirs = kept.state.enqueue(vec![new(other, "b", 5)], at(0)).await.unwrap()[0];
    let turns = kept.state.take(other, Lane::Small, 9, at(1)).await.unwrap().turns;
    assert_eq!(turns.iter().map(|turn| turn.id).collect::<Vec<_>>(), [theirs]);
    assert_eq!(kept.state.left(Some(other)).await.unwrap(), (5, 1));
    assert_eq!(kept.state.left(Some(kept.mine)).await.unwrap(), (10, 1));
    assert_eq!(kept.state.left(None).await.unwrap(), (0, 2));
    assert_eq!(kept.state.counts(None, other).await.unwrap().sending, 1);
}

#[tokio::test]
async fn every_end_is_kept_with_its_cause() {
    let kept = Kept::new().await;
    let why = refusal(ErrorCode::TooLarge);
    let duplicate = End::Receipt { hash: BlobHash([1; 32]), image: ImageId(9), duplicate: true };
    let ends = [
        (receipt(), Stored),
        (duplicate, Duplicate),
        (End::Ignored(why.clone(), None), Ignored),
        (End::Refused(why.clone(), "s 1".to_owned()), Refused),
        (End::Failed(why.clone()), Failed),
        (End::Waiting(why.clone(), Some(at(50))), Waiting),
        (End::Queued, Queued),
    ];
    for (number, (end, state)) in ends.into_iter().enumerate() {
        let id = kept.enqueue(&number.to_string(), 10).await;
        // Of an upload that was not begun nothing is said.
        kept.end(id, end.clone()).await;
        assert_eq!(kept.all().await.last().unwrap().state, Queued);
        assert_eq!(kept.take(Lane::Small, 1, at(1)).await, [id]);
        kept.end(id, end).await;
        let upload = kept.all().await.pop().unwrap();
        assert_eq!(upload.state, state);
        assert_eq!(upload.error.is_some(), state.is_fault() || [Ignored, Waiting].contains(&state));
        assert_eq!(upload.ended_at.is_some(), !state.is_open());
    }
    let open = kept.state.page(kept.mine, false, None, 100).await.unwrap();
    assert_eq!(states(&open), [Refused, Failed, Waiting, Queued]);
    let next = kept.state.page(kept.mine, false, Some(open[1].id), 1).await.unwrap();
    assert_eq!(states(&next), [Waiting]);
    let left = kept.state.left(Some(kept.mine)).await.unwrap();
    assert_eq!(left, (20, 0));
}

#[tokio::test]
async fn what_a_server_refused_is_tried_again_by_another() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    let why = refusal(ErrorCode::NotAnImage);
    for path in ["/p/a", "/p/b", "/p/c"] {
        kept.see(&folder, path, 10, How::Settled).await;
    }
    let ids = kept.take(Lane::Small, 9, at(1)).await;
    kept.end(ids[0], End::Refused(why.clone(), "s 1".to_owned())).await;
    kept.end(ids[1], End::Ignored(why.clone(), Some("s 1".to_owned()))).await;
    kept.end(ids[2], End::Ignored(why, None)).await;
    let again = |server: &str| kept.state.retry_refused(kept.mine, server.to_owned(), true);
    assert_eq!(again("s 1").await, Ok(0));
    assert_eq!(again("s 2").await, Ok(2));
    assert_eq!(states(&kept.all().await), [Queued, Queued, Ignored]);
}

#[tokio::test]
async fn what_was_denied_is_tried_again_by_who_may() {
    let kept = Kept::new().await;
    for name in ["a", "b"] {
        kept.enqueue(name, 10).await;
    }
    let ids = kept.take(Lane::Small, 9, at(1)).await;
    kept.end(ids[0], End::Refused(refusal(ErrorCode::Denied), "s 1".to_owned())).await;
    kept.end(ids[1], End::Refused(refusal(ErrorCode::TooLarge), "s 1".to_owned())).await;
    let again = |may| kept.state.retry_refused(kept.mine, "s 1".to_owned(), may);
    assert_eq!(again(false).await, Ok(0));
    assert_eq!(again(true).await, Ok(1));
    assert_eq!(states(&kept.all().await), [Queued, Refused]);
}

#[tokio::test]
async fn a_person_retries_and_cancels() {
    let kept = Kept::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(kept.enqueue(name, 10).await);
    }
    kept.take(Lane::Small, 2, at(1)).await;
    kept.end(ids[0], End::Failed(refusal(ErrorCode::FileError))).await;
    let these = |ids: &[UploadId]| Which::These(ids.to_vec());
    let missing = these(&[ids[0], UploadId(77)]);
    let refused = kept.state.retry(kept.mine, missing.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    let refused = kept.state.cancel(kept.mine, missing, at(2)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    assert_eq!(states(&kept.all().await), [Failed, Sending, Queued, Queued], "nothing changed");

    assert_eq!(kept.state.retry(kept.mine, these(&ids)).await, Ok(1));
    assert_eq!(kept.state.cancel(kept.mine, these(&ids[..2]), at(2)).await, Ok(2));
    assert_eq!(states(&kept.all().await), [Cancelled, Cancelled, Queued, Queued]);
    // Given up, but the server's word comes all the same.
    kept.end(ids[1], End::Failed(refusal(ErrorCode::FileError))).await;
    assert_eq!(kept.all().await[1].state, Cancelled);
    kept.end(ids[1], receipt()).await;
    assert_eq!(kept.all().await[1].state, Stored);
    assert_eq!(kept.state.cancel(kept.mine, Which::All, at(2)).await, Ok(2));
    assert_eq!(kept.state.retry(kept.mine, Which::All).await, Ok(0), "given up for good");
    assert_eq!(kept.state.retry(kept.mine, these(&ids)).await, Ok(3));
    let all = kept.all().await;
    assert_eq!(states(&all), [Queued, Stored, Queued, Queued]);
    assert_eq!((&all[0].error, all[0].ended_at), (&None, None));
    assert_eq!(kept.state.prune(at(100)).await, Ok(1));
}

#[tokio::test]
async fn a_deliberate_retry_brings_back_what_was_deleted() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    kept.see(&folder, "/p/a", 10, How::Settled).await;
    let id = kept.take(Lane::Small, 9, at(1)).await[0];
    for (which, unless_deleted) in [(Which::All, true), (Which::These(vec![id]), false)] {
        kept.end(id, End::Ignored(refusal(ErrorCode::Deleted), None)).await;
        assert_eq!(kept.state.retry(kept.mine, which).await, Ok(1));
        let turns = kept.state.take(kept.mine, Lane::Small, 9, at(1)).await.unwrap().turns;
        assert_eq!(turns[0].unless_deleted, unless_deleted);
    }
}

#[tokio::test]
async fn spooled_contents_are_needed_until_they_are_stored_or_given_up() {
    let kept = Kept::new().await;
    let spooled = |number| NewUpload {
        content: QueuedContent::Spooled(number),
        ..new(kept.mine, "s.png", 10)
    };
    let ids = kept.state.enqueue((1..=3).map(spooled).collect(), at(0)).await.unwrap();
    let turns = kept.state.take(kept.mine, Lane::Small, 9, at(1)).await.unwrap().turns;
    assert_eq!(turns[0].content, QueuedContent::Spooled(1));
    kept.end(ids[0], receipt()).await;
    kept.end(ids[1], End::Failed(refusal(ErrorCode::FileError))).await;
    assert_eq!(kept.state.spooled().await.unwrap(), [2, 3]);
    kept.state.cancel(kept.mine, Which::All, at(2)).await.unwrap();
    assert!(kept.state.spooled().await.unwrap().is_empty());
    let retried = kept.state.retry(kept.mine, Which::These(ids.clone())).await;
    assert_eq!(retried, Ok(0), "there is nothing left to send");
    assert_eq!(kept.all().await[2].path, None);
}

#[tokio::test]
async fn many_at_once_share_a_commit_and_one_that_fails_fails_alone() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    let changed = kept.state.changed();
    let before = *changed.borrow();
    let nobody = Which::These(vec![UploadId(1_000_000)]);
    let fail = || kept.state.cancel(kept.mine, nobody.clone(), at(2));
    let put = |number: u64| kept.state.enqueue(vec![new(kept.mine, &number.to_string(), 1)], at(0));
    let both = |number| async move { (put(number).await, fail().await) };
    let outcomes = join_all((0..300).map(both)).await;
    assert!(outcomes.iter().all(|(put, failed)| put.is_ok() && failed.is_err()));
    let commits = *changed.borrow() - before;
    assert!(commits < 100, "{commits}");
    assert_eq!(kept.all().await.len(), 300);
    kept.see(&folder, "/p/a", 1, How::Settled).await;
    assert!(*changed.borrow() > before + commits);
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("size=2m") else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 700_000]).unwrap();
    let path = disk.path().join("queue.db");
    let state = State::open(&path).unwrap();
    let mine = state.join("r1".to_owned(), ana(), "ws://a/".to_owned()).await.unwrap();
    let mut queued = Vec::new();
    let refused = loop {
        let name = format!("{}-{}.png", queued.len(), "x".repeat(200));
        match state.enqueue(vec![new(mine, &name, 10)], Timestamp::now()).await {
            Ok(ids) => queued.extend(ids),
            Err(refused) => break refused,
        }
        assert!(queued.len() < 100_000);
    };
    assert_eq!(refused.code, ErrorCode::StorageFull, "{refused}");
    // What is known can still be read, and with room everything goes on.
    assert_eq!(state.page(mine, true, None, 100_000).await.unwrap().len(), queued.len());
    std::fs::remove_file(&ballast).unwrap();
    queued.extend(state.enqueue(vec![new(mine, "last", 10)], Timestamp::now()).await.unwrap());
    state.close().await;
    let state = State::open(&path).unwrap();
    let all = state.page(mine, true, None, 100_000).await.unwrap();
    assert_eq!(all.iter().map(|upload| upload.id).collect::<Vec<_>>(), queued);
    state.close().await;
}

#[tokio::test]
async fn what_a_server_lost_is_found_by_its_hash_and_queued_once_more() {
    let kept = Kept::new().await;
    let other = kept.state.join("r2".to_owned(), ana(), "ws://b/".to_owned()).await.unwrap();
    let folder = kept.folder("/p").await;
    for name in ["/p/kept", "/p/moved", "/p/gone"] {
        kept.see(&folder, name, 10, How::Settled).await;
    }
    let by_hand = kept.enqueue("hand", 10).await;
    let ids = kept.take(Lane::Small, 9, at(1)).await;
    let hash = BlobHash([5; 32]);
    let receipt = || End::Receipt { hash, image: ImageId(9), duplicate: false };
    for id in &ids {
        kept.end(*id, receipt()).await;
    }
    kept.state.put_away(ids[1], Some("/done/moved".into())).await.unwrap();
    kept.state.put_away(ids[2], None).await.unwrap();
    let wanted = vec![BlobHash([1; 32]), hash];
    let held = kept.state.held(kept.mine, wanted.clone()).await.unwrap();
    let told: Vec<_> = held.iter().map(|it| (it.id, it.is_moved, it.hash)).collect();
    assert_eq!(told, [(ids[0], false, hash), (ids[1], true, hash), (by_hand, false, hash)]);
    assert_eq!(held[0].path, std::path::Path::new("/p/kept"));
    assert_eq!(held[1].path, std::path::Path::new("/done/moved"));
    assert_eq!(kept.state.held(other, wanted.clone()).await.unwrap(), []);
    assert_eq!(kept.state.held(kept.mine, vec![]).await.unwrap(), []);

    assert!(kept.state.once_more(ids[0], at(5)).await.unwrap());
    assert!(!kept.state.once_more(ids[0], at(5)).await.unwrap(), "it is under way");
    assert!(!kept.state.once_more(ids[1], at(5)).await.unwrap(), "another file may be there");
    assert_eq!(kept.state.held(kept.mine, wanted).await.unwrap().len(), 2);
    let turns = kept.state.take(kept.mine, Lane::Small, 9, at(6)).await.unwrap().turns;
    assert_eq!((turns.len(), turns[0].id), (1, ids[0]));
    assert_eq!((turns[0].hash, turns[0].unless_deleted), (Some(hash), true));
    kept.end(ids[0], End::Receipt { hash, image: ImageId(9), duplicate: true }).await;
    assert_eq!(kept.story("/p/kept").await.state, Duplicate);
}
