//! A status as people read it: a line for each thing, the details of a thing below it. Pure.

use imgrepo_proto::Refusal;
use imgrepo_proto::control::queue::{Direction, QueueStatus, Rates, TransferStatus};
use imgrepo_proto::control::reply::{
    DaemonStatus, LimitStatus, Phase, ServerStatus, SessionStatus, Status,
};
use imgrepo_proto::name::shown;

use super::said;
use crate::commands::{limit, wait};
use crate::context::program;
use crate::output::{Output, Style};
use crate::table::{Align, columns};
use crate::{folders, table, uploads};

/// Lines with a title, or below the one that has it.
struct Lines<'a> {
    out: &'a Output,
    lines: Vec<String>,
}

impl Lines<'_> {
    fn say(&mut self, title: &str, text: &str) {
        let title = self.out.styled(Style::Bold, &format!("{title:<8}"));
        self.lines.push(format!("{title}  {text}"));
    }
}

/// All of it.
pub(super) fn lines(out: &Output, status: &Status, long: bool) -> Vec<String> {
    let mut lines = Lines { out, lines: Vec::new() };
    daemon(&mut lines, &status.daemon);
    session(&mut lines, &status.session);
    if let Some(status) = &status.server {
        server(&mut lines, status);
        if long {
            reached(&mut lines, status);
        }
    }
    match &status.unread {
        None => queue(&mut lines, &status.queue),
        Some(why) => unread(&mut lines, why),
    }
    for (at, folder) in status.folders.iter().enumerate() {
        let title = if at == 0 { "folders" } else { "" };
        for (below, line) in folders::said(out, folder).iter().enumerate() {
            lines.say(if below == 0 { title } else { "" }, line);
        }
    }
    for (at, transfer) in status.transfers.iter().enumerate() {
        lines.say(if at == 0 { "now" } else { "" }, &under_way(transfer));
    }
    rates(&mut lines, status.rates);
    for why in &status.aside {
        let text = lines.out.styled(Style::Red, &shown(&why.message));
        lines.say("state", &text);
        if let Some(hint) = &why.hint {
            lines.say("", &format!("hint: {}", shown(hint)));
        }
    }
    lines.say("config", &table::path(&status.daemon.config));
    lines.say("imgctl", &program().version);
    lines.lines
}

fn daemon(lines: &mut Lines<'_>, daemon: &DaemonStatus) {
    let mut text = format!("imgrepod {}, process {}", shown(&daemon.version), daemon.pid);
    text += &format!(", since {}", table::minute(Some(daemon.started_at)));
    match daemon.transfers {
        0 => {}
        1 => text += ", 1 transfer under way",
        count => text += &format!(", {count} transfers under way"),
    }
    lines.say("daemon", &text);
    lines.say(
        "at login",
        &match &daemon.autostart {
            Some(by) => format!("started by {}", shown(by)),
            None => "not started (imgrepod service install)".to_owned(),
        },
    );
}

fn session(lines: &mut Lines<'_>, session: &SessionStatus) {
    lines.say("session", &said(session));
    if let Some(transport) = session.transport.and_then(super::transport) {
        lines.say("", transport);
    }
    if let Some(error) = &session.error {
        lines.say("", &shown(&error.message));
        if let Some(hint) = &error.hint {
            lines.say("", &format!("hint: {}", shown(hint)));
        }
    }
    if let Some(notice) = &session.notice {
        lines.say("", &shown(notice));
    }
    if let Some(program) = &session.server {
        lines.say("peer", &format!("{} {}", shown(&program.name), shown(&program.version)));
    }
}

fn server(lines: &mut Lines<'_>, server: &ServerStatus) {
    let guests = match (&*server.guests_may, server.guests) {
        ("upload", _) => "guests may upload",
        ("view", _) => "guests may look",
        ("no", _) | (_, false) => "no guests",
        // One of before there were accounts.
        (_, true) => "guests allowed",
    };
    lines.say("server", &format!("listens on {}, {guests}", shown(&server.listen)));
    let count =
        |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let sessions = count(server.sessions.into(), "session");
    lines.say("", &format!("{}, {sessions}", count(server.images, "image")));
    if let Some(pictures) = server.pictures
        && (pictures.waiting > 0 || pictures.is_searching)
    {
        let more = if pictures.is_searching { " or more" } else { "" };
        lines
            .say("", &format!("pictures of {}{more} to be made", count(pictures.waiting, "image")));
    }
    lines.say("", &format!("data in {}", table::path(&server.data)));
}

