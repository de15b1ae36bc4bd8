//! From a request's method, target and header lines to the [`Call`] that it is.

use jiff::Timestamp;
use serde::Deserialize;

use super::Call;
use super::answer::Answer;
use super::content::{Fetch, Version};
use super::place::{Place, number};
use super::query::{Query, bad};
use crate::error::{ErrorCode, Refusal};
use crate::image::{ImageId, Seq};
use crate::session::command::{Events, Filter, List, Rename, Sort, State, Target, Upload, View};

/// The longest target that is read: a filter's texts at their longest, each byte percent-encoded.
pub const MAX_TARGET_BYTES: usize = 16 * 1024;

/// Room for RENAME's body: the longest name takes less, however it is written.
pub const RENAME_BODY_BYTES: usize = 4 * 1024;

/// The header lines that matter here; each may be said once.
#[derive(Debug, Default)]
struct Lines<'a> {
    accept: Option<&'a str>,
    content_length: Option<&'a str>,
    content_type: Option<&'a str>,
    if_none_match: Option<&'a str>,
    if_range: Option<&'a str>,
    last_event_id: Option<&'a str>,
    range: Option<&'a str>,
}

/// Reads a request: its method, its target (the path and what follows `?`, as they were sent), and its
/// header lines, of which the others are ignored. A content's bytes, and the body of [`Call::Rename`],
/// are the caller's to read.
///
/// # Errors
/// The answer to what is no request of the API: 400, 404, 405, 411, 414, 415.
pub fn read<'a>(
    method: &str,
    target: &str,
    lines: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Call, Answer> {
    if target.len() > MAX_TARGET_BYTES {
        let refusal = bad(format!("it is longer than {MAX_TARGET_BYTES} bytes"));
        return Err(Answer::refused_as(414, &refusal));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let place = Place::of(path).ok_or_else(|| {
        let refusal = Refusal::new(ErrorCode::NotFound, "there is nothing at this address");
        Answer::refused(&refusal)
    })?;
    let refused = |refusal: Refusal| Answer::refused(&refusal);
    let lines = Lines::read(lines).map_err(refused)?;
    let mut query = Query::read(query).map_err(refused)?;
    let method = if method == "HEAD" { "GET" } else { method };
    let call = match (place, method) {
        (Place::Images, "GET") => Call::List(list(&mut query).map_err(refused)?),
        (Place::Images, "POST") => Call::Upload(upload(&mut query, &lines)?),
        (Place::Image(id), "GET") => Call::Info(id),
        (Place::Image(id), "PATCH") => {
            lines.json()?;
            Call::Rename(id)
        }
        (Place::Image(id), "DELETE") => Call::Delete(id),
        (Place::Restore(id), "POST") => Call::Restore(id),
        (Place::Exif(id), "GET") => Call::Exif(id),
        (Place::Variant(id, variant), "GET") => {
            let view = View { target: Target::id(id), variant };
            Call::View(view, fetch(&mut query, &lines).map_err(refused)?)
        }
        (Place::Original(id), "GET") => {
            let mut fetch = fetch(&mut query, &lines).map_err(refused)?;
            fetch.is_download = query.take_flag("download").map_err(refused)?;
            Call::Original(id, fetch)
        }
        (Place::Events, "GET") if lines.wants("text/event-stream") => {
            Call::Live(live(&mut query, &lines).map_err(refused)?)
        }
        (Place::Events, "GET") => Call::Events(events(&mut query).map_err(refused)?),
        (Place::Me, "GET") => Call::Me,
        (place, _) => {
            let message = format!("this address takes {} alone", place.allow());
            let mut answer =
                Answer::refused_as(405, &Refusal::new(ErrorCode::Unsupported, message));
            answer.head.headers.push(("allow", place.allow().to_owned()));
            return Err(answer);
        }
    };
    query.finish().map_err(refused)?;
    Ok(call)
}

/// Reads the body of a request that is [`Call::Rename`], `{"name":".."}`.
///
/// # Errors
/// The answer to what is none.
pub fn rename(image: ImageId, body: &[u8]) -> Result<Rename, Answer> {
    #[derive(Deserialize)]
    struct Body {
        name: String,
    }
    let unread = |why: String| {
        let message = format!("cannot read the new name: {why}");
        Refusal::new(ErrorCode::BadRequest, message)
    };
    if body.len() > RENAME_BODY_BYTES {
        let refusal = unread(format!("the request has more than {RENAME_BODY_BYTES} bytes"));
        return Err(Answer::refused_as(413, &refusal));
    }
    // serde would read an array's elements as the members in their order, which nobody means.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    match serde_json::from_slice(body) {
        Ok(Body { name }) if is_object => Ok(Rename { image, name }),
        // What serde says may quote what was said.
        _ => Err(Answer::refused(&unread("the request is not `{\"name\":\"..\"}`".to_owned()))),
    }
}

