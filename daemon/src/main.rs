//! `imgrepod`: the command line, the log, the signals, and one [`Daemon`] until it is told to end.
//! Only this file prints and exits, and those in `main/`, which are its other commands.

#![allow(clippy::print_stderr, clippy::print_stdout, clippy::exit)] // This is where it happens.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use imgrepo_proto::{ErrorCode, Refusal};
use imgrepod::config::{self, Config, Flags, LogFormat};
use imgrepod::control::Farewells;
use imgrepod::daemon::{Daemon, Ground};
use imgrepod::paths::Paths;
use imgrepod::repository::picture;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

#[path = "main/backup.rs"]
mod backup;
#[path = "main/classic.rs"]
mod classic;
#[path = "main/fsck.rs"]
mod fsck;
#[path = "main/home.rs"]
mod home;
#[path = "main/man.rs"]
mod man;
#[path = "main/mapped.rs"]
mod mapped;
// What is in `src/service/` is the library's room.
#[path = "main/service.rs"]
mod service;

/// The exit code of a command line that makes no sense: a flag, or an address that is none.
const WRONG_USAGE: u8 = 2;

/// Threads that wait for the disk at once: what keeps a disk busy with fsyncs, and readers beside.
const BLOCKING_THREADS: usize = 64;

/// A block of this size, given back once, tells glibc what is usual here (mallopt(3), the dynamic
/// threshold): it then keeps twice as much at the end of each heap. It starts with 128 KiB, so small
/// images had the system take their memory back and clear new for each: a tenth of their time.
const USUAL_BLOCK_BYTES: usize = 512 * 1024;

/// What the daemon says of itself, as an event of a log for programs. It is in it whatever
/// `IMGREPO_LOG` says: who reads that log has nothing else.
const SAID: &str = "imgrepod::said";

/// How long the end waits for calls of the system that nobody needs any more: a name that is looked
/// up at a silent DNS server takes half a minute, a file on a disk that is away for ever. All that
/// has to reach the disk was waited for before.
const LEFT_OVER: Duration = Duration::from_secs(1);

/// Keeps this person's session to a repository of images, or is the repository's server.
///
/// It runs in the foreground and logs to stderr. Without --serve or --connect it connects to where
/// `imgctl connect` said last.
#[derive(Debug, Parser)]
#[command(name = "imgrepod", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    /// In a session of its own: for what starts it in the background
    #[arg(long, hide = true)]
    #[cfg_attr(not(unix), allow(dead_code))] // Sessions of processes are Unix's.
    own_session: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What it does instead of running.
#[derive(Debug, Subcommand)]
enum Command {
    /// Have the daemon start at login
    Service(service::Args),
    /// Take over the images of another system into the repository of this home
    #[command(subcommand)]
    Import(classic::Import),
    /// Write the repository of this home for another system
    #[command(subcommand)]
    Export(classic::Export),
    /// Look whether everything in the repository of this home is there, whole and in order
    ///
    /// Safe while the daemon serves it. Exits with 0 where all is sound, with 1 where something was
    /// found, also when it was repaired.
    Fsck(fsck::Args),
    /// Copy the repository of this home into a folder, while it serves; again: what is new
    ///
    /// Exits with 1 where a content could not be copied; all else is in the backup then.
    Backup(backup::BackupArgs),
    /// Make the repository of this home out of a backup; this home must have none
    ///
    /// Exits with 1 where a content is missing or damaged in the backup; nothing is served then, unless
    /// that is accepted. What was cut short goes on when it is run again.
    Restore(backup::RestoreArgs),
    /// Write the manual pages into a folder, as they are installed
    #[command(hide = true)]
    Man {
        /// Where to
        folder: std::path::PathBuf,
    },
}

fn main() -> ExitCode {
    // For the daemon alone, which starts it: nothing of a command line's is begun.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == picture::COMMAND) {
        return picture::work();
    }
    drop(std::hint::black_box(Vec::<u8>::with_capacity(USUAL_BLOCK_BYTES)));
    let cli = Cli::parse();
    #[cfg(unix)]
    if cli.own_session {
        // A terminal that closes is nothing to it. One that has its own session keeps that.
        let _ = rustix::process::setsid();
    }
    let done = match cli.command {
        None => run(&cli.flags),
        Some(command) => carry_out(command, &cli.flags),
    };
    done.unwrap_or_else(|refusal| {
        complain(&refusal.message, refusal.hint.as_deref());
        code_of(&refusal)
    })
}

/// The other commands are people's: what they log is text.
fn carry_out(command: Command, flags: &Flags) -> Result<ExitCode, Refusal> {
    start_log(LogFormat::Text)?;
    #[cfg(unix)]
    hide_memory();
    match command {
        Command::Service(args) => Ok(service::run(args, flags)),
        Command::Import(import) => classic::import(&import, flags, &start_runtime()?),
        Command::Export(export) => classic::export(&export, flags, &start_runtime()?),
        Command::Fsck(args) => fsck::run(&args, flags, &start_runtime()?),
        Command::Backup(args) => backup::back_up(&args, flags, &start_runtime()?),
        Command::Restore(args) => backup::bring_back(&args, flags, &start_runtime()?),
        Command::Man { folder } => man::write(Cli::command(), &folder).map(|()| ExitCode::SUCCESS),
    }
}

/// A start that fails is 1 whatever the cause; wrong usage is 2, as everywhere.
fn code_of(refusal: &Refusal) -> ExitCode {
    ExitCode::from(if refusal.code.exit_code() == WRONG_USAGE { WRONG_USAGE } else { 1 })
}

