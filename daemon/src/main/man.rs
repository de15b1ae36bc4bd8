//! `imgrepod man DIR`: the daemon's manual pages, in folders as they are below an installation's
//! prefix. For `make install` and for who makes packages; not in the help.

use std::path::Path;

use imgrepo_proto::{ErrorCode, Refusal};

/// Writes them.
pub(super) fn write(command: clap::Command, folder: &Path) -> Result<(), Refusal> {
    let pages = folder.join("share/man/man1");
    let written =
        std::fs::create_dir_all(&pages).and_then(|()| clap_mangen::generate_to(command, &pages));
    written.map_err(|error| {
        let message = format!("cannot write the manual pages to `{}`: {error}", pages.display());
        Refusal::new(ErrorCode::FileError, message)
    })
}
