//! Real daemons in a temporary folder, each with a home of its own; ended when the test ends.

#![allow(dead_code)] // Each test file uses what it needs of it.

pub(crate) mod wire;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The temporary folder, and what runs in it.
pub(crate) struct House {
    pub(crate) root: tempfile::TempDir,
    daemons: Vec<(String, Child)>,
}

impl Drop for House {
    fn drop(&mut self) {
        for (_, child) in &mut self.daemons {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The daemon beside `imgctl`: `cargo build --workspace` puts it there.
fn imgrepod() -> PathBuf {
    let path = assert_cmd::cargo::cargo_bin!("imgctl").with_file_name("imgrepod");
    assert!(path.is_file(), "build it first: cargo build --workspace ({})", path.display());
    path
}

fn clean(command: &mut Command, home: &Path) {
    for name in ["LISTEN", "CONNECT", "USER", "CONFIG", "LOG", "LOG_FORMAT"] {
        command.env_remove(format!("IMGREPO_{name}"));
    }
    for name in ["NO_COLOR", "IMAGES", "KEEP"] {
        command.env_remove(name);
    }
    command.env("IMGREPO_HOME", home).env("TZ", "UTC");
}

impl House {
    pub(crate) fn new() -> Self {
        House { root: tempfile::tempdir().unwrap(), daemons: Vec::new() }
    }

    /// A server on a free port, and its address.
    pub(crate) fn server(&mut self) -> String {
        let ready = self.start("server", &["--serve", "--listen", "127.0.0.1:0"]);
        ready.split_whitespace().find(|word| word.starts_with("ws://")).unwrap().to_owned()
    }

    /// A server, Ana and Bruno.
    pub(crate) fn of_two() -> Self {
        let mut house = House::new();
        let url = house.server();
        for person in ["ana", "bruno"] {
            house.start(person, &["--connect", &url, "--user", person]);
        }
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Starts a daemon; gives what it says when it is ready.
    pub(crate) fn start(&mut self, home: &str, args: &[&str]) -> String {
        let command = self.imgrepod(home, args);
        self.start_as(home, command)
    }

    /// The same with a command line of [`House::imgrepod`].
    pub(crate) fn start_as(&mut self, home: &str, mut command: Command) -> String {
        let log = std::fs::File::create(self.path(&format!("{home}.log"))).unwrap();
        let mut child = command.stderr(log).spawn().unwrap();
        let mut ready = String::new();
        let said = BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready);
        // Whatever it said, it is ended with the house.
        self.daemons.push((home.to_owned(), child));
        said.unwrap();
        let log = std::fs::read_to_string(self.path(&format!("{home}.log"))).unwrap();
        assert!(ready.starts_with("imgrepod is ready"), "{ready:?}: {log}");
        ready
    }

    /// A daemon that is not started yet.
    pub(crate) fn imgrepod(&self, home: &str, args: &[&str]) -> Command {
        let mut command = Command::new(imgrepod());
        clean(&mut command, &self.path(home));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The exit code and the words of a daemon that does not start.
    pub(crate) fn refused(&mut self, home: &str, args: &[&str]) -> (i32, String) {
        let command = self.imgrepod(home, args);
        self.refused_as(home, command)
    }

    /// The same with a command line of [`House::imgrepod`].
    pub(crate) fn refused_as(&mut self, home: &str, mut command: Command) -> (i32, String) {
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        if !ready.is_empty() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(ready, "", "{home} started: {words}");
        (output.status.code().unwrap(), words)
    }

    /// The process of a running daemon.
    pub(crate) fn process(&self, home: &str) -> &Child {
        let daemon = self.daemons.iter().find(|(name, _)| name == home);
        &daemon.unwrap_or_else(|| panic!("{home} does not run")).1
    }

    /// Kills a daemon, as a power cut would.
    pub(crate) fn kill(&mut self, home: &str) {
        let at = self.daemons.iter().position(|(name, _)| name == home).unwrap();
        let (_, mut child) = self.daemons.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The exit code of a daemon that was told to end.
    pub(crate) fn ended(&mut self, home: &str) -> Option<i32> {
        let at = self.daemons.iter().position(|(name, _)| name == home).unwrap();
        let (_, mut child) = self.daemons.remove(at);
        child.wait().unwrap().code()
    }

    /// An `imgctl` of a person, in the temporary folder.
    pub(crate) fn imgctl(&self, home: &str, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("imgctl"));
        clean(&mut command, &self.path(home));
        command.args(args).current_dir(self.root.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Its exit code and what it says.
    pub(crate) fn run(&self, home: &str, args: &[&str]) -> (i32, String, String) {
        self.feed(home, args, b"")
    }

    /// As [`House::run`], with this on its standard input.
    pub(crate) fn feed(&self, home: &str, args: &[&str], input: &[u8]) -> (i32, String, String) {
        let mut child = self.imgctl(home, args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let words = std::thread::spawn(move || {
            let mut words = String::new();
            stderr.read_to_string(&mut words).unwrap();
            words
        });
        // One that refuses does not read it all.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), stdout, words.join().unwrap())
    }

    /// What it says when all goes well.
    pub(crate) fn ok(&self, home: &str, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(home, args);
        assert_eq!(code, 0, "imgctl {args:?}: {stdout}{stderr}");
        stdout
    }

    /// Its exit code and its document.
    pub(crate) fn json(&self, home: &str, args: &[&str]) -> (i32, Value) {
        let args = [args, &["--json"]].concat();
        let (code, stdout, stderr) = self.run(home, &args);
        let document = serde_json::from_str(&stdout);
        (code, document.unwrap_or_else(|error| panic!("{args:?}: {error}: {stdout}{stderr}")))
    }

    /// A picture of a few bytes that is no other's: PNM, its number in its pixels.
    pub(crate) fn picture(&self, name: &str, number: u32, bytes: usize) -> Vec<u8> {
        let content = picture(number, bytes);
        std::fs::write(self.path(name), &content).unwrap();
        content
    }
}

/// A picture of this many bytes of pixels, no other number's.
pub(crate) fn picture(number: u32, bytes: usize) -> Vec<u8> {
    let width = bytes.div_ceil(3).max(2);
    let mut content = format!("P6\n{width} 1\n255\n").into_bytes();
    let head = content.len();
    content.resize(head + width * 3, 7);
    content[head..head + 4].copy_from_slice(&number.to_be_bytes());
    content
}
