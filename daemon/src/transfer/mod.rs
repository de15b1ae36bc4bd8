//! Contents to and from a repository, through cuts of the session.
//!
//! `control` calls [`upload()`] and [`download()`]. A pure machine decides (what is sent next, what a
//! cut or a refusal means), a thin shell around it reads the file and talks to the session. A
//! transfer lives as long as its future: dropped, it is given up, and what the server holds of it
//! stays there for the next attempt.

mod download;
mod fetching;
mod machine;
mod source;
mod upload;

pub use download::{AsyncSink, download};
pub use source::Source;
pub use upload::{UploadMeta, upload};
