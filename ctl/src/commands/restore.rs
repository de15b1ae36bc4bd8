//! `imgctl restore IMAGE...`: images out of the trash; a name is looked for there.

use std::sync::Arc;

use imgrepo_proto::control::Request;

use crate::cli;
use crate::commands::change;
use crate::context::Context;
use crate::failure::Failure;

/// Asks for it.
pub(crate) fn run(context: &Arc<Context>, args: cli::Several) -> Result<(), Failure> {
    change(context, args.images, ("restore", "restored"), Request::Restore)
}
