//! Files of watched folders.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use imgrepo_proto::control::queue::UploadState::{Ignored, Queued, Sending, Settling, Stored};
use imgrepo_proto::control::watch::After;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId};
use imgrepod::state::{End, FoundIn, How, Lane, QueuedContent, Seen};

use crate::{Kept, at, receipt, refusal, seen, stamp, states};

#[tokio::test]
async fn a_file_goes_from_seen_to_its_receipt_and_begins_anew_when_it_changes() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    kept.see(&folder, "/p/x/a.png", 10, How::Settling).await;
    let first = kept.story("/p/x/a.png").await;
    assert_eq!((first.state, first.seen_at, first.queued_at), (Settling, at(0), None));
    assert_eq!(first.folder.as_deref(), Some(Path::new("/p")));
    assert_eq!(kept.state.settling(folder.id).await.unwrap(), [Path::new("/p/x/a.png")]);
    assert!(kept.take(Lane::Small, 9, at(1)).await.is_empty());
    // It grows: still the same upload.
    kept.see(&folder, "/p/x/a.png", 11, How::Settling).await;
    kept.see(&folder, "/p/x/a.png", 11, How::Settled).await;
    let queued = kept.story("/p/x/a.png").await;
    assert_eq!((queued.id, queued.state, queued.size), (first.id, Queued, 11));
    assert!(queued.queued_at.is_some());
    // Seen as before nothing changes, whatever the state.
    let turns = kept.state.take(kept.mine, Lane::Small, 9, at(1)).await.unwrap().turns;
    assert_eq!(turns.len(), 1);
    assert_eq!(turns[0].content, QueuedContent::File("/p/x/a.png".into()));
    let found_in = FoundIn { id: folder.id, path: "/p".into(), root: None };
    assert_eq!(turns[0].folder, Some(found_in));
    assert_eq!((turns[0].stamp, turns[0].unless_deleted), (stamp(11), true));
    for how in [How::Settling, How::Settled, How::Ignored(refusal(ErrorCode::NotAnImage))] {
        kept.see(&folder, "/p/x/a.png", 11, how).await;
        assert_eq!(kept.story("/p/x/a.png").await.state, Sending);
    }
    kept.state.hashed(first.id, BlobHash([7; 32]), at(3)).await.unwrap();
    kept.end(first.id, receipt()).await;
    let stored = kept.story("/p/x/a.png").await;
    assert_eq!((stored.state, stored.image), (Stored, Some(ImageId(4))));
    assert_eq!((stored.hashed_at, stored.ended_at), (Some(at(3)), Some(at(9))));
    kept.see(&folder, "/p/x/a.png", 11, How::Settled).await;
    assert_eq!(kept.story("/p/x/a.png").await, stored);
    let receipts = kept.state.receipts(folder.id, 9).await.unwrap();
    assert_eq!((receipts.len(), receipts[0].hash), (1, BlobHash([7; 32])));

    // Another content is another upload, and late words of the first do not reach it.
    kept.see(&folder, "/p/x/a.png", 12, How::Settled).await;
    let anew = kept.story("/p/x/a.png").await;
    assert_ne!(anew.id, first.id);
    assert_eq!((anew.state, anew.hash, anew.image, anew.attempts), (Queued, None, None, 0));
    kept.end(first.id, receipt()).await;
    assert_eq!(kept.story("/p/x/a.png").await, anew);
    assert_eq!(kept.all().await.len(), 1);
}

#[tokio::test]
async fn while_it_is_sent_a_change_is_another_upload_and_a_doubt_is_settled_by_the_watcher() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    kept.see(&folder, "/p/a.png", 10, How::Settled).await;
    let id = kept.take(Lane::Small, 1, at(1)).await[0];
    assert_eq!(kept.state.still_sending(vec![id]).await.unwrap(), [id]);
    kept.see(&folder, "/p/a.png", 20, How::Settling).await;
    assert!(kept.state.still_sending(vec![id]).await.unwrap().is_empty());
    kept.end(id, receipt()).await;
    assert_eq!(kept.story("/p/a.png").await.state, Settling);

    kept.see(&folder, "/p/b.png", 10, How::Settled).await;
    let id = kept.take(Lane::Small, 1, at(1)).await[0];
    kept.end(id, End::Settling).await;
    let doubt = kept.story("/p/b.png").await;
    assert_eq!((doubt.id, doubt.state, doubt.queued_at), (id, Settling, None));
    kept.see(&folder, "/p/b.png", 10, How::Ignored(refusal(ErrorCode::NotAnImage))).await;
    let ignored = kept.story("/p/b.png").await;
    assert_eq!((ignored.id, ignored.state), (id, Ignored));
    assert_eq!(ignored.error, Some(refusal(ErrorCode::NotAnImage)));
    assert_eq!(kept.state.problems(folder.id, 9).await.unwrap(), [ignored]);
}

