//! The daemon.

pub mod config;
pub mod control;
pub mod daemon;
pub mod link;
pub mod paths;
pub mod repository;
pub mod server;
pub mod session;
pub mod transfer;
