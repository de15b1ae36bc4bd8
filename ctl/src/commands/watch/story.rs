//! `imgctl watch status FILE`: all that happened to a file, a line each.

use std::path::Path;

use imgrepo_proto::control::queue::{QueuedUpload, UploadState};
use imgrepo_proto::control::watch::{FileStory, WatchRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::{table, uploads};

/// `{"v":1,"file":{...}}`.
#[derive(Serialize)]
struct Document<'a> {
    file: File<'a>,
}

#[derive(Serialize)]
struct File<'a> {
    path: String,
    folder: Option<String>,
    upload: Option<uploads::Document<'a>>,
    note: &'a Option<String>,
}

/// Asks and shows.
pub(super) fn run(context: &Context, file: &Path) -> Result<(), Failure> {
    let act = format!("tell the story of `{}`", file.display());
    let path = super::real_file(&act, file)?;
    let story = match context.ask(&act, &Request::Watch(WatchRequest::Status { path }))? {
        Outcome::File(story) => *story,
        other => return Err(Failure::new(act, unexpected(&other))),
    };
    if context.out.json() {
        let file = File {
            path: table::lossy(&story.path),
            folder: story.folder.as_deref().map(table::lossy),
            upload: story.upload.as_ref().map(uploads::Document::from),
            note: &story.note,
        };
        return context.out.document(&Document { file });
    }
    lines(&story).iter().try_for_each(|line| context.out.line(line))
}

/// The events in their order, then how it stands.
fn lines(story: &FileStory) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(upload) = &story.upload {
        let mut past = past(upload);
        past.sort_by_key(|(at, _)| *at);
        lines.extend(past.into_iter().map(|(at, text)| line(&table::second(Some(at)), &text)));
        if let Some(to) = &upload.moved_to {
            lines.push(line("", &format!("moved to {}", table::path(to))));
        }
        lines.extend(now(upload).map(|text| line("now", &text)));
    }
    if let Some(note) = &story.note {
        lines.push(line("", &shown(note)));
    }
    if lines.is_empty() {
        lines.push("nothing is known of it".to_owned());
    }
    lines
}

fn line(when: &str, text: &str) -> String {
    /// As wide as a time.
    const WIDTH: usize = 19;
    format!("{when:<WIDTH$}  {text}")
}

fn past(upload: &QueuedUpload) -> Vec<(Timestamp, String)> {
    let image = upload.image.map(|id| format!(" as image {id}")).unwrap_or_default();
    let why = uploads::cause(upload).map(|cause| format!(": {cause}")).unwrap_or_default();
    let seen = match &upload.folder {
        Some(folder) => format!("seen in {}", table::path(folder)),
        None => "asked for".to_owned(),
    };
    let mut past = vec![(upload.seen_at, seen)];
    let mut add = |at: Option<Timestamp>, text: String| past.extend(at.map(|at| (at, text)));
    add(upload.queued_at, format!("queued as upload {}", upload.id));
    let hash = upload.hash.map(|hash| format!(": {hash}")).unwrap_or_default();
    add(upload.hashed_at, format!("hashed{hash}"));
    let attempt = match upload.attempts {
        0 | 1 => String::new(),
        attempts => format!(", attempt {attempts}"),
    };
    // What the server had, or does not want, was not sent: it said so when it was asked.
    let sent = match upload.state {
        UploadState::Duplicate | UploadState::Ignored => "the server was asked",
        _ => "sent",
    };
    add(upload.sent_at, format!("{sent}{attempt}"));
    let end = match upload.state {
        UploadState::Stored => format!("stored{image}"),
        UploadState::Duplicate => format!("stored before{image}"),
        UploadState::Ignored => format!("ignored{why}"),
        UploadState::Refused => format!("refused{why}"),
        UploadState::Failed => format!("failed{why}"),
        UploadState::Cancelled => "given up".to_owned(),
        UploadState::Settling
        | UploadState::Queued
        | UploadState::Sending
        | UploadState::Waiting => return past,
    };
    add(upload.ended_at, end);
    past
}

/// How it stands, where it goes on.
fn now(upload: &QueuedUpload) -> Option<String> {
    match upload.state {
        UploadState::Settling => Some("settling: a program writes it, or may".to_owned()),
        UploadState::Queued => Some("queued: its turn will come".to_owned()),
        UploadState::Sending => {
            Some(format!("{} of {}", uploads::state(upload), table::size(upload.size)))
        }
        UploadState::Waiting => {
            let why = uploads::cause(upload).map(|cause| format!(": {cause}"));
            let at =
                upload.retry_at.map(|at| format!(", tried again at {}", table::second(Some(at))));
            Some(format!("waiting{}{}", why.unwrap_or_default(), at.unwrap_or_default()))
        }
        _ => None,
    }
}
