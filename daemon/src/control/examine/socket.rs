//! Whether programs find the daemon's socket, and they alone.

use std::path::PathBuf;

use imgrepo_proto::control::Endpoint;
use imgrepo_proto::control::finding::Finding;

const CHECK: &str = "socket";

/// What was seen.
pub(super) struct Socket {
    path: PathBuf,
    /// Why its directory is not this user's alone.
    open: Option<String>,
    /// The socket's mode; None where no socket is.
    mode: Option<u32>,
}

pub(super) fn look(endpoint: &Endpoint) -> Socket {
    let path = endpoint.path();
    let open = endpoint.check().err().map(|error| error.to_string());
    #[cfg(unix)]
    let mode = {
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
        let meta = std::fs::symlink_metadata(&path).ok();
        meta.filter(|meta| meta.file_type().is_socket()).map(|meta| meta.mode() & 0o777)
    };
    // A pipe that is asked is there, and its access rights are the system's to keep.
    #[cfg(not(unix))]
    let mode = Some(0o600);
    Socket { path, open, mode }
}

pub(super) fn finding(socket: &Socket) -> Finding {
    let shown = socket.path.display();
    let restart = || Some("restart the daemon: imgrepod service restart".to_owned());
    match (&socket.open, socket.mode) {
        (Some(why), _) => Finding::problem(CHECK, why.clone(), restart()),
        (None, None) => Finding::problem(
            CHECK,
            format!("`{shown}` is gone: programs do not find the daemon"),
            restart(),
        ),
        (None, Some(mode)) if mode & 0o077 != 0 => {
            let message = format!("`{shown}` is open to other users (mode {mode:04o})");
            Finding::problem(CHECK, message, Some(format!("chmod 600 '{shown}'")))
        }
        (None, Some(mode)) => Finding::ok(CHECK, format!("`{shown}` (mode {mode:04o})")),
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::finding::FindingState::{Ok, Problem};

    use super::*;

    #[test]
    fn it_is_there_and_for_one_user() {
        let of = |open: Option<&str>, mode| {
            finding(&Socket { path: "/s".into(), open: open.map(str::to_owned), mode }).state
        };
        assert_eq!(of(None, Some(0o600)), Ok);
        assert_eq!(of(None, Some(0o660)), Problem);
        assert_eq!(of(None, None), Problem);
        assert_eq!(of(Some("it is open"), Some(0o600)), Problem);
    }
}
