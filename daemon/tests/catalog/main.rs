//! The catalog's promises: one suite that runs on SQLite and in memory, random histories that both
//! must answer alike, and what SQLite alone can get wrong.

mod conformance;
mod files;
mod histories;
mod scene;