#[tokio::test]
async fn what_is_gone_is_forgotten_and_what_was_put_away_is_not() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    for name in ["/p/a", "/p/b", "/p/x/c", "/p/x/y/d", "/p/z"] {
        kept.see(&folder, name, 10, How::Settled).await;
    }
    let known = kept.state.known(folder.id, "/p/x".into()).await.unwrap();
    assert_eq!((known.len(), known[0].path.as_path()), (1, Path::new("/p/x/c")));
    let directories = kept.state.known_directories(folder.id).await.unwrap();
    assert_eq!(directories, [Path::new("/p"), Path::new("/p/x"), Path::new("/p/x/y")]);
    let turns = kept.take(Lane::Small, 9, at(1)).await;
    kept.end(turns[0], receipt()).await;
    kept.end(
        turns[1],
        End::Receipt { hash: BlobHash([1; 32]), image: ImageId(1), duplicate: true },
    )
    .await;
    kept.end(turns[2], End::Gone).await;
    kept.state.put_away(turns[0], Some("/done/a".into())).await.unwrap();
    let all: Vec<PathBuf> = ["/p/a", "/p/b", "/p/x/y/d"].map(Into::into).into();
    kept.state.forget(folder.id, all).await.unwrap();
    let left = kept.all().await;
    assert_eq!(states(&left), [Stored, Sending]);
    assert_eq!(left[0].moved_to.as_deref(), Some(Path::new("/done/a")));
    assert!(kept.state.receipts(folder.id, 9).await.unwrap().is_empty());
    assert_eq!(kept.state.known(folder.id, "/p".into()).await.unwrap().len(), 1, "z");
    // It is back, as it was: it has to be put away once more.
    kept.see(&folder, "/p/a", 10, How::Settled).await;
    assert_eq!(kept.story("/p/a").await.state, Queued);
    assert_eq!(kept.story("/p/a").await.moved_to, None);
    // What was asked of a folder that is gone does nothing.
    let counts = kept.state.counts(Some(folder.id), kept.mine).await.unwrap();
    assert_eq!((counts.queued, counts.sending, counts.stored), (1, 1, 0));
    kept.state.remove_folder(folder.id).await.unwrap();
    kept.see(&folder, "/p/a", 10, How::Settled).await;
    assert!(kept.all().await.is_empty());
    assert_eq!(kept.state.counts(None, kept.mine).await.unwrap(), Default::default());
    let again = kept.folder("/p").await;
    assert_ne!(again.id, folder.id);
}

#[tokio::test]
async fn a_folder_that_is_watched_already_gets_the_new_after() {
    let kept = Kept::new().await;
    let first = kept.folder("/p").await;
    let again = kept.state.add_folder(kept.mine, "/p".into(), After::Trash).await.unwrap();
    assert_eq!((again.id, again.after), (first.id, After::Trash));
    let other = kept.state.join("r2".to_owned(), crate::ana(), "ws://a/".to_owned()).await.unwrap();
    let theirs = kept.state.add_folder(other, "/p".into(), After::Keep).await.unwrap();
    assert_ne!(theirs.id, first.id);
    assert_eq!(kept.state.folders().await.unwrap().len(), 2);
}

#[tokio::test]
async fn names_need_not_be_utf_8() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    let path = PathBuf::from(OsStr::from_bytes(b"/p/\xff\xfe.png"));
    let file = Seen { path: path.clone(), ..seen("/p/x.png", 1, How::Settled) };
    kept.state.seen(folder.id, vec![file], at(0)).await.unwrap();
    let story = kept.state.story(path.clone()).await.unwrap().unwrap();
    assert_eq!(story.path, Some(path.clone()));
    assert_eq!(kept.state.known(folder.id, "/p".into()).await.unwrap()[0].path, path);
}

#[tokio::test]
async fn a_hundred_thousand_files_are_known() {
    const FILES: u64 = 100_000;
    let mut kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    for from in (0..FILES).step_by(2000) {
        let name = |number: u64| format!("/p/{}/{number}.png", number / 1000);
        let files = (from..from + 2000).map(|number| seen(&name(number), number + 1, How::Settled));
        kept.state.seen(folder.id, files.collect(), at(0)).await.unwrap();
    }
    let mut done = 0;
    while done < 3000 {
        let taken = kept.take(Lane::Small, 32, at(1)).await;
        assert_eq!(taken.len(), 32);
        assert_eq!(taken[0].0, done + 1, "the oldest first");
        let ends = taken.iter().map(|id| kept.state.ended(*id, receipt(), at(2)));
        assert!(join_all(ends).await.iter().all(Result::is_ok));
        done += 32;
    }
    kept.again().await;
    let counts = kept.state.counts(Some(folder.id), kept.mine).await.unwrap();
    assert_eq!((counts.stored, counts.queued), (done, FILES - done));
    assert_eq!(kept.state.known_directories(folder.id).await.unwrap().len(), 100);
    assert_eq!(kept.state.known(folder.id, "/p/7".into()).await.unwrap().len(), 1000);
    let (bytes, elsewhere) = kept.state.left(Some(kept.mine)).await.unwrap();
    assert_eq!(bytes, (done + 1..=FILES).sum::<u64>());
    assert_eq!(elsewhere, 0);
    assert_eq!(kept.state.receipts(folder.id, 10).await.unwrap().len(), 10);
    assert_eq!(kept.story("/p/99/99999.png").await.state, Queued);
    let page = kept.state.page(kept.mine, false, None, 100).await.unwrap();
    assert_eq!((page.len(), page[0].id.0), (100, done + 1));
}

#[tokio::test]
async fn a_file_that_is_being_put_away_is_not_taken_for_deleted() {
    let kept = Kept::new().await;
    let folder = kept.folder("/p").await;
    kept.see(&folder, "/p/a.png", 10, How::Settled).await;
    let id = kept.story("/p/a.png").await.id;
    kept.take(Lane::Small, 9, at(1)).await;
    kept.end(id, receipt()).await;
    let paths = vec![PathBuf::from("/p/a.png")];
    let leave = kept.state.leave(id);
    kept.state.forget(folder.id, paths.clone()).await.unwrap();
    assert_eq!(kept.story("/p/a.png").await.state, Stored, "it has not said where it went");
    drop(leave);
    kept.state.forget(folder.id, paths).await.unwrap();
    assert!(kept.all().await.is_empty(), "given up, it is forgotten as any other");
}
