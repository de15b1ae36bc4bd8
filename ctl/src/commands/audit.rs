//! `imgctl audit`: who did what to people and images, the newest first. The record is shown page by
//! page, so that one of any length passes through little memory.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::limits::MAX_PAGE;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command;
use imgrepo_proto::session::people::{AuditEntry, AuditReply};

use crate::cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::Cells;
use crate::output::{DOCUMENTS, Output, Problem, json};
use crate::people::ask;
use crate::table::Align;

/// What a terminal shows unless told otherwise: what can be looked through.
const TERMINAL_LIMIT: u64 = 50;

/// Pages of the record, fetched one after the other.
struct Pages<'a> {
    context: &'a Context,
    /// How many entries are still wanted; None is all.
    wanted: Option<u64>,
    before: Option<u64>,
    ended: bool,
}

impl Pages<'_> {
    /// The next page; None at the end of the record or of what was asked.
    fn next(&mut self) -> Result<Option<Vec<AuditEntry>>, Failure> {
        if self.ended || self.wanted == Some(0) {
            return Ok(None);
        }
        let limit = self.wanted.and_then(|wanted| u32::try_from(wanted).ok());
        let limit = Some(limit.unwrap_or(MAX_PAGE).min(MAX_PAGE));
        let request = PeopleRequest::Audit(command::Audit { before: self.before, limit });
        let AuditReply { entries, next } =
            ask(self.context, "read the record", request, |outcome| match outcome {
                PeopleOutcome::Audit(page) => Some(page),
                _ => None,
            })?;
        let count = entries.len() as u64;
        self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(count));
        self.ended = next.is_none();
        self.before = next;
        Ok(Some(entries))
    }
}

/// Shows it.
pub(crate) fn run(context: &Context, args: &cli::Audit) -> Result<(), Failure> {
    let out = &context.out;
    let short = out.terminal() && !out.json() && !args.all;
    let wanted = args.limit.or(short.then_some(TERMINAL_LIMIT));
    let mut pages = Pages { context, wanted, before: None, ended: false };
    if out.json() {
        return document(out, &mut pages);
    }
    let cells = Cells::of(out);
    let mut head = true;
    while let Some(entries) = pages.next()? {
        if head && entries.is_empty() {
            out.note("nothing was done yet");
        }
        let rows = entries.iter().map(|entry| row(cells, entry)).collect();
        cells.show(out, (&TITLES, head), rows)?;
        head = false;
    }
    if !pages.ended && args.limit.is_none() {
        out.note("there is more: imgctl audit --all");
    }
    Ok(())
}

const TITLES: [(&str, Align); 5] = [
    ("AT", Align::Left),
    ("BY", Align::Left),
    ("FROM", Align::Left),
    ("DID", Align::Left),
    ("TO", Align::Left),
];

fn row(cells: Cells, entry: &AuditEntry) -> Vec<String> {
    vec![
        cells.at(Some(entry.at)),
        shown(&entry.by),
        shown(&entry.from),
        shown(&entry.act),
        shown(&entry.object),
    ]
}

/// `{"v":1,"entries":[...]}`, and `"error":{...}` where the record broke off.
fn document(out: &Output, pages: &mut Pages<'_>) -> Result<(), Failure> {
    // The first page comes before the first byte: an error then is the whole document.
    let mut page = pages.next()?;
    out.document_part(&format!("{{\"v\":{DOCUMENTS},\"entries\":["))?;
    let mut separator = "";
    let mut broken = None;
    while let Some(entries) = page {
        for entry in &entries {
            out.document_part(&format!("{separator}{}", json(entry)))?;
            separator = ",";
        }
        page = match pages.next() {
            Ok(page) => page,
            Err(Failure::Refused { refusal, .. }) => {
                broken = Some(refusal);
                None
            }
            Err(failure) => return Err(failure),
        };
    }
    match broken {
        None => out.document_part("]}\n"),
        Some(refusal) => {
            out.document_part(&format!("],\"error\":{}}}\n", json(&Problem::from(&refusal))))?;
            Err(Failure::Said(refusal.code.exit_code()))
        }
    }
}
