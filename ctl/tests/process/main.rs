//! The real programs as people meet them at their edges: how they start and end, what they say to
//! bad input, full disks and going servers, and with which code they exit.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test fails so.

#[path = "../house/mod.rs"]
mod house;

mod codes;
mod ends;
mod follow;
mod full;
mod input;
mod resume;
mod starts;
mod under_way;

/// Says that something is not proven here. As loud as a test can be that holds.
#[allow(clippy::print_stderr)] // Tests speak so.
fn skipped(what: &str, why: &str) {
    eprintln!("*** NOT PROVEN HERE: {what} ({why})");
}
