//! `metadata.json`: its entries read one by one, each on its own, and written so that any Python
//! reads them. Called by the folder and the export; pure but for the reader it is given.

use std::fmt::{self, Write as _};
use std::io::{self, Read};

use imgrepo_proto::{ErrorCode, ImageName, PersonName, Refusal};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{IMAGES, timestamp};

/// The longest timestamp, as JSON, that is one: it is kept whole.
const MAX_TIMESTAMP_BYTES: usize = 128;

/// The largest file: two million entries. Beyond it is not an old server's, and would fill the memory.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// The most entries: as many as fit, were they sound. What is none at all takes two bytes in the file
/// and some hundred here.
const MAX_ENTRIES: usize = 2_000_000;

/// An entry that can be taken if its file can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) name: ImageName,
    pub(super) uploader: PersonName,
    /// The file's name in the folder of images: one part of a path, never `.` or `..`.
    pub(super) file: String,
    /// In JSON, as it stands there.
    pub(super) timestamp: String,
    pub(super) uploaded_at: Option<Timestamp>,
}

/// An entry that makes no sense, and its number where that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damaged {
    pub(super) number: Option<u64>,
    pub(super) error: Refusal,
}

/// An entry as it stands there, each member for itself.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    filename: Option<&'a RawValue>,
    #[serde(borrow)]
    uploader: Option<&'a RawValue>,
    #[serde(borrow)]
    path: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

/// Reads the whole file.
///
/// # Errors
/// In words: it is no list in JSON, or too large.
pub(super) fn read(
    file: impl Read,
    zone: &TimeZone,
) -> Result<Vec<Result<Entry, Damaged>>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_reader(WithoutMark {
        // Where it ends too early, the JSON is not whole.
        inner: io::BufReader::new(file.take(MAX_FILE_BYTES)),
        is_behind: false,
    });
    let entries = reader.deserialize_seq(Entries(zone))?;
    reader.end()?;
    Ok(entries)
}

/// What is behind the mark that some editors put before a text (U+FEFF).
struct WithoutMark<R> {
    inner: R,
    is_behind: bool,
}

impl<R: io::BufRead> Read for WithoutMark<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_behind {
            self.is_behind = true;
            if self.inner.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
                self.inner.consume(3);
            }
        }
        self.inner.read(buffer)
    }
}

struct Entries<'a>(&'a TimeZone);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<Result<Entry, Damaged>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of images")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        // As raw text: what is wrong inside an entry is that entry's alone.
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            if entries.len() >= MAX_ENTRIES {
                let why = format!("it has more than {MAX_ENTRIES} entries");
                return Err(serde::de::Error::custom(why));
            }
            entries.push(entry(raw.get(), self.0));
        }
        Ok(entries)
    }
}

/// Reads one entry.
fn entry(json: &str, zone: &TimeZone) -> Result<Entry, Damaged> {
    let damaged = |number, why: String| Damaged {
        number,
        error: Refusal::new(ErrorCode::BadRequest, format!("the entry is damaged: {why}")),
    };
    // A list of values would read as one too.
    let raw = if json.starts_with('{') { serde_json::from_str(json).ok() } else { None };
    let Some(raw): Option<Raw<'_>> = raw else {
        return Err(damaged(None, "it is no object with each member once".to_owned()));
    };
    let number: u64 = match raw.id {
        None => return Err(damaged(None, "it has no `id`".to_owned())),
        // As the catalog keeps numbers.
        Some(id) => match id.get().parse().ok().filter(|id| i64::try_from(*id).is_ok()) {
            Some(number) => number,
            None => return Err(damaged(None, "its `id` is no number of an image".to_owned())),
        },
    };
    let damaged = |why: String| damaged(Some(number), why);
    let text = |member: &str, json: Option<&RawValue>| {
        let Some(json) = json else { return Err(damaged(format!("it has no `{member}`"))) };
        serde_json::from_str::<String>(json.get())
            .map_err(|_| damaged(format!("its `{member}` is no text")))
    };
    let named = |member: &str, error: &dyn fmt::Display| Damaged {
        number: Some(number),
        error: Refusal::new(ErrorCode::BadName, format!("its `{member}` cannot be one: {error}")),
    };
    let name = text("filename", raw.filename)?;
    let name = ImageName::parse(&name).map_err(|error| named("filename", &error))?;
    let uploader = text("uploader", raw.uploader)?;
    let uploader = PersonName::parse(&uploader).map_err(|error| named("uploader", &error))?;
    let path = text("path", raw.path)?;
    let Some(file) = file_of(&path) else {
        let path = imgrepo_proto::name::shown(&path);
        return Err(damaged(format!("its `path`, `{path}`, is no file of `{IMAGES}`")));
    };
    let Some(told) = raw.timestamp.map(RawValue::get) else {
        return Err(damaged("it has no `timestamp`".to_owned()));
    };
    let is_value = told.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
    if !is_value || told.len() > MAX_TIMESTAMP_BYTES {
        return Err(damaged("its `timestamp` is no time".to_owned()));
    }
    let (timestamp, uploaded_at) = (told.to_owned(), timestamp::read(told, zone));
    Ok(Entry { number, name, uploader, file: file.to_owned(), timestamp, uploaded_at })
}

/// The file in `imagens/` that a path names: as any system writes paths, from where the server ran or
/// whole. What stands before `imagens` is not followed, so it says nothing; but a path that climbs is
/// none that the old server wrote.
fn file_of(path: &str) -> Option<&str> {
    let mut parts = path.split(['/', '\\']).rev();
    let file = parts.next().filter(|file| !matches!(*file, "" | "." | ".."))?;
    if file.contains('\0') || parts.next() != Some(IMAGES) || parts.any(|part| part == "..") {
        return None;
    }
    Some(file)
}

/// An entry as an export writes it.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub(super) id: u64,
    pub(super) filename: &'a str,
    pub(super) uploader: &'a str,
    pub(super) path: &'a str,
    pub(super) thumb_path: Option<&'a str>,
    pub(super) timestamp: Box<RawValue>,
}

impl Line<'_> {
    /// Its JSON, on one line, in ASCII: Python on Windows reads files in the system's own encoding.
    pub(super) fn encode(&self) -> serde_json::Result<String> {
        let json = serde_json::to_string(self)?;
        let mut ascii = String::with_capacity(json.len());
        for c in json.chars() {
            if c.is_ascii() {
                ascii.push(c);
                continue;
            }
            // Outside of texts JSON has nothing but ASCII.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
        Ok(ascii)
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
