//! What becomes of files after their receipt.

use super::*;

#[tokio::test]
async fn files_are_moved_after_their_receipt_and_not_before() {
    let scene = Scene::bare(settings()).await;
    let done = scene.home.path().join("done");
    std::fs::create_dir(&done).unwrap();
    std::fs::write(done.join("a.png"), b"older").unwrap();
    scene.add(After::Move(done.clone())).await;
    std::fs::create_dir(scene.path("below")).unwrap();
    let paths = [scene.write("a.png", &png(1)), scene.write("below/b.png", &png(2))];
    let text = scene.write("notes", b"no image, and so there is no receipt, and it stays here");
    for path in &paths {
        scene.queued(path).await;
    }
    scene.until_is(&text, UploadState::Ignored).await;
    scene.caught_up().await;
    assert!(paths.iter().all(|path| path.exists()), "without a receipt nothing is moved");
    scene.receive().await;
    for (path, name) in paths.iter().zip(["a (2).png", "b.png"]) {
        scene.until(path, |row| row.is_some_and(|row| row.moved_to.is_some())).await;
        let row = scene.row(path).await.unwrap();
        assert_eq!(row.state, UploadState::Stored);
        let moved = row.moved_to.unwrap();
        assert_eq!(moved, done.join(name));
        assert!(moved.exists() && !path.exists());
    }
    assert_eq!(std::fs::read(done.join("a.png")).unwrap(), b"older");
    // The hint of its going away does not take its story.
    scene.caught_up().await;
    scene.watch.look().await.unwrap();
    assert!(scene.row(&paths[0]).await.unwrap().moved_to.is_some());
    assert!(text.exists());
}

#[tokio::test]
async fn a_file_that_changed_after_its_receipt_stays_and_is_a_new_image() {
    let scene = Scene::new().await;
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    scene.receive().await;
    scene.until_is(&path, UploadState::Stored).await;
    let done = scene.home.path().join("done");
    std::fs::create_dir(&done).unwrap();
    scene.watch.pause(None).await.unwrap();
    std::fs::write(&path, [png(2), b"longer".to_vec()].concat()).unwrap();
    scene.watch.add(scene.folder.clone(), After::Move(done.clone())).await.unwrap();
    scene.watch.resume(None).await.unwrap();
    scene.queued(&path).await;
    assert!(path.exists() && std::fs::read_dir(&done).unwrap().next().is_none());
    // Its own receipt moves it.
    scene.receive().await;
    scene.until(&path, |row| row.is_some_and(|row| row.moved_to.is_some())).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_folder_that_cannot_take_them_is_said_in_the_status() {
    let scene = Scene::bare(settings()).await;
    let done = scene.home.path().join("done");
    std::fs::create_dir(&done).unwrap();
    scene.add(After::Move(done.clone())).await;
    std::fs::remove_dir(&done).unwrap();
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    scene.receive().await;
    let wait = async {
        loop {
            if let Some(why) = scene.status().await.why {
                return why;
            }
            tokio::task::yield_now().await;
        }
    };
    let why = tokio::time::timeout(PATIENCE, wait).await.unwrap();
    assert!(why.contains("cannot move") && path.exists(), "{why}");
}

#[test]
fn files_go_to_the_trash_after_their_receipt() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("env");
    for variable in ["HOME", "XDG_DATA_HOME", "TMPDIR"] {
        command.arg(format!("{variable}={}", home.path().display()));
    }
    let done = in_process(&mut command, "after::into_the_trash");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
#[ignore = "run by the test above, with a trash of its own"]
async fn into_the_trash() {
    let scene = Scene::bare(settings()).await;
    scene.add(After::Trash).await;
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    assert!(path.exists());
    scene.receive().await;
    let trash = PathBuf::from(std::env::var_os("XDG_DATA_HOME").unwrap()).join("Trash");
    let wait = async {
        while path.exists() || !trash.join("info/a.png.trashinfo").exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    assert_eq!(std::fs::read(trash.join("files/a.png")).unwrap(), png(1));
    scene.caught_up().await;
    assert_eq!(scene.row(&path).await.unwrap().state, UploadState::Stored);
}
