//! `imgctl man DIR`: the manual pages and the completions of every shell, in folders as they are
//! below an installation's prefix. For `make install` and for who makes packages; not in the help.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{self, Cli};
use crate::context::Context;
use crate::failure::{Failure, file_error};

/// Writes them.
pub(crate) fn run(_: &Context, args: &cli::Man) -> Result<(), Failure> {
    let act = "write the manual pages";
    let wrap = |path: &Path, error| Failure::new(act, file_error("write", path, &error));
    let folder = |below: &str| {
        let folder = args.folder.join(below);
        fs::create_dir_all(&folder).map_err(|error| wrap(&folder, error)).map(|()| folder)
    };
    let pages = folder("share/man/man1")?;
    clap_mangen::generate_to(Cli::command(), &pages).map_err(|error| wrap(&pages, error))?;
    for (shell, below, name) in [
        (Shell::Bash, "share/bash-completion/completions", "imgctl"),
        (Shell::Zsh, "share/zsh/site-functions", "_imgctl"),
        (Shell::Fish, "share/fish/vendor_completions.d", "imgctl.fish"),
    ] {
        let path = folder(below)?.join(name);
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "imgctl", &mut script);
        fs::write(&path, script).map_err(|error| wrap(&path, error))?;
    }
    Ok(())
}
