//! A stage for scenes: a screen that nobody sees, a daemon with a repository and pictures, and the
//! programs as a person runs them. All of it in a temporary folder, and ended with the test.

#![allow(dead_code)] // Each test file uses what it needs of it.

pub(crate) mod browser;
pub(crate) mod pictures;
pub(crate) mod wire;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything that must happen may take on a computer with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process, and all that it starts.
pub(crate) struct Group(pub(crate) Child);

impl Group {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Group {
        let program = format!("{:?}", command.get_program());
        let child = command.process_group(0).spawn();
        Group(child.unwrap_or_else(|error| panic!("{program}: {error}: run make setup")))
    }

    /// Ends all of it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// See the file's words.
pub(crate) struct Stage {
    pub(crate) home: tempfile::TempDir,
    display: String,
    daemon: Option<Group>,
    /// Where the daemon listens; 0 before it has.
    port: u16,
    _screen: Group,
}

/// Somebody else in the repository, with a daemon and a home of their own.
pub(crate) struct Member {
    home: tempfile::TempDir,
    _daemon: Group,
}

impl Stage {
    /// With a daemon that serves a repository of three pictures: `hubble.jpg`, `rocket.jpg` and
    /// `coffee.png`, with the ids 1 to 3.
    pub(crate) fn set() -> Stage {
        let stage = Stage::bare_with_daemon();
        for name in ["hubble.jpg", "rocket.jpg", "coffee.png"] {
            stage.ok(&["upload", asset(name).to_str().unwrap()]);
        }
        stage
    }

    /// With a daemon that serves an empty repository.
    pub(crate) fn bare_with_daemon() -> Stage {
        let mut stage = Stage::bare();
        stage.start_daemon();
        stage
    }

    /// With a screen alone.
    pub(crate) fn bare() -> Stage {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1400x900x24", "-nolisten", "tcp"]);
        let mut screen =
            Group::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut number = String::new();
        BufReader::new(screen.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        assert!(!number.is_empty(), "Xvfb has ended");
        let display = format!(":{}", number.trim());
        let home = tempfile::tempdir().unwrap();
        Stage { home, display, daemon: None, port: 0, _screen: screen }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Starts the daemon, or starts it again where it was.
    pub(crate) fn start_daemon(&mut self) {
        let mut command = self.command("imgrepod");
        command.args(["--serve", "--user", "ana", "--listen", &format!("127.0.0.1:{}", self.port)]);
        let (daemon, ready) = started(&mut command, &self.path("daemon.log"));
        let (_, port) = ready.split_once("ws://127.0.0.1:").unwrap();
        self.port = port.split('/').next().unwrap().parse().unwrap();
        self.daemon = Some(daemon);
    }

    /// The address of the page that lets a browser in, as the person whose daemon this is.
    pub(crate) fn login_link(&self) -> String {
        let (code, told) = self.json(&["login-link"]);
        assert_eq!(code, 0, "{told}");
        told["page"].as_str().unwrap().to_owned()
    }

    /// Somebody else, with a session to this repository: a guest of this name.
    pub(crate) fn member(&self, name: &str) -> Member {
        let home = tempfile::tempdir().unwrap();
        let mut command = self.command("imgrepod");
        let url = format!("ws://127.0.0.1:{}/", self.port);
        command.args(["--connect", &url, "--user", name]).env("IMGREPO_HOME", home.path());
        let (daemon, _) = started(&mut command, &home.path().join("daemon.log"));
        Member { home, _daemon: daemon }
    }

    /// Has them upload files.
    pub(crate) fn upload_by(&self, member: &Member, paths: &[PathBuf]) {
        let imgctl = |args: &[&std::ffi::OsStr]| {
            let mut command = self.command("imgctl");
            command.env("IMGREPO_HOME", member.home.path()).args(args).output().unwrap()
        };
        until("their session", || {
            let told = imgctl(&["--json".as_ref(), "status".as_ref()]);
            let told: Value = serde_json::from_slice(&told.stdout).ok()?;
            (told["session"]["state"] == "connected").then_some(())
        });
        let paths = paths.iter().map(|path| path.as_os_str());
        let args: Vec<_> = ["-q".as_ref(), "upload".as_ref()].into_iter().chain(paths).collect();
        let output = imgctl(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends the daemon as a power cut would.
    pub(crate) fn kill_daemon(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// A program of ours or of the system's, at this screen and in this home.
    pub(crate) fn command(&self, program: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_imgview")).with_file_name(program);
        let ours = ["imgctl", "imgrepod", "imgview"].contains(&program);
        assert!(!ours || own.is_file(), "build it first: cargo build --workspace ({own:?})");
        let mut command = Command::new(if ours { own.as_os_str() } else { program.as_ref() });
        for name in ["LISTEN", "CONNECT", "USER", "CONFIG", "LOG", "LOG_FORMAT", "REPORT_PAINTED"] {
            command.env_remove(format!("IMGREPO_{name}"));
        }
        command.env_remove("WAYLAND_DISPLAY").env("DISPLAY", &self.display);
        command
            .env("IMGREPO_HOME", self.home.path())
            .env("HOME", self.home.path())
            .env("TZ", "UTC");
        command.env("XDG_CONFIG_HOME", self.path("config")).env("LANG", "C.UTF-8");
        // No bus: GTK starts processes over it that outlive the window.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").env("NO_AT_BRIDGE", "1");
        command.stdin(Stdio::null());
        command
    }

    /// What `imgctl` says and how it ends.
    pub(crate) fn imgctl(&self, args: &[&str]) -> Output {
        self.command("imgctl").args(args).output().unwrap()
    }

    /// What it says when all goes well.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.imgctl(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "imgctl {args:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its document, and its exit code.
    pub(crate) fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.imgctl(&[args, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let document = serde_json::from_str(&text);
        let document = document.unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"));
        (output.status.code().unwrap(), document)
    }

    /// What `xdotool` says; empty where it finds nothing.
    pub(crate) fn xdotool(&self, args: &[&str]) -> String {
        let output = self.command("xdotool").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The number of our window on the screen; None where there is none.
    pub(crate) fn window(&self) -> Option<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--class", "imgview"]);
        found.lines().last().map(str::to_owned)
    }

    /// What was saved or kept as a picture of the whole screen, for a person to look at: in the
    /// folder that `IMGREPO_SCREENSHOTS` names.
    pub(crate) fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("IMGREPO_SCREENSHOTS") else { return };
        let path = PathBuf::from(folder).join(format!("{name}.png"));
        let _ = self.command("import").args(["-window", "root"]).arg(path).status();
    }
}

/// A daemon that is ready, and the words by which it said so.
fn started(command: &mut Command, log: &Path) -> (Group, String) {
    let file = std::fs::File::create(log).unwrap();
    let mut daemon = Group::start(command.stdout(Stdio::piped()).stderr(file));
    let mut ready = String::new();
    BufReader::new(daemon.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let log = || std::fs::read_to_string(log).unwrap();
    assert!(ready.starts_with("imgrepod is ready"), "{ready}{}", log());
    (daemon, ready)
}

/// A picture of the demo.
pub(crate) fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ctl/assets").join(name)
}

/// Waits until this gives something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(look, || what.to_owned())
}

/// Waits until this gives something; where it never does, tells what has come instead.
pub(crate) fn until_or<T>(mut look: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it never came: {}", what());
        thread::sleep(Duration::from_millis(30));
    }
}
