//! The daemon.

pub mod link;
pub mod repository;
