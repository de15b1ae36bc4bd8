//! What a server is told: `--serve`'s flags and `[server]` of the file, put together with the defaults.
//! Called by `config` alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use imgrepo_proto::limits::{
    DEFAULT_PORT, MAX_IMAGE_BYTES, MAX_REQUESTS, V1_BUDGET_BYTES, V1_MAX_IMAGE_BYTES,
};
use imgrepo_proto::{ErrorCode, Refusal};
use ipnet::IpNet;

use super::{Flags, Guests, Reserve, absolute, file};

/// What a server was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The name that it is reached by from elsewhere.
    pub public_host: Option<String>,
    /// What those may do who come without an account.
    pub guests: Guests,
    /// Whether they may do so unencrypted from elsewhere: only where it was said that guests may.
    pub plaintext_guests: bool,
    /// The certificate and the key that were given, absolute; its own without.
    pub tls_files: Option<TlsFiles>,
    /// The proxies that are trusted.
    pub behind_proxy: Vec<IpNet>,
    /// The largest image, in bytes.
    pub max_image_bytes: u64,
    /// The largest image of old (v1) clients.
    pub v1_max_image_bytes: u64,
    /// All contents of old clients in flight together.
    pub v1_budget_bytes: u64,
    /// Days that an image stays in the trash.
    pub trash_days: u32,
    /// Days that an interrupted upload is kept.
    pub staging_days: u32,
    /// Room for interrupted uploads.
    pub staging_quota_bytes: u64,
    /// Bytes that the images of one person may have together.
    pub person_quota_bytes: Option<u64>,
    /// The same of everybody's images together.
    pub repository_quota_bytes: Option<u64>,
    /// What contents leave free of their disk.
    pub reserve: Reserve,
    /// Whether pictures are made for looking at images.
    pub variants: bool,
    /// Bytes of them that are kept.
    pub variants_budget_bytes: u64,
    /// Sessions at once.
    pub max_sessions: u32,
    /// Of these from one address, but from this computer's own.
    pub sessions_per_address: u32,
    /// Of these of one account.
    pub sessions_per_person: u32,
    /// Requests under way in one session.
    pub requests_per_session: u32,
    /// The keys of all this that the configuration file gives.
    pub in_file: BTreeSet<String>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// With its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Days in the trash: long enough to miss a picture after a holiday.
const TRASH_DAYS: u32 = 30;
/// Days that an interrupted upload is kept: a laptop is opened again within a week.
const STAGING_DAYS: u32 = 7;
/// Room for interrupted uploads: eight of the largest images.
const STAGING_QUOTA_BYTES: u64 = 8 * MAX_IMAGE_BYTES;
/// Pictures that are kept: the small ones of 60,000 photographs.
const VARIANTS_BUDGET_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Sessions at once: what a group that shares a server never reaches, at under 100 MB if it did.
const MAX_SESSIONS: u32 = 10_000;
/// Of these from one address: a class behind one router, each with a few programs.
const SESSIONS_PER_ADDRESS: u32 = 100;
/// Of these of one account: some devices, each with daemon, browsers and scripts.
const SESSIONS_PER_PERSON: u32 = 64;

