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
fn another_content_of_the_same_size_and_time_stays() {
    both(|scene| {
        let (path, receipt) = scene.file("a", b"first");
        let at = std::fs::metadata(&path).unwrap().modified().unwrap();
        // As programs write that keep a picture's time: into the file itself.
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(b"other").unwrap();
        file.set_times(FileTimes::new().set_modified(at)).unwrap();
        drop(file);
        assert!(Stamp::of(&std::fs::metadata(&path).unwrap()) == receipt.stamp);
        assert_eq!(scene.carry("a", &receipt).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap(), b"other");
        assert_eq!(scene.names(), [] as [&str; 0]);
    });
}

#[test]
fn a_file_that_is_about_to_be_written_stays() {
    both(|scene| {
        let (path, receipt) = scene.file("a", b"first");
        let writer = File::options().write(true).open(&path).unwrap();
        assert_eq!(scene.carry("a", &receipt).unwrap(), None);
        (&writer).write_all(b"other").unwrap();
        drop(writer);
        assert_eq!(std::fs::read(&path).unwrap(), b"other");
        assert_eq!(scene.names(), [] as [&str; 0]);
    });
}

#[test]
fn a_writer_that_comes_in_the_middle_keeps_its_file() {
    let scene = Scene::new();
    let (path, receipt) = scene.file("a", b"first");
    let Found::Here(root) = Root::open(scene.from.path(), None) else { panic!("no folder") };
    let folder = root.folder(scene.from.path()).unwrap();
    let source = folder.file(OsStr::new("a")).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    assert!(!remove(&folder, OsStr::new("a"), &source, &receipt).unwrap());
    (&writer).write_all(b"other").unwrap();
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), b"other");
    let receipt = Receipt { stamp: Stamp::of(&std::fs::metadata(&path).unwrap()), ..receipt };
    assert!(remove(&folder, OsStr::new("a"), &source, &receipt).unwrap());
    assert!(!path.exists());
    assert_eq!(std::fs::read_dir(scene.from.path()).unwrap().count(), 0);
}

#[test]
fn a_copy_is_as_private_as_the_file_was() {
    use std::os::unix::fs::PermissionsExt as _;
    both(|scene| {
        for mode in [0o600, 0o640, 0o664] {
            let (path, receipt) = scene.file("a", format!("{mode}").as_bytes());
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let moved = scene.carry("a", &receipt).unwrap().unwrap();
            let there = std::fs::metadata(scene.to.path().join(moved)).unwrap();
            assert_eq!(there.permissions().mode() & 0o777, mode);
        }
    });
}

#[test]
fn a_draft_that_was_left_is_no_obstacle() {
    let Some(scene) = Scene::across() else { return };
    let (_, receipt) = scene.file("a", b"content");
    let draft = format!(".imgrepo-draft-7-{}", receipt.stamp.inode);
    let other = scene.to.path().join("other");
    std::fs::write(&other, b"half of something else, and longer").unwrap();
    // Whoever can write there may give it any name: it is not written into.
    std::fs::hard_link(&other, scene.to.path().join(draft)).unwrap();
    assert!(scene.carry("a", &receipt).unwrap().is_some());
    assert_eq!(scene.names(), ["a", "other"]);
    assert_eq!(std::fs::read(scene.to.path().join("a")).unwrap(), b"content");
    assert_eq!(std::fs::read(&other).unwrap(), b"half of something else, and longer");
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
fn where_nothing_is_promised_nothing_is_overwritten_either() {
    let scene = Scene::new();
    let (path, _) = scene.file("a", b"first");
    let Found::Here(root) = Root::open(scene.from.path(), None) else { panic!("no folder") };
    let folder = root.folder(scene.from.path()).unwrap();
    let (from, to) = (OsStr::new("a"), OsStr::new("b"));
    plainly(folder.fd(), from, to).unwrap();
    std::fs::write(&path, b"another").unwrap();
    assert_eq!(plainly(folder.fd(), from, to), Err(Errno::EXIST));
    assert_eq!(plainly(folder.fd(), to, from), Err(Errno::EXIST));
    assert_eq!(plainly(folder.fd(), OsStr::new("none"), OsStr::new("c")), Err(Errno::NOENT));
    assert_eq!(std::fs::read(&path).unwrap(), b"another");
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
