//! `imgctl queue ls|retry|cancel|pause|resume`: the uploads that go on by themselves.

use imgrepo_proto::Refusal;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::queue::{QueueRequest, QueuedUpload, UploadId, Which};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::limits::MAX_PAGE;
use serde::Serialize;

use crate::cli;
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::output::{DOCUMENTS, Output, Problem, Style, json};
use crate::table::{self, Align, columns};
use crate::uploads;

/// What a terminal shows unless told otherwise: what can be looked through.
const TERMINAL_LIMIT: u64 = 50;

/// `{"v":1,"changed":3}`.
#[derive(Serialize)]
struct Changed {
    changed: u64,
}

/// `{"v":1,"paused":true}`.
#[derive(Serialize)]
struct Paused {
    paused: bool,
}

/// Carries out one of them.
pub(crate) fn run(context: &Context, args: cli::Queue) -> Result<(), Failure> {
    match args {
        cli::Queue::Ls(args) => ls(context, &args),
        cli::Queue::Retry(which) => {
            let act = "try the uploads again";
            let count = change(context, act, QueueRequest::Retry(of(which)))?;
            say_changed(context, count, "is tried again", "are tried again")
        }
        cli::Queue::Cancel(which) => {
            let act = "give up the uploads";
            let count = change(context, act, QueueRequest::Cancel(of(which)))?;
            say_changed(context, count, "is given up", "are given up")
        }
        cli::Queue::Pause => pause(context, "pause the queue", QueueRequest::Pause, true),
        cli::Queue::Resume => pause(context, "resume the queue", QueueRequest::Resume, false),
    }
}

fn of(which: cli::Which) -> Which {
    match which.all {
        true => Which::All,
        false => Which::These(which.ids.into_iter().map(UploadId).collect()),
    }
}

fn change(context: &Context, act: &str, request: QueueRequest) -> Result<u64, Failure> {
    match context.ask(act, &Request::Queue(request))? {
        Outcome::Changed(count) => Ok(count),
        other => Err(Failure::new(act, unexpected(&other))),
    }
}

fn say_changed(context: &Context, count: u64, one: &str, several: &str) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document(&Changed { changed: count });
    }
    context.out.confirm(&match count {
        0 => "there is none to which that applies".to_owned(),
        1 => format!("1 upload {one}"),
        _ => format!("{count} uploads {several}"),
    });
    Ok(())
}

fn pause(context: &Context, act: &str, request: QueueRequest, paused: bool) -> Result<(), Failure> {
    context.ask(act, &Request::Queue(request))?;
    if context.out.json() {
        return context.out.document(&Paused { paused });
    }
    context.out.confirm(if paused { "the queue is paused" } else { "the queue goes on" });
    Ok(())
}

/// Pages of the queue, fetched one after the other: it may be longer than memory is worth.
pub(super) struct Pages {
    daemon: Client,
    all: bool,
    /// Where the next page begins.
    next: Option<UploadId>,
    /// How many are still wanted; None is all.
    wanted: Option<u64>,
    started: bool,
}

impl Pages {
    /// Of those that are not done, from the beginning.
    pub(super) fn open(daemon: Client) -> Self {
        Pages { daemon, all: false, next: None, wanted: None, started: false }
    }

