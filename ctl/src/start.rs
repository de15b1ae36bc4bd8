//! How a person starts the daemon here: by the service manager where it is installed there, else by
//! hand. Reads the environment and one file; starts nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use imgrepo_proto::ErrorCode;

/// What is met while a daemon ends and another starts.
pub(crate) fn is_restart(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotRunning | ErrorCode::ShuttingDown | ErrorCode::TimedOut)
}

/// The one command that starts this one as it was before.
pub(crate) fn command(var: impl Fn(&str) -> Option<OsString>) -> &'static str {
    let path = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if background(path).is_some_and(|file| file.is_file()) {
        return "imgctl up";
    }
    let unit = unit(path).and_then(|unit| std::fs::read(unit).ok());
    let is_of_this_home = |unit: Vec<u8>| {
        let unit = String::from_utf8_lossy(&unit).into_owned();
        match path("IMGREPO_HOME") {
            Some(home) => unit.contains(&*home.to_string_lossy()),
            None => !unit.contains("IMGREPO_HOME"),
        }
    };
    match unit.is_some_and(is_of_this_home) {
        true => "imgrepod service start",
        false => "imgrepod",
    }
}

/// What is kept of a daemon that was started in the background.
fn background(path: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let state = path("IMGREPO_HOME").map(|home| home.join("state")).or_else(|| {
        let state = path("XDG_STATE_HOME").filter(|path| path.is_absolute());
        Some(state.or_else(|| Some(path("HOME")?.join(".local/state")))?.join("imgrepo"))
    });
    Some(state?.join("background.json"))
}

/// Where the service manager of this system looks for the daemon.
fn unit(path: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let home = path("HOME");
    let below = |name: &str| home.as_deref().map(|home: &Path| home.join(name));
    if cfg!(target_os = "macos") {
        return Some(below("Library/LaunchAgents")?.join("imgrepo.imgrepod.plist"));
    }
    let config = path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    Some(config.or_else(|| below(".config"))?.join("systemd/user/imgrepod.service"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_service_manager_where_it_has_a_unit_of_this_home() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("systemd/user");
        let command = |own: Option<&str>| {
            command(|name| match name {
                "XDG_CONFIG_HOME" => Some(home.path().into()),
                "IMGREPO_HOME" => own.map(OsString::from),
                _ => None,
            })
        };
        assert_eq!(command(None), "imgrepod");
        std::fs::create_dir_all(&folder).unwrap();
        let unit = folder.join("imgrepod.service");
        std::fs::write(&unit, "[Service]\nExecStart=/usr/bin/imgrepod\n").unwrap();
        assert_eq!(command(None), "imgrepod service start");
        assert_eq!(command(Some("/h")), "imgrepod");
        std::fs::write(&unit, "[Service]\nEnvironment=\"IMGREPO_HOME=/h\"\n").unwrap();
        assert_eq!(command(Some("/h")), "imgrepod service start");
        assert_eq!(command(None), "imgrepod");
        // One in the background was told things that `imgrepod` alone would not know.
        let further = home.path().join("further");
        std::fs::create_dir_all(further.join("state")).unwrap();
        std::fs::write(further.join("state/background.json"), "").unwrap();
        assert_eq!(command(further.to_str()), "imgctl up");
    }
}
