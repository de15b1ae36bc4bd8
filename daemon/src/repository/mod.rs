//! What a server keeps.

pub mod picture;
