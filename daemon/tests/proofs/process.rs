//! Real `imgrepod` processes: started, waited for by their ready line, stopped or killed. Never left
//! behind, whatever the test's end.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to be ready: recovery on a slow disk and room to spare.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The daemon that cargo built for this test.
pub(crate) fn imgrepod() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_imgrepod"))
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: String,
    log: PathBuf,
}

impl Daemon {
    /// A server whose files are all below `home`, on a port of its own choice.
    pub(crate) fn serve(home: &Path) -> Result<Daemon, String> {
        Daemon::serve_with(&imgrepod(), home, &home.with_extension("log"), &[])
    }

    /// The same with another build of the program, another place for its log, and variables.
    pub(crate) fn serve_with(
        program: &Path,
        home: &Path,
        log: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Daemon, String> {
        Daemon::start(program, home, log, &["--serve", "--listen", "127.0.0.1:0"], environment)
    }

    /// A client's daemon whose files are all below `home`.
    pub(crate) fn client(home: &Path, url: &str, user: &str) -> Result<Daemon, String> {
        Daemon::client_with(home, url, user, &[])
    }

    /// The same with more arguments.
    pub(crate) fn client_with(
        home: &Path,
        url: &str,
        user: &str,
        more: &[&str],
    ) -> Result<Daemon, String> {
        let arguments = [&["--connect", url, "--user", user], more].concat();
        Daemon::start(&imgrepod(), home, &home.with_extension("log"), &arguments, &[])
    }

    /// Any program that becomes one, with its arguments.
    pub(crate) fn start(
        program: &Path,
        home: &Path,
        log: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Daemon, String> {
        let errors = OpenOptions::new().create(true).append(true).open(log);
        let errors =
            errors.unwrap_or_else(|error| panic!("cannot open {}: {error}", log.display()));
        let mut child = Command::new(program)
            .args(arguments)
            .env("IMGREPO_HOME", home)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let said = child.stdout.take().expect("it is piped");
        let (sender, receiver) = mpsc::channel();
        // Ends with the process, whose end of the pipe it reads.
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut daemon = Daemon { child, ready: String::new(), log: log.to_owned() };
        match receiver.recv_timeout(START_TIMEOUT) {
            Ok(line) => daemon.ready = line,
            Err(_) => return Err(format!("it did not start:\n{}", daemon.last_words())),
        }
        Ok(daemon)
    }

    /// `ws://127.0.0.1:PORT/`, where it is a server: without encryption, as guests come.
    pub(crate) fn url(&self) -> String {
        let begin = self.ready.find("://").map(|at| at + "://".len());
        let begin = begin.unwrap_or_else(|| panic!("no address in `{}`", self.ready));
        format!("ws://{}", self.ready[begin..].split_whitespace().next().unwrap_or_default())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: it has no time for a last word.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: none of its threads does anything more, but for what the kernel still does for it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        // The first thread to stop has told all others.
        let tasks = format!("/proc/{}/task", self.pid());
        let is_stopped = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.contains("\nState:\tT")
        };
        while !std::fs::read_dir(&tasks).expect("it is there").flatten().any(is_stopped) {
            std::thread::yield_now();
        }
    }

    /// SIGCONT: it goes on, and finds that time has passed.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM: it ends in order.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().expect("it ends")
    }

    /// SIGABRT: it ends as after a fault of its own, with a core dump where there is one.
    pub(crate) fn abort(mut self) -> ExitStatus {
        self.signal(Signal::ABORT);
        self.child.wait().expect("it ends")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("it has a number");
        kill_process(pid, signal).expect("it is there");
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let Ok(file) = File::open(&self.log) else { return String::new() };
        let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
