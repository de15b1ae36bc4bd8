//! The daemon.

pub mod link;
pub mod repository;
pub mod server;
pub mod session;
pub mod transfer;
