//! Where things are: the daemon's socket, what the window remembers, its cache, the folder of
//! downloads, and whether there is a display. Alone reads the environment; `main` asks once.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::Endpoint;
use imgrepo_proto::control::endpoint;

/// The longest `user-dirs.dirs` that is read: a desktop's has a kilobyte.
const USER_DIRS_BYTES: u64 = 64 * 1024;

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Where the daemon listens.
    pub(crate) endpoint: Endpoint,
    /// What the daemon and the window remember.
    pub(crate) state: PathBuf,
    /// What may be deleted at any time.
    pub(crate) cache: PathBuf,
    /// Where images are saved.
    pub(crate) downloads: PathBuf,
    /// Whether a window can be opened at all.
    pub(crate) has_display: bool,
}

impl Paths {
    /// By these environment variables, as the daemon does.
    pub(crate) fn from_env(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        let person =
            path("HOME").or_else(|| path("USERPROFILE")).unwrap_or_else(std::env::temp_dir);
        let own = path("IMGREPO_HOME").map(|own| std::path::absolute(&own).unwrap_or(own));
        let below = |name: &str, variable: &str, default: &str| match &own {
            Some(own) => own.join(name),
            None => absolute(variable).unwrap_or_else(|| person.join(default)).join("imgrepo"),
        };
        let config = absolute("XDG_CONFIG_HOME").unwrap_or_else(|| person.join(".config"));
        let downloads = downloads(&config.join("user-dirs.dirs"), &person);
        let is_x11_or_wayland = cfg!(all(unix, not(target_os = "macos")));
        Paths {
            state: below("state", "XDG_STATE_HOME", ".local/state"),
            cache: below("cache", "XDG_CACHE_HOME", ".cache"),
            downloads: downloads.unwrap_or_else(|| person.join("Downloads")),
            has_display: !is_x11_or_wayland
                || path("DISPLAY").is_some()
                || path("WAYLAND_DISPLAY").is_some(),
            endpoint: endpoint::from_env(&var),
        }
    }
}

/// The folder that the desktop has for downloads (xdg-user-dirs).
fn downloads(user_dirs: &Path, person: &Path) -> Option<PathBuf> {
    let mut text = String::new();
    File::open(user_dirs).ok()?.take(USER_DIRS_BYTES).read_to_string(&mut text).ok()?;
    let value = text.lines().find_map(|line| line.trim().strip_prefix("XDG_DOWNLOAD_DIR="))?;
    let value = value.trim().strip_prefix('"')?.strip_suffix('"')?.replace("\\", "");
    match value.strip_prefix("$HOME") {
        Some(rest) => Some(person.join(rest.trim_start_matches('/'))),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(vars: &[(&str, &str)]) -> Paths {
        let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
        Paths::from_env(|name| find(name).map(|(_, value)| value.into()))
    }

    #[test]
    fn all_is_below_one_home_or_where_the_platform_has_it() {
        let own = paths(&[("IMGREPO_HOME", "/h"), ("HOME", "/home/ana"), ("DISPLAY", "")]);
        assert_eq!((own.state, own.cache), ("/h/state".into(), "/h/cache".into()));
        assert_eq!(own.downloads, Path::new("/home/ana/Downloads"));
        assert!(!own.has_display);
        let plain = paths(&[("HOME", "/home/ana"), ("XDG_CACHE_HOME", "/c"), ("DISPLAY", ":7")]);
        assert_eq!(plain.state, Path::new("/home/ana/.local/state/imgrepo"));
        assert_eq!(plain.cache, Path::new("/c/imgrepo"));
        assert!(plain.has_display && paths(&[("WAYLAND_DISPLAY", "wayland-0")]).has_display);
    }

    #[test]
    fn the_desktops_own_folder_of_downloads_is_used() {
        let config = tempfile::tempdir().unwrap();
        let file = config.path().join("user-dirs.dirs");
        let found = |text: &str| {
            std::fs::write(&file, text).unwrap();
            downloads(&file, Path::new("/home/ana"))
        };
        let dir = |text: &str| Some(PathBuf::from(text));
        assert_eq!(
            found("# x\nXDG_DOWNLOAD_DIR=\"$HOME/Transferências\"\n"),
            dir("/home/ana/Transferências")
        );
        assert_eq!(found("XDG_DOWNLOAD_DIR=\"/data/in\""), dir("/data/in"));
        assert_eq!(found("XDG_DOWNLOAD_DIR=\"$HOME/\""), dir("/home/ana/"));
        for bad in ["", "XDG_DOWNLOAD_DIR=", "XDG_DOWNLOAD_DIR=\"in\"", "XDG_MUSIC_DIR=\"/m\""] {
            assert_eq!(found(bad), None, "{bad}");
        }
        assert_eq!(downloads(Path::new("/nowhere"), Path::new("/")), None);
    }
}
