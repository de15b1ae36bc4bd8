//! The commands of the classic dialect, each a future that the session's reader drives.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use imgrepo_proto::limits::{DATA_MESSAGE_BYTES, MAX_PAGE, V1_MESSAGE_BYTES};
use imgrepo_proto::session::EventKind;
use imgrepo_proto::session::command::{CommandKind, List, Target, Upload};
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::session::v1::{Command, Entry, Reply};
use imgrepo_proto::{ErrorCode, ImageRecord, PersonName, Refusal, Seq};

use super::{Expected, Left, Scene, texts};
use crate::repository::catalog::Again;
use crate::repository::{Actor, Content, Done};
use crate::server::entrance::Gone;
use crate::server::figures::Spoken;

/// Uploads that a person is told of after AUTH. The old system's number.
const HISTORY: u32 = 5;

/// What a list's message has around its entries.
const LIST_FRAME_BYTES: usize = 64;

/// Events that are read at once.
const PAGE: u32 = 64;

pub(super) async fn carry_out(scene: Scene, actor: Actor, command: Command) -> Left {
    let (begun, context) = (Instant::now(), scene.context.clone());
    let kind = match &command {
        Command::List => CommandKind::List,
        Command::Upload { .. } => CommandKind::Upload,
        Command::Download(_) => CommandKind::Download,
        Command::View(_) => CommandKind::View,
        Command::Auth(_) => CommandKind::Auth,
        Command::Disconnect => CommandKind::Disconnect,
    };
    let left = act_on(scene, actor, command).await;
    // Of an upload this is the word to go on; its content is nobody's command.
    context.figures.answered(Spoken::V1, kind, begun.elapsed());
    left
}

async fn act_on(scene: Scene, actor: Actor, command: Command) -> Left {
    match command {
        Command::List => list(scene, actor).await,
        Command::Upload { name, size } => upload(scene, actor, name, size).await,
        Command::Download(name) => download(scene, actor, name, false).await,
        Command::View(name) => download(scene, actor, name, true).await,
        // The reader sees to them.
        Command::Auth(_) | Command::Disconnect => Left::Nothing,
    }
}

/// Whoever begins with another command than AUTH.
pub(super) async fn be_anon(scene: Scene) -> Left {
    match scene.context.guest(&PersonName::anon(), scene.origin).await {
        Ok(actor) => Left::Person(actor),
        Err(refusal) => {
            say_in_order(scene, Reply::Error(texts::refused("anon", &refusal))).await;
            Left::Gone(Gone { code: 1011, reason: "not admitted" })
        }
    }
}

/// A reply behind everything that is queued.
pub(super) async fn say_in_order(scene: Scene, reply: Reply) -> Left {
    // The link is over: the reader learns it too.
    let _ = scene.outbox.in_order(|| Some(reply.encode())).await;
    Left::Nothing
}

pub(super) async fn auth(scene: Scene, user: Option<String>) -> Left {
    let name = match user.as_deref().map(str::trim) {
        None | Some("") => PersonName::anon(),
        Some(name) => match PersonName::parse(name) {
            Ok(name) => name,
            Err(_) => return say_in_order(scene, Reply::Error(texts::bad_person(name))).await,
        },
    };
    let actor = match scene.context.guest(&name, scene.origin).await {
        Ok(actor) => actor,
        Err(refusal) => {
            let reply = Reply::Error(texts::refused(name.as_str(), &refusal));
            return say_in_order(scene, reply).await;
        }
    };
    say_in_order(scene.clone(), Reply::Success(texts::welcome(name.as_str()))).await;
    match scene.context.repository.last_uploads(HISTORY).await {
        Ok(events) if events.is_empty() => {}
        Ok(events) => {
            let messages = events.iter().map(texts::new_upload).collect();
            say_in_order(scene, Reply::History(messages)).await;
        }
        Err(refusal) => tracing::error!(reason = %refusal, "cannot read the last uploads"),
    }
    Left::Person(actor)
}

/// Looks up anew who this is, because something changed for somebody.
pub(super) async fn refresh(scene: Scene, actor: Actor) -> Left {
    match scene.context.refresh(&actor).await {
        Ok(actor) => Left::Person(actor),
        Err(gone) => Left::Gone(gone),
    }
}

