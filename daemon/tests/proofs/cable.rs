//! A cable that can be pulled: two network namespaces, a computer each, with a virtual line between
//! them. Needs root and `ip`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Daemon, imgrepod};

/// Two network namespaces with a cable between them: for a computer each.
pub(crate) struct Cable {
    /// Their names.
    pub(crate) near: String,
    pub(crate) far: String,
}

/// The address of the far end, where the server is.
pub(crate) const FAR: &str = "10.77.0.2";
const NEAR: &str = "10.77.0.1";

impl Cable {
    /// The error says what this system lacks.
    pub(crate) fn new() -> Result<Cable, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can make networks".to_owned());
        }
        let name = |end| format!("imgrepo-{}-{end}", std::process::id());
        let cable = Cable { near: name("near"), far: name("far") };
        let (near, far) = (cable.near.as_str(), cable.far.as_str());
        ip(&["netns", "add", near])?;
        ip(&["netns", "add", far])?;
        ip(&["-n", near, "link", "add", "cable", "type", "veth", "peer", "cable", "netns", far])?;
        for (end, address) in [(near, NEAR), (far, FAR)] {
            let address = format!("{address}/24");
            ip(&["-n", end, "address", "add", &address, "dev", "cable"])?;
            ip(&["-n", end, "link", "set", "lo", "up"])?;
            ip(&["-n", end, "link", "set", "cable", "up"])?;
        }
        Ok(cable)
    }

    /// Pulls the server's end, or plugs it in again.
    pub(crate) fn set(&self, up: bool) {
        let state = if up { "up" } else { "down" };
        ip(&["-n", &self.far, "link", "set", "cable", state]).expect("the cable is there");
    }

    /// A daemon in one of the namespaces: `ip` becomes it.
    pub(crate) fn start(
        &self,
        end: &str,
        home: &Path,
        arguments: &[&str],
    ) -> Result<Daemon, String> {
        let imgrepod = imgrepod();
        let imgrepod = imgrepod.to_str().expect("a name of characters");
        let mut all = vec!["netns", "exec", end, imgrepod];
        all.extend(arguments);
        Daemon::start(&program(), home, &home.with_extension("log"), &all, &[])
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in [&self.near, &self.far] {
            let _ = ip(&["netns", "delete", end]);
        }
    }
}

fn program() -> PathBuf {
    let all = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].map(PathBuf::from);
    all.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from("ip"))
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program()).args(arguments).output();
    let output = output.map_err(|error| format!("cannot run ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
