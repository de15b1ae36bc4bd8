//! Attacks, each a test: what somebody who means harm would try, at the server's port, at the control
//! socket, and by what they have others download. Small here, in full by `make test-attacks`.
//!
//! What the other tests hold already is not repeated:
//!
//! | attack | test |
//! | --- | --- |
//! | other sites' requests: 40 forms of Origin and Host, DNS rebinding | `src/server/http_tests.rs`, `server/http.rs` |
//! | every command in every state and role | `server/people_commands.rs`, `src/repository/people/authorize_tests.rs` |
//! | another's image: rename, delete, restore, purge | the same, `server/v2_changes.rs` |
//! | a revoked, expired, used up, forged, shortened invitation | `server/people.rs`, `repository/people.rs` |
//! | a device that was revoked, with all that it does | `server/people.rs`, `daemon/people.rs` |
//! | credentials in plaintext, forged proxies' headers | `server/tls.rs` |
//! | half a request, half a hello, cut after its time | `server/hostile.rs`, `server/tls.rs` |
//! | a server that lies to its client | `session/hostile.rs` |
//! | decompression bombs and pictures that are none | `src/repository/picture/tests.rs` |
//! | symlinks swapped in watched folders | `watch/special.rs` |
//! | secrets on a terminal | `imgctl`'s `tests/secrets.rs` |
//! | 10,000 guesses from one and from many addresses; names by the clock | [`guessing`] |
//! | 5,000 half handshakes and 5,000 silent sessions | [`crowd`] |
//! | lying lengths and states, in v2, v1 and control | [`lies`], [`frames`] |
//! | "have this hash" for what one may not see | [`hashes`] |
//! | hostile names through the server | [`names`]; to terminal and folder: `imgctl`'s `tests/hostile.rs` |
//! | the control socket as another user | [`socket`] |
//! | canaries in logs, arguments, environments, files, memory dumps | [`canary`] |

#![cfg(target_os = "linux")] // All of 127.0.0.0/8 is this computer.
#![allow(clippy::unwrap_used, reason = "a test fails so")]
#![allow(clippy::print_stdout, reason = "what was tried, and what was not, is told to people")]

mod atlas;
mod canary;
mod crowd;
mod frames;
mod guessing;
mod hashes;
mod lies;
mod names;
#[path = "../server/pictures.rs"]
#[allow(dead_code, reason = "the server's own tests use the rest")]
mod pictures;
#[path = "../proofs/process.rs"]
#[allow(dead_code, reason = "the proofs use the rest")]
mod process;
mod socket;
#[path = "../server/support.rs"]
#[allow(dead_code, reason = "the server's own tests use the rest")]
mod support;
mod visitor;

/// How many of something: as `name` in the environment says, or the few of everyday tests.
fn sized(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().unwrap())
}
