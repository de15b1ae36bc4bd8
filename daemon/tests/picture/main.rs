//! Pictures made by the real child: right pixels of every format, and no harm from any content.

#![allow(clippy::unwrap_used)] // A test fails so.

#[cfg(unix)]
mod hostile;
mod looks;
mod previews;
mod samples;
mod support;