/// Where others reach a server, by what they know it, and what it takes at most.
fn reached(lines: &mut Lines<'_>, server: &ServerStatus) {
    if !server.addresses.is_empty() {
        lines.say("", &format!("reached at {}", shown(&server.addresses.join(", "))));
    }
    if let Some(fingerprint) = &server.fingerprint {
        lines.say("", &format!("fingerprint {}", shown(fingerprint)));
    }
    if server.limits.is_empty() {
        return;
    }
    let row = |limit: &LimitStatus| {
        vec![
            shown(&limit.key),
            shown(&limit.value),
            table::text(limit.used.as_deref()),
            match (limit.fixed, limit.in_file) {
                (true, _) => "itself",
                (false, true) => "the file",
                (false, false) => "default",
            }
            .to_owned(),
        ]
    };
    let mut rows = vec![["LIMIT", "IS", "USED", "SET BY"].map(str::to_owned).to_vec()];
    rows.extend(server.limits.iter().map(row));
    let aligns = [Align::Left, Align::Right, Align::Right, Align::Left];
    for (at, line) in columns(&aligns, &rows).iter().enumerate() {
        let title = at == 0;
        let line = if title { lines.out.styled(Style::Bold, line) } else { line.clone() };
        lines.say("", &line);
    }
}

/// The state cannot be read: nobody knows what is in the queue.
fn unread(lines: &mut Lines<'_>, why: &Refusal) {
    let text = format!("cannot be read: {}", shown(&why.message));
    let text = lines.out.styled(Style::Red, &text);
    lines.say("queue", &text);
    if let Some(hint) = &why.hint {
        lines.say("", &format!("hint: {}", shown(hint)));
    }
}

fn queue(lines: &mut Lines<'_>, queue: &QueueStatus) {
    let mut text = wait::open(queue);
    if queue.paused {
        text = format!("{}: {text}", lines.out.styled(Style::Yellow, "paused"));
    }
    lines.say("queue", &text);
    if queue.paused {
        lines.say("", "hint: imgctl queue resume");
    }
    if let Some(why) = &queue.waits {
        let waits = match queue.counts.waiting {
            0 | 1 => "waits".to_owned(),
            count => format!("{count} wait, the first"),
        };
        let text = lines.out.styled(Style::Yellow, &format!("{waits}: {}", shown(&why.message)));
        lines.say("", &text);
        if let Some(hint) = &why.hint {
            lines.say("", &format!("hint: {}", shown(hint)));
        }
    }
    if queue.counts.faults() > 0 {
        let counts = imgrepo_proto::control::queue::Counts {
            refused: queue.counts.refused,
            failed: queue.counts.failed,
            ..Default::default()
        };
        let text = lines.out.styled(Style::Red, &uploads::counted(&counts));
        lines.say("", &format!("{text} (imgctl queue ls)"));
    }
    match queue.elsewhere {
        0 => {}
        1 => lines.say("", "1 upload waits for another repository or person"),
        count => lines.say("", &format!("{count} uploads wait for another repository or person")),
    }
}

fn rates(lines: &mut Lines<'_>, rates: Rates) {
    if rates != Rates::default() {
        let (up, down) = (limit::said(rates.up), limit::said(rates.down));
        lines.say("limits", &format!("up {up}, down {down}"));
    }
}

/// A transfer in a line: `up    45%  [#########           ]  12.0 MiB  beach.jpg`.
fn under_way(transfer: &TransferStatus) -> String {
    /// As much as leaves room for a name on a narrow terminal.
    const CELLS: u64 = 20;
    let way = match transfer.direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let percent = uploads::percent(transfer.done, transfer.total);
    let filled = (percent * CELLS / 100) as usize;
    let bar = format!("[{:<width$}]", "#".repeat(filled), width = CELLS as usize);
    let phase = match transfer.phase {
        Phase::Hashing => "  hashing",
        Phase::Sending => "",
        Phase::Waiting => "  waiting for the session",
    };
    let (size, name) = (table::size(transfer.total), shown(&transfer.name));
    format!("{way:<4}  {percent:>3}%  {bar}  {size:>10}  {name}{phase}")
}
