//! What the daemon is told to do: flags, `IMGREPO_*` variables, what it remembers, the configuration
//! file, defaults, in this order. `main` resolves it once; every other room is given its part.
//!
//! The file is strict (a key that is not known is an error that names it) and never written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::limits::DEFAULT_PORT;
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use serde::{Deserialize, Serialize};

use file::File;
pub use guests::Guests;
pub use log::{LogFormat, log_format};
pub use reserve::Reserve;
use server::server;
pub use server::{ServerConfig, TlsFiles};

mod file;
mod guests;
mod log;
mod reserve;
mod server;

/// The command line's part. What stands at each flag is what `--help` says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Flags {
    /// Be the server, with the repository of this home
    #[arg(long)]
    pub serve: bool,
    /// Where the server listens [default: 127.0.0.1:8765]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The server to connect to: ws://host:port/, host:port or host
    #[arg(long, value_name = "URL")]
    pub connect: Option<String>,
    /// Your name there [default: the login name]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Let everyone who reaches the server see and add images
    #[arg(long)]
    pub allow_guests: bool,
    /// A certificate with its chain (PEM), in place of the server's own
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Trust these proxies to say who comes, and that it is encrypted (addresses, networks)
    #[arg(long, value_name = "ADDR,..")]
    pub behind_proxy: Option<String>,
    /// A folder to watch: what is put there is uploaded (may be given several times)
    #[arg(long, value_name = "DIR")]
    pub watch: Vec<PathBuf>,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the log is written: as text, or as json, one object a line [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// What `imgctl connect` and `disconnect` said last; kept across restarts by the control room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Where to connect.
    pub url: Option<String>,
    /// As whom.
    pub user: Option<PersonName>,
    /// Not to connect by itself.
    #[serde(default)]
    pub offline: bool,
}

/// Everything the daemon was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The person's name.
    pub user: PersonName,
    /// The configuration file that was read, whether or not it is there.
    pub file: PathBuf,
    /// What to be.
    pub mode: Mode,
    /// How folders are watched.
    pub watch: WatchConfig,
    /// Bytes of pictures that a client keeps of those that it has looked at.
    pub variants_budget_bytes: u64,
}

/// How folders are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchConfig {
    /// Folders that the command line names, absolute.
    pub folders: Vec<PathBuf>,
    /// How long a file must stay as it is where nothing better is known.
    pub settle: Duration,
    /// How long where its end is missing.
    pub torn: Duration,
    /// How often everything is looked at.
    pub rescan: Duration,
    /// How often where changes are not told.
    pub poll: Duration,
}

/// What to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A client: connect here, or stay offline.
    Client {
        /// Where to.
        connect: Option<String>,
    },
    /// The server.
    Server(Box<ServerConfig>),
}

/// Pictures that a client keeps: what a person looks at in a month.
const VARIANTS_BUDGET_BYTES: u64 = 512 * 1024 * 1024;
/// A file that has not changed for so long is whole, where nothing better tells: programs that pause
/// longer while they write are rare, and a person waits that long.
const SETTLE_SECONDS: u32 = 2;
/// An image whose end is missing may be a copy that was cut short and is done again soon: what noticed
/// that it failed has done so within minutes. One that stays so is kept by people who know why.
const TORN_MINUTES: u32 = 10;
/// Between two looks at everything: what was missed is not missed for long, and it costs a second
/// for 100,000 files.
const RESCAN_MINUTES: u32 = 15;
/// Between two looks where changes are not told.
const POLL_SECONDS: u32 = 5;

/// What the log shows: `IMGREPO_LOG`, in the form of tracing's filters.
pub fn log_filter(var: impl Fn(&str) -> Option<OsString>) -> String {
    text(&var, "IMGREPO_LOG").unwrap_or_else(|| "info".to_owned())
}

/// The variables that [`Config::resolve`], [`log_filter`] and [`log_format`] read, but the login name's.
pub const VARIABLES: [&str; 6] = [
    "IMGREPO_CONFIG",
    "IMGREPO_LISTEN",
    "IMGREPO_CONNECT",
    "IMGREPO_USER",
    "IMGREPO_LOG",
    "IMGREPO_LOG_FORMAT",
];

