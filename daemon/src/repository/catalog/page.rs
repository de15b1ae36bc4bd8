//! A page of records as both catalogs make it: the query checked once, the conditions on names, and
//! the cut where a page is full.
//!
//! Called by the catalogs alone. It reads no storage: which records there are comes from outside.

use std::io;

use imgrepo_proto::limits::MAX_TEXT_BYTES;
use imgrepo_proto::session::command::{Sort, State};
use imgrepo_proto::session::event::Event;
use imgrepo_proto::session::reply::{EventsReply, ListReply};
use imgrepo_proto::{ImageId, ImageRecord, PersonName, Refusal};
use jiff::Timestamp;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

use super::cursor::{self, Fingerprint};
use super::glob::{NameGlob, NameText};
use super::{ImageState, PageQuery, PersonId};

/// Bytes of JSON in a page: a text message less 8 KiB for what stands around it.
const PAGE_BYTES: usize = MAX_TEXT_BYTES - 8 * 1024;

/// What is looked at for one page, in steps of matching: 12 ms at the worst pattern measured (6 ns a
/// step), some 7,000 names at a plain one, 65,000 images where the index alone tells. One LIST took
/// minutes of a reader without. A page that ends there is short or even empty, and has a cursor like
/// any other.
const PAGE_STEPS: u64 = 2 * 1024 * 1024;

/// Of so few images each is looked at for a page of some, which takes 4 ms: a search begins with all
/// that bear such names, whosever they are.
const FEW: u64 = 4096;

/// What a record costs besides its match: it is looked up and its name is read.
pub(crate) const RECORD_STEPS: u64 = 256;

/// A page query that can be answered.
#[derive(Debug)]
pub(crate) struct PagePlan {
    pub(crate) state: ImageState,
    pub(crate) sort: Sort,
    /// Behind this image.
    pub(crate) behind: Option<ImageId>,
    pub(crate) limit: usize,
    /// Only this person's.
    pub(crate) person: Option<PersonId>,
    /// Only of people of this name; a name that no person can have finds nothing.
    pub(crate) uploader: Option<Option<PersonName>>,
    pub(crate) exact_name: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) uploaded_from: Option<Timestamp>,
    pub(crate) uploaded_before: Option<Timestamp>,
    glob: Option<NameGlob>,
    text: Option<NameText>,
    fingerprint: Fingerprint,
    /// See [`PAGE_STEPS`].
    pub(crate) steps: u64,
    /// See [`FEW`].
    pub(crate) few: u64,
}

impl PagePlan {
    /// Checks a query.
    ///
    /// # Errors
    /// `bad_request` for a bad cursor, pattern or text.
    pub(crate) fn new(query: &PageQuery) -> Result<PagePlan, Refusal> {
        let filter = &query.filter;
        let fingerprint = Fingerprint::of(query);
        let behind = query.cursor.as_deref().map(|text| cursor::read(&fingerprint, text));
        Ok(PagePlan {
            state: match filter.state {
                State::Listed => ImageState::Listed,
                State::Trashed => ImageState::Trashed,
            },
            sort: query.sort,
            behind: behind.transpose()?,
            limit: query.limit.max(1) as usize,
            person: query.person,
            uploader: filter.uploader.as_deref().map(|name| PersonName::parse(name).ok()),
            exact_name: filter.exact_name.as_deref().map(|name| name.nfc().collect()),
            media_type: filter.media_type.as_deref().map(str::to_ascii_lowercase),
            uploaded_from: filter.uploaded_from,
            uploaded_before: filter.uploaded_before,
            glob: filter.name.as_deref().map(NameGlob::parse).transpose()?,
            text: filter.text.as_deref().map(NameText::parse).transpose()?,
            fingerprint,
            steps: PAGE_STEPS,
            few: FEW,
        })
    }

    /// Whether the kept counts tell how many records fit.
    pub(crate) fn is_counted(&self) -> bool {
        self.exact_name.is_none()
            && self.media_type.is_none()
            && self.uploaded_from.is_none()
            && self.uploaded_before.is_none()
            && !self.asks_names()
    }

    /// Whether names are asked for a glob or a text.
    pub(crate) fn asks_names(&self) -> bool {
        self.glob.is_some() || self.text.is_some()
    }

    /// Whether a name fits the glob and the text.
    pub(crate) fn name_fits(&self, name: &str) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.fits(name))
            && self.text.as_ref().is_none_or(|text| text.fits(name))
    }

    /// The most steps that it takes to look at this name.
    pub(crate) fn steps_for(&self, name: &str) -> u64 {
        let glob = self.glob.as_ref().map_or(0, NameGlob::steps);
        RECORD_STEPS + (name.len() * (glob + usize::from(self.text.is_some()))) as u64
    }

    /// Folded texts that every fitting name has in it.
    pub(crate) fn literals(&self) -> Vec<String> {
        let mut literals = self.glob.as_ref().map(NameGlob::literals).unwrap_or_default();
        literals.extend(self.text.as_ref().map(|text| text.folded().to_owned()));
        literals
    }

    /// The page of these records, which are in order and one more than the limit where there are
    /// that many. `looked_to` is where the look ended before the records did.
    pub(crate) fn reply(
        &self,
        mut images: Vec<ImageRecord>,
        looked_to: Option<ImageId>,
        total: Option<u64>,
    ) -> ListReply {
        if let Some(border) = looked_to {
            images.retain(|image| match self.sort {
                Sort::Newest => image.id >= border,
                Sort::Oldest => image.id <= border,
            });
        }
        let fitting = fitting(&images, self.limit);
        let more = images.len() > fitting;
        images.truncate(fitting);
        let last = images.last().filter(|_| more).map(|last| last.id);
        let next = last.or(looked_to).map(|last| cursor::write(&self.fingerprint, last));
        ListReply { images, next, total }
    }
}

/// The page of these events, which are in order and one more than the limit where there are that
/// many.
pub(crate) fn events_reply(mut events: Vec<Event>, limit: usize) -> EventsReply {
    let fitting = fitting(&events, limit);
    let more = events.len() > fitting;
    events.truncate(fitting);
    let next = events.last().filter(|_| more).and_then(|last| last.seq);
    EventsReply { events, next }
}

/// How many of these fit one page: at most `limit`, and at least one, so that every page gets on.
pub(crate) fn fitting<T: Serialize>(items: &[T], limit: usize) -> usize {
    let mut room = PAGE_BYTES;
    let fits = |item: &&T| {
        let size = json_bytes(*item) + 1;
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    let count = items.iter().take(limit).take_while(fits).count();
    count.max(1).min(items.len())
}

/// Bytes of the JSON of a value.
fn json_bytes<T: Serialize>(value: &T) -> usize {
    struct Counted(usize);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    match serde_json::to_writer(&mut counted, value) {
        Ok(()) => counted.0,
        // What has no JSON fits nowhere.
        Err(_) => PAGE_BYTES,
    }
}
