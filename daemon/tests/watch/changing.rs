//! Files that are known change, go away, or stay as they are over a restart.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::Write as _;

use super::*;

#[tokio::test]
async fn an_editor_s_save_is_a_new_image() {
    let scene = Scene::new().await;
    let path = scene.write("a.png", &png(1));
    let first = scene.queued(&path).await;
    scene.receive().await;
    scene.until_is(&path, UploadState::Stored).await;
    std::fs::write(scene.path("a.png~"), png(2)).unwrap();
    std::fs::rename(scene.path("a.png~"), &path).unwrap();
    let second = scene.queued(&path).await;
    assert_ne!(first.id, second.id);
    // Written over in its place.
    scene.receive().await;
    scene.until_is(&path, UploadState::Stored).await;
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    let third = scene.queued(&path).await;
    assert_eq!(third.size, second.size + 4);
    // Cut to nothing.
    drop(File::create(&path).unwrap());
    scene.until_is(&path, UploadState::Ignored).await;
}

#[tokio::test]
async fn a_file_that_goes_away_is_forgotten_and_one_renamed_is_another() {
    let scene = Scene::new().await;
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    let renamed = scene.path("b.png");
    std::fs::rename(&path, &renamed).unwrap();
    scene.queued(&renamed).await;
    scene.until(&path, |row| row.is_none()).await;
    std::fs::remove_file(&renamed).unwrap();
    scene.until(&renamed, |row| row.is_none()).await;
}

#[tokio::test]
async fn a_file_that_changed_on_its_way_is_looked_at_again() {
    let scene = Scene::new().await;
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    scene.caught_up().await;
    let now = Timestamp::now();
    let turns = scene.state.take(scene.ana, Lane::Small, 1, now).await.unwrap().turns;
    let folder = turns[0].folder.clone().unwrap().id;
    scene.state.ended(turns[0].id, End::Settling, now).await.unwrap();
    scene.until_is(&path, UploadState::Settling).await;
    scene.queue.unsettled.send((folder, path.clone())).await.unwrap();
    scene.queued(&path).await;
}

#[tokio::test]
async fn what_is_known_is_not_read_again() {
    let mut scene = Scene::new().await;
    let kept = scene.write("kept.png", &png(1));
    let (gone, changed) = (scene.write("gone.png", &png(2)), scene.write("changed.png", &png(3)));
    let writing = scene.path("writing.png");
    let mut writer = File::create(&writing).unwrap();
    for path in [&kept, &gone, &changed] {
        scene.queued(path).await;
    }
    scene.until_is(&writing, UploadState::Settling).await;
    scene.receive().await;
    let known = scene.until_is(&kept, UploadState::Stored).await;
    scene.end().await;

    std::fs::remove_file(&gone).unwrap();
    std::fs::write(&changed, png(33)).unwrap();
    writer.write_all(&png(4)).unwrap();
    drop(writer);
    let new = scene.write("new.png", &png(5));
    // Other bytes, but nothing tells: whoever looked into it would ignore it from now on.
    let modified = std::fs::metadata(&kept).unwrap().modified().unwrap();
    let mut file = OpenOptions::new().write(true).open(&kept).unwrap();
    file.write_all(b"no image").unwrap();
    file.set_times(FileTimes::new().set_modified(modified)).unwrap();
    drop(file);

    scene.begin();
    for path in [&changed, &writing, &new] {
        scene.queued(path).await;
    }
    scene.until(&gone, |row| row.is_none()).await;
    scene.watch.look().await.unwrap();
    assert_eq!(scene.row(&kept).await.unwrap(), known);
    let status = scene.status().await;
    assert!(status.scanned_at.is_some());
    assert_eq!((status.counts.stored, status.counts.queued), (1, 3));
}
