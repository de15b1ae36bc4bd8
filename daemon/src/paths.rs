//! Where this user's files are: the platform's directories (XDG on Linux), or everything under
//! `IMGREPO_HOME`. Read once at the start by `main`; every other room is given its paths.
//!
//! Nothing is created here, and nothing but these variables is read.

use std::ffi::OsString;
use std::path::PathBuf;

use imgrepo_proto::control::{Endpoint, endpoint};
use imgrepo_proto::{ErrorCode, Refusal};

pub use login::Login;

mod login;

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file, whether or not it is there.
    pub config: PathBuf,
    /// What the daemon remembers: the session, the events seen, the queue, the spool, its lock.
    pub state: PathBuf,
    /// The repository of a server.
    pub data: PathBuf,
    /// What may be deleted at any time.
    pub cache: PathBuf,
    /// The local socket.
    pub endpoint: Endpoint,
    /// Where it is said what starts at login.
    pub login: Login,
}

impl Paths {
    /// The paths by these environment variables.
    ///
    /// # Errors
    /// No variable says where this user's files are.
    pub fn from_env(var: impl Fn(&str) -> Option<OsString>) -> Result<Paths, Refusal> {
        let path = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let endpoint = endpoint::from_env(&var);
        let login = Login::from_env(&var);
        if let Some(home) = path("IMGREPO_HOME") {
            let home = std::path::absolute(&home).unwrap_or(home);
            return Ok(Paths {
                config: home.join("config/config.toml"),
                state: home.join("state"),
                data: home.join("data"),
                cache: home.join("cache"),
                endpoint,
                login,
            });
        }
        let directory = |variable: &str, below_home: &str| {
            // A relative one is to be ignored (XDG Base Directory Specification).
            let given = path(variable).filter(|path| path.is_absolute());
            let given = given.or_else(|| path("HOME").map(|home| home.join(below_home)));
            given.map(|directory| directory.join("imgrepo")).ok_or_else(|| {
                Refusal::new(ErrorCode::FileError, format!("{variable} and HOME are not set"))
                    .hint("set HOME, or IMGREPO_HOME to a directory for everything")
            })
        };
        let [config, state, data, cache] = PLATFORM;
        Ok(Paths {
            config: directory(config.0, config.1)?.join("config.toml"),
            state: own(directory(state.0, state.1)?, "state"),
            data: own(directory(data.0, data.1)?, "data"),
            cache: directory(cache.0, cache.1)?,
            endpoint,
            login,
        })
    }
}

/// For configuration, state, data and cache: the variable, and the directory below HOME without it.
#[cfg(not(any(target_os = "macos", windows)))]
const PLATFORM: [(&str, &str); 4] = [
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_CACHE_HOME", ".cache"),
];

#[cfg(target_os = "macos")]
const PLATFORM: [(&str, &str); 4] = [
    ("XDG_CONFIG_HOME", "Library/Application Support"),
    ("XDG_STATE_HOME", "Library/Application Support"),
    ("XDG_DATA_HOME", "Library/Application Support"),
    ("XDG_CACHE_HOME", "Library/Caches"),
];

#[cfg(windows)]
const PLATFORM: [(&str, &str); 4] = [
    ("APPDATA", "AppData/Roaming"),
    ("LOCALAPPDATA", "AppData/Local"),
    ("LOCALAPPDATA", "AppData/Local"),
    ("TEMP", "AppData/Local/Temp"),
];

/// Where the platform has one directory for several of them, each has its own below it.
fn own(directory: PathBuf, name: &str) -> PathBuf {
    if cfg!(any(target_os = "macos", windows)) { directory.join(name) } else { directory }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;

    use super::*;

    fn paths(vars: &[(&str, &str)]) -> Result<Paths, Refusal> {
        let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
        Paths::from_env(|name| find(name).map(|(_, value)| value.into()))
    }

    #[test]
    fn one_directory_takes_everything() {
        let paths = paths(&[("IMGREPO_HOME", "/h"), ("XDG_STATE_HOME", "/s")]).unwrap();
        assert_eq!(paths.config, Path::new("/h/config/config.toml"));
        assert_eq!(paths.state, Path::new("/h/state"));
        assert_eq!(paths.data, Path::new("/h/data"));
        assert_eq!(paths.cache, Path::new("/h/cache"));
        assert_eq!(paths.endpoint.path(), Path::new("/h/run/control.sock"));
    }

    #[test]
    fn the_platform_says_where_without_it() {
        let paths =
            paths(&[("HOME", "/home/ana"), ("XDG_STATE_HOME", "/s"), ("XDG_DATA_HOME", "d")]);
        let paths = paths.unwrap();
        assert_eq!(paths.config, Path::new("/home/ana/.config/imgrepo/config.toml"));
        assert_eq!(paths.state, Path::new("/s/imgrepo"));
        assert_eq!(paths.data, Path::new("/home/ana/.local/share/imgrepo"));
        assert_eq!(paths.cache, Path::new("/home/ana/.cache/imgrepo"));
    }

    #[test]
    fn without_any_home_it_says_so() {
        let refusal = paths(&[("HOME", "")]).unwrap_err();
        assert_eq!(refusal.message, "XDG_CONFIG_HOME and HOME are not set");
    }
}
