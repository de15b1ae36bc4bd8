//! A call of the API, carried out over the local socket: the same commands, answered the same way,
//! as a server's HTTP door has for browsers. Blocks; called by the threads of `door`.

use imgrepo_proto::api::{self, Answer, Call, Content, Fetch, Head};
use imgrepo_proto::control::reply::Size;
use imgrepo_proto::control::request::{self, Upload};
use imgrepo_proto::control::{Client, Outcome, Reply, Request};
use imgrepo_proto::session::command::{self, View};
use imgrepo_proto::session::reply::{EventsReply, ImageReply, UploadReply};
use imgrepo_proto::session::view::ExifReply;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageRecord, ImageRef, Refusal};
use serde::Serialize;

use crate::attached::Standing;

/// The largest content that is held for the page, which takes it whole: what no view can make
/// pixels of is above this anyway. It can be saved all the same.
const HELD_BYTES: u64 = 512 * 1024 * 1024;

/// Reserved at once for a content: more comes as it comes.
const RESERVED_BYTES: u64 = 4 * 1024 * 1024;

/// Events of a page, where no limit is said.
const EVENTS: u32 = 500;

/// A head and the bytes behind it.
pub(crate) type Fetched = (Head, Vec<u8>);

/// Who asks, and what they may.
#[derive(Serialize)]
struct Me {
    user: String,
    role: Option<String>,
    can: Vec<String>,
    seq: Option<imgrepo_proto::Seq>,
}

/// Carries it out; `body` is the request's.
pub(crate) fn carry_out(
    daemon: &mut Client,
    standing: &Standing,
    call: Call,
    body: &[u8],
) -> Fetched {
    let answer = match call {
        Call::View(view, fetch) => {
            return answered(picture(daemon, &view).as_ref(), &fetch);
        }
        Call::Original(image, fetch) => {
            return answered(original(daemon, image).as_ref(), &fetch);
        }
        Call::Rename(image) => match api::rename(image, body) {
            Ok(rename) => {
                let image = ImageRef::Id(rename.image);
                record(daemon, &Request::Rename { image, name: rename.name }).map(told)
            }
            Err(answer) => Ok(answer),
        },
        Call::List(list) => daemon.call(&Request::List(list)).and_then(|outcome| match outcome {
            Outcome::Images(page) => Ok(told(page)),
            _ => Err(unexpected()),
        }),
        Call::Info(image) => record(daemon, &Request::Info(ImageRef::Id(image))).map(told),
        Call::Delete(image) => record(daemon, &Request::Delete(ImageRef::Id(image))).map(told),
        Call::Restore(image) => record(daemon, &Request::Restore(ImageRef::Id(image))).map(told),
        Call::Exif(image) => {
            daemon.call(&Request::Exif(ImageRef::Id(image))).and_then(|outcome| match outcome {
                Outcome::Exif(exif) => Ok(told(ExifReply { exif: *exif })),
                _ => Err(unexpected()),
            })
        }
        Call::Upload(asked) => upload(daemon, asked.name, asked.unless_deleted, body),
        Call::Events(asked) => events(daemon, &asked),
        Call::Live(_) => Err(Refusal::new(
            ErrorCode::Unsupported,
            "the window tells the page what happens; there is no stream of it here",
        )),
        Call::Me => me(standing),
    };
    whole(answer.unwrap_or_else(|refusal| Answer::refused(&refusal)))
}

/// An answer and its bytes.
pub(crate) fn whole(answer: Answer) -> Fetched {
    (answer.head, answer.body.into_bytes())
}

fn told(told: impl Serialize) -> Answer {
    Answer::told(&told)
}

fn unexpected() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the daemon answered something else than was asked")
        .hint("restart the daemon: imgctl stop && imgrepod")
}

fn record(daemon: &mut Client, request: &Request) -> Result<ImageReply, Refusal> {
    match daemon.call(request)? {
        Outcome::Image(image) => Ok(ImageReply { image }),
        _ => Err(unexpected()),
    }
}

fn me(standing: &Standing) -> Result<Answer, Refusal> {
    let gone = || Refusal::new(ErrorCode::NotRunning, "the daemon is not running");
    let status = standing.now().ok_or_else(gone)?;
    let (user, role, can, seq) = (status.user, status.role, status.can, status.seq);
    Ok(told(Me { user, role, can, seq }))
}

