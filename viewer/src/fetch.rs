//! A call of the API, carried out over the local socket: the same commands, answered the same way,
//! as a server's HTTP door has for browsers. Blocks; called by the threads of `door`.

use imgrepo_proto::api::{self, Answer, Call, Content, Fetch, Head};
use imgrepo_proto::control::reply::Size;
use imgrepo_proto::control::request::{self, Upload};
use imgrepo_proto::control::{Client, Outcome, Reply, Request};
use imgrepo_proto::session::command::{Target, View};
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
        Call::View(view, fetch) => return picture(daemon, view, &fetch),
        Call::Original(image, fetch) => return original(daemon, image, &fetch),
        Call::Rename(image) => match api::rename(image, body) {
            Ok(rename) => {
                let image = ImageRef::Id(rename.image);
                record(daemon, &Request::Rename { image, name: rename.name }).map(told)
            }
            Err(answer) => Ok(answer),
        },
        Call::List(list) => daemon.call(&Request::List(list)).and_then(|outcome| match outcome {
            Outcome::Images(page) => Ok(told(page)),
            other => Err(unexpected(&other)),
        }),
        Call::Info(image) => record(daemon, &Request::Info(ImageRef::Id(image))).map(told),
        Call::Delete(image) => record(daemon, &Request::Delete(ImageRef::Id(image))).map(told),
        Call::Restore(image) => record(daemon, &Request::Restore(ImageRef::Id(image))).map(told),
        Call::Exif(image) => {
            daemon.call(&Request::Exif(ImageRef::Id(image))).and_then(|outcome| match outcome {
                Outcome::Exif(exif) => Ok(told(ExifReply { exif: *exif })),
                other => Err(unexpected(&other)),
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

fn unexpected(outcome: &Outcome) -> Refusal {
    let _ = outcome;
    Refusal::new(ErrorCode::Internal, "the daemon answered something else than was asked")
        .hint("restart the daemon: imgctl stop && imgrepod")
}

fn record(daemon: &mut Client, request: &Request) -> Result<ImageReply, Refusal> {
    match daemon.call(request)? {
        Outcome::Image(image) => Ok(ImageReply { image }),
        other => Err(unexpected(&other)),
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
        other => Err(unexpected(&other)),
    }
}

/// A page of history. The local socket gives all of it, so this stops where the page is full.
fn events(
    daemon: &mut Client,
    asked: &imgrepo_proto::session::command::Events,
) -> Result<Answer, Refusal> {
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

fn picture(daemon: &mut Client, view: View, fetch: &Fetch) -> Fetched {
    let made = image_of(&view.target).and_then(|image| {
        let request = Request::View { image: ImageRef::Id(image), variant: view.variant };
        let (size, bytes) = content(daemon, &request, u64::MAX)?;
        // The name is the variant's, and of the image's own hash nothing is said: what the page has
        // kept is asked about, which is a look into this window's own memory.
        Ok((ImageRecord::bare(image, size.info.name.clone(), ""), size, bytes))
    });
    answered(made, fetch)
}

fn original(daemon: &mut Client, image: ImageId, fetch: &Fetch) -> Fetched {
    let fetched = record(daemon, &Request::Info(ImageRef::Id(image))).and_then(|reply| {
        let request = Request::Download { image: ImageRef::Id(image), offset: 0 };
        let (size, bytes) = content(daemon, &request, HELD_BYTES)?;
        Ok((reply.image, size, bytes))
    });
    answered(fetched, fetch)
}

fn answered(fetched: Result<(ImageRecord, Size, Vec<u8>), Refusal>, fetch: &Fetch) -> Fetched {
    let (record, size, mut bytes) = match fetched {
        Ok(fetched) => fetched,
        Err(refusal) => return whole(Answer::refused(&refusal)),
    };
    // Of an old server's content no hash is known, and nothing can be kept by it.
    let hash = size.info.hash.unwrap_or(BlobHash([0; 32]));
    let media_type = size.info.media_type.as_deref();
    let (head, part) =
        fetch.answer(&Content { record: &record, hash, size: bytes.len() as u64, media_type });
    let (from, to) = (index(part.start), index(part.end));
    bytes.truncate(to);
    bytes.drain(..from.min(bytes.len()));
    (head, bytes)
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The bytes of a content, which the daemon has checked.
fn content(daemon: &mut Client, request: &Request, most: u64) -> Result<(Size, Vec<u8>), Refusal> {
    let mut announced: Option<Size> = None;
    let mut bytes = Vec::new();
    daemon.call_with(request, &mut |reply| {
        match reply {
            Reply::Size(size) => {
                let announced_bytes = size.info.size;
                if announced_bytes > most {
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

fn image_of(target: &Target) -> Result<ImageId, Refusal> {
    let unnamed = || Refusal::new(ErrorCode::BadRequest, "the picture is of no image");
    target.image.ok_or_else(unnamed)
}
