//! By what a client knows a server: a key that it was told, or a name and the authorities of its
//! system. In both ways the handshake's signature proves that the server holds the certificate's
//! key.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use tokio::sync::OnceCell;

use super::Trust;

/// Another key than the one that was told.
#[derive(Debug, thiserror::Error)]
#[error("the server's key is `{}`, not `{}`", Trust::Pin(self.found), Trust::Pin(self.expected))]
pub(super) struct OtherKey {
    pub(super) expected: [u8; 32],
    pub(super) found: [u8; 32],
}

/// Takes one key and no other, whatever the certificate says beside.
pub(super) struct Pinned {
    expected: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    pub(super) fn new(expected: [u8; 32]) -> Pinned {
        let algorithms = super::provider().signature_verification_algorithms;
        Pinned { expected, algorithms }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({})", Trust::Pin(self.expected))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = super::pin(&ParsedCertificate::try_from(certificate)?);
        if found == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let other = OtherKey { expected: self.expected, found };
        Err(CertificateError::Other(OtherError(Arc::new(other))).into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What knows servers by these authorities. The error says why there is none.
pub(super) fn by_authorities(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider())
        .build()
        .map_err(|error| format!("this system's certificate authorities cannot be used: {error}"))
}

/// The authorities of this system (those of SSL_CERT_FILE and SSL_CERT_DIR where they are set). It
/// reads some 300 KB from the disk.
///
/// # Errors
/// There are none.
pub(super) fn read_authorities() -> Result<RootCertStore, String> {
    let read = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, left_out) = roots.add_parsable_certificates(read.certs);
    tracing::debug!(taken, left_out, errors = ?read.errors, "read this system's authorities");
    match (roots.is_empty(), read.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => Err(format!("this system has no certificate authorities: {error}")),
        (true, None) => Err("this system has no certificate authorities".to_owned()),
    }
}

/// What knows servers by this system's authorities: read once, off the async threads. What could not
/// be read is tried again by the next.
pub(super) async fn authorities() -> Result<Arc<WebPkiServerVerifier>, String> {
    static AUTHORITIES: OnceCell<Arc<WebPkiServerVerifier>> = OnceCell::const_new();
    let read = || async {
        let read = tokio::task::spawn_blocking(|| by_authorities(read_authorities()?)).await;
        read.map_err(|error| format!("this system's certificate authorities: {error}"))?
    };
    AUTHORITIES.get_or_try_init(read).await.cloned()
}
