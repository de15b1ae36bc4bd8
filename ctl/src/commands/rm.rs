//! `imgctl rm IMAGE...`: images to the trash.

use std::sync::Arc;

use imgrepo_proto::control::Request;

use crate::cli;
use crate::commands::change;
use crate::context::Context;
use crate::failure::Failure;

/// Asks for it.
pub(crate) fn run(context: &Arc<Context>, args: cli::Several) -> Result<(), Failure> {
    change(context, args.images, ("delete", "deleted"), Request::Delete)
}
