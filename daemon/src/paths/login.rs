//! Where it is said what this system starts at login, and what a daemon that is started there must
//! be given to find the files that one started here finds. The `service` room uses it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::endpoint;

/// Variables that say where files are, with what they are below HOME where they are not set.
const XDG: [(&str, &str); 4] = [
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_CACHE_HOME", ".cache"),
];

/// What starts at login, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Where this user's units (or agents, or tasks) are; None without a home.
    pub units: Option<PathBuf>,
    /// Directories of units that the system starts.
    pub system_units: Vec<PathBuf>,
    /// Directories of entries that a desktop starts (`*.desktop`).
    pub entries: Vec<PathBuf>,
    /// `IMGREPO_HOME`, where it is set: what tells the daemons of one user apart.
    pub home: Option<PathBuf>,
    /// The login name, where a variable says it.
    pub user: Option<String>,
    /// Variables that the daemon must be given to find the same files.
    pub environment: Vec<(String, OsString)>,
    /// Where programs are found by name.
    pub search: Option<OsString>,
    /// Where what is there may soon be gone.
    pub temporary: Vec<PathBuf>,
}

impl Login {
    /// By these environment variables.
    pub(super) fn from_env(var: impl Fn(&str) -> Option<OsString>) -> Login {
        let given = |name: &str| var(name).filter(|value| !value.is_empty());
        let absolute =
            |name: &str| given(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user_home = given("HOME").map(PathBuf::from);
        let below = |path: &str| user_home.as_ref().map(|home| home.join(path));
        let config = absolute("XDG_CONFIG_HOME").or_else(|| below(".config"));
        let units = if cfg!(target_os = "macos") {
            below("Library/LaunchAgents")
        } else if cfg!(windows) {
            absolute("LOCALAPPDATA").map(|data| data.join("imgrepo"))
        } else {
            config.as_ref().map(|config| config.join("systemd/user"))
        };
        let desktops = given("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
        let desktops = config.into_iter().chain(std::env::split_paths(&desktops));
        let mut temporary: Vec<PathBuf> =
            ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from).into();
        temporary.extend(absolute("TMPDIR"));
        Login {
            units,
            system_units: SYSTEM_UNITS.map(PathBuf::from).into(),
            entries: desktops.map(|config| config.join("autostart")).collect(),
            home: given("IMGREPO_HOME").map(absolute_path),
            user: given("USER")
                .or_else(|| given("LOGNAME"))
                .and_then(|user| user.into_string().ok()),
            environment: environment(&var),
            search: given("PATH"),
            temporary,
        }
    }
}

/// Units of the system, in systemd's own order.
const SYSTEM_UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

fn environment(var: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OsString)> {
    let given = |name: &str| var(name).filter(|value| !value.is_empty());
    let mut environment = Vec::new();
    let mut carry = |name: &str, value: OsString| environment.push((name.to_owned(), value));
    if let Some(home) = given("IMGREPO_HOME") {
        carry("IMGREPO_HOME", absolute_path(home).into());
    } else {
        // Only what differs from what the daemon would find without: a manager of services gives
        // its programs little more than HOME.
        let user_home = given("HOME").map(PathBuf::from);
        for (name, below) in XDG {
            let default = user_home.as_ref().map(|home| home.join(below));
            if let Some(value) = given(name)
                && Path::new(&value).is_absolute()
                && default.is_none_or(|default| Path::new(&value) != default)
            {
                carry(name, value);
            }
        }
        // This one a login has. Any other is where `imgctl` will look for the socket.
        let usual = PathBuf::from(format!("/run/user/{}", endpoint::user()));
        if let Some(value) = given("XDG_RUNTIME_DIR")
            && Path::new(&value).is_absolute()
            && Path::new(&value) != usual
        {
            carry("XDG_RUNTIME_DIR", value);
        }
    }
    environment
}

fn absolute_path(path: OsString) -> PathBuf {
    let path = PathBuf::from(path);
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn login(vars: &[(&str, &str)]) -> Login {
        let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
        Login::from_env(|name| find(name).map(|(_, value)| value.into()))
    }

    fn carried(vars: &[(&str, &str)]) -> Vec<String> {
        let show = |(name, value): (String, OsString)| format!("{name}={}", value.display());
        login(vars).environment.into_iter().map(show).collect()
    }

    #[test]
    fn units_and_entries_are_where_the_variables_say() {
        let plain = login(&[("HOME", "/home/ana")]);
        assert_eq!(plain.units.as_deref(), Some(Path::new("/home/ana/.config/systemd/user")));
        assert_eq!(
            plain.entries,
            [Path::new("/home/ana/.config/autostart"), Path::new("/etc/xdg/autostart")]
        );
        let other = login(&[("HOME", "/home/ana"), ("XDG_CONFIG_HOME", "/c"), ("USER", "ana")]);
        assert_eq!(other.units.as_deref(), Some(Path::new("/c/systemd/user")));
        assert_eq!(other.user.as_deref(), Some("ana"));
        assert_eq!(login(&[]).units, None);
    }

    #[test]
    fn what_says_where_files_are_is_carried() {
        assert_eq!(
            carried(&[("HOME", "/home/ana"), ("XDG_CONFIG_HOME", "/home/ana/.config")]),
            [""; 0]
        );
        let vars = [
            ("HOME", "/h"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_DATA_HOME", "relative"),
            ("XDG_RUNTIME_DIR", "/odd"),
        ];
        assert_eq!(carried(&vars), ["XDG_STATE_HOME=/s", "XDG_RUNTIME_DIR=/odd"]);
        let usual = format!("/run/user/{}", endpoint::user());
        assert_eq!(carried(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", &usual)]), [""; 0]);
        let vars = [("IMGREPO_HOME", "/r"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(carried(&vars), ["IMGREPO_HOME=/r"]);
    }
}
