//! `imgrepod service ...`: reads the command line, has the library's `service` room carry it out,
//! and says what came of it.

#![allow(clippy::print_stderr, clippy::print_stdout)] // A part of `main`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Subcommand;
use imgrepo_proto::{ErrorCode, Refusal};
use imgrepod::config::{self, Config, Flags, Remembered};
use imgrepod::paths::Paths;
use imgrepod::service::{self, Service, ServiceStatus, Start, Steps, System};
use serde::Serialize;

use super::complain;

/// The version of the documents of `--json`.
const DOCUMENTS: u32 = 1;

/// One document. Its version comes first.
#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a ServiceStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault<'a>>,
}

/// As every program says it: the hint is there, be it null.
#[derive(Serialize)]
struct Fault<'a> {
    code: ErrorCode,
    message: &'a str,
    hint: Option<&'a str>,
}

/// What `status` exits with where it is not running, as `systemctl status` does.
const NOT_RUNNING: u8 = 3;

/// `service`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    act: Act,
    /// One JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Start the daemon at every login, with these flags, and now
    Install {
        #[command(flatten)]
        flags: Box<Flags>,
        /// Without a login too, from the system's start on
        #[arg(long, conflicts_with = "background")]
        linger: bool,
        /// Not at login, only now: where no service manager answers
        #[arg(long)]
        background: bool,
        /// With --serve, listen for others too, unless something says where to listen
        #[arg(long, requires = "serve")]
        reachable: bool,
    },
    /// Stop it, and start it at login no longer
    Uninstall,
    /// Start it now
    Start {
        /// Without the service manager
        #[arg(long)]
        background: bool,
    },
    /// Stop it until the next login
    Stop,
    /// Stop it, and start it
    Restart,
    /// Say how it stands: exits with 0 where it is running, with 3 where it is not
    Status,
}

/// Carries it out. Flags in front of `service` would be lost, and are refused.
pub(super) fn run(args: Args, in_front: &Flags) -> ExitCode {
    let Args { act, json } = args;
    let is_status = matches!(act, Act::Status);
    // What is wrong has nothing to do with the others, or keeps them from being carried out.
    let tells_problems = is_status || matches!(act, Act::Install { .. });
    let done = if *in_front == Flags::default() {
        carry_out(act)
    } else {
        let message = "flags in front of `service` say nothing";
        let refusal = Refusal::new(ErrorCode::Usage, message);
        Err(refusal.hint("write them behind it: imgrepod service install --serve"))
    };
    match done {
        Ok((steps, status)) => {
            if json {
                document(Some(&status), None);
            } else {
                say(is_status, &steps, &status);
                for problem in status.problems.iter().filter(|_| tells_problems) {
                    complain(&problem.message, problem.hint.as_deref());
                }
            }
            ExitCode::from(if is_status && !status.running { NOT_RUNNING } else { 0 })
        }
        Err(refusal) => {
            if json {
                let Refusal { code, message, hint } = &refusal;
                document(None, Some(Fault { code: *code, message, hint: hint.as_deref() }));
            } else {
                complain(&refusal.message, refusal.hint.as_deref());
            }
            ExitCode::from(refusal.code.exit_code())
        }
    }
}

fn document(service: Option<&ServiceStatus>, error: Option<Fault<'_>>) {
    // Names, texts and switches: they are always JSON.
    if let Ok(text) = serde_json::to_string(&Document { v: DOCUMENTS, service, error }) {
        println!("{text}");
    }
}

fn carry_out(act: Act) -> Result<(Steps, ServiceStatus), Refusal> {
    let paths = Paths::from_env(var)?;
    let by_manager = Service::new(&paths, System);
    let mut service = Service::new(&paths, System).as_installed();
    let steps = match act {
        Act::Install { mut flags, linger, background, reachable } => {
            if reachable && let Some(listen) = config::reachable(&flags, var, &paths.config)? {
                flags.listen = Some(listen);
            }
            service = if background { by_manager.in_background() } else { by_manager };
            service.install(&what_to_start(&flags, &paths)?, linger)?
        }
        Act::Uninstall => {
            let mut steps = service.uninstall()?;
            // Where the manager does not answer there may be both.
            if by_manager.told().is_ok() {
                steps.extend(by_manager.uninstall()?);
            }
            steps
        }
        Act::Start { background: true } => {
            let start = service.told()?;
            service = service.in_background();
            service.install(&start, false)?
        }
        Act::Start { background: false } => service.start()?,
        Act::Stop => service.stop()?,
        Act::Restart => service.restart()?,
        Act::Status => Steps::new(),
    };
    Ok((steps, service.status()?))
}

fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// This program with these flags and this shell's variables, looked at before it is promised for
/// every login.
fn what_to_start(flags: &Flags, paths: &Paths) -> Result<Start, Refusal> {
    Config::resolve(flags, var, &Remembered::default(), &paths.config)?;
    config::log_format(flags, var, &paths.config)?;
    let running = std::env::current_exe().map_err(|error| {
        let message = format!("cannot tell where this program is: {error}");
        Refusal::new(ErrorCode::FileError, message)
    })?;
    let called = std::env::args_os().next();
    let program = service::program(&running, called.as_deref(), &paths.login)?;
    let mut environment = paths.login.environment.clone();
    environment.extend(config::environment(var));
    Ok(Start { program, arguments: flags.arguments(), environment })
}

/// What was done, and how it stands.
fn say(is_status: bool, steps: &Steps, status: &ServiceStatus) {
    for step in steps {
        println!("{step}");
    }
    if is_status {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let unit = status.unit.as_deref().filter(|_| status.installed);
        match unit {
            Some(unit) => println!("installed  yes, {} ({unit})", status.manager),
            None => println!("installed  no (imgrepod service install)"),
        }
        println!("at login   {}", yes(status.enabled));
        println!("running    {}", yes(status.running));
        if let Some(lingering) = status.lingering {
            println!("lingering  {}", yes(lingering));
        }
        if let Some(program) = &status.program {
            println!("program    {program}");
        }
    }
}