fn list(query: &mut Query) -> Result<List, Refusal> {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let when = "time of RFC 3339";
    let word = |name: &str, value: String| {
        let value = crate::name::shown(&value);
        let message = format!("there is no `{name}` called `{value}` here");
        Refusal::new(ErrorCode::Unsupported, message)
    };
    let state = match query.take("state").as_deref() {
        None | Some("listed") => State::Listed,
        Some("trashed") => State::Trashed,
        Some(other) => return Err(word("state", other.to_owned())),
    };
    let sort = match query.take("sort").as_deref() {
        None | Some("newest") => Sort::Newest,
        Some("oldest") => Sort::Oldest,
        Some(other) => return Err(word("sort", other.to_owned())),
    };
    let filter = Filter {
        name: query.take("name"),
        exact_name: None,
        uploader: query.take("uploader"),
        text: query.take("text"),
        uploaded_from: query.take_as("from", when, time)?,
        uploaded_before: query.take_as("before", when, time)?,
        media_type: query.take("type"),
        state,
    };
    let limit = limit(query)?;
    List { filter, sort, limit, cursor: query.take("cursor") }.bounded()
}

fn limit(query: &mut Query) -> Result<Option<u32>, Refusal> {
    let read = |text: &str| u32::try_from(number(text)?).ok();
    query.take_as("limit", "number of entries", read)
}

fn seq(text: &str) -> Option<Seq> {
    number(text).map(Seq)
}

fn events(query: &mut Query) -> Result<Events, Refusal> {
    let since = query.take_as("since", "event's number", seq)?.unwrap_or_default();
    Ok(Events { since, limit: limit(query)? })
}

/// What the browser heard last counts before what the page said when it began to listen.
fn live(query: &mut Query, lines: &Lines<'_>) -> Result<Option<Seq>, Refusal> {
    let since = query.take_as("since", "event's number", seq)?;
    match lines.last_event_id {
        None | Some("") => Ok(since),
        Some(last) => {
            let refusal = || Refusal::new(ErrorCode::BadRequest, "the Last-Event-ID is no event's");
            seq(last).map(Some).ok_or_else(refusal)
        }
    }
}

fn fetch(query: &mut Query, lines: &Lines<'_>) -> Result<Fetch, Refusal> {
    let version = query.take_as("v", "beginning of a hash (16 hex digits)", Version::parse)?;
    let owned = |line: Option<&str>| line.map(str::to_owned);
    Ok(Fetch {
        version,
        is_download: false,
        none_match: owned(lines.if_none_match),
        range: owned(lines.range),
        if_range: owned(lines.if_range),
    })
}

fn upload(query: &mut Query, lines: &Lines<'_>) -> Result<Upload, Answer> {
    let refused = |refusal: Refusal| Answer::refused(&refusal);
    let Some(length) = lines.content_length else {
        let message = "cannot take an image without the number of its bytes (Content-Length)";
        let refusal = Refusal::new(ErrorCode::BadRequest, message);
        return Err(Answer::refused_as(411, &refusal));
    };
    let size = number(length).ok_or_else(|| {
        refused(Refusal::new(ErrorCode::BadRequest, "the Content-Length is no number"))
    })?;
    let name = query.take("name").ok_or_else(|| refused(bad("it has no `name`".to_owned())))?;
    let unless_deleted = query.take_flag("unless_deleted").map_err(refused)?;
    Ok(Upload { name, size, hash: None, taken_at: None, unless_deleted })
}

impl<'a> Lines<'a> {
    fn read(all: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Refusal> {
        let mut lines = Lines::default();
        for (name, value) in all {
            let said = |known: &str| name.eq_ignore_ascii_case(known);
            let slot = if said("accept") {
                &mut lines.accept
            } else if said("content-length") {
                &mut lines.content_length
            } else if said("content-type") {
                &mut lines.content_type
            } else if said("if-none-match") {
                &mut lines.if_none_match
            } else if said("if-range") {
                &mut lines.if_range
            } else if said("last-event-id") {
                &mut lines.last_event_id
            } else if said("range") {
                &mut lines.range
            } else {
                continue;
            };
            let unread = |why: &str| {
                let name = name.to_ascii_lowercase();
                Refusal::new(ErrorCode::BadRequest, format!("the header `{name}` {why}"))
            };
            let value = std::str::from_utf8(value).map_err(|_| unread("is no text"))?;
            if slot.replace(value.trim()).is_some() {
                return Err(unread("is said twice"));
            }
        }
        Ok(lines)
    }

    /// Whether the one who asks takes this media type by name.
    fn wants(&self, media_type: &str) -> bool {
        let types = self.accept.unwrap_or_default().split(',');
        types.map(essence).any(|other| other.eq_ignore_ascii_case(media_type))
    }

    /// That the body is said to be JSON, which keeps out what a form of another site could send.
    fn json(&self) -> Result<(), Answer> {
        let said = essence(self.content_type.unwrap_or_default());
        if said.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        let text = "cannot read the request: it has to be of the type `application/json`";
        Err(Answer::refused_as(415, &Refusal::new(ErrorCode::BadRequest, text)))
    }
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}
