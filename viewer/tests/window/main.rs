//! The window, driven in the web view that people use, at a screen that nobody sees.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test fails so.

mod closed;
mod door;
mod life;
mod moved;

#[path = "../stage/mod.rs"]
mod stage;
