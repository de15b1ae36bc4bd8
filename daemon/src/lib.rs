//! The daemon.

pub mod link;
