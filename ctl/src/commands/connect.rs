//! `imgctl connect URL [--user NAME]`: opens the session and keeps it open.

use imgrepo_proto::control::Request;
use imgrepo_proto::{ErrorCode, Refusal};

use crate::cli;
use crate::commands::status;
use crate::context::Context;
use crate::failure::Failure;

/// Has the daemon connect, and says what came of it.
pub(crate) fn run(context: &Context, args: cli::Connect) -> Result<(), Failure> {
    // It holds what lets in, and no daemon has to see it to say no.
    if args.url.trim_start().starts_with("imgrepo://") {
        let refusal = Refusal::new(ErrorCode::Usage, "cannot connect: this is an invitation");
        return Err(Failure::new("connect", refusal.hint("imgctl join LINK")));
    }
    let act = format!("connect to `{}`", args.url);
    let request = Request::Connect { url: args.url, user: args.user };
    let status = status::of(&act, context.ask(&act, &request)?)?;
    if let Some(refusal) = status::not_connected(&status.session) {
        return Err(Failure::new(act, refusal));
    }
    if context.out.json() {
        return status::show(context, &status, false);
    }
    context.out.confirm(&status::said(&status.session));
    if let Some(notice) = &status.session.notice {
        context.out.note(&imgrepo_proto::name::shown(notice));
    }
    Ok(())
}
