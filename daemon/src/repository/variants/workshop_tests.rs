use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::time::SystemTime;

use bytes::Bytes;
use imgrepo_proto::{ImageId, PersonName, RepositoryId};
use jiff::Timestamp;

use super::super::agenda::Part;
use super::*;
use crate::cache::Key;
use crate::repository::blobs::memory::MemoryBlobs;
use crate::repository::catalog::memory::MemoryCatalog;
use crate::repository::catalog::sample::new_image;
use crate::repository::catalog::{Change, NewImage, PersonKind, Proposal};
use crate::repository::picture::Picture;

const SMALL: Part = Part::Small;

/// How long a test waits for what must come. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A content that is an image by its first bytes.
fn content(of: u8) -> Bytes {
    let mut content = b"P6\n3 3\n255\n".to_vec();
    content.extend([of; 27]);
    content.into()
}

fn hash(of: u8) -> BlobHash {
    BlobHash(*blake3::hash(&content(of)).as_bytes())
}

fn made(order: &Order) -> Made {
    let picture = |variant: &Variant| {
        let bytes = format!("picture {}", variant.word()).into_bytes();
        (*variant, Picture { media_type: "image/jpeg", bytes, width: 1, height: 1 })
    };
    Made {
        orientation: 3,
        placeholder: order.placeholder.then(|| "xx".to_owned()),
        pictures: order.variants.iter().map(picture).collect(),
    }
}

struct Scene {
    workshop: Workshop,
    catalog: Arc<dyn Catalog>,
    folder: tempfile::TempDir,
}

impl Scene {
    /// With so many images, of the contents 1 to that.
    fn new(images: u8, threads: usize, render: Render) -> Scene {
        let catalog: Arc<dyn Catalog> =
            Arc::new(MemoryCatalog::new(RepositoryId("00ff".to_owned())));
        let blobs = Arc::new(MemoryBlobs::default());
        for of in 1..=images {
            blobs.append(&[(hash(of), content(of))]).unwrap();
            store(&*catalog, of);
        }
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools {
            catalog: catalog.clone(),
            blobs,
            cache: Cache::new(folder.path().join("variants"), PIPELINE, 1 << 20),
            reserve_bytes: 0,
            data: folder.path().to_owned(),
            render,
        };
        Scene { workshop: Workshop::start(tools, threads).unwrap(), catalog, folder }
    }

    fn want(&self, of: u8, part: Part) -> oneshot::Receiver<Result<Ready, NotMade>> {
        self.workshop.want(Task { hash: hash(of), part }).unwrap()
    }

    /// Waits until the workshop has nothing to do, then ends it, so that all is noted.
    fn rest(&self) {
        wait(|| self.workshop.waiting() == (0, false));
        self.workshop.close();
    }

    fn placeholder(&self, id: u64) -> Option<String> {
        self.catalog.image(ImageId(id)).unwrap().unwrap().record.placeholder
    }
}

fn wait(mut until: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < patience, "what was waited for did not come");
        std::thread::yield_now();
    }
}

fn store(catalog: &dyn Catalog, of: u8) {
    let now = Timestamp::UNIX_EPOCH;
    let person = catalog.person(PersonKind::Owner, &PersonName::parse("o").unwrap(), now).unwrap();
    let new = NewImage {
        hash: hash(of),
        size_bytes: content(of).len() as u64,
        media_type: "image/x-portable-pixmap".to_owned(),
        ..new_image(person, "a.ppm", 0)
    };
    let change = Change::Store(new);
    catalog.commit(&[Proposal { by: person, from: String::new(), change }], now).unwrap();
}

#[test]
fn what_an_earlier_run_left_is_made_once_and_noted() {
    let children = Arc::new(AtomicUsize::new(0));
    let count = children.clone();
    let scene = Scene::new(
        9,
        2,
        Box::new(move |order, size_bytes, read_at, _| {
            count.fetch_add(usize::from(order.placeholder), Ordering::Relaxed);
            let mut bytes = vec![0; size_bytes as usize];
            read_at(&mut bytes, 0).unwrap();
            assert!(bytes.starts_with(b"P6") && order.is_background);
            Ok(made(order))
        }),
    );
    for of in 1..=9 {
        scene.workshop.fresh(hash(of));
    }
    scene.rest();
    assert_eq!(children.load(Ordering::Relaxed), 9);
    for id in 1..=9 {
        assert_eq!(scene.placeholder(id).as_deref(), Some("xx"));
        let key = Key { hash: hash(id as u8), variant: Variant::Medium };
        let kept = scene.workshop.cache().get(&key, SystemTime::now()).unwrap();
        assert_eq!(kept.bytes().unwrap(), "picture 512");
    }
    assert_eq!(scene.catalog.unmade(PIPELINE, None, 99).unwrap().hashes, []);
}

#[test]
fn many_who_want_the_same_get_it_of_one_child() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let children = Arc::new(AtomicUsize::new(0));
    let count = children.clone();
    let scene = Scene::new(
        1,
        3,
        Box::new(move |order, _, _, _| {
            if order.variants == [Variant::Display] {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
            }
            Ok(made(order))
        }),
    );
    let all: Vec<_> = (0..200).map(|_| scene.want(1, Part::Large)).collect();
    go.send(()).unwrap();
    for one in all {
        let pictures = one.blocking_recv().unwrap().unwrap();
        assert_eq!(pictures[0].1.bytes().unwrap(), "picture display");
    }
    assert_eq!(children.load(Ordering::Relaxed), 1);
    scene.rest();
}

