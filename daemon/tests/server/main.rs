//! The server with a real repository behind it and real sockets before it, as its clients see it.

// clippy.toml allows it in tests, but does not see that their helpers are part of them.
#![allow(clippy::unwrap_used)]

mod api;
mod api_bodies;
mod api_live;
mod api_view;
mod browser;
mod browser_foreign;
mod chromium;
mod club;
mod door;
mod hostile;
mod http;
mod metrics;
mod people;
mod people_commands;
mod people_limits;
mod pictures;
mod support;
mod tls;
mod v1;
mod v2_changes;
mod v2_download;
mod v2_session;
mod v2_upload;
mod v2_view;
