//! `imgctl disconnect [--forget]`: ends the session in order and stays offline, or leaves the
//! repository for good.

use imgrepo_proto::control::reply::Left;
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use serde::Serialize;

use crate::cli;
use crate::commands::status;
use crate::context::{Context, unexpected};
use crate::failure::Failure;

/// `{"v":1,"left":{"url":"...","user":"ana","device":7,"revoked":true}}`.
#[derive(Serialize)]
struct Document<'a> {
    left: &'a Left,
}

/// Has the daemon say DISCONNECT.
pub(crate) fn run(context: &Context, args: &cli::Disconnect) -> Result<(), Failure> {
    if args.forget {
        return leave(context);
    }
    let act = "disconnect";
    let status = status::of(act, context.ask(act, &Request::Disconnect)?)?;
    if context.out.json() {
        return status::show(context, &status, false);
    }
    context.out.confirm("offline");
    Ok(())
}

fn leave(context: &Context) -> Result<(), Failure> {
    let act = "leave";
    let left = match context.ask(act, &Request::Leave)? {
        Outcome::Left(left) => left,
        other => return Err(Failure::new(act, unexpected(&other))),
    };
    if context.out.json() {
        return context.out.document(&Document { left: &left });
    }
    let Left { url, user, device, revoked } = left;
    context.out.confirm(&format!("you have left {} as {}", shown(&url), shown(&user)));
    match device {
        Some(device) if !revoked => context.out.note(&format!(
            "this computer may still be let in there, as device {device}: have that revoked from \
             another device, or by an admin (imgctl devices revoke {device})"
        )),
        Some(device) => context.out.confirm(&format!("device {device} is revoked there")),
        None => {}
    }
    Ok(())
}