/// Says to people what is wrong, and what to do about it.
fn complain(message: &str, hint: Option<&str>) {
    eprintln!("imgrepod: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
}

fn start_log(format: LogFormat) -> Result<(), Refusal> {
    let filter = config::log_filter(|name| std::env::var_os(name));
    let parsed = EnvFilter::try_new(&filter).map_err(|error| {
        Refusal::new(ErrorCode::Usage, format!("cannot use IMGREPO_LOG=`{filter}`: {error}"))
            .hint("such as IMGREPO_LOG=debug, or IMGREPO_LOG=info,imgrepod::link=trace")
    })?;
    let said = format!("{SAID}=info").parse().ok().filter(|_| format == LogFormat::Json);
    let parsed = said.into_iter().fold(parsed, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            log.json().init();
            // Rust writes a few lines of text.
            std::panic::set_hook(Box::new(|panic| tracing::error!(target: SAID, "{panic}")));
        }
    }
    Ok(())
}

fn run(flags: &Flags) -> Result<ExitCode, Refusal> {
    flags.check()?;
    let var = |name: &str| std::env::var_os(name);
    let paths = Paths::from_env(var)?;
    let format = config::log_format(flags, var, &paths.config)?;
    start_log(format)?;
    #[cfg(unix)]
    hide_memory();
    match keep(flags, paths, format) {
        Err(refusal) if format == LogFormat::Json => {
            let Refusal { message, hint, .. } = &refusal;
            tracing::error!(target: SAID, hint, "{message}");
            Ok(code_of(&refusal))
        }
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

/// The daemon, until it is told to end.
fn keep(flags: &Flags, paths: Paths, format: LogFormat) -> Result<(), Refusal> {
    #[cfg(unix)]
    raise_open_files();
    let runtime = start_runtime()?;
    let farewells = runtime.block_on(until_told(flags, paths, format))?;
    runtime.shutdown_timeout(LEFT_OVER);
    // Now whoever asked for the end may start another.
    drop(farewells);
    Ok(())
}

fn start_runtime() -> Result<Runtime, Refusal> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        // Two at least: a request must not wait for another's work on a machine of one core.
        .worker_threads(cores.max(2))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("imgrepod")
        .enable_all()
        .build()
        .map_err(|error| {
            Refusal::new(ErrorCode::Internal, format!("cannot start the runtime: {error}"))
        })
}

/// Keeps what is in memory there: credentials, the key of the certificate, images. A core dump would
/// write it all to a file that outlives them, or send it with a report of the crash. The limit holds
/// where the system writes dumps to files; where it hands them to a program it need not, but no
/// process that says that it is none to be dumped is (core(5)), and no other program of this user may
/// read its memory then (ptrace(2)).
///
/// After the log is begun, so that it can be said, and before anything that is secret is read.
#[cfg(unix)]
fn hide_memory() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    let done = setrlimit(Resource::Core, limit);
    #[cfg(target_os = "linux")]
    let done = {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        done.and(set_dumpable_behavior(DumpableBehavior::NotDumpable))
    };
    if let Err(error) = done {
        tracing::warn!(%error, "a fault of this process may write its memory to a core dump");
    }
}

/// Lets this process have as many open files as its user may give it: the usual 1,024 are used up by
/// a few busy sessions, and then no image can be stored or read.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the number of open files");
    }
}

/// Runs a daemon until a program or a signal ends it.
async fn until_told(
    flags: &Flags,
    paths: Paths,
    format: LogFormat,
) -> Result<Option<Farewells>, Refusal> {
    // From here on a signal is not the process's end but ours.
    let mut signals = Signals::listen()?;
    let default_file = paths.config.clone();
    let ground = Ground::take(paths)?;
    let var = |name: &str| std::env::var_os(name);
    let config = Config::resolve(flags, var, &ground.remembered(), &default_file)?;
    // Dropping the start is safe: what it has begun is taken up by the next one.
    let daemon = tokio::select! {
        daemon = Daemon::start(ground, config) => daemon?,
        _ = signals.next() => return Ok(None),
    };
    announce(daemon.ready(), format);
    // It ends by itself, or with the runtime.
    drop(tokio::spawn(mapped::give_back()));
    // Either only wakes.
    tokio::select! {
        () = daemon.asked_to_stop() => tracing::info!("stopping: a program asked for it"),
        signal = signals.next() => tracing::info!(signal, "stopping; once more stops at once"),
    }
    tokio::select! {
        farewells = daemon.stop() => Ok(Some(farewells)),
        // 128 and the signal's number, as a shell has it.
        signal = signals.next() => std::process::exit(128 + signal),
    }
}

/// Says that everything is up: to people, and where its output is read by a program, to that.
fn announce(ready: &str, format: LogFormat) {
    match format {
        LogFormat::Text => eprintln!("{ready}"),
        LogFormat::Json => tracing::info!(target: SAID, "{ready}"),
    }
    let mut stdout = std::io::stdout();
    if !stdout.is_terminal() {
        // A reader that is gone does not keep the daemon from running.
        let _ = writeln!(stdout, "{ready}").and_then(|()| stdout.flush());
    }
}

/// What tells the daemon to end: Ctrl-C and SIGTERM. A terminal that closes (SIGHUP) is left to the
/// system: handling it would undo `nohup`, and a daemon that is killed loses nothing.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self, Refusal> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| no_signals(&error));
        Ok(Signals([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?]))
    }

    /// The next one's number.
    async fn next(&mut self) -> i32 {
        let Signals([interrupt, terminate]) = self;
        // Each keeps what was not taken.
        tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self, Refusal> {
        Ok(Signals)
    }

    async fn next(&mut self) -> i32 {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!("{}", no_signals(&error).message);
            std::future::pending::<()>().await;
        }
        2
    }
}

fn no_signals(error: &std::io::Error) -> Refusal {
    Refusal::new(ErrorCode::Internal, format!("cannot listen to signals: {error}"))
}