/// Where a server listens that nobody told where, so that others reach it. None where it was told:
/// by a flag, by a variable or by the configuration file (`default_file` unless another is named).
///
/// # Errors
/// `file_error` for what the file says.
pub fn reachable(
    flags: &Flags,
    var: impl Fn(&str) -> Option<OsString>,
    default_file: &Path,
) -> Result<Option<String>, Refusal> {
    let (_, file) = read(flags, &var, default_file)?;
    let told = flags.listen.clone().or_else(|| text(&var, "IMGREPO_LISTEN")).or(file.server.listen);
    // One socket takes both kinds of addresses, where the system knows IPv6 at all.
    let everywhere = || match std::net::UdpSocket::bind("[::]:0") {
        Ok(_) => format!("[::]:{DEFAULT_PORT}"),
        Err(_) => format!("0.0.0.0:{DEFAULT_PORT}"),
    };
    Ok(told.is_none().then(everywhere))
}

/// What is set of the variables that [`Config::resolve`], [`log_filter`] and [`log_format`] read, so that
/// what starts the daemon elsewhere can give it the same. The login name's are every login's own.
pub fn environment(var: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let given = |name: &str| var(name).filter(|value| !value.is_empty());
    let [config, texts @ ..] = VARIABLES;
    let texts = texts.into_iter().filter_map(|name| Some((name.to_owned(), given(name)?)));
    let file = given(config).map(PathBuf::from);
    let file = file.map(|file| (config.to_owned(), absolute(file).into()));
    file.into_iter().chain(texts).collect()
}

impl Config {
    /// Puts everything together, reading the configuration file (`default_file` unless another is
    /// named) and these environment variables.
    ///
    /// # Errors
    /// `usage` for what the command line says, `file_error` for what the file does.
    pub fn resolve(
        flags: &Flags,
        var: impl Fn(&str) -> Option<OsString>,
        remembered: &Remembered,
        default_file: &Path,
    ) -> Result<Config, Refusal> {
        flags.check()?;
        let (path, file) = read(flags, &var, default_file)?;
        let user = match flags.user.clone().or_else(|| text(&var, "IMGREPO_USER")) {
            Some(user) => person(&user, "--user")?,
            None => match (&remembered.user, file.client.user) {
                (Some(user), _) => user.clone(),
                (None, Some(user)) => person(&user, "`user` of the configuration")?,
                (None, None) => login_name(&var),
            },
        };
        let mode = if flags.serve {
            let listen = flags.listen.clone().or_else(|| text(&var, "IMGREPO_LISTEN"));
            let folder = path.parent().unwrap_or(Path::new(""));
            Mode::Server(Box::new(server(flags, listen, file.server, folder)?))
        } else {
            let told = flags.connect.clone().or_else(|| text(&var, "IMGREPO_CONNECT"));
            let by_itself = || remembered.url.clone().or(file.client.connect);
            let connect = match told {
                Some(url) => Some(url),
                None if remembered.offline => None,
                None => by_itself(),
            };
            Mode::Client { connect }
        };
        let watch = watch(&flags.watch, &file.watch);
        let variants_budget_bytes =
            file.client.variants_budget.map_or(VARIANTS_BUDGET_BYTES, |size| size.0);
        Ok(Config { user, file: absolute(path), mode, watch, variants_budget_bytes })
    }
}

