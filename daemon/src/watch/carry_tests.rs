//! On one file system, and over the border to another where this machine has one.

use std::path::PathBuf;

use imgrepo_proto::BlobHash;
use imgrepo_proto::control::queue::UploadId;
use tempfile::TempDir;

use crate::watch::root::{Found, Root};

use super::*;

struct Scene {
    from: TempDir,
    to: TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { from: tempfile::tempdir().unwrap(), to: tempfile::tempdir().unwrap() }
    }

    /// To another file system, where there is one.
    fn across() -> Option<Scene> {
        let to = tempfile::tempdir_in("/dev/shm").ok()?;
        Some(Scene { to, ..Scene::new() })
    }

    fn file(&self, name: &str, content: &[u8]) -> (PathBuf, Receipt) {
        let path = self.from.path().join(name);
        std::fs::write(&path, content).unwrap();
        let stamp = Stamp::of(&std::fs::metadata(&path).unwrap());
        let hash = BlobHash(*blake3::hash(content).as_bytes());
        (path.clone(), Receipt { id: UploadId(7), path, stamp, hash })
    }

    fn carry(&self, name: &str, receipt: &Receipt) -> io::Result<Option<OsString>> {
        let Found::Here(root) = Root::open(self.from.path(), None) else { panic!("no folder") };
        let folder = root.folder(self.from.path()).unwrap();
        carry(&folder, OsStr::new(name), receipt, self.to.path())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.to.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn both(test: impl Fn(Scene)) {
    test(Scene::new());
    match Scene::across() {
        Some(scene) => test(scene),
        None => println!("*** NOT PROVEN HERE: there is no second file system (/dev/shm)"),
    }
}

#[test]
fn a_file_is_moved_and_nothing_is_overwritten() {
    both(|scene| {
        std::fs::write(scene.to.path().join("a.b.png"), b"older").unwrap();
        for expected in ["a.b (2).png", "a.b (3).png"] {
            let (path, receipt) = scene.file("a.b.png", expected.as_bytes());
            let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
            let moved = scene.carry("a.b.png", &receipt).unwrap().unwrap();
            assert_eq!(moved, expected);
            assert!(!path.exists());
            let there = scene.to.path().join(expected);
            assert_eq!(std::fs::read(&there).unwrap(), expected.as_bytes());
            assert_eq!(std::fs::metadata(&there).unwrap().modified().unwrap(), modified);
        }
        assert_eq!(std::fs::read(scene.to.path().join("a.b.png")).unwrap(), b"older");
        assert_eq!(scene.names(), ["a.b (2).png", "a.b (3).png", "a.b.png"], "and no draft");
    });
}

#[test]
fn a_file_that_is_not_the_receipt_s_stays() {
    both(|scene| {
        let (_, receipt) = scene.file("a", b"first");
        let (path, _) = scene.file("a", b"second, of another size");
        assert_eq!(scene.carry("a", &receipt).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap(), b"second, of another size");
        assert_eq!(scene.names(), [] as [&str; 0]);
        assert!(scene.carry("none", &receipt).is_err());
    });
}

#[test]
fn over_the_border_the_content_itself_is_compared() {
    let Some(scene) = Scene::across() else { return };
    let (path, receipt) = scene.file("a", b"first");
    let other = Receipt { hash: BlobHash([0; 32]), ..receipt };
    assert_eq!(scene.carry("a", &other).unwrap(), None);
    assert!(path.exists() && scene.names().is_empty());
}

#[test]
fn a_draft_that_was_left_is_no_obstacle() {
    let Some(scene) = Scene::across() else { return };
    let (_, receipt) = scene.file("a", b"content");
    let draft = format!(".imgrepo-draft-7-{}", receipt.stamp.inode);
    std::fs::write(scene.to.path().join(draft), b"half of something else, and longer").unwrap();
    assert!(scene.carry("a", &receipt).unwrap().is_some());
    assert_eq!(scene.names(), ["a"]);
    assert_eq!(std::fs::read(scene.to.path().join("a")).unwrap(), b"content");
}

#[test]
fn a_copy_that_was_made_before_a_crash_is_not_made_twice() {
    let Some(scene) = Scene::across() else { return };
    let (path, receipt) = scene.file("a.png", b"content");
    // Everything but the removal was done.
    std::fs::copy(&path, scene.to.path().join("a.png")).unwrap();
    let copy = File::options().write(true).open(scene.to.path().join("a.png")).unwrap();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    copy.set_times(FileTimes::new().set_modified(modified)).unwrap();
    assert_eq!(scene.carry("a.png", &receipt).unwrap().unwrap(), "a.png");
    assert!(!path.exists());
    assert_eq!(scene.names(), ["a.png"]);
}

#[test]
fn a_number_comes_before_the_extension() {
    let name = |name: &str, number| numbered(OsStr::new(name), number).into_string().unwrap();
    assert_eq!(name("a.png", 1), "a.png");
    assert_eq!(name("a.png", 2), "a (2).png");
    assert_eq!(name(".a", 2), ".a (2)");
    assert_eq!(name("a", 12), "a (12)");
    assert_eq!(name(&format!("{}.png", "x".repeat(251)), 2).len(), 255);
}
