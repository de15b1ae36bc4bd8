//! The words of `up`.

use std::path::PathBuf;

use clap::Args;

/// `up`.
#[derive(Debug, Default, Args)]
pub(crate) struct Up {
    /// Be the server: others reach it, and nobody gets in without an invitation
    #[arg(long)]
    pub(crate) serve: bool,
    /// Where the server listens, unless at port 8765 of every address
    #[arg(long, value_name = "HOST:PORT", requires = "serve")]
    pub(crate) listen: Option<String>,
    /// A folder to watch: what is put there is uploaded (may be given several times)
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Vec<PathBuf>,
    /// Your name there [default: the login name]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}
