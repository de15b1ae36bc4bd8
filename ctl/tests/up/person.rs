//! A person with an empty home, and nothing in the environment that is not theirs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use imgrepo_proto::control::endpoint;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A person with an empty home, whose daemon ends with the test.
pub(crate) struct Person {
    home: tempfile::TempDir,
    /// A home within that, by `IMGREPO_HOME`.
    pub(crate) inner: Option<PathBuf>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) said: String,
    pub(crate) complaint: String,
}

impl Person {
    pub(crate) fn new(systemctl: &str) -> Person {
        let home = tempfile::tempdir().unwrap();
        let fake = home.path().join("bin/systemctl");
        fs::create_dir(home.path().join("bin")).unwrap();
        fs::write(&fake, systemctl).unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
        Person { home, inner: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn unit(&self) -> PathBuf {
        self.path(".config/systemd/user/imgrepod.service")
    }

    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let imgctl = assert_cmd::cargo::cargo_bin!("imgctl");
        let program = imgctl.with_file_name(program);
        assert!(program.is_file(), "build it first: cargo build --workspace");
        let mut command = Command::new(program);
        let search = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.env_clear().env("HOME", self.home.path()).env("PATH", search);
        command.envs(self.inner.as_ref().map(|inner| ("IMGREPO_HOME", inner)));
        command.args(args).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn end(&self, program: &str, args: &[&str]) -> Ended {
        let output = self.command(program, args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code().unwrap(),
            said: text(&output.stdout),
            complaint: text(&output.stderr),
        }
    }

    pub(crate) fn imgctl(&self, args: &[&str]) -> Ended {
        self.end("imgctl", args)
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ended = self.imgctl(args);
        assert_eq!(ended.code, 0, "imgctl {args:?}: {ended:?}");
        ended.said
    }

    /// The status; None where no daemon answers.
    pub(crate) fn status(&self) -> Option<Value> {
        let ended = self.imgctl(&["status", "--json", "--timeout", "30"]);
        (ended.code == 0).then(|| serde_json::from_str(&ended.said).unwrap())
    }

    pub(crate) fn process(&self) -> i32 {
        let process = self.status().unwrap()["daemon"]["pid"].as_i64().unwrap();
        process.try_into().unwrap()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let process = self.status().and_then(|status| status["daemon"]["pid"].as_i64());
        self.imgctl(&["stop", "--timeout", "30"]);
        let process = process.and_then(|process| i32::try_from(process).ok());
        let program =
            process.and_then(|process| fs::read_link(format!("/proc/{process}/exe")).ok());
        if program.is_some_and(|program| program.ends_with("imgrepod"))
            && let Some(process) = process.and_then(Pid::from_raw)
        {
            let _ = kill_process(process, Signal::KILL);
        }
        // The lock of a home without a runtime directory stays in the temporary directory.
        let endpoint = endpoint::from_env(|name| match name {
            "HOME" => Some(self.home.path().into()),
            "IMGREPO_HOME" => self.inner.as_ref().map(Into::into),
            _ => None,
        });
        let _ = fs::remove_file(endpoint.path().with_extension("lock"));
        let _ = fs::remove_file(endpoint.path());
    }
}
