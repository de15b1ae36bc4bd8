//! Opening: what was there is there, what cannot be used is left as it is.

use std::fs;

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::queue::{Rates, UploadState};
use imgrepo_proto::control::watch::After;
use imgrepod::state::{Lane, State, Told};

use crate::{Kept, ana, at, new};

#[tokio::test]
async fn everything_is_there_after_a_restart_and_what_was_under_way_has_its_turn_again() {
    let mut kept = Kept::new().await;
    let other = kept.state.join("r2".to_owned(), ana(), "ws://a/".to_owned()).await.unwrap();
    let after = After::Move("/done/\u{e9}".into());
    let folder = kept.state.add_folder(kept.mine, "/photos".into(), after.clone()).await.unwrap();
    kept.state.folder_root(folder.id, (u64::MAX, 3)).await.unwrap();
    kept.state.folder_scanned(folder.id, at(4)).await.unwrap();
    kept.state.pause_folder(folder.id, true).await.unwrap();
    let id = kept.enqueue("a.png", 10).await;
    assert_eq!(kept.take(Lane::Small, 9, at(1)).await, [id]);
    kept.state.tell_paused(true).await.unwrap();
    let rates = Rates { up: Some(u64::MAX), down: None };
    kept.state.tell_rates(rates).await.unwrap();

    kept.again().await;
    let folders = kept.state.folders().await.unwrap();
    assert_eq!(folders.len(), 1);
    let again = &folders[0];
    assert_eq!((again.id, again.membership, &again.after), (folder.id, kept.mine, &after));
    assert_eq!((again.root, again.paused), (Some((u64::MAX, 3)), true));
    assert_eq!(again.scanned_at, Some(at(4)));
    let upload = &kept.all().await[0];
    assert_eq!((upload.id, upload.state, upload.attempts), (id, UploadState::Queued, 1));
    assert_eq!(kept.state.told().await.unwrap(), Told { paused: true, rates });
    kept.state.tell_paused(false).await.unwrap();
    assert!(!kept.state.told().await.unwrap().paused);

    // The repository that was met last at an address is the one that is there.
    let there = kept.state.membership_at("ws://a/".to_owned(), ana()).await.unwrap();
    assert_eq!(there, Some(other));
    let back = kept.state.join("r1".to_owned(), ana(), "ws://a/".to_owned()).await.unwrap();
    assert_eq!(back, kept.mine);
    let there = kept.state.membership_at("ws://a/".to_owned(), ana()).await.unwrap();
    assert_eq!(there, Some(back));
    let nobody = kept.state.membership_at("ws://b/".to_owned(), ana()).await.unwrap();
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn a_closed_state_says_so() {
    let kept = Kept::new().await;
    kept.state.close().await;
    kept.state.close().await;
    assert_eq!(kept.state.folders().await.unwrap_err().code, ErrorCode::ShuttingDown);
}

#[tokio::test]
async fn nothing_is_queued_in_a_file_that_was_removed() {
    let kept = Kept::new().await;
    kept.enqueue("a.png", 10).await;
    let path = kept.directory.path().join("queue.db");
    let away = path.with_extension("away");
    fs::rename(&path, &away).unwrap();
    let refused = kept.state.enqueue(vec![new(kept.mine, "b.png", 10)], at(0)).await.unwrap_err();
    assert!(refused.message.contains("removed or replaced"), "{refused}");
    assert_eq!(kept.all().await.len(), 1, "what is known can still be read");
    fs::write(&path, "another").unwrap();
    assert!(kept.state.enqueue(vec![new(kept.mine, "b.png", 10)], at(0)).await.is_err());
    fs::rename(&away, &path).unwrap();
    kept.enqueue("b.png", 10).await;
    assert_eq!(kept.all().await.len(), 2);
}

#[tokio::test]
async fn what_is_no_queue_is_refused_and_left_as_it_is() {
    let mut kept = Kept::new().await;
    let many = (0..2000).map(|number| new(kept.mine, &format!("{number}.png"), 10)).collect();
    kept.state.enqueue(many, at(0)).await.unwrap();
    kept.again().await;
    kept.state.close().await;
    let path = kept.directory.path().join("queue.db");
    let good = fs::read(&path).unwrap();
    assert!(!path.with_extension("db-wal").exists());
    let torn = {
        let mut torn = good.clone();
        let middle = torn.len() / 2;
        torn[middle..middle + 8192].fill(0xa5);
        torn
    };
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&7u32.to_be_bytes());
    let mut foreign = good.clone();
    foreign[68..72].copy_from_slice(b"none");
    for (bytes, words) in [
        (b"no database at all".to_vec(), "damaged"),
        (Vec::new(), "damaged"),
        (good[..good.len() - 4096].to_vec(), "damaged"),
        (torn, "damaged"),
        (newer, "version 7"),
        (foreign, "no queue of this program"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let refused = State::open(&path).unwrap_err();
        assert_eq!(refused.code, ErrorCode::FileError);
        assert!(refused.message.contains(words), "{refused}");
        assert!(refused.message.contains("queue.db"), "{refused}");
        assert!(fs::read(&path).unwrap() == bytes, "{words}");
    }
    fs::write(&path, &good).unwrap();
    let state = State::open(&path).unwrap();
    assert_eq!(state.page(kept.mine, true, None, 9000).await.unwrap().len(), 2000);
    state.close().await;
    // A log without its file is somebody's mishap, not an empty queue.
    fs::rename(&path, path.with_extension("db-wal")).unwrap();
    assert!(State::open(&path).unwrap_err().message.contains("its log"));
}
