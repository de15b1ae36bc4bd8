//! A key with its certificates, read from two PEM files and ready to serve, and what marks a change
//! of the files.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::{Trust, trust};

/// The largest file that is read: a chain has a few KB.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Where a pair is.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A pair that was read.
pub(super) struct Pair {
    pub(super) config: Arc<ServerConfig>,
    pub(super) pin: [u8; 32],
    certificates: Vec<CertificateDer<'static>>,
}

/// What is different when a file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp([Option<(SystemTime, u64, u64)>; 2]);

impl Files {
    /// Links are followed: renewing programs swap links.
    pub(super) fn stamp(&self) -> Stamp {
        let stamp = |path| {
            let found: Metadata = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len(), inode(&found)))
        };
        Stamp([stamp(&self.certificate), stamp(&self.key)])
    }

    /// The error says in words what is wrong with which file.
    pub(super) fn read(&self) -> Result<Pair, String> {
        let text = |path: &Path| {
            read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
        };
        let shown = self.certificate.display();
        let certificates = CertificateDer::pem_slice_iter(&text(&self.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("`{shown}` is no PEM file: {error}"))?;
        let first =
            certificates.first().ok_or_else(|| format!("there is no certificate in `{shown}`"))?;
        let first = ParsedCertificate::try_from(first)
            .map_err(|error| format!("the first certificate in `{shown}` is broken: {error}"))?;
        let pin = super::pin(&first);
        let key = PrivateKeyDer::from_pem_slice(&text(&self.key)?).map_err(|_| {
            // What it says may quote the file.
            format!("there is no private key in `{}`", self.key.display())
        })?;
        let config = serve(certificates.clone(), key).map_err(|error| {
            let key = self.key.display();
            format!("the certificate `{shown}` and the key `{key}` do not work: {error}")
        })?;
        Ok(Pair { config: Arc::new(config), pin, certificates })
    }

    /// Says that others of this system can read the key.
    pub(super) fn warn_of_readers(&self) {
        #[cfg(unix)]
        if let Ok(found) = fs::metadata(&self.key)
            && std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0
        {
            let key = self.key.display();
            tracing::warn!("others of this system may read the key `{key}`: chmod 600 it");
        }
    }
}

impl Pair {
    /// By what clients should know this server: by name where a client with this system's
    /// authorities would, else by the key.
    pub(super) fn trust(&self, public_host: Option<&str>) -> Trust {
        match public_host.map(|host| self.holds_for(host)) {
            Some(Ok(())) => Trust::Authorities,
            Some(Err(why)) => {
                tracing::info!("invitations pin the certificate's key: {why}");
                Trust::Pin(self.pin)
            }
            None => Trust::Pin(self.pin),
        }
    }

    fn holds_for(&self, host: &str) -> Result<(), String> {
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let verifier = trust::by_authorities(trust::read_authorities()?)?;
        let (first, others) = self.certificates.split_first().ok_or("there is no certificate")?;
        let verified = verifier.verify_server_cert(first, others, &name, &[], UnixTime::now());
        verified.map(drop).map_err(|error| error.to_string())
    }
}

fn serve(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = super::provider();
    let certified = CertifiedKey::from_der(certificates, key, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    // Sessions are long: what would resume a handshake is memory for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // A browser offers HTTP/2 before; without an answer it may take it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    match text.len() as u64 > MAX_FILE_BYTES {
        true => Err(io::Error::other("it is too large to be a key or a certificate")),
        false => Ok(text),
    }
}

#[cfg(unix)]
fn inode(found: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn inode(_found: &Metadata) -> u64 {
    0
}