/// `folder` is that of the configuration file, from where its own paths are seen.
pub(super) fn server(
    flags: &Flags,
    listen: Option<String>,
    file: file::Server,
    folder: &Path,
) -> Result<ServerConfig, Refusal> {
    let listen = match listen.or(file.listen) {
        Some(text) => address(&text)?,
        None => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT),
    };
    if file.allow_guests == Some(true) && file.guests.is_some_and(|it| it != Guests::Upload) {
        let message = "`allow_guests = true` of the configuration is the old spelling of \
                       `guests = \"upload\"`, and it says otherwise: give `guests` alone";
        return Err(Refusal::new(ErrorCode::FileError, message));
    }
    // What was said, where anything was: the flag, the file, the file as it was spelled before.
    let said = match (flags.allow_guests, file.guests, file.allow_guests) {
        (true, ..) | (_, None, Some(true)) => Some(Guests::Upload),
        (_, guests, _) => guests,
    };
    let tls_files = match (&flags.tls_cert, &flags.tls_key, file.tls_cert, file.tls_key) {
        (Some(certificate), Some(key), ..) => Some((certificate.clone(), key.clone())),
        (_, _, Some(certificate), Some(key)) => Some((folder.join(certificate), folder.join(key))),
        (_, _, None, None) => None,
        _ => {
            let message = "`tls_cert` and `tls_key` of the configuration belong together: \
                           give both or none";
            return Err(Refusal::new(ErrorCode::FileError, message));
        }
    };
    let tls_files = tls_files.map(|(certificate, key)| TlsFiles {
        certificate: absolute(certificate),
        key: absolute(key),
    });
    let behind_proxy = match &flags.behind_proxy {
        Some(text) => networks(text.split(','), "--behind-proxy", ErrorCode::Usage)?,
        None => {
            let texts = file.behind_proxy.iter().flatten().map(String::as_str);
            networks(texts, "`behind_proxy` of the configuration", ErrorCode::FileError)?
        }
    };
    let bytes = |size: Option<file::Size>, default| size.map_or(default, |size| size.0);
    let count = |told: Option<file::Count>, default| told.map_or(default, |count| count.0);
    Ok(ServerConfig {
        listen,
        public_host: file.public_host,
        // On loopback they are this machine's own users, unless a proxy leads others there.
        guests: said.unwrap_or(match listen.ip().is_loopback() && behind_proxy.is_empty() {
            true => Guests::Upload,
            false => Guests::No,
        }),
        plaintext_guests: said.is_some_and(|guests| guests != Guests::No),
        tls_files,
        behind_proxy,
        max_image_bytes: bytes(file.max_image_size, MAX_IMAGE_BYTES),
        v1_max_image_bytes: bytes(file.v1_max_image_size, V1_MAX_IMAGE_BYTES),
        v1_budget_bytes: bytes(file.v1_budget, V1_BUDGET_BYTES),
        trash_days: file.trash_days.unwrap_or(TRASH_DAYS),
        staging_days: file.staging_days.unwrap_or(STAGING_DAYS),
        staging_quota_bytes: bytes(file.staging_quota, STAGING_QUOTA_BYTES),
        person_quota_bytes: file.person_quota.map(|size| size.0),
        repository_quota_bytes: file.repository_quota.map(|size| size.0),
        reserve: file.reserve.unwrap_or_default(),
        variants: file.variants.unwrap_or(true),
        variants_budget_bytes: bytes(file.variants_budget, VARIANTS_BUDGET_BYTES),
        max_sessions: count(file.max_sessions, MAX_SESSIONS),
        sessions_per_address: count(file.sessions_per_address, SESSIONS_PER_ADDRESS),
        sessions_per_person: count(file.sessions_per_person, SESSIONS_PER_PERSON),
        requests_per_session: count(file.requests_per_session, MAX_REQUESTS),
        in_file: file.given,
    })
}

/// Addresses and networks.
fn networks<'a>(
    texts: impl Iterator<Item = &'a str>,
    told: &str,
    code: ErrorCode,
) -> Result<Vec<IpNet>, Refusal> {
    let network = |text: &str| {
        let ip = text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
        ip.ok().or_else(|| text.parse().ok())
    };
    let networks = texts.map(|text| {
        network(text.trim()).ok_or_else(|| {
            let shown = imgrepo_proto::name::shown(text);
            let message = format!("{told} cannot be `{shown}`: it is no address and no network");
            Refusal::new(code, message).hint("give it as 127.0.0.1 or 10.0.0.0/8")
        })
    });
    networks.collect()
}

/// `HOST:PORT` or `HOST`, of IP addresses or names.
fn address(text: &str) -> Result<SocketAddr, Refusal> {
    let refused = |why: &str| {
        let shown = imgrepo_proto::name::shown(text);
        Refusal::new(ErrorCode::Usage, format!("cannot listen on `{shown}`: {why}"))
            .hint("give it as HOST:PORT, such as 127.0.0.1:8765")
    };
    let bare: Result<IpAddr, _> = text.trim_matches(['[', ']']).parse();
    if let Ok(ip) = bare {
        return Ok(SocketAddr::new(ip, DEFAULT_PORT));
    }
    let named = if text.contains(':') { text.to_owned() } else { format!("{text}:{DEFAULT_PORT}") };
    let found = named.to_socket_addrs().map_err(|error| refused(&error.to_string()))?;
    // Where a name has addresses of both kinds, the one that clients of either kind try.
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| refused("the name has no address"))
}