    /// The next page; None at the end of the queue or of what was asked.
    pub(super) fn next(&mut self) -> Result<Option<Vec<QueuedUpload>>, Refusal> {
        if self.wanted == Some(0) || self.started && self.next.is_none() {
            return Ok(None);
        }
        self.started = true;
        let wanted = self.wanted.and_then(|wanted| u32::try_from(wanted).ok());
        let limit = wanted.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let request = QueueRequest::Ls { all: self.all, after: self.next, limit };
        match self.daemon.call(&Request::Queue(request))? {
            Outcome::Uploads { uploads, next } => {
                let count = uploads.len() as u64;
                self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(count));
                // A page of nothing that goes on at the same place would go on for ever.
                self.next = next.filter(|_| count > 0);
                Ok(Some(uploads))
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn ls(context: &Context, args: &cli::QueueLs) -> Result<(), Failure> {
    let out = &context.out;
    let act = "list the queue";
    let wrap = |refusal| Failure::new(act, refusal);
    let is_table = out.terminal() && !out.json();
    let wanted = args.limit.or(is_table.then_some(TERMINAL_LIMIT));
    let next = args.after.map(UploadId);
    let daemon = context.open().map_err(wrap)?;
    let mut pages = Pages { all: args.all, next, wanted, ..Pages::open(daemon) };
    if out.json() {
        return document(out, &mut pages);
    }
    let mut head = is_table;
    while let Some(uploads) = pages.next().map_err(wrap)? {
        if uploads.is_empty() {
            continue;
        }
        let lines = if is_table { rows(out, &uploads, head) } else { tabbed(&uploads) };
        for line in lines {
            out.line(&line)?;
        }
        head = false;
    }
    if head {
        out.note("the queue is empty");
    }
    if let Some(after) = pages.next {
        let all = if args.all { " --all" } else { "" };
        let limit = args.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
        out.note(&format!("more: imgctl queue ls{all}{limit} --after {after}"));
    }
    Ok(())
}

fn document(out: &Output, pages: &mut Pages) -> Result<(), Failure> {
    // The first page comes before the first byte: an error then is the whole document.
    let mut page = pages.next().map_err(|refusal| Failure::new("list the queue", refusal))?;
    out.document_part(&format!("{{\"v\":{DOCUMENTS},\"uploads\":["))?;
    let mut separator = "";
    let mut error = None;
    while let Some(uploads) = page {
        for upload in &uploads {
            let upload = json(&uploads::Document::from(upload));
            out.document_part(&format!("{separator}{upload}"))?;
            separator = ",";
        }
        page = pages.next().unwrap_or_else(|refusal| {
            error = Some(refusal);
            None
        });
    }
    let mut end = format!("],\"next\":{}", json(&pages.next));
    if let Some(refusal) = &error {
        end += &format!(",\"error\":{}", json(&Problem::from(refusal)));
    }
    out.document_part(&format!("{end}}}\n"))?;
    error.map_or(Ok(()), |refusal| Err(Failure::Said(refusal.code.exit_code())))
}

fn rows(out: &Output, uploads: &[QueuedUpload], head: bool) -> Vec<String> {
    let mut rows = vec![["ID", "SIZE", "SEEN", "STATE", "FILE"].map(str::to_owned).to_vec()];
    rows.extend(uploads.iter().map(|upload| {
        vec![
            upload.id.to_string(),
            table::size(upload.size),
            table::minute(Some(upload.seen_at)),
            uploads::state(upload),
            uploads::with_cause(upload),
        ]
    }));
    let aligns = [Align::Right, Align::Right, Align::Left, Align::Left, Align::Left];
    let mut lines = columns(&aligns, &rows).into_iter();
    let title = lines.next().filter(|_| head).map(|title| out.styled(Style::Bold, &title));
    let painted =
        lines.zip(uploads).map(|(line, upload)| uploads::painted(out, upload.state, &line));
    title.into_iter().chain(painted).collect()
}

/// A line for scripts, its columns parted by tabs: number, state, size and bytes done, file or name,
/// what went wrong. What is not known is empty.
fn tabbed(uploads: &[QueuedUpload]) -> Vec<String> {
    let line = |upload: &QueuedUpload| {
        [
            upload.id.to_string(),
            upload.state.word().to_owned(),
            upload.size.to_string(),
            upload.done.map(|done| done.to_string()).unwrap_or_default(),
            uploads::what(upload),
            uploads::cause(upload).unwrap_or_default(),
        ]
        .join("\t")
    };
    uploads.iter().map(line).collect()
}
