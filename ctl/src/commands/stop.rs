//! `imgctl stop`: ends the daemon, and waits until it has.

use imgrepo_proto::control::Request;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;

/// `{"v":1,"stopped":true}`.
#[derive(Serialize)]
struct Document {
    stopped: bool,
}

/// Asks for it and waits.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    // Answered when the daemon has ended: what is started next finds its socket and its data free.
    context.ask("stop the daemon", &Request::Stop)?;
    if context.out.json() {
        return context.out.document(&Document { stopped: true });
    }
    context.out.confirm("stopped");
    Ok(())
}