impl Flags {
    /// The command line that says the same from any directory.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        // Taken apart in full: a new flag must not be forgotten here.
        let Flags {
            serve,
            listen,
            connect,
            user,
            allow_guests,
            tls_cert,
            tls_key,
            behind_proxy,
            watch,
            config,
            log_format,
        } = self;
        let log_format = log_format.map(|format| format.to_string());
        let switches = [(*serve, "--serve"), (*allow_guests, "--allow-guests")];
        let texts = [
            ("--listen", listen),
            ("--connect", connect),
            ("--user", user),
            ("--log-format", &log_format),
            ("--behind-proxy", behind_proxy),
        ];
        let mut arguments: Vec<OsString> =
            switches.iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| flag.into()).collect();
        for (flag, text) in texts {
            // In one word, so that a text that begins with `-` is not read as a flag.
            arguments.extend(text.as_ref().map(|text| format!("{flag}={text}").into()));
        }
        let files = [("--tls-cert", tls_cert), ("--tls-key", tls_key), ("--config", config)];
        let files = files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
        for (flag, path) in watch.iter().map(|path| ("--watch", path)).chain(files) {
            arguments.push(flag.into());
            arguments.push(absolute(path.clone()).into());
        }
        arguments
    }

    /// Refuses flags that exclude each other. [`Config::resolve`] does so too; this is for a start
    /// that must not touch anything before.
    ///
    /// # Errors
    /// `usage`.
    pub fn check(&self) -> Result<(), Refusal> {
        let usage = |message: &str| Err(Refusal::new(ErrorCode::Usage, message));
        if self.serve && self.connect.is_some() {
            return usage(
                "a daemon either serves or connects: --serve and --connect exclude each other",
            );
        }
        if !self.serve && self.listen.is_some() {
            return usage("--listen needs --serve: only a server listens");
        }
        if !self.serve && self.allow_guests {
            return usage("--allow-guests needs --serve: only a server has guests");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return usage("--tls-cert and --tls-key belong together: give both or none");
        }
        if !self.serve && self.tls_cert.is_some() {
            return usage("--tls-cert needs --serve: only a server shows a certificate");
        }
        if !self.serve && self.behind_proxy.is_some() {
            return usage("--behind-proxy needs --serve: only a server stands behind one");
        }
        Ok(())
    }
}

/// The configuration file, and where it is or would be.
fn read(
    flags: &Flags,
    var: impl Fn(&str) -> Option<OsString>,
    default_file: &Path,
) -> Result<(PathBuf, File), Refusal> {
    let variable = || var("IMGREPO_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = flags.config.clone().or_else(variable);
    let file = File::read(named.as_deref().unwrap_or(default_file), named.is_some())?;
    Ok((named.unwrap_or_else(|| default_file.to_owned()), file))
}

fn watch(folders: &[PathBuf], file: &file::Watch) -> WatchConfig {
    let seconds = |told: Option<u32>, default| Duration::from_secs(told.unwrap_or(default).into());
    WatchConfig {
        folders: folders.iter().cloned().map(absolute).collect(),
        settle: seconds(file.settle_seconds, SETTLE_SECONDS),
        torn: seconds(file.torn_minutes, TORN_MINUTES) * 60,
        rescan: seconds(file.rescan_minutes.map(|count| count.0), RESCAN_MINUTES) * 60,
        poll: seconds(file.poll_seconds.map(|count| count.0), POLL_SECONDS),
    }
}

/// As seen from where the daemon was started.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn person(text: &str, whose: &str) -> Result<PersonName, Refusal> {
    PersonName::parse(text).map_err(|error| {
        let shown = imgrepo_proto::name::shown(text);
        Refusal::new(ErrorCode::Usage, format!("{whose} cannot be `{shown}`: {error}"))
    })
}

fn text(var: impl Fn(&str) -> Option<OsString>, name: &str) -> Option<String> {
    let value = var(name)?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

/// Who is logged in: by variables, else by the system's list of users, else nobody in particular.
fn login_name(var: impl Fn(&str) -> Option<OsString>) -> PersonName {
    let by_variable = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| text(&var, name));
    let name = by_variable.or_else(|| {
        let user = imgrepo_proto::control::endpoint::user().to_string();
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        users.find(|fields| fields.get(2) == Some(&user.as_str()))?.first().map(|&n| n.to_owned())
    });
    name.and_then(|name| PersonName::parse(&name).ok()).unwrap_or_else(PersonName::anon)
}

#[cfg(test)]
mod tests;
