//! `imgctl events [-f] [--since SEQ]`: what happened in the repository, a line each, and with `-f`
//! what happens from now on.

use imgrepo_proto::Seq;
use imgrepo_proto::control::{Reply, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::event::{Event, EventKind};

use crate::cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::table;

/// Asks, and shows each as it comes.
pub(crate) fn run(context: &Context, args: &cli::Events) -> Result<(), Failure> {
    let request = Request::Events { since: args.since.map(Seq), follow: args.follow };
    let out = &context.out;
    context.ask_with("show the events", &request, &mut |reply| {
        let Reply::Event(event) = reply else { return Ok(()) };
        match out.json() {
            true => out.document_line(&*event)?,
            false => out.line(&line(&event))?,
        }
        // Whoever follows wants it now; who reads history does not wait for each line.
        if args.follow {
            out.flush()?;
        }
        Ok(())
    })?;
    Ok(())
}

/// An event as a line: when, its place, who did what to which image.
pub(crate) fn line(event: &Event) -> String {
    if let Some(message) = &event.message {
        return shown(message);
    }
    let seq = event.seq.map_or_else(|| table::UNKNOWN.to_owned(), |seq| seq.to_string());
    let what = match &event.event {
        EventKind::NewUpload => "uploaded",
        EventKind::Renamed => "renamed",
        EventKind::Deleted => "deleted",
        EventKind::Restored => "restored",
        EventKind::Purged => "purged",
        EventKind::Other(word) => word,
    };
    let mut line = format!("{}  {seq:>5}", table::second(event.at));
    line += &format!("  {}  {}", table::text(event.by.as_deref()), shown(what));
    if let Some(image) = &event.image {
        line += &format!("  {}  {}", image.id, shown(&image.name));
    }
    line
}
