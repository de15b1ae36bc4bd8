//! The client's end: a handshake that succeeds with the right server alone, and in words for people
//! why it did not.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::trust::{self, OtherKey, Pinned};
use super::{BUFFER_BYTES, ClientStream, Trust};

/// Why there is no encrypted stream to a server. Nothing of a session was sent to it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It is another server than the one that was joined, or it has another key now.
    #[error(
        "the server's key has changed: its fingerprint is `{}`, and `{}` was expected",
        Trust::Pin(*found), Trust::Pin(*expected)
    )]
    Pin {
        /// The pin that was told.
        expected: [u8; 32],
        /// That of the server.
        found: [u8; 32],
    },
    /// Its certificate does not prove that it is the server of that name.
    #[error("the server's certificate cannot be trusted: {0}")]
    Certificate(String),
    /// What answers there speaks no TLS 1.3.
    #[error("what answers there speaks no TLS 1.3: {0}")]
    NoTls(String),
    /// The connection broke.
    #[error("{0}")]
    Io(#[source] io::Error),
}

impl ConnectError {
    /// Whether trying again does not help: a person has to look at it.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, ConnectError::Pin { .. } | ConnectError::Certificate(_))
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ConnectError::Pin { .. } => Some(
                "either somebody stands between you and the server, or it was set up anew: ask who \
                 runs it, by another way than this, for the fingerprint that `imgctl status --long` \
                 shows there; only if it is the new one, join again with a new invitation",
            ),
            ConnectError::Certificate(_) => Some(
                "check the server's name and this computer's date, or ask who runs the server for \
                 an invitation: it pins the server's key",
            ),
            ConnectError::NoTls(_) => Some(
                "check host and port; a server that does not encrypt is reached by `ws://`, and \
                 only from its own computer or as a guest",
            ),
            ConnectError::Io(_) => None,
        }
    }
}

/// Encrypts a stream to the server `host` (a name or an address, an IPv6 address without brackets),
/// having made sure that it is the one which `trust` names.
///
/// The caller bounds the time. Dropping it gives the connection up.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect<S>(
    stream: S,
    host: &str,
    trust: &Trust,
) -> Result<ClientStream<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match trust {
        Trust::Pin(expected) => {
            // The key says everything; what is no name of DNS is simply not told to the server.
            let nameless = || ServerName::IpAddress(IpAddr::V6(Ipv6Addr::UNSPECIFIED).into());
            let name = server_name(host).unwrap_or_else(nameless);
            shake_hands(stream, name, Arc::new(Pinned::new(*expected))).await
        }
        Trust::Authorities => {
            let name = server_name(host).ok_or_else(|| {
                let host = imgrepo_proto::name::shown(host);
                ConnectError::Certificate(format!("`{host}` is no name that one can be for"))
            })?;
            let verifier = trust::authorities().await.map_err(ConnectError::Certificate)?;
            shake_hands(stream, name, verifier).await
        }
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    // A trailing dot is the name's root, which no certificate has.
    let host = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok()
}

pub(super) async fn shake_hands<S>(
    stream: S,
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientStream<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let builder = ClientConfig::builder_with_provider(super::provider());
    let builder = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ConnectError::NoTls(error.to_string()))?;
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // Sessions are long: a handshake that is resumed saves nothing, and keeps secrets.
    config.resumption = Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(config));
    let bounded = |to: &mut ClientConnection| to.set_buffer_limit(Some(BUFFER_BYTES));
    connector.connect_with(name, stream, bounded).await.map_err(explained)
}

/// Finds what went wrong in what rustls has packed up.
fn explained(error: io::Error) -> ConnectError {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return ConnectError::Io(error);
    };
    match cause {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<OtherKey>() {
                Some(&OtherKey { expected, found }) => ConnectError::Pin { expected, found },
                None => ConnectError::Certificate(other.to_string()),
            }
        }
        Error::InvalidCertificate(fault) => ConnectError::Certificate(certificate_fault(fault)),
        Error::NoCertificatesPresented => {
            ConnectError::Certificate("it shows none at all".to_owned())
        }
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerIncompatible(_)
        | Error::PeerMisbehaved(_)
        | Error::AlertReceived(_) => ConnectError::NoTls(cause.to_string()),
        _ => ConnectError::Io(error),
    }
}

fn certificate_fault(fault: &CertificateError) -> String {
    use CertificateError as Fault;
    let day = |time: &rustls::pki_types::UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds)
            .map_or_else(|_| "long ago".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
    };
    match fault {
        Fault::Expired => "it has expired".to_owned(),
        Fault::ExpiredContext { not_after, .. } => format!("it expired on {}", day(not_after)),
        Fault::NotValidYet => "it is not valid yet".to_owned(),
        Fault::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}", day(not_before))
        }
        Fault::NotValidForName => "it is for another name".to_owned(),
        Fault::NotValidForNameContext { expected, presented } => {
            // A server says what it likes in its certificate.
            let names: Vec<String> = presented.iter().take(4).map(|name| plain(name)).collect();
            let expected = expected.to_str();
            match names.is_empty() {
                true => format!("it is not for `{expected}`, but for no name at all"),
                false => format!("it is not for `{expected}`, but for {}", names.join(", ")),
            }
        }
        Fault::UnknownIssuer => {
            "no certificate authority that this system knows has issued it".to_owned()
        }
        Fault::BadSignature => "it was not issued by whom it names".to_owned(),
        other => other.to_string(),
    }
}

/// A name of a certificate as a person writes it: webpki tells it as `DnsName("photos.example")`.
fn plain(name: &str) -> String {
    let inner = ["DnsName(\"", "IpAddress("].iter().find_map(|kind| name.strip_prefix(kind));
    let inner = inner.map_or(name, |inner| inner.trim_end_matches(['"', ')']));
    imgrepo_proto::name::shown(inner)
}
