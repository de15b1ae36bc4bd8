//! Whole folders: added, refused, paused, vanished, whose they are.

use imgrepo_proto::ErrorCode;

use super::*;

#[tokio::test]
async fn what_is_there_already_is_taken_and_a_removed_folder_is_left_alone() {
    let scene = Scene::bare(settings()).await;
    let path = scene.write("a.png", &png(1));
    let status = scene.add(After::Keep).await;
    assert_eq!(status.state, FolderState::Watching);
    assert!(status.file_system.is_some() && status.scanned_at.is_some());
    assert_eq!(status.counts.queued, 1);
    scene.watch.rm(scene.folder.clone()).await.unwrap();
    assert_eq!(scene.row(&path).await, None);
    assert_eq!(scene.watch.list().await.unwrap(), []);
    let refused = scene.watch.rm(scene.folder.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    assert!(path.exists());
}

#[tokio::test]
async fn folders_that_cannot_be_watched_are_refused_with_the_reason() {
    let own = tempfile::tempdir().unwrap();
    let settings = Settings { own: vec![own.path().to_owned()], ..settings() };
    let scene = Scene::bare(settings).await;
    scene.add(After::Keep).await;
    let refused = |path: PathBuf, after| {
        let watch = scene.watch.clone();
        async move { watch.add(path, after).await.unwrap_err() }
    };
    std::fs::create_dir(scene.path("below")).unwrap();
    let below = refused(scene.path("below"), After::Keep).await;
    assert!(below.code == ErrorCode::Conflict && below.message.contains("it is in"), "{below}");
    let above = refused(scene.home.path().to_owned(), After::Keep).await;
    assert!(above.message.contains("is watched already"), "{above}");
    let mine = refused(own.path().join("."), After::Keep).await;
    assert!(mine.message.contains("its own files"), "{mine}");
    let none = refused(scene.home.path().join("none"), After::Keep).await;
    assert_eq!(none.code, ErrorCode::NotFound);
    let file = scene.home.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(refused(file, After::Keep).await.message.contains("no folder"));
    for (path, why) in [
        ("/", "the whole system"),
        ("/proc", "the system's own (proc)"),
        ("/proc/self/", "the system's own (proc)"),
        ("/sys", "the system's own (sysfs)"),
        ("/dev", "what is there"),
    ] {
        let whole = refused(PathBuf::from(path), After::Keep).await;
        assert!(whole.code == ErrorCode::BadRequest && whole.message.contains(why), "{whole}");
    }
    let other = scene.home.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let into = refused(other.clone(), After::Move(scene.path("below"))).await;
    assert!(into.message.contains("would be watched"), "{into}");
    let nowhere = refused(other.clone(), After::Move(other.join("none"))).await;
    assert_eq!(nowhere.code, ErrorCode::NotFound);
    // With a slash at its end it is the same folder.
    let again = scene.watch.add(scene.folder.join(""), After::Trash).await.unwrap();
    assert_eq!((again.path, again.after), (scene.folder.clone(), After::Trash));
    assert_eq!(scene.watch.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_paused_folder_is_looked_at_when_it_goes_on() {
    let mut scene = Scene::new().await;
    let paused = scene.watch.pause(Some(scene.folder.clone())).await.unwrap();
    assert_eq!(paused[0].state, FolderState::Paused);
    let path = scene.write("a.png", &png(1));
    scene.end().await;
    scene.begin();
    scene.watch.look().await.unwrap();
    assert_eq!(scene.status().await.state, FolderState::Paused);
    assert_eq!(scene.row(&path).await, None);
    let note = scene.watch.story(path.clone()).await.unwrap().note.unwrap();
    assert!(note.contains("paused"), "{note}");
    scene.watch.resume(None).await.unwrap();
    scene.queued(&path).await;
    scene.status_is(FolderState::Watching).await;
}

#[tokio::test]
async fn folders_wait_for_whose_they_are() {
    let scene = Scene::bare(settings()).await;
    scene.queue.membership.send_replace(None);
    let refused = scene.watch.add(scene.folder.clone(), After::Keep).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotConnected);
    assert_eq!(refused.hint.as_deref(), Some("imgctl connect HOST"));
    scene.queue.membership.send_replace(Some(scene.ana));
    scene.add(After::Keep).await;
    let bo = member(&scene.state, "bo").await;
    scene.queue.membership.send_replace(Some(bo));
    scene.status_is(FolderState::Elsewhere).await;
    let path = scene.write("a.png", &png(1));
    scene.watch.look().await.unwrap();
    assert_eq!(scene.row(&path).await, None);
    scene.queue.membership.send_replace(None);
    let wait = async {
        while scene.status().await.hint.as_deref() != Some("imgctl connect HOST") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    scene.queue.membership.send_replace(Some(scene.ana));
    scene.queued(&path).await;
}

#[tokio::test]
async fn a_folder_of_the_command_line_is_the_first_membership_s_for_good() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("later");
    let state = State::open(&home.path().join("queue.db")).unwrap();
    let (ana, bo) = (member(&state, "ana").await, member(&state, "bo").await);
    let flags = Settings { flags: vec![folder.clone()], ..settings() };
    let (watch, task, queue) = start(&state, None, flags.clone());
    let waiting = watch.list().await.unwrap();
    assert_eq!((&waiting[0].path, waiting[0].state), (&folder, FolderState::Elsewhere));
    assert_eq!(waiting[0].hint.as_deref(), Some("imgctl connect HOST"));
    queue.membership.send_replace(Some(ana));
    let state_of = async |watch: &Watch, expected| {
        let wait = async {
            loop {
                let list = watch.list().await.unwrap();
                if list.first().is_some_and(|status| status.state == expected) {
                    return list;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    };
    // It is not there yet.
    assert_eq!(state_of(&watch, FolderState::Vanished).await.len(), 1);
    std::fs::create_dir(&folder).unwrap();
    state_of(&watch, FolderState::Watching).await;
    watch.end();
    task.await.unwrap();
    let (watch, task, _queue) = start(&state, Some(bo), flags);
    assert_eq!(state_of(&watch, FolderState::Elsewhere).await.len(), 1);
    watch.end();
    task.await.unwrap();
}

#[tokio::test]
async fn a_folder_that_vanishes_is_an_alarm_and_nothing_is_forgotten() {
    let scene = Scene::new().await;
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    scene.receive().await;
    let known = scene.until_is(&path, UploadState::Stored).await;
    let away = scene.home.path().join("away");
    std::fs::rename(&scene.folder, &away).unwrap();
    let status = scene.status_is(FolderState::Vanished).await;
    assert!(status.why.unwrap().contains("not there") && status.hint.is_some());
    scene.watch.look().await.unwrap();
    // An empty folder in its place, as a disk leaves that is not mounted.
    std::fs::create_dir(&scene.folder).unwrap();
    scene.watch.look().await.unwrap();
    let status = scene.status_is(FolderState::Vanished).await;
    assert_eq!(status.counts.stored, 1);
    assert_eq!(scene.row(&path).await.as_ref(), Some(&known));
    std::fs::remove_dir(&scene.folder).unwrap();
    std::fs::rename(&away, &scene.folder).unwrap();
    scene.status_is(FolderState::Watching).await;
    assert_eq!(scene.row(&path).await.as_ref(), Some(&known));
    let new = scene.write("b.png", &png(2));
    scene.queued(&new).await;
    // Another one, if a person says that it is right.
    std::fs::rename(&scene.folder, &away).unwrap();
    std::fs::create_dir(&scene.folder).unwrap();
    scene.status_is(FolderState::Vanished).await;
    scene.add(After::Keep).await;
    scene.status_is(FolderState::Watching).await;
    scene.until(&path, |row| row.is_none()).await;
}

#[tokio::test]
async fn a_disk_that_is_unmounted_comes_back_by_itself() {
    if !is_root() {
        return not_proven("mounting needs root");
    }
    let scene = Scene::bare(settings()).await;
    let disk = scene.home.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&disk));
    let mount = || run(Command::new("mount").arg("--bind").arg(&disk).arg(&scene.folder));
    // A look that is under way holds it for a moment: as a person does, it is tried again.
    let unmount = |path: &Path| {
        let umount = || Command::new("umount").arg(path).status().unwrap().success();
        assert!((0..200).any(|_| umount()), "{} stays busy", path.display());
    };
    mount();
    let status = scene.add(After::Keep).await;
    assert_eq!(status.file_system.as_deref(), Some("tmpfs"));
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
    // Nothing of ours holds it.
    unmount(&scene.folder);
    let status = scene.status_is(FolderState::Vanished).await;
    assert_eq!(status.counts.queued, 1);
    mount();
    scene.status_is(FolderState::Watching).await;
    let new = scene.write("b.png", &png(2));
    scene.queued(&new).await;
    assert_eq!(scene.names().await, ["a.png", "b.png"]);
    scene.watch.rm(scene.folder.clone()).await.unwrap();
    unmount(&scene.folder);
    unmount(&disk);
}

#[tokio::test]
async fn what_is_told_of_one_folder_is_answered_with_it_alone() {
    let scene = Scene::new().await;
    let other = scene.home.path().join("other");
    std::fs::create_dir(&other).unwrap();
    scene.watch.add(other.clone(), After::Keep).await.unwrap();
    let one = Some(other.join(""));
    for told in [
        scene.watch.pause(one.clone()).await.unwrap(),
        scene.watch.resume(one.clone()).await.unwrap(),
        scene.watch.rescan(one).await.unwrap(),
    ] {
        assert_eq!(told.iter().map(|folder| &folder.path).collect::<Vec<_>>(), [&other]);
    }
    assert_eq!(scene.watch.pause(None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_story_says_why_there_is_none() {
    let scene = Scene::new().await;
    std::fs::create_dir_all(scene.path(".hidden/below")).unwrap();
    let hidden = scene.write(".hidden/below/a.png", &png(1));
    for (path, said) in [
        (scene.path("none.png"), "it is not there"),
        (scene.path("none/none/none.png"), "it is not there"),
        (hidden, ".hidden`, which is passed over by the built-in rule `.*`"),
    ] {
        let note = scene.watch.story(path).await.unwrap().note.unwrap();
        assert!(note.ends_with(said), "{note}");
    }
}
