//! The catalog's promises: one suite that runs on SQLite and in memory, random histories that both
//! must answer alike, and what SQLite alone can get wrong.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is tests, helpers too, which the lint does not see"
)]

mod conformance;
mod files;
mod frozen;
mod histories;
mod imports;
mod many;
mod many_tests;
mod pages;
mod people;
mod people_histories;
mod people_lists;
mod people_names;
mod pictures;
mod scene;
