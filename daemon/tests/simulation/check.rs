//! What must be so at the end, and after each change: what was acknowledged is there, once, whole, and
//! told to everybody in one order.

use std::collections::BTreeMap;

use imgrepo_proto::control::queue::UploadState;
use imgrepo_proto::session::Event;
use imgrepo_proto::{BlobHash, ImageId, ImageRecord, Seq};
use imgrepod::repository::blobs::BlobStore as _;
use imgrepod::repository::catalog::{Catalog as _, ImageState, PersonId, PersonKind, StoredImage};

use crate::client::SimulatedClient;
use crate::disk::Disk;
use crate::ledger::{Kept, Ledger, Queued, hash};

/// What is wrong with the content of a record.
pub(crate) fn blob(disk: &Disk, record: &ImageRecord) -> Option<String> {
    let meant = record.hash?;
    let image = disk.catalog.image(record.id).unwrap()?;
    if image.state == ImageState::Purged {
        return None;
    }
    let Some(blob) = disk.blobs.kept.open(meant).unwrap() else {
        return Some(format!("image {} is listed without its content", record.id));
    };
    let mut content = vec![0; blob.size_bytes() as usize];
    blob.read_exact_at(&mut content, 0).unwrap();
    let is_whole = hash(&content) == meant && Some(content.len() as u64) == record.size;
    (!is_whole).then(|| format!("image {} is listed with another content", record.id))
}

/// What is wrong when all is at rest.
pub(crate) fn end(
    disk: &Disk,
    ledger: &Ledger,
    clients: &[SimulatedClient],
    stored: &[ImageRecord],
) -> Vec<String> {
    let mut faults = Vec::new();
    let images: Vec<StoredImage> =
        (1..).map_while(|id| disk.catalog.image(ImageId(id)).unwrap()).collect();
    let events = disk.catalog.changes(Seq(0), 100_000).unwrap().events;
    for image in &images {
        faults.extend(blob(disk, &image.record));
        let last = events.iter().rev().filter_map(|event| event.image.as_ref());
        let last = last.into_iter().find(|record| record.id == image.record.id);
        if last != Some(&image.record) {
            faults.push(format!("image {} is not as its last event says", image.record.id));
        }
    }
    for said in stored {
        let is_there =
            images.iter().any(|it| it.record.id == said.id && it.record.hash == said.hash);
        if !is_there {
            faults.push(format!("image {} was acknowledged and is not there", said.id));
        }
    }
    let mut counts: BTreeMap<(PersonId, BlobHash), u32> = BTreeMap::new();
    for image in &images {
        *counts.entry((image.person, image.hash)).or_default() += 1;
    }
    for ((person, hash), count) in counts.iter().filter(|(_, count)| **count > 1) {
        faults.push(format!("{person:?} has {hash} {count} times"));
    }
    ledger.with(|kept| {
        for client in clients {
            let named = disk.catalog.person_named(PersonKind::Guest, &client.person).unwrap();
            let person = named.map_or(PersonId(-1), |person| person.id);
            let has = |hash: BlobHash| counts.contains_key(&(person, hash));
            queue(client, kept, &has, &images, &mut faults);
            let heard = kept.heard.get(&client.number).map_or(&[][..], Vec::as_slice);
            if heard != events {
                faults.push(told_otherwise(client.number, heard, &events));
            }
        }
        for (image, hash) in &kept.given {
            if !images.iter().any(|it| it.record.id == *image && it.hash == *hash) {
                faults.push(format!("image {image} was given, acknowledged, and is not there"));
            }
        }
        for (image, kind, name) in &kept.changed {
            let is_it = |event: &Event| {
                let record = event.image.as_ref();
                event.event == *kind
                    && record.is_some_and(|it| it.id == *image)
                    && name.as_ref().is_none_or(|name| record.is_some_and(|it| it.name == *name))
            };
            if !events.iter().any(is_it) {
                faults.push(format!("{kind:?} of {image} was acknowledged and is lost"));
            }
        }
    });
    faults
}

fn queue(
    client: &SimulatedClient,
    kept: &Kept,
    has: &dyn Fn(BlobHash) -> bool,
    images: &[StoredImage],
    faults: &mut Vec<String>,
) {
    let number = client.number;
    let rows = client.uploads();
    for ((_, id), queued) in kept.queued.iter().filter(|((whose, _), _)| *whose == number) {
        let Some(row) = rows.iter().find(|row| row.id == *id) else {
            faults.push(format!("upload {id} of client {number} is forgotten"));
            continue;
        };
        let is_other = |it: &Queued| {
            it.person == queued.person && it.hash == queued.hash && !it.must_not_arrive
        };
        let others = kept.queued.values().any(is_other)
            || kept.offered.contains(&(queued.person.clone(), queued.hash));
        if queued.must_not_arrive && !others && has(queued.hash) {
            faults.push(format!("upload {id} of client {number} was given up, and is there"));
        }
        match row.state {
            UploadState::Stored | UploadState::Duplicate => {
                let is_there = images
                    .iter()
                    .any(|image| Some(image.record.id) == row.image && image.hash == queued.hash);
                if !is_there {
                    faults.push(format!(
                        "upload {id} of client {number} has its receipt, and is lost"
                    ));
                }
            }
            UploadState::Cancelled if queued.is_cancelled || queued.may_be_cancelled => {}
            state => faults.push(format!(
                "upload {id} of client {number} ended as {state:?}: {:?}",
                row.error
            )),
        }
        let was_given_up = queued.is_cancelled || row.state == UploadState::Cancelled;
        if !was_given_up && !has(queued.hash) {
            faults.push(format!("upload {id} of client {number} never arrived"));
        }
    }
}

fn told_otherwise(number: usize, heard: &[Event], events: &[Event]) -> String {
    let at = heard.iter().zip(events).position(|(heard, event)| heard != event);
    format!(
        "client {number} was told another history: {} events of {}, other from {at:?} on",
        heard.len(),
        events.len()
    )
}
