//! Where a person's daemon listens: one name that daemon and programs work out alike.
//!
//! A Unix domain socket `control.sock` in the runtime directory, or under `IMGREPO_HOME`; where
//! that path is longer than the system takes, or there is no runtime directory, a short one in a
//! directory of the temporary directory that belongs to this user alone, one for each home. On
//! Windows a named pipe. The daemon creates and listens, programs connect; both check that nobody else can be there.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::Name;

/// The longest path of a Unix domain socket: 103 bytes and a NUL on macOS and the BSDs, 107 on
/// Linux. The shorter everywhere, so that a home moves between systems.
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// The socket's file name.
const SOCKET: &str = "control.sock";

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    directory: PathBuf,
    file: String,
}

/// The endpoint of this user's daemon by these environment variables: `IMGREPO_HOME`, else
/// `XDG_RUNTIME_DIR`, else the temporary directory.
pub fn from_env(var: impl Fn(&str) -> Option<OsString>) -> Endpoint {
    let path = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = path("IMGREPO_HOME").map(|home| std::path::absolute(&home).unwrap_or(home));
    let temporary = || {
        let given = path("TMPDIR").filter(|dir| dir.is_absolute());
        let short = |dir: &PathBuf| dir.as_os_str().len() < MAX_SOCKET_PATH_BYTES / 2;
        let dir = given.filter(short).unwrap_or_else(|| PathBuf::from("/tmp"));
        dir.join(format!("imgrepo-{}", user()))
    };
    match (home, path("XDG_RUNTIME_DIR").filter(|dir| dir.is_absolute())) {
        (Some(home), _) => {
            // Collected anew, so that `home/` and `home` are one.
            let directory: PathBuf = home.join("run").components().collect();
            if fits(&directory) && cfg!(unix) {
                return Endpoint { directory, file: SOCKET.to_owned() };
            }
            Endpoint { directory: temporary(), file: short_name(&directory) }
        }
        (None, Some(runtime)) if fits(&runtime.join("imgrepo")) => {
            Endpoint { directory: runtime.join("imgrepo"), file: SOCKET.to_owned() }
        }
        // A daemon for each home of a user there too.
        _ => {
            let home = path("HOME").filter(|home| home.is_absolute());
            let file = home.map_or_else(|| SOCKET.to_owned(), |home| short_name(&home));
            Endpoint { directory: temporary(), file }
        }
    }
}

/// A file's name for what this directory's socket would be.
fn short_name(directory: &Path) -> String {
    format!("{:016x}.sock", fnv(directory.as_os_str().as_encoded_bytes()))
}

impl Endpoint {
    /// The socket of this name in this directory, for tests.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>, file: impl Into<String>) -> Self {
        Endpoint { directory: directory.into(), file: file.into() }
    }

    /// The directory that the socket lies in. The daemon creates it, for this user alone.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.file)
    }

    /// The name to listen on or to connect to.
    ///
    /// # Errors
    /// A name that the system does not take.
    #[cfg(unix)]
    pub fn name(&self) -> io::Result<Name<'static>> {
        use interprocess::local_socket::{GenericFilePath, ToFsName as _};
        self.path().to_fs_name::<GenericFilePath>()
    }

    /// The name to listen on or to connect to.
    ///
    /// # Errors
    /// A name that the system does not take.
    #[cfg(not(unix))]
    pub fn name(&self) -> io::Result<Name<'static>> {
        use interprocess::local_socket::{GenericNamespaced, ToNsName as _};
        let user = self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!("{user}-{}", self.file).to_ns_name::<GenericNamespaced>()
    }

    /// Checks that the socket's directory is this user's alone, so that who listens there is.
    ///
    /// # Errors
    /// A directory that is missing, is another user's, or is open to others.
    #[cfg(unix)]
    pub fn check(&self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::symlink_metadata(&self.directory)?;
        let refused = |what: &str| {
            let directory = self.directory.display();
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the socket's directory `{directory}` {what}"),
            ))
        };
        if !meta.is_dir() {
            return refused("is not a directory");
        }
        if meta.uid() != user() {
            return refused("belongs to another user");
        }
        if meta.mode() & 0o077 != 0 {
            return refused("is open to other users (its mode must be 0700)");
        }
        Ok(())
    }

    /// On this system a pipe's own access rights do what the directory's do elsewhere.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// This user's number.