#[test]
fn what_cannot_be_shown_is_asked_of_one_child_alone() {
    let children = Arc::new(AtomicUsize::new(0));
    let count = children.clone();
    let scene = Scene::new(
        1,
        1,
        Box::new(move |_, _, _, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Err(Unshown::NotViewable(format!("\u{1b}[31m{}", "it is broken ".repeat(99))))
        }),
    );
    wait(|| scene.workshop.waiting() == (0, false));
    for _ in 0..3 {
        match scene.want(1, SMALL).blocking_recv().unwrap() {
            Err(NotMade::Fault(why)) => {
                assert!(
                    !why.contains('\u{1b}') && why.chars().count() == making::FAULT_CHARS,
                    "{why}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(children.load(Ordering::Relaxed), 1);
    scene.rest();
    assert!(scene.catalog.picture(hash(1), PIPELINE).unwrap().unwrap().fault.is_some());
    assert_eq!(scene.placeholder(1), None);
}

#[test]
fn a_passing_failure_is_told_and_not_remembered() {
    let children = Arc::new(AtomicUsize::new(0));
    let count = children.clone();
    let scene = Scene::new(
        1,
        1,
        Box::new(move |order, _, _, _| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Unshown::Passing(std::io::Error::other("no child to be had"))),
            // An answer that lacks something is no answer.
            1 => Ok(Made { pictures: Vec::new(), ..made(order) }),
            _ => Ok(made(order)),
        }),
    );
    wait(|| children.load(Ordering::Relaxed) == 1);
    // Who asks while the first child fails hears of that one too.
    let mut told = 0;
    let pictures = loop {
        match scene.want(1, SMALL).blocking_recv().unwrap() {
            Ok(pictures) => break pictures,
            Err(NotMade::Passing(refusal)) => {
                assert_eq!(refusal.code, imgrepo_proto::ErrorCode::Busy);
                told += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!((1..=2).contains(&told), "{told}");
    assert_eq!(pictures.len(), 2);
    scene.workshop.close();
    assert_eq!(scene.placeholder(1).as_deref(), Some("xx"));
}

#[test]
fn pictures_that_the_disk_does_not_take_are_shown_all_the_same() {
    let scene = Scene::new(1, 1, Box::new(|order, _, _, _| Ok(made(order))));
    wait(|| scene.workshop.waiting() == (0, false));
    std::fs::remove_dir_all(scene.workshop.cache().folder()).unwrap();
    // In the folder's place stands something that is none.
    std::fs::write(scene.folder.path().join("variants"), "").unwrap();
    let pictures = scene.want(1, SMALL).blocking_recv().unwrap().unwrap();
    assert_eq!(pictures[1].1.bytes().unwrap(), "picture 512");
    scene.rest();
}

#[test]
fn at_the_end_a_child_is_told_to_stop_and_who_waits_hears_of_it() {
    let (begun, has_begun) = mpsc::channel();
    let scene = Scene::new(
        2,
        1,
        Box::new(move |_, _, _, stop| {
            begun.send(()).unwrap();
            wait(|| stop.load(Ordering::Relaxed));
            Err(Unshown::Passing(std::io::Error::other("stopped")))
        }),
    );
    has_begun.recv_timeout(PATIENCE).unwrap();
    let waits = scene.want(1, SMALL);
    scene.workshop.close();
    let answer = waits.blocking_recv().unwrap();
    assert!(matches!(
        answer,
        Err(NotMade::Passing(Refusal { code: imgrepo_proto::ErrorCode::ShuttingDown, .. }))
    ));
    let late = scene.workshop.want(Task { hash: hash(2), part: SMALL });
    assert_eq!(late.unwrap_err().code, imgrepo_proto::ErrorCode::ShuttingDown);
    assert!(has_begun.try_recv().is_err(), "no child is begun any more");
    assert_eq!(scene.placeholder(1), None, "and nothing is held against the image");
}

#[test]
fn what_is_purged_while_it_is_made_leaves_nothing() {
    let catalog_of_it: Arc<Mutex<Option<Arc<dyn Catalog>>>> = Arc::default();
    let catalog = catalog_of_it.clone();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let scene = Scene::new(
        1,
        1,
        Box::new(move |order, _, _, _| {
            let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
            let catalog = catalog.lock().unwrap().clone().unwrap();
            let by = catalog.image(ImageId(1)).unwrap().unwrap().person;
            for change in [Change::Delete(ImageId(1)), Change::Purge(ImageId(1))] {
                let proposal = Proposal { by, from: String::new(), change };
                catalog.commit(&[proposal], Timestamp::UNIX_EPOCH).unwrap();
            }
            Ok(made(order))
        }),
    );
    *catalog_of_it.lock().unwrap() = Some(scene.catalog.clone());
    go.send(()).unwrap();
    scene.rest();
    assert!(!scene.workshop.cache().has(&Key { hash: hash(1), variant: Variant::Small }));
}
