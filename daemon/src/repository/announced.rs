//! An upload as it is announced: what can be refused, answered or taken up at once, before any
//! byte of it. Called by `receiving`; what is decided here by a look at the catalog is decided
//! again by the commit.

use std::sync::Arc;

use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Upload;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageName, ImageRecord, Refusal};
use tokio_util::sync::CancellationToken;

use super::catalog::{Again, ImageState, Imported};
use super::people::{Action, Actor, Object, authorize};
use super::quota::{self, Share};
use super::staging::{Claim, Key, Slot};
use super::{Inner, faults};
use crate::host::{self, Mutant};

/// An upload's announcement, checked.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) actor: Actor,
    pub(crate) name: ImageName,
    pub(crate) size_bytes: u64,
    pub(crate) hash: Option<BlobHash>,
    pub(crate) taken_at: Option<String>,
    pub(crate) again: Again,
    /// What an old catalog said of it.
    pub(crate) imported: Option<Imported>,
}

/// What is to be done about an announcement.
pub(crate) enum Decision {
    Stored(Box<ImageRecord>),
    Restore(ImageId),
    Wait(CancellationToken),
    Receive(Arc<Slot>, u64, Option<Share>),
}

pub(crate) fn check(
    actor: &Actor,
    upload: &Upload,
    again: Again,
    max_image_bytes: u64,
) -> Result<Wanted, Refusal> {
    let refusal = |code, why: String| {
        Refusal::new(code, format!("cannot store `{}`: {why}", shown(&upload.name)))
    };
    let name = ImageName::parse(&upload.name)
        .map_err(|error| refusal(ErrorCode::BadName, error.to_string()))?;
    authorize(actor, Action::Upload, Object::Any)?;
    if upload.size == 0 {
        return Err(refusal(ErrorCode::NotAnImage, "it is empty".to_owned()));
    }
    if upload.size > max_image_bytes {
        let why = format!("it has {} bytes, the limit is {max_image_bytes}", upload.size);
        return Err(refusal(ErrorCode::TooLarge, why));
    }
    if let Some(taken_at) = upload.taken_at.as_deref()
        && !is_time(taken_at)
    {
        let why = format!("`{}` is no time of RFC 3339", shown(taken_at));
        return Err(refusal(ErrorCode::BadRequest, why));
    }
    let again = match again {
        Again::Reuse if upload.unless_deleted => Again::UnlessDeleted,
        again => again,
    };
    Ok(Wanted {
        actor: actor.clone(),
        name,
        size_bytes: upload.size,
        hash: upload.hash,
        taken_at: upload.taken_at.clone(),
        again,
        imported: None,
    })
}

/// RFC 3339 with an offset, or a local date and time.
fn is_time(text: &str) -> bool {
    // jiff takes more than that: names of zones, and offsets after local times, which it drops.
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | ':' | '.' | 'T' | 'Z');
    let Some((_, time)) = text.split_once('T') else { return false };
    text.len() <= 40
        && text.chars().all(is_plain)
        && if time.contains(['Z', '+', '-']) {
            text.parse::<jiff::Timestamp>().is_ok()
        } else {
            text.parse::<jiff::civil::DateTime>().is_ok()
        }
}

pub(crate) fn decide(inner: &Arc<Inner>, wanted: &Wanted) -> Result<Decision, Refusal> {
    let failed = |error| faults::catalog(&error);
    let person = wanted.actor.person;
    let mut is_healing = false;
    if let Some(hash) = wanted.hash.filter(|_| wanted.again != Again::SameNameOnly) {
        let unless_deleted = wanted.again == Again::UnlessDeleted;
        let deleted = || Refusal::new(ErrorCode::Deleted, "you deleted this content here");
        let stored = inner.catalog.stored_by(person, hash).map_err(failed)?;
        match stored.filter(|_| !host::is_mutant(Mutant::StoreTwice)) {
            // Announced with another size it cannot be this content: let the bytes tell.
            Some(stored) if stored.size_bytes != wanted.size_bytes => {}
            // Its bytes are needed; the record is still the answer when they are here.
            Some(stored) if inner.sound.lost().contains(hash) => {
                if unless_deleted && stored.state != ImageState::Listed {
                    return Err(deleted());
                }
                is_healing = true;
            }
            Some(stored) if stored.state == ImageState::Listed => {
                return Ok(Decision::Stored(Box::new(stored.record)));
            }
            Some(stored) if stored.state == ImageState::Trashed => {
                if unless_deleted {
                    return Err(deleted());
                }
                return Ok(Decision::Restore(stored.record.id));
            }
            _ => {
                if unless_deleted && inner.catalog.has_tombstone(person, hash).map_err(failed)? {
                    return Err(deleted());
                }
            }
        }
    }
    if inner.queue.is_closed() {
        return Err(faults::shutting_down());
    }
    let size_bytes = wanted.size_bytes;
    let key = wanted.hash.map(|hash| Key { person, hash, size_bytes });
    // What heals is counted already.
    let share = match is_healing {
        true => None,
        false => quota::admit(&inner.coming, &*inner.catalog, &inner.settings, wanted, key)?,
    };
    match inner.staging.claim(key, size_bytes) {
        Claim::Wait(ended) => Ok(Decision::Wait(ended)),
        Claim::Slot(slot) => {
            let offset = slot.resume()?;
            if !inner.staging.make_room(size_bytes.saturating_sub(offset)) {
                return Err(faults::storage_full());
            }
            Ok(Decision::Receive(slot, offset, share))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_local() {
        for time in [
            "2021-07-04T18:30:00Z",
            "2021-07-04T18:30:00+02:00",
            "2021-07-04T18:30:00.25-03:30",
            "2021-07-04T18:30:00",
        ] {
            assert!(is_time(time), "{time}");
        }
        for text in ["", "T", "yesterday", "2021-07-04", "2021-13-04T18:30:00Z", "20:00"] {
            assert!(!is_time(text), "{text}");
        }
        assert!(!is_time("2021-07-04T18:30:00+02:00[Europe/Lisbon]"));
        assert!(!is_time(&format!("2021-07-04T18:30:00.{}Z", "0".repeat(60))));
    }
}
