//! `imgctl completions SHELL`: the completions of a shell, on standard output.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Prints them.
pub(crate) fn run(context: &Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "imgctl", &mut script);
    context.out.bytes(&script)
}
