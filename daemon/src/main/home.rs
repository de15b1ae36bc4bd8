//! The repository of this home, for commands that work on it: opened here, or, where a daemon serves
//! it, asked of that one over its socket. Called by the files of the other commands, which say what
//! work and print what comes of it; the work itself is the repository's in both cases.

use std::io::Write as _;

use imgrepo_proto::control::maintenance::{Maintenance, MaintenanceItem, MaintenanceOutcome};
use imgrepo_proto::control::{Client, Outcome, Reply, Request};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use imgrepod::config::{Config, Flags, Mode};
use imgrepod::control::Memory;
use imgrepod::paths::Paths;
use imgrepod::repository::{OpenError, Repository, Settings, Told};
use serde::Serialize;
use tokio::runtime::Runtime;

/// Carries out work on the repository of this home, and hands over what is told meanwhile. Ctrl-C
/// ends it: `cancelled`.
pub(crate) fn maintain(
    work: Maintenance,
    flags: &Flags,
    runtime: &Runtime,
    item: &mut dyn FnMut(MaintenanceItem),
) -> Result<MaintenanceOutcome, Refusal> {
    let settings = settings(flags)?;
    // The daemon first: it holds the repository as long as it runs.
    if let Some(outcome) = ask(&work, item)? {
        return Ok(outcome);
    }
    if !settings.data.join("catalog.db").exists() && !settings.data.join("blobs").exists() {
        let data = settings.data.display();
        let message = format!("there is no repository in `{data}`");
        return Err(Refusal::new(ErrorCode::NotFound, message));
    }
    runtime.block_on(async {
        let repository = open(settings)?;
        let (told, mut items) = Told::channel();
        let tell = async {
            while let Some(told) = items.recv().await {
                item(told);
            }
            Ok(())
        };
        let work = async { tokio::try_join!(repository.maintain(work, told), tell) };
        // Dropping the work gives it up; a signal that nobody waits for any more means nothing.
        let done = tokio::select! {
            done = work => done.map(|(outcome, ())| outcome),
            _ = tokio::signal::ctrl_c() => {
                Err(Refusal::new(ErrorCode::Cancelled, "interrupted"))
            }
        };
        repository.close().await;
        done
    })
}

/// Asks the daemon of this home; None where there is none, or it serves no repository. Ctrl-C ends
/// this process, and the daemon sees the connection close.
fn ask(
    work: &Maintenance,
    item: &mut dyn FnMut(MaintenanceItem),
) -> Result<Option<MaintenanceOutcome>, Refusal> {
    let endpoint = Paths::from_env(|name: &str| std::env::var_os(name))?.endpoint;
    let program = Program {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut client = match Client::connect(&endpoint, program) {
        Err(refusal) if refusal.code == ErrorCode::NotRunning => return Ok(None),
        client => client?,
    };
    let mut hand_over = |reply| {
        if let Reply::Maintenance(told) = reply {
            item(told);
        }
        Ok(())
    };
    match client.call_with(&Request::Maintenance(work.clone()), &mut hand_over)? {
        Outcome::Maintenance(MaintenanceOutcome::NotServed) => Ok(None),
        Outcome::Maintenance(outcome) => Ok(Some(outcome)),
        other => {
            let message = format!("the daemon answered something else: {other:?}");
            Err(Refusal::new(ErrorCode::Internal, message))
        }
    }
}

/// How the repository of this home is kept: as its server is told.
pub(crate) fn settings(flags: &Flags) -> Result<Settings, Refusal> {
    let serves = flags.serve
        || flags.listen.is_some()
        || flags.allow_guests
        || flags.tls_cert.is_some()
        || flags.tls_key.is_some()
        || flags.behind_proxy.is_some();
    if serves || flags.connect.is_some() {
        let message = "this command serves nobody and connects to nobody: leave out --serve and what \
                       belongs to it, and --connect";
        return Err(Refusal::new(ErrorCode::Usage, message));
    }
    let var = |name: &str| std::env::var_os(name);
    let paths = Paths::from_env(var)?;
    let remembered = Memory::open(&paths.state)?.remembered();
    // The server's part of the configuration; nothing listens, so where it would does not matter.
    let flags = Flags {
        serve: true,
        listen: Some("127.0.0.1:0".to_owned()),
        user: flags.user.clone(),
        config: flags.config.clone(),
        ..Flags::default()
    };
    let config = Config::resolve(&flags, var, &remembered, &paths.config)?;
    let settings = Settings { config: Some(config.file), ..Settings::new(paths.data, config.user) };
    match config.mode {
        Mode::Server(told) => Ok(Settings {
            max_image_bytes: told.max_image_bytes,
            staging_quota_bytes: told.staging_quota_bytes,
            ..settings
        }),
        Mode::Client { .. } => Ok(settings),
    }
}

pub(crate) fn open(settings: Settings) -> Result<Repository, Refusal> {
    Repository::open(settings).map_err(|error| {
        let refusal = Refusal::new(ErrorCode::FileError, error.to_string());
        match error {
            OpenError::InUse { data } => {
                let lock = data.join("repository.lock");
                let lock = lock.display();
                refusal.hint(format!("stop that one first (imgctl stop): it holds `{lock}`"))
            }
            _ => refusal,
        }
    })
}

/// One document.
#[derive(Serialize)]
struct Document<T> {
    v: u32,
    #[serde(flatten)]
    outcome: T,
}

#[derive(Serialize)]
struct Failed<'a> {
    error: &'a Refusal,
}

/// One document of a command that failed.
pub(crate) fn failed(error: &Refusal) -> String {
    document(Failed { error })
}

/// One document, for stdout.
pub(crate) fn document<T: Serialize>(outcome: T) -> String {
    serde_json::to_string(&Document { v: 1, outcome }).unwrap_or_default()
}

/// A line on stdout.
pub(crate) fn say(line: String) {
    // A reader that is gone changes nothing of what was done.
    let _ = writeln!(std::io::stdout(), "{line}");
}
