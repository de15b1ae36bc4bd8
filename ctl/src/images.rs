//! A list of records as `list` and `trash ls` show it: a table, lines for scripts, or a document
//! that is written page by page, so that a repository of any size passes through little memory.

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::limits::MAX_PAGE;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Filter, List, Sort, State};
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::{ImageRecord, Refusal};

use crate::cli::Page;
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::output::{DOCUMENTS, Output, Problem, Style, json};
use crate::table::{self, Align, UNKNOWN, columns};

/// What a terminal shows unless told otherwise: what can be looked through.
const TERMINAL_LIMIT: u64 = 50;

/// Pages of a list, fetched one after the other.
struct Pages {
    daemon: Client,
    list: List,
    /// How many records are still wanted; None is all.
    wanted: Option<u64>,
    started: bool,
}

impl Pages {
    /// Whether there is a next page of what was asked.
    fn goes_on(&self) -> bool {
        self.wanted != Some(0) && (!self.started || self.list.cursor.is_some())
    }

    /// The next page; None at the end of the list or of what was asked.
    fn next(&mut self) -> Result<Option<ListReply>, Refusal> {
        if !self.goes_on() {
            return Ok(None);
        }
        self.started = true;
        let limit = self
            .wanted
            .map_or(MAX_PAGE, |wanted| u32::try_from(wanted).unwrap_or(MAX_PAGE).min(MAX_PAGE));
        self.list.limit = Some(limit);
        let page = match self.daemon.call(&Request::List(self.list.clone()))? {
            Outcome::Images(page) => page,
            other => return Err(unexpected(&other)),
        };
        let count = page.images.len() as u64;
        self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(count));
        self.list.cursor.clone_from(&page.next);
        Ok(Some(page))
    }
}

/// Shows what `filter` keeps. `more` is the command that goes on where a terminal's page ends.
pub(crate) fn show(
    context: &Context,
    filter: Filter,
    page: &Page,
    more: &str,
) -> Result<(), Failure> {
    let out = &context.out;
    let act = "list the images";
    let nothing = match (filter.state == State::Trashed, filter == Filter::default()) {
        (true, _) => "the trash is empty",
        (false, true) => "there is no image",
        (false, false) => "no image fits",
    };
    let table = out.terminal() && !out.json();
    let wanted = page.limit.or((table && !page.all).then_some(TERMINAL_LIMIT));
    let list = List { filter, sort: Sort::Newest, limit: None, cursor: page.after.clone() };
    let mut pages = Pages { daemon: context.to_ask(), list, wanted, started: false };
    if out.json() {
        return show_document(out, act, &mut pages);
    }
    let mut head = table;
    let mut held = Vec::new();
    while let Some(reply) = pages.next().map_err(|refusal| Failure::new(act, refusal))? {
        held.extend(reply.images);
        // A server may cut a page short: columns are laid over what a full one holds.
        if table && held.len() < MAX_PAGE as usize && pages.goes_on() {
            continue;
        }
        if held.is_empty() {
            continue;
        }
        for line in lines(out, &std::mem::take(&mut held), table, page.long, head) {
            out.line(&line)?;
        }
        head = false;
    }
    if table && head {
        out.note(nothing);
    }
    if let Some(cursor) = pages.list.cursor {
        let limit = page.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
        out.note(&format!("more: imgctl {more}{limit} --after {}", shown(&cursor)));
    }
    Ok(())
}

fn show_document(out: &Output, act: &str, pages: &mut Pages) -> Result<(), Failure> {
    // The first page comes before the first byte: an error then is the whole document.
    let mut page = pages.next().map_err(|refusal| Failure::new(act, refusal))?;
    let total = page.as_ref().and_then(|page| page.total);
    out.document_part(&format!("{{\"v\":{DOCUMENTS},\"images\":["))?;
    let mut separator = "";
    let mut error = None;
    while let Some(reply) = page {
        for image in &reply.images {
            out.document_part(&format!("{separator}{}", json(image)))?;
            separator = ",";
        }
        page = pages.next().unwrap_or_else(|refusal| {
            error = Some(refusal);
            None
        });
    }
    let next = json(&pages.list.cursor);
    let mut end = format!("],\"next\":{next},\"total\":{}", json(&total));
    if let Some(refusal) = &error {
        end += &format!(",\"error\":{}", json(&Problem::from(refusal)));
    }
    out.document_part(&format!("{end}}}\n"))?;
    error.map_or(Ok(()), |refusal| Err(Failure::Said(refusal.code.exit_code())))
}

fn lines(out: &Output, images: &[ImageRecord], table: bool, long: bool, head: bool) -> Vec<String> {
    if !table {
        let line = |image| if long { tabbed(image) } else { shown(&image.name) };
        return images.iter().map(line).collect();
    }
    let mut aligns = vec![Align::Right, Align::Right, Align::Left, Align::Left];
    let mut titles = vec!["ID", "SIZE", "UPLOADED", "BY"];
    if long {
        aligns.extend([Align::Right, Align::Left, Align::Left, Align::Left]);
        titles.extend(["PIXELS", "TYPE", "TAKEN", "HASH"]);
    }
    aligns.push(Align::Left);
    titles.push("NAME");
    let mut rows = Vec::with_capacity(images.len() + 1);
    rows.push(titles.into_iter().map(str::to_owned).collect());
    rows.extend(images.iter().map(|image| row(image, long)));
    let mut lines = columns(&aligns, &rows);
    let title = lines.remove(0);
    if head {
        lines.insert(0, out.styled(Style::Bold, &title));
    }
    lines
}

fn row(image: &ImageRecord, long: bool) -> Vec<String> {
    let mut row = vec![
        image.id.to_string(),
        table::known_size(image.size),
        table::minute(image.uploaded_at),
        shown(&image.uploader),
    ];
    if long {
        // Enough of a hash to tell contents apart by eye.
        const SHORT_HASH: usize = 12;
        let hash = image.hash.map(|hash| hash.to_string());
        row.extend([
            pixels(image),
            table::text(image.media_type.as_deref()),
            table::text(image.taken_at.as_deref()),
            hash.map_or_else(|| UNKNOWN.to_owned(), |hash| hash.chars().take(SHORT_HASH).collect()),
        ]);
    }
    row.push(shown(&image.name));
    row
}

/// A line for scripts, its columns parted by tabs: id, name, size in bytes, uploader, when it was
/// uploaded, media type, width, height, when it was taken, hash. What is not known is empty.
fn tabbed(image: &ImageRecord) -> String {
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let text = |value: &Option<String>| value.as_deref().map(shown).unwrap_or_default();
    [
        image.id.to_string(),
        shown(&image.name),
        number(image.size),
        shown(&image.uploader),
        image.uploaded_at.map(|at| at.to_string()).unwrap_or_default(),
        text(&image.media_type),
        number(image.width.map(u64::from)),
        number(image.height.map(u64::from)),
        text(&image.taken_at),
        image.hash.map(|hash| hash.to_string()).unwrap_or_default(),
    ]
    .join("\t")
}

/// Width and height, as people write them.
pub(crate) fn pixels(image: &ImageRecord) -> String {
    match (image.width, image.height) {
        (Some(width), Some(height)) => format!("{width}x{height}"),
        _ => UNKNOWN.to_owned(),
    }
}
