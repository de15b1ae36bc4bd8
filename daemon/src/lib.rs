//! The daemon, in rooms. A room imports only from those above it in this list; `tests/layers.rs`
//! holds them to that.
//!
//! | room | owns |
//! | --- | --- |
//! | [`metrics`] | figures that are counted, and the page that tells them |
//! | [`config`], [`paths`] | what the daemon is told, and where its files are; alone read the environment |
//! | [`host`] | the time of day, chance, and threads for what blocks: or a simulation of them |
//! | [`private`] | a small file of this user alone, whole or not there |
//! | [`cache`] | pictures that can be made or fetched again, within a budget |
//! | [`database`] | a SQLite file: made, checked, migrated, never repaired |
//! | [`tls`] | who the server is, by what a client knows it, and the encrypted stream between them |
//! | [`service`] | what has this system start the daemon at login |
//! | [`repository`] | what a server keeps: contents, catalog, uploads in progress, the ordered changes |
//! | [`link`] | messages over one WebSocket, both ends: order, bounds, liveness, windows |
//! | [`server`] | the listener and its sessions, in both dialects |
//! | [`session`] | the one session of a client: dialed, kept, resumed |
//! | [`state`] | what a client remembers: memberships, watched folders, every upload's story |
//! | [`transfer`] | one upload or download through all cuts of the session |
//! | [`watch`] | watched folders: what is put there is uploaded, whole and once |
//! | [`control`] | the local socket that `imgctl` and the window speak to |
//! | [`daemon`] | all of it, started in this order and stopped in reverse |
//!
//! An image's way: `control` (or a peer's session) hands a file to `transfer`, which sends it over
//! `session` and `link` to `server`; `repository` makes it durable, answers, and announces the
//! change, which goes back out over every `link`. A daemon that is itself the server reaches it
//! over a pipe in memory, so nothing above `session` asks which of the two it is.

pub mod cache;
pub mod config;
pub mod control;
pub mod daemon;
pub mod database;
pub mod host;
pub mod link;
pub mod metrics;
pub mod paths;
pub mod private;
pub mod repository;
pub mod server;
pub mod service;
pub mod session;
pub mod state;
pub mod tls;
pub mod transfer;
pub mod watch;