#[cfg(unix)]
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// This user's number; here the pipe's name is made of the profile's instead.
#[cfg(not(unix))]
#[must_use]
pub fn user() -> u32 {
    // A pipe's access rights keep other users out; the number only tells their names apart.
    let profile = std::env::home_dir().unwrap_or_default();
    fnv(profile.as_os_str().as_encoded_bytes()) as u32
}

fn fits(directory: &Path) -> bool {
    directory.as_os_str().len() + 1 + SOCKET.len() <= MAX_SOCKET_PATH_BYTES
}

/// FNV-1a: the same in every version of every program, which std's hasher does not promise, and no
/// secret is kept by it.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn endpoint(vars: &[(&str, &str)]) -> PathBuf {
        let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
        from_env(|name| find(name).map(|(_, value)| value.into())).path()
    }

    #[test]
    fn home_comes_before_the_runtime_directory_and_that_before_the_temporary_one() {
        let runtime = ("XDG_RUNTIME_DIR", "/run/user/7");
        assert_eq!(endpoint(&[runtime, ("IMGREPO_HOME", "/h/")]), Path::new("/h/run/control.sock"));
        assert_eq!(endpoint(&[runtime]), Path::new("/run/user/7/imgrepo/control.sock"));
        assert_eq!(
            endpoint(&[runtime, ("IMGREPO_HOME", "")]),
            Path::new("/run/user/7/imgrepo/control.sock")
        );
        let own = format!("imgrepo-{}/control.sock", user());
        assert_eq!(endpoint(&[]), Path::new("/tmp").join(&own));
        assert_eq!(endpoint(&[("XDG_RUNTIME_DIR", "run")]), Path::new("/tmp").join(&own));
        assert_eq!(endpoint(&[("TMPDIR", "/var/t")]), Path::new("/var/t").join(&own));
        let of_home = |home| endpoint(&[("HOME", home)]);
        assert!(of_home("/home/ana").starts_with(format!("/tmp/imgrepo-{}", user())));
        assert_ne!(of_home("/home/ana"), of_home("/home/bruno"));
    }

    #[test]
    fn a_path_that_no_socket_can_have_becomes_a_short_one() {
        let long = format!("/{}", "x".repeat(200));
        let short = endpoint(&[("IMGREPO_HOME", &long)]);
        assert!(short.starts_with(format!("/tmp/imgrepo-{}", user())));
        assert_ne!(short, endpoint(&[("IMGREPO_HOME", &format!("{long}y"))]));
        assert_eq!(short, endpoint(&[("IMGREPO_HOME", &format!("{long}/"))]));
        for vars in [
            [("IMGREPO_HOME", "/h"), ("TMPDIR", &long)],
            [("XDG_RUNTIME_DIR", &long), ("TMPDIR", &long)],
        ] {
            assert!(endpoint(&vars).as_os_str().len() <= MAX_SOCKET_PATH_BYTES);
        }
        let fit = "h".repeat(MAX_SOCKET_PATH_BYTES - "//run/control.sock".len());
        assert_eq!(endpoint(&[("IMGREPO_HOME", &format!("/{fit}"))]).as_os_str().len(), 103);
        assert!(endpoint(&[("IMGREPO_HOME", &format!("/{fit}h"))]).starts_with("/tmp"));
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::at(home.path(), "s");
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        endpoint.check().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(endpoint.check().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let gone = Endpoint::at(home.path().join("gone"), "s");
        assert_eq!(gone.check().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
