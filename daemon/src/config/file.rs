//! The configuration file's keys, as `daemon/README.md` describes them. Read, never written.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use imgrepo_proto::invitation::HostPort;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use super::{Guests, LogFormat, Reserve};

/// The file.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) server: Server,
    pub(super) client: Client,
    pub(super) watch: Watch,
    pub(super) log: Log,
}

/// `[server]`: used with `--serve`.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) listen: Option<String>,
    #[serde(deserialize_with = "public_host")]
    pub(super) public_host: Option<String>,
    pub(super) guests: Option<Guests>,
    pub(super) allow_guests: Option<bool>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) behind_proxy: Option<Vec<String>>,
    pub(super) max_image_size: Option<Size>,
    pub(super) v1_max_image_size: Option<Size>,
    pub(super) v1_budget: Option<Size>,
    pub(super) trash_days: Option<u32>,
    pub(super) staging_days: Option<u32>,
    pub(super) staging_quota: Option<Size>,
    pub(super) person_quota: Option<Size>,
    pub(super) repository_quota: Option<Size>,
    pub(super) reserve: Option<Reserve>,
    pub(super) variants: Option<bool>,
    pub(super) variants_budget: Option<Size>,
    pub(super) max_sessions: Option<Count>,
    pub(super) sessions_per_address: Option<Count>,
    pub(super) sessions_per_person: Option<Count>,
    pub(super) requests_per_session: Option<Count>,
    /// The keys that are there.
    #[serde(skip)]
    pub(super) given: BTreeSet<String>,
}

/// `[client]`: used without.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Client {
    pub(super) connect: Option<String>,
    pub(super) variants_budget: Option<Size>,
    pub(super) user: Option<String>,
}

/// `[watch]`: how folders are watched.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Watch {
    pub(super) settle_seconds: Option<u32>,
    pub(super) torn_minutes: Option<u32>,
    pub(super) rescan_minutes: Option<Count>,
    pub(super) poll_seconds: Option<Count>,
}

/// `[log]`: how the log is written.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: Option<LogFormat>,
}

impl File {
    /// Reads it; one that is missing is empty, unless it was named.
    pub(super) fn read(path: &Path, named: bool) -> Result<File, Refusal> {
        let refused = |why: String| {
            let path = path.display();
            Refusal::new(
                ErrorCode::FileError,
                format!("cannot use the configuration file `{path}`: {why}"),
            )
        };
        match std::fs::read_to_string(path) {
            Ok(text) => File::parse(&text).map_err(refused),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
                Ok(File::default())
            }
            Err(error) => Err(refused(error.to_string())),
        }
    }

    pub(super) fn parse(text: &str) -> Result<File, String> {
        let wrong = |error: toml::de::Error| match error.span() {
            Some(span) => {
                let before = text.get(..span.start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                // Where it is a value that is wrong: whose.
                let key = before.rsplit('\n').next().and_then(|it| it.trim().strip_suffix('='));
                let key = key.map(|key| format!("`{}`: ", key.trim())).unwrap_or_default();
                format!("line {line}: {key}{}", error.message())
            }
            None => error.message().to_owned(),
        };
        let mut file: File = toml::from_str(text).map_err(wrong)?;
        let table: toml::Table = toml::from_str(text).map_err(wrong)?;
        if let Some(server) = table.get("server").and_then(toml::Value::as_table) {
            file.server.given = server.keys().cloned().collect();
        }
        Ok(file)
    }
}

/// A name or an address, with or without a port. What is none would be left out of invitations, and
/// requests for it refused, without a word to whoever wrote it.
fn public_host<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    if text.parse::<IpAddr>().is_ok() || text.parse::<HostPort>().is_ok() {
        return Ok(Some(text));
    }
    let text =
        format!("`{text}` is no name: give it as \"photos.example\" or with a port behind it");
    Err(D::Error::custom(text))
}

/// How many of something of which none would be of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AtLeastOne;
        impl Visitor<'_> for AtLeastOne {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, at least 1")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
                let count = u32::try_from(number).ok().filter(|count| *count > 0);
                let bad = || E::invalid_value(Unexpected::Signed(number), &self);
                count.map(Count).ok_or_else(bad)
            }
        }
        from.deserialize_u32(AtLeastOne)
    }
}

/// Bytes: a whole number, or a text such as `64 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes or a text such as \"64 MiB\"")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Size, E> {
                let number = u64::try_from(number);
                number.map(Size).map_err(|_| E::custom("a size cannot be negative"))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Size, E> {
                Ok(Size(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                size(text).map(Size).ok_or_else(|| {
                    E::custom(format!("`{text}` is no size: give it as \"64 MiB\" or as bytes"))
                })
            }
        }
        from.deserialize_any(NumberOrText)
    }
}

pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
