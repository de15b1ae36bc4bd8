//! What else starts a daemon of this user at login: a desktop's autostart entry, a unit of the
//! system, another unit of this user. Two owners of one daemon would get in each other's way.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::endpoint;

use crate::paths::Login;

/// More than any such file has.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Something that starts the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// In a word or two.
    pub(super) kind: &'static str,
    /// The file that says so.
    pub(super) file: PathBuf,
    /// How to have it start the daemon no longer.
    pub(super) remove: String,
}

/// All of them but the unit of our own, `own`.
pub(super) fn owners(login: &Login, own: Option<&Path>) -> Vec<Owner> {
    let mut owners = Vec::new();
    for file in files_in(&login.entries, "desktop") {
        let text = text_of(&file);
        let is_off = ["Hidden=true", "X-GNOME-Autostart-enabled=false"];
        if !is_off.iter().any(|off| text.lines().any(|line| line.trim() == *off))
            && starts(&text, "Exec=", login)
        {
            let remove = format!("remove `{}`", file.display());
            owners.push(Owner { kind: "autostart entry", file, remove });
        }
    }
    for file in files_in(&login.system_units, "service") {
        let text = text_of(&file);
        if starts(&text, "ExecStart=", login) && is_run_as(&text, login) {
            let unit = file.file_name().unwrap_or_default().display().to_string();
            let remove = format!("sudo systemctl disable --now {unit}");
            owners.push(Owner { kind: "system unit", file, remove });
        }
    }
    for file in files_in(login.units.as_slice(), "service") {
        if Some(file.as_path()) != own && starts(&text_of(&file), "ExecStart=", login) {
            let unit = file.file_name().unwrap_or_default().display().to_string();
            let remove = format!("systemctl --user disable --now {unit}, and remove it");
            owners.push(Owner { kind: "user unit", file, remove });
        }
    }
    // One directory is another's link on many systems.
    let mut seen = Vec::new();
    owners.retain(|owner| {
        let real = owner.file.canonicalize().ok();
        let is_new = !seen.contains(&real);
        seen.push(real);
        is_new
    });
    owners
}

fn files_in(directories: &[PathBuf], extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in directories {
        // One that cannot be read starts nothing.
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut here: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect();
        here.sort();
        // The first of a name is the one that counts.
        here.retain(|path| files.iter().all(|file| file.file_name() != path.file_name()));
        files.extend(here);
    }
    files
}

fn text_of(file: &Path) -> String {
    let mut bytes = Vec::new();
    if fs::metadata(file).is_ok_and(|meta| meta.is_file())
        && let Ok(file) = File::open(file)
    {
        // Half of it tells as much as could be read.
        let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether it runs the daemon, not one of its subcommands, with the files that this one has.
fn starts(text: &str, key: &str, login: &Login) -> bool {
    let runs = |line: &str| {
        let mut words = line.split([' ', '"', '\'', '=']);
        words.any(|word| word.rsplit('/').next() == Some("imgrepod"))
    };
    let home = login.home.as_ref().map(|home| format!("IMGREPO_HOME={}", home.display()));
    let is_ours = match home {
        Some(home) => text.contains(&home),
        None => !text.contains("IMGREPO_HOME="),
    };
    is_ours && text.lines().filter_map(|line| line.trim().strip_prefix(key)).any(runs)
}

/// Whether a unit of the system runs as this user.
fn is_run_as(text: &str, login: &Login) -> bool {
    let user = text.lines().find_map(|line| line.trim().strip_prefix("User="));
    let number = endpoint::user();
    match user.map(str::trim) {
        None | Some("" | "root" | "0") => number == 0,
        Some(user) => login.user.as_deref() == Some(user) || user == number.to_string(),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn whatever_starts_this_users_daemon_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        let put = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        };
        let login = Login {
            units: Some(at("user")),
            system_units: vec![at("etc"), at("lib")],
            entries: vec![at("autostart")],
            user: Some("ana".to_owned()),
            ..Login::default()
        };
        let own = at("user/imgrepod.service");
        let found = || {
            let owners = owners(&login, Some(&own));
            let name = |owner: Owner| {
                let name = owner.file.strip_prefix(directory.path()).unwrap().display().to_string();
                (owner.kind, name)
            };
            owners.into_iter().map(name).collect::<Vec<_>>()
        };
        put("user/imgrepod.service", "ExecStart=/usr/bin/imgrepod\n");
        put("autostart/other.desktop", "Exec=/usr/bin/imgrepoder --x\nComment=imgrepod\n");
        put("autostart/off.desktop", "Exec=imgrepod\nHidden=true\n");
        put("autostart/home.desktop", "Exec=env IMGREPO_HOME=/h imgrepod\n");
        put("lib/server.service", "[Service]\nExecStart=/usr/bin/imgrepod --serve\nUser=img\n");
        put("etc/masked.service", "");
        put("lib/masked.service", "ExecStart=imgrepod\nUser=ana\n");
        assert_eq!(found(), []);
        put("autostart/a.desktop", "[Desktop Entry]\nExec=\"/usr/bin/imgrepod\" --user ana\n");
        put("lib/mine.service", "ExecStart=/usr/bin/imgrepod\nUser=ana\n");
        put("user/hand.service", "ExecStart=%h/bin/imgrepod\n");
        let expected = [
            ("autostart entry", "autostart/a.desktop"),
            ("system unit", "lib/mine.service"),
            ("user unit", "user/hand.service"),
        ];
        assert_eq!(found(), expected.map(|(kind, name)| (kind, name.to_owned())));
    }
}
