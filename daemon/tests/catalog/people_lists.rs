//! What is told of people, and what is kept of them: lists, bytes, the record; on both catalogs.

use imgrepo_proto::ImageId;
use imgrepo_proto::session::people::{AccountRole, DeviceId};
use imgrepod::repository::catalog::{Change, PersonKind};
use jiff::Timestamp;

use super::people::{HOUR, folk};
use super::scene::{now, person};

#[test]
fn bytes_are_kept_and_deletions_recorded() {
    for folk in folk() {
        let scene = &folk.scene;
        let kept = |person| scene.catalog.kept_bytes(person).unwrap();
        scene.store("a.jpg", 1);
        scene.store("b\u{202e}.jpg", 2);
        assert_eq!((kept(Some(scene.ana)), kept(Some(scene.bo)), kept(None)), (2003, 0, 2003));
        scene.store("a.jpg", 1);
        scene.change(Change::Delete(ImageId(2))).unwrap();
        assert_eq!(kept(None), 2003);
        scene.change_by(folk.owner, Change::Purge(ImageId(2)), now()).unwrap();
        assert_eq!((kept(Some(scene.ana)), kept(None)), (1001, 1001));
        scene.change(Change::Delete(ImageId(1))).unwrap();
        scene.store("a.jpg", 1);
        assert_eq!((kept(Some(scene.ana)), kept(None)), (1001, 1001));
        let told = scene.catalog.told_person(scene.ana).unwrap().unwrap();
        assert_eq!((told.images, told.bytes, told.devices), (1, 1001, 0));
        assert_eq!(
            folk.record(),
            [
                "3 ana from 10.0.0.7: delete image 1 (a.jpg) of ana",
                "2 olga from 10.0.0.7: purge image 2 (b\\u202e.jpg) of ana",
                "1 ana from 10.0.0.7: delete image 2 (b\\u202e.jpg) of ana",
            ]
        );
        assert_eq!(scene.catalog.audit(Some(3), 1).unwrap()[0].id, 2);
    }
}

#[test]
fn people_are_listed_by_kind_and_page() {
    for folk in folk() {
        let catalog = &folk.scene.catalog;
        catalog.person(PersonKind::Imported, &person("rui"), now()).unwrap();
        folk.account("zoe", 1);
        folk.account("ana", 2);
        let all = catalog.people(None, 99).unwrap();
        let names: Vec<_> = all.iter().map(|(_, person)| person.name.as_str()).collect();
        assert_eq!(names, ["olga", "zoe", "ana", "ana (guest)", "bo", "rui"]);
        assert_eq!((all[0].1.role, all[1].1.devices), (Some(AccountRole::Admin), 1));
        for (at, (id, last)) in all.iter().enumerate() {
            let next = catalog.people(Some((last.kind, *id)), 2).unwrap();
            assert_eq!(next, all[at + 1..all.len().min(at + 3)]);
        }
    }
}

#[test]
fn a_device_is_seen_once_an_hour() {
    for folk in folk() {
        folk.account("ana", 1);
        let seen = |at: Timestamp| {
            folk.scene.catalog.seen(&[DeviceId(9), DeviceId(1)], at - HOUR, at).unwrap();
            folk.scene.catalog.device(DeviceId(1)).unwrap().unwrap().seen_at.unwrap()
        };
        let first = seen(now());
        assert_eq!(seen(now() + HOUR / 2), first);
        assert!(seen(now() + HOUR * 2) > first);
    }
}
