//! The local socket: taken by one daemon at a time, for one user alone.
//!
//! A lock file beside the socket decides who is the daemon; it is held as long as the process
//! lives, so a socket file that is there while the lock is free was left by a dead one.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use imgrepo_proto::control::Endpoint;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{ErrorCode, Refusal};
use interprocess::local_socket::ListenerOptions;
use interprocess::local_socket::tokio::Listener;

/// How long a daemon that was killed may take to let go of lock and socket: the system takes its
/// memory first, which is some milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The socket and the lock. Dropping it takes the socket away, then lets the lock go.
pub struct Listening {
    // In this order: fields are dropped from the first to the last.
    listener: Listener,
    _lock: File,
}

impl Listening {
    /// Takes the socket; one that a dying daemon still holds is waited for, one that a daemon answers
    /// is not. Blocking, in a runtime's context.
    ///
    /// # Errors
    /// `conflict` where another daemon has it, `denied` where its directory is not this user's alone.
    pub fn open(endpoint: &Endpoint, program: &Program) -> Result<Listening, Refusal> {
        let failed = |error: io::Error| {
            let path = endpoint.path();
            let code = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorCode::Denied,
                _ => ErrorCode::FileError,
            };
            Refusal::new(code, format!("cannot listen on `{}`: {error}", path.display()))
        };
        private_directory(endpoint.directory()).map_err(failed)?;
        endpoint.check().map_err(failed)?;
        let begun = Instant::now();
        let lock = loop {
            let taken = lock(endpoint).map_err(failed)?;
            let taken = taken.and_then(|lock| match is_reached(endpoint) {
                true => Err(running(None)),
                false => Ok(lock),
            });
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match taken {
                Err(refusal) if left.is_zero() || Client::is_answered(endpoint, program, left) => {
                    return Err(refusal);
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
                Ok(lock) => break lock,
            }
        };
        let listener = bind(endpoint).map_err(failed)?;
        Ok(Listening { listener, _lock: lock })
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }
}

fn running(process: Option<&str>) -> Refusal {
    let process = process.map(|process| format!(" (process {process})")).unwrap_or_default();
    Refusal::new(ErrorCode::Conflict, format!("the daemon is already running{process}")).hint(
        "use it with imgctl, stop it with `imgctl stop`, or give another one a home of its own \
         with IMGREPO_HOME",
    )
}

fn lock(endpoint: &Endpoint) -> io::Result<Result<File, Refusal>> {
    let path = endpoint.path().with_extension("lock");
    let mut lock =
        File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut process = String::new();
            // The process's number is for people; without it the message is the same.
            let _ = (&lock).take(20).read_to_string(&mut process);
            let process = process.trim();
            return Ok(Err(running((!process.is_empty()).then_some(process))));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())?;
    Ok(Ok(lock))
}

/// Whether somebody is there although the lock was free: its file may have been deleted under a
/// living daemon (a cleaner of the temporary directory).
fn is_reached(endpoint: &Endpoint) -> bool {
    use interprocess::local_socket::Stream;
    use interprocess::local_socket::traits::Stream as _;
    endpoint.name().and_then(Stream::connect).is_ok()
}

#[cfg(unix)]
fn bind(endpoint: &Endpoint) -> io::Result<Listener> {
    use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
    // Ours by the lock, and dead.
    match std::fs::remove_file(endpoint.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    ListenerOptions::new().name(endpoint.name()?).mode(0o600).create_tokio()
}

#[cfg(not(unix))]
fn bind(endpoint: &Endpoint) -> io::Result<Listener> {
    ListenerOptions::new().name(endpoint.name()?).create_tokio()
}

#[cfg(unix)]
fn private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(directory)?;
    let ours = found.is_dir() && found.uid() == imgrepo_proto::control::endpoint::user();
    if ours && found.mode() & 0o077 != 0 {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn private_directory(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn open(endpoint: &Endpoint) -> Result<Listening, Refusal> {
        let program = Program { name: "test".to_owned(), version: "0".to_owned() };
        Listening::open(endpoint, &program)
    }

    #[tokio::test]
    async fn who_lets_go_a_moment_later_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::at(home.path().join("run"), "control.sock");
        let dying = open(&endpoint).unwrap();
        let next = std::thread::scope(|scope| {
            let runtime = tokio::runtime::Handle::current();
            let endpoint = &endpoint;
            let next = scope.spawn(move || {
                let _context = runtime.enter();
                open(endpoint)
            });
            drop(dying);
            next.join().unwrap()
        });
        next.unwrap();
    }

    #[tokio::test]
    async fn one_daemon_at_a_time_and_a_dead_ones_socket_is_taken_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::at(home.path().join("below/run"), "control.sock");
        let first = open(&endpoint).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(endpoint.directory()), 0o700);
        assert_eq!(mode(&endpoint.path()), 0o600);
        let refusal = open(&endpoint).err().unwrap();
        assert_eq!(refusal.code, ErrorCode::Conflict);
        let process = std::process::id();
        assert_eq!(refusal.message, format!("the daemon is already running (process {process})"));
        drop(first);
        assert!(!endpoint.path().exists());

        // What a killed daemon leaves: a socket that nobody answers, a lock that nobody holds.
        drop(std::os::unix::net::UnixListener::bind(endpoint.path()).unwrap());
        let second = open(&endpoint).unwrap();
        // A cleaner deleted the lock under a living daemon.
        std::fs::remove_file(endpoint.path().with_extension("lock")).unwrap();
        assert_eq!(open(&endpoint).err().unwrap().code, ErrorCode::Conflict);
        drop(second);
    }

    #[tokio::test]
    async fn a_directory_of_ones_own_is_closed_and_a_link_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        std::fs::create_dir(&run).unwrap();
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(open(&Endpoint::at(&run, "s.sock")).unwrap());
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&run, &link).unwrap();
        let refusal = open(&Endpoint::at(&link, "s.sock")).err().unwrap();
        assert_eq!(refusal.code, ErrorCode::Denied);
    }
}
