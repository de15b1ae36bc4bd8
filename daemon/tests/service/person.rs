//! A person with a home of their own, and nothing in the environment that is not theirs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use imgrepo_proto::Refusal;
use imgrepo_proto::control::endpoint;
use imgrepo_proto::control::reply::Status;
use imgrepo_proto::control::{Client, Outcome, Request};
use imgrepo_proto::session::command::Program;
use rustix::process::{Pid, Signal, kill_process};

/// For whatever must come, on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Waits until this is so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) said: String,
    pub(crate) complaint: String,
}

pub(crate) struct Person {
    home: tempfile::TempDir,
}

impl Person {
    pub(crate) fn new() -> Person {
        Person { home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn unit(&self) -> PathBuf {
        self.home().join(".config/systemd/user/imgrepod.service")
    }

    /// This program with this person's variables. Programs of `bin` come before the system's.
    pub(crate) fn imgrepod(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let search = format!("{}:/usr/bin:/bin", self.home().join("bin").display());
        command.env_clear().env("HOME", self.home()).env("PATH", search);
        command
    }

    /// `imgrepod service ...`.
    pub(crate) fn service(&self, words: &str) -> Ended {
        let mut command = self.imgrepod(Path::new(env!("CARGO_BIN_EXE_imgrepod")));
        command.arg("service").args(words.split(' '));
        self.end(command)
    }

    pub(crate) fn end(&self, mut command: Command) -> Ended {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code().unwrap(),
            said: text(&output.stdout),
            complaint: text(&output.stderr),
        }
    }

    /// A daemon by hand.
    pub(crate) fn run(&self, flags: &[&str]) -> Process {
        let mut command = self.imgrepod(Path::new(env!("CARGO_BIN_EXE_imgrepod")));
        command.args(flags);
        Process::start(command)
    }

    pub(crate) fn connect(&self) -> Result<Client, Refusal> {
        let endpoint = endpoint::from_env(|name| (name == "HOME").then(|| self.home().into()));
        let program = Program { name: "test".to_owned(), version: "0.0.0".to_owned() };
        Client::connect(&endpoint, program)
    }

    pub(crate) fn call(&self, request: &Request) -> Outcome {
        self.connect().unwrap().call(request).unwrap()
    }

    pub(crate) fn status(&self) -> Status {
        match self.call(&Request::Status) {
            Outcome::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // The lock of a home without a runtime directory stays in the temporary directory.
        let endpoint = endpoint::from_env(|name| (name == "HOME").then(|| self.home().into()));
        let _ = std::fs::remove_file(endpoint.path().with_extension("lock"));
        let _ = std::fs::remove_file(endpoint.path());
    }
}

/// A daemon that is ready, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) ready: String,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = child.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        // Ends with the process, whose end of the pipe it reads.
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut process = Process { child, ready: String::new() };
        process.ready = receiver.recv_timeout(LONG).unwrap();
        process
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        self.ready.split(' ').find(|word| word.starts_with("ws://")).unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills the process whose number is in this file, however the test ends.
pub(crate) struct Left(pub(crate) PathBuf);

impl Drop for Left {
    fn drop(&mut self) {
        let number = std::fs::read_to_string(&self.0).unwrap_or_default();
        let Ok(number) = number.trim().parse::<i32>() else { return };
        let program = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        // The number may be another's by now.
        if program.trim_end() == "imgrepod"
            && let Some(process) = Pid::from_raw(number)
        {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}