fn upload(
    daemon: &mut Client,
    name: String,
    unless_deleted: bool,
    mut body: &[u8],
) -> Result<Answer, Refusal> {
    let upload = Upload { name, content: request::Content::Stream, unless_deleted };
    match daemon.upload_stream(&upload, &mut body, &mut |_| Ok(()))? {
        Outcome::Stored { image, duplicate } => Ok(told(UploadReply { image, duplicate })),
        _ => Err(unexpected()),
    }
}

/// A page of history. The local socket gives all of it, so this stops where the page is full.
fn events(daemon: &mut Client, asked: &command::Events) -> Result<Answer, Refusal> {
    let limit = asked.limit.unwrap_or(EVENTS).min(EVENTS) as usize;
    let mut events = Vec::new();
    let mut is_full = false;
    let request = Request::Events { since: Some(asked.since), follow: false };
    let outcome = daemon.call_with(&request, &mut |reply| {
        if let Reply::Event(event) = reply {
            if events.len() == limit {
                is_full = true;
                return Err(Refusal::new(ErrorCode::Cancelled, "enough"));
            }
            events.push(*event);
        }
        Ok(())
    });
    if !is_full {
        outcome?;
    }
    let next = events.last().and_then(|event| event.seq).filter(|_| is_full);
    Ok(told(EventsReply { events, next }))
}

/// A content that the daemon has checked.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The image that it is of.
    pub(crate) record: ImageRecord,
    /// Its own hash, which an old server does not tell.
    pub(crate) hash: Option<BlobHash>,
    /// By its bytes.
    pub(crate) media_type: Option<String>,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
}

/// A picture made for looking at an image.
pub(crate) fn picture(daemon: &mut Client, view: &View) -> Result<Picture, Refusal> {
    let unnamed = || Refusal::new(ErrorCode::BadRequest, "the picture is of no image");
    let image = view.target.image.ok_or_else(unnamed)?;
    let request = Request::View { image: ImageRef::Id(image), variant: view.variant };
    let (size, bytes) = content(daemon, &request)?;
    // Of the image itself no more is known here: to ask for its record would double each fetch.
    let record = ImageRecord::bare(image, size.info.name.clone(), "");
    Ok(Picture { record, hash: size.info.hash, media_type: size.info.media_type, bytes })
}

fn original(daemon: &mut Client, image: ImageId) -> Result<Picture, Refusal> {
    let record = record(daemon, &Request::Info(ImageRef::Id(image)))?.image;
    let request = Request::Download { image: ImageRef::Id(image), offset: 0 };
    let (size, bytes) = content(daemon, &request)?;
    Ok(Picture { record, hash: size.info.hash, media_type: size.info.media_type, bytes })
}

/// The content as it is asked for, or why it cannot be had.
pub(crate) fn answered(fetched: Result<&Picture, &Refusal>, fetch: &Fetch) -> Fetched {
    let picture = match fetched {
        Ok(picture) => picture,
        Err(refusal) => return whole(Answer::refused(refusal)),
    };
    let Picture { record, hash, media_type, bytes } = picture;
    let (head, part) = fetch.answer(&Content {
        record,
        hash: hash.unwrap_or(BlobHash([0; 32])),
        size: bytes.len() as u64,
        media_type: media_type.as_deref(),
    });
    let part = bytes.get(index(part.start)..index(part.end)).unwrap_or_default();
    (head, part.to_vec())
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The bytes of a content, which the daemon has checked.
fn content(daemon: &mut Client, request: &Request) -> Result<(Size, Vec<u8>), Refusal> {
    let mut announced: Option<Size> = None;
    let mut bytes = Vec::new();
    daemon.call_with(request, &mut |reply| {
        match reply {
            Reply::Size(size) => {
                let announced_bytes = size.info.size;
                if announced_bytes > HELD_BYTES {
                    let message = format!("{announced_bytes} bytes are too many for the window");
                    return Err(Refusal::new(ErrorCode::TooLarge, message).hint("save the image"));
                }
                bytes.reserve(index(announced_bytes.min(RESERVED_BYTES)));
                announced = Some(size);
            }
            Reply::Data(piece) => bytes.extend(piece),
            _ => {}
        }
        let all = announced.as_ref().map_or(0, |size| size.info.size);
        match bytes.len() as u64 > all {
            true => Err(Refusal::new(ErrorCode::WrongSize, "more came than was announced")),
            false => Ok(()),
        }
    })?;
    let none = || Refusal::new(ErrorCode::Internal, "the daemon sent no content");
    Ok((announced.ok_or_else(none)?, bytes))
}
