//! The key that a server makes for itself at its first start, and its certificate. The key is the
//! identity: invitations pin it, so it is made once and never replaced. The certificate only wraps
//! it, for TLS has no bare keys, and is made anew when it is missing or for another name.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::Path;

use imgrepo_proto::{ErrorCode, Refusal};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use super::pair::Files;
use crate::private;

/// Makes what is missing in the folder; where it is.
pub(super) fn make(folder: &Path, public_host: Option<&str>) -> Result<Files, Refusal> {
    // A certificate cannot be for what is no name; nobody who pins the key asks for one.
    let public_host = public_host.filter(|host| ServerName::try_from(*host).is_ok());
    let files = Files { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    let done = make_folder(folder).and_then(|()| make_key(&files));
    done.and_then(|()| make_certificate(&files, public_host)).map(|()| files).map_err(|error| {
        match error.kind() {
            io::ErrorKind::InvalidData => lost(folder, &error.to_string()),
            _ => unusable(folder, &error.to_string()),
        }
    })
}

/// Refuses to go on without the key that was made once.
pub(super) fn lost(folder: &Path, why: &str) -> Refusal {
    unusable(folder, why).hint(
        "restore `key.pem` from a backup; without it, move the folder away: a new key is made, and \
         everybody must be invited anew",
    )
}

fn unusable(folder: &Path, why: &str) -> Refusal {
    let shown = folder.display();
    let message = format!("cannot use this server's own key in `{shown}`: {why}");
    Refusal::new(ErrorCode::FileError, message)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn make_key(files: &Files) -> io::Result<()> {
    match fs::metadata(&files.key) {
        Ok(found) => keep_to_owner(&files.key, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if files.certificate.exists() {
                let text = "`key.pem` is missing, and `cert.pem` is there";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let key = KeyPair::generate().map_err(io::Error::other)?;
            private::put(&files.key, key.serialize_pem().as_bytes())
        }
        Err(error) => Err(error),
    }
}

fn make_certificate(files: &Files, public_host: Option<&str>) -> io::Result<()> {
    if is_for(&files.certificate, public_host) {
        return Ok(());
    }
    let key = KeyPair::from_pem(&fs::read_to_string(&files.key)?);
    // What it says may quote the file.
    let broken = |_| io::Error::new(io::ErrorKind::InvalidData, "there is no key in `key.pem`");
    let key = key.map_err(broken)?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(public_host.map(str::to_owned));
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "imgrepo");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // It is known by its key. What would expire would only lock everybody out one day.
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
    // Browsers refuse two certificates of one issuer with one number.
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(io::Error::other)?;
    // A positive number (RFC 5280, 4.1.2.2).
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    private::put(&files.certificate, certificate.pem().as_bytes())
}

/// Whether there is a certificate that is good for this name. It holds nothing that could be lost.
fn is_for(path: &Path, public_host: Option<&str>) -> bool {
    let Ok(certificate) = CertificateDer::from_pem_file(path) else { return false };
    let Ok(certificate) = ParsedCertificate::try_from(&certificate) else { return false };
    let name = ServerName::try_from(public_host.unwrap_or("localhost"));
    name.is_ok_and(|name| rustls::client::verify_server_name(&certificate, &name).is_ok())
}

#[cfg(unix)]
fn keep_to_owner(key: &Path, found: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = found.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shown = key.display();
    tracing::warn!("others of this system could read the server's key `{shown}`; no longer");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_to_owner(_key: &Path, _found: &fs::Metadata) -> io::Result<()> {
    Ok(())
}
