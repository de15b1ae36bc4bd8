//! What is in the folder and is no file to upload, or pretends to be one.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::AtomicBool;

use rustix::fs::{CWD, FileType, Mode};

use super::*;

#[tokio::test]
async fn only_regular_files_are_taken() {
    let scene = Scene::new().await;
    let secret = scene.home.path().join("secret.png");
    std::fs::write(&secret, png(1)).unwrap();
    std::fs::create_dir(scene.home.path().join("elsewhere")).unwrap();
    std::fs::write(scene.home.path().join("elsewhere/b.png"), png(2)).unwrap();
    symlink(&secret, scene.path("link.png")).unwrap();
    symlink(scene.home.path().join("elsewhere"), scene.path("folder-link")).unwrap();
    symlink(".", scene.path("loop")).unwrap();
    symlink("ring.png", scene.path("ring.png")).unwrap();
    symlink("nowhere", scene.path("broken.png")).unwrap();
    rustix::fs::mknodat(CWD, scene.path("pipe.png"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(scene.path("socket.png")).unwrap();
    if is_root() {
        let device = rustix::fs::makedev(1, 5);
        let made = rustix::fs::mknodat(
            CWD,
            scene.path("zero.png"),
            FileType::CharacterDevice,
            Mode::RUSR,
            device,
        );
        made.unwrap();
    } else {
        not_proven("a device in the folder needs root");
    }
    scene.caught_up().await;
    scene.watch.look().await.unwrap();
    assert_eq!(scene.names().await, [] as [&str; 0]);
    for (name, what) in [("link.png", "a link"), ("pipe.png", "a pipe"), ("socket.png", "a socket")]
    {
        let note = scene.watch.story(scene.path(name)).await.unwrap().note.unwrap();
        assert!(note.contains(what), "{note}");
    }
    let note = scene.watch.story(secret).await.unwrap().note.unwrap();
    assert!(note.contains("in no watched folder"), "{note}");
    let note = scene.watch.story(scene.path("none.png")).await.unwrap().note.unwrap();
    assert!(note.contains("not there"), "{note}");
    // A file that becomes something else is no file any more.
    let path = scene.write("a.png", &png(3));
    scene.queued(&path).await;
    std::fs::remove_file(&path).unwrap();
    symlink("link.png", &path).unwrap();
    scene.until(&path, |row| row.is_none()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_left_to_the_upload_to_say_so() {
    if is_root() {
        return not_proven("root can read every file");
    }
    let scene = Scene::new().await;
    let made = scene.home.path().join("made");
    std::fs::write(&made, png(1)).unwrap();
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o000)).unwrap();
    let path = scene.path("a.png");
    std::fs::rename(made, &path).unwrap();
    scene.queued(&path).await;
}

/// How often the file is swapped: often enough to hit every gap between two calls.
pub(crate) fn swaps() -> u32 {
    let told = std::env::var("IMGREPO_SWAPS").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_swapped_against_a_link_never_leads_out_of_the_folder() {
    let scene = Scene::new().await;
    let outside = scene.home.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let secret = outside.join("a.png");
    std::fs::write(&secret, png(1)).unwrap();
    let inode = std::fs::metadata(&secret).unwrap().ino();
    let secret_size = std::fs::metadata(&secret).unwrap().len();
    std::fs::create_dir(scene.path("d")).unwrap();
    let (folder, path) = (scene.folder.clone(), scene.path("d/a.png"));
    let over = Arc::new(AtomicBool::new(false));
    let swapping = {
        let (over, outside) = (over.clone(), outside.clone());
        tokio::task::spawn_blocking(move || {
            for number in 0..swaps() {
                // The file itself, and then the folder that it is in.
                let path = folder.join("d/a.png");
                let _ = std::fs::remove_file(&path);
                let mut mine = png(number);
                mine.push(0);
                std::fs::write(&path, &mine).unwrap();
                std::fs::remove_file(&path).unwrap();
                symlink(outside.join("a.png"), &path).unwrap();
                if number % 8 == 0 {
                    std::fs::rename(folder.join("d"), folder.join("e")).unwrap();
                    symlink(&outside, folder.join("d")).unwrap();
                    std::fs::remove_file(folder.join("d")).unwrap();
                    std::fs::rename(folder.join("e"), folder.join("d")).unwrap();
                }
            }
            over.store(true, Ordering::Relaxed);
        })
    };
    let mut looks = 0_u32;
    while !over.load(Ordering::Relaxed) {
        let rows = scene.state.page(scene.ana, true, None, 10).await.unwrap();
        for row in rows {
            assert_ne!(row.size, secret_size, "the secret was looked at: {row:?}");
        }
        if looks.is_multiple_of(8) {
            scene.watch.look().await.unwrap();
        }
        looks += 1;
    }
    swapping.await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    scene.caught_up().await;
    scene.watch.look().await.unwrap();
    assert_eq!(scene.names().await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_folder_whose_path_is_too_long_does_not_end_the_watching_of_others() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let scene = Scene::bare(settings()).await;
    let step = "d".repeat(250);
    let mut deep = openat(CWD, &scene.folder, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..20 {
        mkdirat(&deep, &step, Mode::RWXU).unwrap();
        deep = openat(&deep, &step, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let status = scene.add(After::Keep).await;
    assert_eq!(status.state, FolderState::Watching, "{:?}", status.why);
    assert!(status.why.unwrap().contains("too long"));
    let path = scene.write("a.png", &png(1));
    scene.queued(&path).await;
}
