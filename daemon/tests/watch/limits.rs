//! The system's limits: hints that are lost, watches that run out.

use imgrepo_proto::ErrorCode;

use super::*;
use crate::small_disk::SmallDisk;

/// A limit of the whole system, put back at the end.
struct Lowered {
    path: &'static str,
    was: String,
}

impl Lowered {
    fn to(path: &'static str, value: u32) -> Option<Lowered> {
        let was = std::fs::read_to_string(path).ok()?;
        std::fs::write(path, value.to_string()).ok()?;
        Some(Lowered { path, was })
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        std::fs::write(self.path, self.was.trim()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_that_are_lost_are_made_up_for_by_a_scan() {
    let scene = Scene::bare(settings()).await;
    // It holds for what is begun to be watched from now on.
    let Some(lowered) = Lowered::to("/proc/sys/fs/inotify/max_queued_events", 8) else {
        return not_proven("lowering fs.inotify.max_queued_events needs root");
    };
    scene.add(After::Keep).await;
    drop(lowered);
    let made = scene.home.path().join("many");
    std::fs::create_dir(&made).unwrap();
    for number in 0..2_000 {
        std::fs::write(made.join(format!("{number}.png")), png(number)).unwrap();
    }
    for number in 0..2_000 {
        let name = format!("{number}.png");
        std::fs::rename(made.join(&name), scene.path(&name)).unwrap();
    }
    let mut changed = scene.state.changed();
    let wait = async {
        while scene.status().await.counts.queued < 2_000 {
            changed.changed().await.unwrap();
        }
    };
    let all = tokio::time::timeout(PATIENCE, wait).await;
    assert!(all.is_ok(), "{:?}", scene.status().await.counts);
}

#[test]
fn a_folder_is_polled_where_no_watches_are_left() {
    // A user namespace has limits of its own: nobody else notices.
    let script = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]);
    let done = in_process(&mut command, "limits::with_three_watches");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if said.contains("unshare failed") || said.contains("/proc/sys/user") {
        return not_proven(&format!("a user namespace with limits of its own: {said}"));
    }
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stdout));
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn with_three_watches() {
    let scene = Scene::bare(settings()).await;
    for number in 0..5 {
        std::fs::create_dir(scene.path(&number.to_string())).unwrap();
    }
    let early = scene.write("4/a.png", &png(1));
    let status = scene.add(After::Keep).await;
    assert_eq!(status.state, FolderState::Polling);
    assert!(status.why.unwrap().contains("fs.inotify.max_user_watches"));
    assert!(status.hint.unwrap().contains("sudo sysctl fs.inotify.max_user_watches="));
    scene.queued(&early).await;
    let late = scene.write("3/b.png", &png(2));
    scene.queued(&late).await;
    std::fs::remove_file(&late).unwrap();
    scene.until(&late, |row| row.is_none()).await;
}

/// Who waits until everything is uploaded must not hear that it is, where nobody could look.
#[tokio::test]
async fn a_look_that_cannot_be_written_down_is_none() {
    let Some(disk) = SmallDisk::mount("size=2m") else { return };
    let state = State::open(&disk.path().join("queue.db")).unwrap();
    let ana = member(&state, "ana").await;
    let folder = tempfile::tempdir().unwrap();
    let (watch, task, _queue) = start(&state, Some(ana), settings());
    watch.add(folder.path().to_owned(), After::Keep).await.unwrap();
    watch.look().await.unwrap();
    let ballast = disk.path().join("ballast");
    // Until no byte more fits.
    let filled = std::fs::write(&ballast, vec![0; 4 << 20]);
    assert!(filled.is_err());
    let path = folder.path().join("a.png");
    std::fs::write(&path, png(1)).unwrap();
    let refused = watch.look().await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::StorageFull, "{refused}");
    let note = watch.story(path.clone()).await.unwrap().note.unwrap();
    assert!(note.contains("no room"), "{note}");
    let told = watch.rescan(None).await.unwrap();
    assert!(told[0].why.as_ref().unwrap().contains("no room") && told[0].hint.is_some());
    // What only reads does not fail with what cannot be written beside it.
    let id = state.folders().await.unwrap()[0].id;
    for _ in 0..50 {
        let write = state.folder_scanned(id, Timestamp::now());
        let (_, read) = tokio::join!(write, state.folders());
        read.unwrap();
    }
    std::fs::remove_file(ballast).unwrap();
    watch.look().await.unwrap();
    assert!(state.story(path).await.unwrap().is_some());
    watch.end();
    task.await.unwrap();
    state.close().await;
}
