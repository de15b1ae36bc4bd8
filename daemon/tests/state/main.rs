//! The client's state on disk: what it keeps, what it forgets, what it refuses to open.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod files;
mod open;
mod queue;

#[path = "../repository/small_disk.rs"]
mod small_disk;

use std::path::Path;

use imgrepo_proto::control::queue::{QueuedUpload, UploadId, UploadState};
use imgrepo_proto::control::watch::After;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, PersonName, Refusal};
use imgrepod::state::{
    End, Folder, How, Lane, MembershipId, NewUpload, QueuedContent, Seen, Stamp, State,
};
use jiff::{SignedDuration, Timestamp};

/// A state in a directory of its own.
struct Kept {
    directory: tempfile::TempDir,
    state: State,
    mine: MembershipId,
}

impl Kept {
    async fn new() -> Kept {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("queue.db")).unwrap();
        let mine = state.join("r1".to_owned(), ana(), "ws://a/".to_owned()).await.unwrap();
        Kept { directory, state, mine }
    }

    /// As after a restart.
    async fn again(&mut self) {
        self.state.close().await;
        self.state = State::open(&self.directory.path().join("queue.db")).unwrap();
    }

    async fn folder(&self, path: &str) -> Folder {
        self.state.add_folder(self.mine, path.into(), After::Keep).await.unwrap()
    }

    async fn see(&self, folder: &Folder, path: &str, size: u64, how: How) {
        self.state.seen(folder.id, vec![seen(path, size, how)], at(0)).await.unwrap();
    }

    async fn story(&self, path: &str) -> QueuedUpload {
        self.state.story(path.into()).await.unwrap().unwrap()
    }

    async fn all(&self) -> Vec<QueuedUpload> {
        self.state.page(self.mine, true, None, 1000).await.unwrap()
    }

    async fn enqueue(&self, name: &str, size: u64) -> UploadId {
        let upload = new(self.mine, name, size);
        self.state.enqueue(vec![upload], at(0)).await.unwrap()[0]
    }

    async fn take(&self, lane: Lane, limit: u32, now: Timestamp) -> Vec<UploadId> {
        let turns = self.state.take(self.mine, lane, limit, now).await.unwrap();
        turns.turns.into_iter().map(|turn| turn.id).collect()
    }

    async fn end(&self, id: UploadId, end: End) {
        self.state.ended(id, end, at(9)).await.unwrap();
    }
}

fn ana() -> PersonName {
    PersonName::parse("ana").unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + second)
}

fn stamp(size: u64) -> Stamp {
    Stamp { device: u64::MAX, inode: 7, size, modified: (-5, 6) }
}

fn seen(path: &str, size: u64, how: How) -> Seen {
    let name = Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
    Seen { path: path.into(), name, stamp: stamp(size), how }
}

fn new(membership: MembershipId, name: &str, size: u64) -> NewUpload {
    let content = QueuedContent::File(Path::new("/q").join(name));
    let name = name.to_owned();
    NewUpload { membership, content, name, stamp: stamp(size), unless_deleted: false }
}

fn receipt() -> End {
    End::Receipt { hash: BlobHash([7; 32]), image: ImageId(4), duplicate: false }
}

fn refusal(code: ErrorCode) -> Refusal {
    Refusal::new(code, "no").hint("do")
}

fn states(uploads: &[QueuedUpload]) -> Vec<UploadState> {
    uploads.iter().map(|upload| upload.state).collect()
}
