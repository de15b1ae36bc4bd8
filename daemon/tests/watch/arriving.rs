//! Files come: renamed, written at once or slowly, with folders, with odd names, or are no images.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use super::*;

#[tokio::test]
async fn a_file_renamed_into_the_folder_is_taken_at_once() {
    let scene = Scene::new().await;
    let mut took = Vec::new();
    for number in 0..50 {
        let name = format!("{number}.png");
        let begun = Instant::now();
        let path = scene.drop_in(&name, &png(number));
        let row = scene.queued(&path).await;
        took.push(begun.elapsed());
        assert_eq!((row.name, row.size), (name, png(0).len() as u64));
        assert_eq!(row.folder.as_deref(), Some(&*scene.folder));
    }
    // The queue is told after the row is there.
    let told = async {
        while scene.queue.wakes.load(Ordering::Relaxed) < 50 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("each drop wakes the queue");
    took.sort();
    println!("from the rename to the row: median {:?}, most {:?}", took[25], took[49]);
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_taken_when_it_is_closed() {
    let scene = Scene::new().await;
    let path = scene.path("slow.png");
    let mut file = File::create(&path).unwrap();
    let content = png(1);
    for piece in content.chunks(13) {
        // A pause: much else happens, a whole scan too.
        scene.caught_up().await;
        scene.watch.look().await.unwrap();
        scene.until_is(&path, UploadState::Settling).await;
        file.write_all(piece).unwrap();
    }
    let story = scene.watch.story(path.clone()).await.unwrap();
    assert!(story.note.unwrap().contains("open for writing"));
    drop(file);
    let row = scene.queued(&path).await;
    assert_eq!(row.size, content.len() as u64);
    assert_eq!(scene.names().await, ["slow.png"]);
}

#[tokio::test]
async fn a_copy_that_was_killed_is_taken_when_it_is_whole() {
    let scene = Scene::new().await;
    // A picture of many parts, as a camera has it.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for name in ["exif.jpg", "exif.png", "plain.gif", "exif.webp", "exif.heic"] {
        let content = std::fs::read(data.join(name)).unwrap();
        for (number, len) in [content.len() / 3, content.len() - 3].into_iter().enumerate() {
            let path = scene.write(&format!("{number}-{name}"), &content[..len]);
            scene.until_is(&path, UploadState::Settling).await;
            scene.caught_up().await;
            scene.watch.look().await.unwrap();
            assert_eq!(scene.row(&path).await.unwrap().state, UploadState::Settling, "{name}");
            let note = scene.watch.story(path.clone()).await.unwrap().note.unwrap();
            let wanted = "its end is missing: it is taken when it is whole, or after 10 minutes \
                          without a change";
            assert_eq!(note, wanted);
            // The copy is done again: it goes on in the same file, or another takes its place.
            match number {
                0 => {
                    let mut file = File::options().append(true).open(&path).unwrap();
                    file.write_all(&content[len..]).unwrap();
                }
                _ => drop(scene.drop_in(&format!("{number}-{name}"), &content)),
            }
            assert_eq!(scene.queued(&path).await.size, content.len() as u64);
        }
    }
    assert_eq!(scene.names().await.len(), 10);
}

#[tokio::test]
async fn a_torn_picture_that_stays_so_is_taken_in_the_end() {
    let torn = Duration::from_millis(500);
    let scene = Scene::bare(Settings { torn, ..settings() }).await;
    let content = &png(1)[..40];
    let here = scene.write("here.png", content);
    scene.add(After::Keep).await;
    // Renamed too: who did that did not look into it.
    let renamed = scene.drop_in("renamed.png", content);
    for path in [here, renamed] {
        let row = scene.queued(&path).await;
        assert!(row.queued_at.unwrap() > row.seen_at, "it was taken at once");
    }
}

#[tokio::test]
async fn a_file_that_is_renamed_while_it_is_written_waits_for_its_close() {
    let scene = Scene::new().await;
    let made = scene.home.path().join("made");
    let mut file = File::create(&made).unwrap();
    let path = scene.path("a.png");
    std::fs::rename(&made, &path).unwrap();
    scene.until_is(&path, UploadState::Settling).await;
    file.write_all(&png(1)).unwrap();
    scene.caught_up().await;
    assert_eq!(scene.row(&path).await.unwrap().state, UploadState::Settling);
    drop(file);
    scene.queued(&path).await;
}

#[tokio::test]
async fn a_temporary_file_is_taken_under_its_final_name_alone() {
    let scene = Scene::new().await;
    for (temporary, name) in
        [("a.png.tmp", "a.png"), ("b.png.part", "b.png"), (".c.png.Xy12", "c.png")]
    {
        let path = scene.write(temporary, &png(1));
        scene.caught_up().await;
        assert_eq!(scene.row(&path).await, None);
        let story = scene.watch.story(path.clone()).await.unwrap();
        assert!(story.note.unwrap().contains("built-in rule"));
        let named = scene.path(name);
        std::fs::rename(path, &named).unwrap();
        scene.queued(&named).await;
    }
    assert_eq!(scene.names().await, ["a.png", "b.png", "c.png"]);
}

#[tokio::test]
async fn a_folder_moved_in_is_taken_with_all_that_is_in_it_and_watched() {
    let scene = Scene::new().await;
    let made = scene.home.path().join("trip");
    std::fs::create_dir_all(made.join("day 1/raw")).unwrap();
    std::fs::create_dir_all(made.join("@eaDir")).unwrap();
    let files = ["a.png", "day 1/b.png", "day 1/raw/c.png"];
    for (file, number) in files.iter().zip(0..) {
        std::fs::write(made.join(file), png(number)).unwrap();
    }
    std::fs::write(made.join("@eaDir/d.png"), png(9)).unwrap();
    std::fs::rename(&made, scene.path("trip")).unwrap();
    for file in files {
        scene.queued(&scene.path("trip").join(file)).await;
    }
    // Moved within the folder: what is in it is another file, and still heard of.
    std::fs::rename(scene.path("trip"), scene.path("holiday")).unwrap();
    for file in files {
        scene.queued(&scene.path("holiday").join(file)).await;
        scene.until(&scene.path("trip").join(file), |row| row.is_none()).await;
    }
    let late = scene.write("holiday/day 1/raw/e.png", &png(7));
    scene.queued(&late).await;
    std::fs::remove_dir_all(scene.path("holiday")).unwrap();
    scene.until(&late, |row| row.is_none()).await;
    scene.caught_up().await;
    assert_eq!(scene.names().await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_tree_that_is_copied_in_is_taken_whole() {
    let scene = Scene::new().await;
    let made = scene.home.path().join("tree");
    let mut names = Vec::new();
    for folder in 0..10 {
        let below = made.join(format!("{folder}/{folder}"));
        std::fs::create_dir_all(&below).unwrap();
        for file in 0..20 {
            let name = format!("{folder}-{file}.png");
            std::fs::write(below.join(&name), png(folder * 100 + file)).unwrap();
            names.push(name);
        }
    }
    let copied = Command::new("cp").arg("-r").arg(&made).arg(&scene.folder).status().unwrap();
    assert!(copied.success());
    for folder in 0..10 {
        for file in 0..20 {
            let name = format!("tree/{folder}/{folder}/{folder}-{file}.png");
            scene.queued(&scene.path(&name)).await;
        }
    }
    names.sort();
    assert_eq!(scene.names().await, names);
}

#[tokio::test]
async fn names_of_odd_bytes_are_kept_and_shown_as_text() {
    let scene = Scene::new().await;
    let names: [(&[u8], &str); 4] = [
        (b"\xff\xfe.png", "%FF%FE.png"),
        ("cafe\u{301}.png".as_bytes(), "caf\u{e9}.png"),
        (b"line\nfeed.png", "line\nfeed.png"),
        ("a\u{202e}gnp.png".as_bytes(), "a\u{202e}gnp.png"),
    ];
    for (bytes, name) in names {
        let path = scene.folder.join(OsStr::from_bytes(bytes));
        std::fs::write(&path, png(1)).unwrap();
        let row = scene.queued(&path).await;
        assert_eq!(row.name, name);
        assert_eq!(row.path.unwrap(), path);
    }
    // No image can have such a name: said, not guessed at.
    let path = scene.write("a\\b.png", &png(1));
    let row = scene.until_is(&path, UploadState::Ignored).await;
    assert!(row.error.unwrap().message.contains("must not contain"));
}

#[tokio::test]
async fn names_that_differ_in_case_are_two_files() {
    let scene = Scene::new().await;
    let (upper, lower) = (scene.write("A.PNG", &png(1)), scene.write("a.png", &png(2)));
    let (upper, lower) = (scene.queued(&upper).await, scene.queued(&lower).await);
    assert_ne!(upper.id, lower.id);
    assert_eq!((upper.name.as_str(), lower.name.as_str()), ("A.PNG", "a.png"));
}

#[tokio::test]
async fn what_is_no_image_is_ignored_with_the_reason() {
    let scene = Scene::new().await;
    let text = scene.write("notes.png", b"buy milk, and bread, and whatever else there is");
    let row = scene.until_is(&text, UploadState::Ignored).await;
    assert!(row.error.as_ref().unwrap().message.contains("not an image"));
    let status = scene.status().await;
    assert_eq!((status.counts.ignored, status.problems.len()), (1, 1));
    assert_eq!(status.problems[0].path.as_deref(), Some(&*text));
    // It becomes one.
    let path = scene.write("notes.png", &png(1));
    scene.queued(&path).await;

    let empty = scene.write("empty.png", b"");
    scene.until_is(&empty, UploadState::Settling).await;
    let row = scene.until_is(&empty, UploadState::Ignored).await;
    assert_eq!(row.error.unwrap().message, "it is empty");
    scene.write("empty.png", &png(2));
    scene.queued(&empty).await;
}

#[tokio::test]
async fn a_person_s_rules_hold_and_follow_their_file() {
    let scene = Scene::new().await;
    std::fs::create_dir(scene.path("drafts")).unwrap();
    let (draft, image) = (scene.write("drafts/a.png", &png(1)), scene.write("b.png", &png(2)));
    scene.queued(&draft).await;
    scene.queued(&image).await;
    scene.write(".imgrepoignore", b"drafts/\n[z-a]\n*.gif\n");
    scene.until(&draft, |row| row.is_none()).await;
    scene.watch.look().await.unwrap();
    let why = scene.status().await.why.unwrap();
    assert!(why.contains("is no rule: `[z-a]`"), "{why}");
    let gif = scene.write("c.gif", b"GIF89a\x01\0\x01\0\0\0\0;");
    scene.caught_up().await;
    assert_eq!(scene.names().await, ["b.png"]);
    let story = scene.watch.story(gif.clone()).await.unwrap();
    assert!(story.note.unwrap().contains("rule `*.gif` of"));
    scene.write("drafts/d.png", &png(3));
    std::fs::remove_file(scene.path(".imgrepoignore")).unwrap();
    scene.queued(&draft).await;
    scene.queued(&gif).await;
    scene.queued(&scene.path("drafts/d.png")).await;
}
