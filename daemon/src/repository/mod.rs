//! What a server keeps.

pub mod catalog;
pub mod picture;
