//! `imgrepod man DIR`: the daemon's manual pages and its completions, in folders as they are below an
//! installation's prefix. For `make install` and for who makes packages; not in the help.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use imgrepo_proto::{ErrorCode, Refusal};

/// Writes them.
pub(super) fn write(mut command: Command, folder: &Path) -> Result<(), Refusal> {
    let written = pages(&command, folder).and_then(|()| completions(&mut command, folder));
    written.map_err(|error| {
        let message = format!("cannot write the manual pages to `{}`: {error}", folder.display());
        Refusal::new(ErrorCode::FileError, message)
    })
}

fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    let pages = folder.join("share/man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command.clone(), &pages)
}

fn completions(command: &mut Command, folder: &Path) -> io::Result<()> {
    for (shell, below, name) in [
        (Shell::Bash, "share/bash-completion/completions", "imgrepod"),
        (Shell::Zsh, "share/zsh/site-functions", "_imgrepod"),
        (Shell::Fish, "share/fish/vendor_completions.d", "imgrepod.fish"),
    ] {
        let folder = folder.join(below);
        fs::create_dir_all(&folder)?;
        let mut script = Vec::new();
        clap_complete::generate(shell, command, "imgrepod", &mut script);
        fs::write(folder.join(name), script)?;
    }
    Ok(())
}
