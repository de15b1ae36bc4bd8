//! `imgctl disconnect`: ends the session in order and stays offline.

use imgrepo_proto::control::Request;

use crate::commands::status;
use crate::context::Context;
use crate::failure::Failure;

/// Has the daemon say DISCONNECT.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let act = "disconnect";
    let status = status::of(act, context.ask(act, &Request::Disconnect)?)?;
    if context.out.json() {
        return status::show(context, &status, false);
    }
    context.out.confirm("offline");
    Ok(())
}
