//! What making pictures came to; on both catalogs.

use imgrepo_proto::ImageId;
use imgrepod::repository::catalog::{Again, Change, KnownPicture, NewImage, NewPicture};

use super::scene::{Scene, both, hash, now};

fn made(of: u8, placeholder: &str) -> NewPicture {
    let known = KnownPicture { placeholder: Some(placeholder.to_owned()), ..Default::default() };
    NewPicture { hash: hash(of), orientation: Some(3), known }
}

fn failed(of: u8) -> NewPicture {
    let known = KnownPicture { fault: Some("it is broken".to_owned()), ..Default::default() };
    NewPicture { hash: hash(of), orientation: None, known }
}

fn placeholder(scene: &Scene, id: u64) -> Option<String> {
    scene.catalog.image(ImageId(id)).unwrap().unwrap().record.placeholder
}

#[test]
fn a_placeholder_is_of_all_images_of_a_content() {
    for scene in both() {
        scene.store("a.jpg", 1);
        let of_bo = NewImage {
            person: scene.bo,
            orientation: None,
            ..scene.new_image("b.jpg", 1, Again::Reuse)
        };
        scene.change_by(scene.bo, Change::Store(of_bo), now()).unwrap();
        let before = scene.history();
        scene.catalog.note_pictures(&[made(1, "xx"), made(9, "yy")], 1).unwrap();
        assert_eq!(scene.history(), before, "no event");
        let orientation =
            |id| scene.catalog.image(ImageId(id)).unwrap().unwrap().record.orientation;
        assert_eq!((orientation(1), orientation(2)), (Some(6), Some(3)), "what was known stays");
        for id in [1, 2] {
            assert_eq!(placeholder(&scene, id).as_deref(), Some("xx"));
        }
        // A content that comes after its picture.
        let late = scene.store("late.jpg", 9);
        assert_eq!(late.image.placeholder.as_deref(), Some("yy"));
        assert_eq!(placeholder(&scene, 3).as_deref(), Some("yy"));
    }
}

#[test]
fn what_was_noted_adds_up_for_one_pipeline() {
    for scene in both() {
        let known = |pipeline| scene.catalog.picture(hash(1), pipeline).unwrap();
        assert_eq!(known(1), None);
        let large =
            KnownPicture { display_fault: Some("too large".to_owned()), ..Default::default() };
        let large = NewPicture { hash: hash(1), orientation: None, known: large };
        scene.catalog.note_pictures(&[large, made(1, "xx")], 1).unwrap();
        let wanted = KnownPicture {
            placeholder: Some("xx".to_owned()),
            fault: None,
            display_fault: Some("too large".to_owned()),
        };
        assert_eq!(known(1), Some(wanted));
        assert_eq!(known(2), None, "a better pipeline tries again");
        scene.catalog.note_pictures(&[failed(1)], 2).unwrap();
        assert_eq!(known(1), None);
        let fault = Some("it is broken".to_owned());
        assert_eq!(known(2), Some(KnownPicture { fault, ..Default::default() }));
    }
}

#[test]
fn what_is_unmade_is_found_step_by_step_the_newest_first() {
    for scene in both() {
        for of in 1..=6 {
            scene.store("a.jpg", of);
        }
        scene.change(Change::Delete(ImageId(4))).unwrap();
        scene.catalog.note_pictures(&[made(6, "xx"), failed(3)], 1).unwrap();
        let large = KnownPicture { display_fault: Some("no".to_owned()), ..Default::default() };
        let large = NewPicture { hash: hash(2), orientation: None, known: large };
        scene.catalog.note_pictures(&[large], 1).unwrap();
        let (mut below, mut found) = (None, Vec::new());
        loop {
            let step = scene.catalog.unmade(1, below, 2).unwrap();
            assert!(step.hashes.len() <= 2);
            found.extend(step.hashes);
            below = step.next;
            if below.is_none() {
                break;
            }
        }
        assert_eq!(found, [hash(5), hash(2), hash(1)]);
        assert_eq!(scene.catalog.unmade(2, None, 9).unwrap().hashes.len(), 5);
    }
}
