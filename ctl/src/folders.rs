//! Watched folders as people and programs see them. Pure; shared by `watch` and `status`.

use imgrepo_proto::control::queue::Counts;
use imgrepo_proto::control::watch::{After, FolderState, FolderStatus};
use imgrepo_proto::name::shown;
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{Output, Style};
use crate::table::{self, Align, columns};
use crate::uploads;

/// A folder in a document.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    path: String,
    after: &'static str,
    to: Option<String>,
    state: FolderState,
    why: &'a Option<String>,
    hint: &'a Option<String>,
    file_system: &'a Option<String>,
    scanned_at: Option<Timestamp>,
    counts: &'a Counts,
    problems: Vec<uploads::Document<'a>>,
}

impl<'a> From<&'a FolderStatus> for Document<'a> {
    fn from(folder: &'a FolderStatus) -> Self {
        let (after, to) = match &folder.after {
            After::Keep => ("keep", None),
            After::Trash => ("trash", None),
            After::Move(to) => ("move", Some(table::lossy(to))),
        };
        Document {
            path: table::lossy(&folder.path),
            after,
            to,
            state: folder.state,
            why: &folder.why,
            hint: &folder.hint,
            file_system: &folder.file_system,
            scanned_at: folder.scanned_at,
            counts: &folder.counts,
            problems: folder.problems.iter().map(uploads::Document::from).collect(),
        }
    }
}

/// How a folder is, in a word.
pub(crate) fn word(state: FolderState) -> &'static str {
    match state {
        FolderState::Watching => "watching",
        FolderState::Polling => "polling",
        FolderState::Scanning => "scanning",
        FolderState::Paused => "paused",
        FolderState::Vanished => "vanished",
        FolderState::Elsewhere => "elsewhere",
    }
}

/// The word in its colour.
fn painted(out: &Output, state: FolderState, text: &str) -> String {
    match state {
        FolderState::Watching | FolderState::Scanning => text.to_owned(),
        FolderState::Vanished => out.styled(Style::Red, text),
        FolderState::Polling | FolderState::Paused => out.styled(Style::Yellow, text),
        FolderState::Elsewhere => out.styled(Style::Dim, text),
    }
}

/// What becomes of its files.
fn after(after: &After) -> String {
    match after {
        After::Keep => "keep".to_owned(),
        After::Trash => "trash".to_owned(),
        After::Move(to) => format!("move to {}", table::path(to)),
    }
}

/// A table of them, each with what is wrong with it below.
pub(crate) fn table(out: &Output, folders: &[FolderStatus]) -> Vec<String> {
    let titles = ["STATE", "STORED", "OPEN", "FAILED", "IGNORED", "AFTER", "FOLDER"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(folders.iter().map(|folder| {
        let counts = &folder.counts;
        vec![
            word(folder.state).to_owned(),
            (counts.stored + counts.duplicate).to_string(),
            counts.open().to_string(),
            counts.faults().to_string(),
            counts.ignored.to_string(),
            after(&folder.after),
            table::path(&folder.path),
        ]
    }));
    let number = Align::Right;
    let aligns = [Align::Left, number, number, number, number, Align::Left, Align::Left];
    let mut lines = Vec::new();
    for (at, line) in columns(&aligns, &rows).into_iter().enumerate() {
        match at.checked_sub(1).and_then(|at| folders.get(at)) {
            None => lines.push(out.styled(Style::Bold, &line)),
            Some(folder) => {
                lines.push(line);
                lines.extend(below(out, folder, usize::MAX).map(|line| format!("  {line}")));
            }
        }
    }
    lines
}

/// In a line or a few: how it is, and what is wrong with it.
pub(crate) fn said(out: &Output, folder: &FolderStatus) -> Vec<String> {
    /// Enough to see of what kind they are.
    const PROBLEMS: usize = 3;
    let state = painted(out, folder.state, word(folder.state));
    let mut line = format!("{}  {state}", table::path(&folder.path));
    let counts = uploads::counted(&folder.counts);
    if !counts.is_empty() {
        line += &format!(": {counts}");
    }
    let mut lines = vec![line];
    lines.extend(below(out, folder, PROBLEMS).map(|line| format!("  {line}")));
    if folder.problems.len() > PROBLEMS {
        lines.push("  more: imgctl watch ls".to_owned());
    }
    lines
}

fn below<'a>(
    out: &'a Output,
    folder: &'a FolderStatus,
    problems: usize,
) -> impl Iterator<Item = String> + 'a {
    let why = folder.why.iter().map(|why| shown(why));
    let hint = folder.hint.iter().map(|hint| format!("hint: {}", shown(hint)));
    let problems = folder.problems.iter().take(problems);
    let problems = problems.map(|upload| (upload.state, uploads::line_in(&folder.path, upload)));
    let problems = problems.map(|(state, line)| uploads::painted(out, state, &line));
    why.chain(hint).chain(problems)
}
