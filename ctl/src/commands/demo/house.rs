//! The processes of the demo, each with a home of its own in one temporary folder. Whatever happens,
//! they are stopped and the folder is removed, unless the demo is to go on.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use imgrepo_proto::Refusal;
use imgrepo_proto::name::shown;

use super::broken;
use crate::cancel::Undo;
use crate::context::Context;
use crate::failure::{cause, file_error};
use crate::programs::program;

/// How long a program may take to be ready. It takes some 0.1 s; a machine under load gets time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that was started, and what it says.
struct Process {
    id: u32,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// The processes that run; None once they were told to end.
type Children = Arc<Mutex<Option<Vec<Child>>>>;

/// The temporary folder and the processes in it.
pub(super) struct House {
    context: Arc<Context>,
    root: PathBuf,
    children: Children,
    undo: Option<Undo>,
}

impl House {
    /// An empty one.
    pub(super) fn build(context: &Arc<Context>) -> Result<Self, Refusal> {
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new().prefix("imgrepo-demo-").tempdir_in(&temporary);
        let root = folder.map_err(|error| file_error("write into", &temporary, &error))?.keep();
        let children: Children = Arc::new(Mutex::new(Some(Vec::new())));
        let left = (Arc::clone(&children), root.clone());
        let undo = context.cancel.undo(move || {
            stop(&left.0);
            let _ = fs::remove_dir_all(&left.1);
        });
        Ok(House { context: Arc::clone(context), root, children, undo: Some(undo) })
    }

    /// Where everything is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Starts a daemon and gives what it says when it is ready.
    pub(super) fn start(&mut self, home: &str, args: &[&str]) -> Result<String, Refusal> {
        self.say(home, "imgrepod", args)?;
        let program = program("imgrepod");
        let log = self.root.join(format!("{home}.log"));
        let to = File::create(&log).map_err(|error| file_error("write", &log, &error))?;
        let mut command = Command::new(&program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(to);
        let stdout = self.keep(command, home)?.stdout;
        let (said, heard) = mpsc::channel();
        // Not joined: it ends with the process that it listens to.
        thread::spawn(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                let _ = BufReader::new(stdout).read_line(&mut line);
            }
            let _ = said.send(line);
        });
        match heard.recv_timeout(PATIENCE) {
            Ok(line) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
            Ok(_) => Err(broken(format!("cannot start `imgrepod` for {home}: it ended"))),
            Err(_) => Err(broken(format!("cannot start `imgrepod` for {home}: it says nothing"))),
        }
    }

    /// Runs `imgctl` as a person to its end; what it says is shown, and given.
    pub(super) fn imgctl(&mut self, home: &str, args: &[&str]) -> Result<String, Refusal> {
        self.say(home, "imgctl", args)?;
        let mut command = Command::new(program("imgctl"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.keep(command, home)?;
        let stderr = process.stderr.take();
        let words = thread::spawn(move || text(stderr));
        let stdout = text(process.stdout.take());
        let stderr = words.join().unwrap_or_default();
        let status = self.reap(process.id)?;
        for line in stdout.lines().chain(stderr.lines()) {
            self.print(&format!("  {line}"))?;
        }
        match status.success() {
            true => Ok(stdout),
            false => {
                Err(broken(format!("`imgctl {}` of {home} ended with {status}", args.join(" "))))
            }
        }
    }

    /// Starts an `imgctl` that goes on, and gives its output.
    pub(super) fn follow(&mut self, home: &str, args: &[&str]) -> Result<ChildStdout, Refusal> {
        self.say(home, "imgctl", args)?;
        let mut command = Command::new(program("imgctl"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        self.keep(command, home)?.stdout.ok_or_else(|| broken("cannot read what `imgctl` says"))
    }

    /// A line to the person.
    pub(super) fn print(&self, line: &str) -> Result<(), Refusal> {
        let gone = |_| broken("nobody reads what the demo shows");
        self.context.out.line(line).and_then(|()| self.context.out.flush()).map_err(gone)
    }

    /// The last words of every daemon, for when something went wrong.
    pub(super) fn logs(&self) -> String {
        /// Enough to see what went wrong.
        const LINES: usize = 20;
        let mut text = String::new();
        for home in ["server", "ana", "bruno"] {
            let log = fs::read_to_string(self.root.join(format!("{home}.log"))).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LINES)..] {
                text += &format!("{home}: {}\n", shown(line));
            }
        }
        text
    }

    /// Leaves everything running, and says where.
    pub(super) fn leave(mut self) -> PathBuf {
        self.undo = None;
        self.root.clone()
    }

    fn say(&self, home: &str, program: &str, args: &[&str]) -> Result<(), Refusal> {
        let command = [&[program], args].concat().join(" ");
        self.print(&format!("{home} $ {command}"))
    }

    fn spawn(&self, mut command: Command, home: &str) -> Result<Child, Refusal> {
        // Of our own environment nothing that steers the programs gets through.
        for name in ["LISTEN", "CONNECT", "USER", "CONFIG", "LOG"] {
            command.env_remove(format!("IMGREPO_{name}"));
        }
        command.env("IMGREPO_HOME", self.root.join(home)).current_dir(&self.root);
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // A Ctrl-C of the terminal is for the demo, which ends them in order.
            command.process_group(0);
        }
        let program = command.get_program().to_string_lossy().into_owned();
        command.spawn().map_err(|error| {
            broken(format!("cannot start `{program}`: {}", cause(&error)))
                .hint("build it: cargo build --workspace")
        })
    }

    /// Starts a process that is ended with the demo at the latest.
    fn keep(&self, command: Command, home: &str) -> Result<Process, Refusal> {
        // Held while it starts: an end that comes now waits for it, and then ends it too.
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let children = children.as_mut().ok_or_else(ended)?;
        let mut child = self.spawn(command, home)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let id = child.id();
        children.push(child);
        Ok(Process { id, stdout, stderr })
    }

    /// Waits for a process that has closed its output.
    fn reap(&self, id: u32) -> Result<ExitStatus, Refusal> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let children = children.as_mut().ok_or_else(ended)?;
        let at = children.iter().position(|child| child.id() == id).ok_or_else(ended)?;
        let wait = children.remove(at).wait();
        wait.map_err(|error| broken(format!("cannot wait for a program: {}", cause(&error))))
    }
}

/// What is said of a process that the end of the demo took.
fn ended() -> Refusal {
    broken("the demo was ended")
}

/// All that a program says, its faults in UTF-8 shown as such.
fn text(from: Option<impl io::Read>) -> String {
    let mut bytes = Vec::new();
    let _ = from.map(|mut from| from.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            undo.now();
        }
    }
}

/// Ends the processes, the latest first.
fn stop(children: &Children) {
    let children = children.lock().unwrap_or_else(PoisonError::into_inner).take();
    for mut child in children.into_iter().flatten().rev() {
        // Nothing that they keep outlives the demo, so they need not end in order.
        let _ = child.kill();
        let _ = child.wait();
    }
}
