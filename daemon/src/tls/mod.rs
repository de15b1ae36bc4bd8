//! TLS on a session's stream, both ends: who the server is, and by what a client knows it.
//!
//! [`Identity`] is the server's key and certificate, made at the first start or given as files;
//! [`connect()`] is the client's end and refuses every server that is not the one which its [`Trust`]
//! names, before a byte of the session is sent. TLS 1.3 alone is spoken. Called by the server's
//! listener and by the client's dial; this room knows neither sessions nor people.

mod connect;
mod identity;
mod own;
mod pair;
mod trust;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;

use imgrepo_proto::invitation::Trust;

pub use connect::{ConnectError, connect};
pub use identity::Identity;

/// The server's end of an encrypted stream.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// The client's end of an encrypted stream.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// The first byte of every TLS connection: a record of the handshake (RFC 8446, 5.1). No method of
/// HTTP begins with it.
pub const FIRST_BYTE: u8 = 0x16;

/// What a stream holds encrypted and unsent. It goes before a reply, like what the kernel holds, and
/// is as much: two records.
const BUFFER_BYTES: usize = 32 * 1024;

/// One set of ciphers for all: a default of the process would be whoever sets it first.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// Renewed certificates keep their pin as long as they keep their key.
fn pin(certificate: &ParsedCertificate<'_>) -> [u8; 32] {
    let key = certificate.subject_public_key_info();
    let hash = ring::digest::digest(&ring::digest::SHA256, key.as_ref());
    let mut pin = [0; ring::digest::SHA256_OUTPUT_LEN];
    pin.copy_from_slice(hash.as_ref());
    pin
}

#[cfg(test)]
mod tests;