/// The newest entries that fit the message of an old program, in the order of upload.
async fn list(scene: Scene, actor: Actor) -> Left {
    let mut entries = Vec::new();
    let mut bytes = LIST_FRAME_BYTES;
    let mut cursor = None;
    let mut cut = false;
    while !cut {
        let page = List { limit: Some(MAX_PAGE), cursor, ..List::default() };
        let page = match scene.context.repository.list(&actor, page).await {
            Ok(page) => page,
            Err(refusal) => {
                return say_in_order(scene, Reply::Error(texts::refused("LIST", &refusal))).await;
            }
        };
        for image in page.images {
            let entry = Entry { filename: image.name, uploader: image.uploader };
            // As the list will have it, with a comma.
            bytes += serde_json::to_string(&entry).map_or(0, |text| text.len() + 1);
            if bytes > V1_MESSAGE_BYTES {
                cut = true;
                break;
            }
            entries.push(entry);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if cut {
        let listed = entries.len();
        tracing::info!(listed, "cut a v1 list to the newest entries that an old program takes");
    }
    entries.reverse();
    say_in_order(scene, Reply::List(entries)).await
}

async fn upload(scene: Scene, actor: Actor, name: String, size: u64) -> Left {
    let most = scene.context.settings.v1_max_image_bytes;
    if size > most {
        let reply = Reply::Error(texts::too_large(&name, size, most));
        return say_in_order(scene, reply).await;
    }
    let kib = u32::try_from(size.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
    let budget = scene.context.v1_budget.clone();
    let Ok(share) = budget.try_acquire_many_owned(kib) else {
        return say_in_order(scene, Reply::Error(texts::BUSY.to_owned())).await;
    };
    let upload =
        Upload { name: name.clone(), size, hash: None, taken_at: None, unless_deleted: false };
    let (tell, told) = oneshot::channel();
    let done = done(&scene, name, tell);
    let repository = scene.context.repository.clone();
    match repository.begin(&actor, upload, Again::SameNameOnly, done).await {
        Some(receiving) => Left::Expects(Box::new(Expected { size, receiving, share, told })),
        None => {
            // Refused: the next command waits for the reply to this one.
            let _ = told.await;
            Left::Nothing
        }
    }
}

/// The reply to an upload, as what the repository calls.
fn done(scene: &Scene, name: String, tell: oneshot::Sender<()>) -> Done<UploadReply> {
    let outbox = scene.outbox.clone();
    Box::new(move |outcome| {
        let reply = match outcome {
            Ok(stored) => Reply::Success(texts::stored(&stored.image)),
            Err(refusal) => {
                log_fault(&refusal);
                Reply::Error(texts::refused(&name, &refusal))
            }
        };
        outbox.push(reply.encode());
        // Nobody waits where the session is over.
        let _ = tell.send(());
    })
}

/// Stores a content of the size that was announced.
pub(super) async fn store(expected: Expected, content: Bytes) -> Left {
    let Expected { size, mut receiving, share, told } = expected;
    match receiving.write(vec![content]).await {
        Ok(written) if written == size => receiving.finish().await,
        Ok(_) => receiving.fail(Refusal::new(ErrorCode::Internal, "the content was cut short")),
        Err(refusal) => receiving.fail(refusal),
    }
    drop(share);
    // An error means that nothing is said any more.
    let _ = told.await;
    Left::Nothing
}

async fn download(scene: Scene, actor: Actor, name: String, view: bool) -> Left {
    let (image, content) = match newest(&scene, &actor, &name).await {
        Ok(found) => found,
        Err(refusal) => {
            log_fault(&refusal);
            return say_in_order(scene, Reply::Error(texts::refused(&name, &refusal))).await;
        }
    };
    let size = content.size();
    // The first part is read before anything is promised.
    let mut part = match content.read(0, part_len(0, size), 0).await {
        Ok(part) => part,
        Err(refusal) => {
            log_fault(&refusal);
            return say_in_order(scene, Reply::Error(texts::refused(&name, &refusal))).await;
        }
    };
    let info = Reply::SizeInfo { size, filename: image.name.clone(), view };
    say_in_order(scene.clone(), info).await;
    let mut sent = 0;
    loop {
        let first = sent == 0;
        sent += part.len() as u64;
        let last = sent >= size;
        if scene.outbox.part(part.freeze(), first, last).await.is_err() {
            return Left::Nothing;
        }
        if last {
            break;
        }
        part = match content.read(sent, part_len(sent, size), 0).await {
            Ok(part) if !part.is_empty() => part,
            // The message has begun and cannot be taken back.
            Ok(_) => return broken(&scene, "the content was cut short"),
            Err(refusal) => return broken(&scene, &refusal.message),
        };
    }
    say_in_order(scene, Reply::Success(texts::sent(&image))).await
}

fn part_len(sent: u64, size: u64) -> usize {
    usize::try_from(size.saturating_sub(sent)).unwrap_or(usize::MAX).min(DATA_MESSAGE_BYTES)
}

async fn newest(
    scene: &Scene,
    actor: &Actor,
    name: &str,
) -> Result<(ImageRecord, Content), Refusal> {
    let image = scene.context.repository.newest_named(name).await?;
    scene.context.repository.content(actor, &Target::id(image.id)).await
}

fn broken(scene: &Scene, reason: &str) -> Left {
    tracing::error!(%reason, "a v1 download broke off");
    scene.outbox.abort(reason);
    Left::Nothing
}

fn log_fault(refusal: &Refusal) {
    if refusal.code == ErrorCode::Internal {
        tracing::error!(reason = %refusal.message, "a v1 command failed");
    }
}

/// Tells of every upload after `heard`, up to `newest`.
pub(super) async fn tell(scene: Scene, mut heard: Seq, newest: Seq) -> Left {
    while heard < newest {
        let page = match scene.context.repository.events(heard, PAGE).await {
            Ok(page) => page,
            Err(refusal) => {
                tracing::error!(reason = %refusal, "cannot read events for a v1 session");
                return Left::Over;
            }
        };
        let before = heard;
        for event in page.events {
            let Some(seq) = event.seq.filter(|seq| *seq <= newest) else { break };
            if event.event == EventKind::NewUpload {
                let text = Reply::NewUpload(texts::new_upload(&event)).encode();
                if scene.outbox.in_order(|| Some(text)).await.is_err() {
                    return Left::Nothing;
                }
            }
            heard = seq;
        }
        if heard == before {
            tracing::error!(%heard, %newest, "the history has a gap");
            return Left::Over;
        }
    }
    Left::Heard(heard)
}
