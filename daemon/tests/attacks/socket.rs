//! The control socket as another user of the same computer: connect to it, be there first, put a link or
//! another folder in its place. Needs root, who can be another user.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::{Client, Endpoint, Hello, Request, frame};
use imgrepo_proto::session::command::Program;
use rustix::process::{Gid, Uid, geteuid};

use crate::process::{Daemon, imgrepod};

/// "nobody", as nearly every system has it.
const OTHER: u32 = 65_534;

fn program() -> Program {
    Program { name: "test".to_owned(), version: "0".to_owned() }
}

/// Does this as the other user: threads have users of their own as far as the kernel is concerned.
fn as_other<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (uid, gid) = (Uid::from_raw(OTHER), Gid::from_raw(OTHER));
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            act()
        });
        other.join().unwrap()
    })
}

/// A folder that everybody gets to; None without root.
fn ground() -> Option<(tempfile::TempDir, PathBuf)> {
    if !geteuid().is_root() {
        println!("*** NOT TESTED HERE: another user at the control socket needs root");
        return None;
    }
    let ground = tempfile::tempdir().unwrap();
    open_to_all(ground.path());
    let home = ground.path().join("home");
    std::fs::create_dir(&home).unwrap();
    open_to_all(&home);
    Some((ground, home))
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn endpoint(home: &Path) -> Endpoint {
    Endpoint::at(home.join("run"), "control.sock")
}

/// The daemon is there, and its own user gets on with it.
fn well(home: &Path) {
    Client::connect(&endpoint(home), program()).unwrap().call(&Request::Status).unwrap();
}

#[test]
fn another_user_does_not_get_in() {
    let Some((_ground, home)) = ground() else { return };
    let server = Daemon::serve(&home).unwrap();
    let (run, socket) = (home.join("run"), home.join("run/control.sock"));
    assert_eq!(std::fs::metadata(&run).unwrap().mode() & 0o777, 0o700);
    let connect = || as_other(|| UnixStream::connect(&socket));
    assert_eq!(connect().unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    // Somebody opened the folder and the socket: who comes is still looked at.
    open_to_all(&run);
    open_to_all(&socket);
    let hello = Hello { lowest: 1, highest: 1, program: program() };
    let says = [frame::encode(&hello).unwrap(), frame::encode(&Request::Stop).unwrap()].concat();
    for say in [&says[..], &(1_u32 << 30).to_be_bytes(), &[]] {
        let mut stream = connect().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may be closed before anything is said.
        let _ = stream.write_all(say);
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{end:?} {answer:?}");
        assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }
    // Programs do not talk in a folder that is open to others; the daemon's next start closes it.
    let refused = Client::connect(&endpoint(&home), program()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Denied, "{refused}");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
    well(&home);
    assert!(server.stop().success());
}

/// Starts where somebody else was first: it has to be refused, in words.
fn refused(home: &Path, ground: &Path) -> String {
    match Daemon::serve_with(&imgrepod(), home, &ground.join("log"), &[]) {
        Err(words) => words,
        Ok(daemon) => panic!("it started: {}", daemon.ready),
    }
}

#[test]
fn who_was_there_first_is_not_trusted() {
    let Some((ground, home)) = ground() else { return };
    let run = home.join("run");
    // A folder of another user, with a socket that would listen to what is said.
    let _listener = as_other(|| {
        std::fs::create_dir(&run).unwrap();
        UnixListener::bind(run.join("control.sock")).unwrap()
    });
    let words = refused(&home, ground.path());
    assert!(words.contains("belongs to another user"), "{words}");
    // Nor do programs say a word there.
    let told = Client::connect(&endpoint(&home), program()).unwrap_err();
    assert_eq!(told.code, ErrorCode::Denied, "{told}");
    std::fs::remove_dir_all(&run).unwrap();

    // A link of another user: to a folder of theirs, and to one of ours.
    let ours = ground.path().join("ours");
    std::fs::create_dir(&ours).unwrap();
    std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o700)).unwrap();
    for target in [Path::new("/tmp"), &ours] {
        as_other(|| symlink(target, &run)).unwrap();
        let words = refused(&home, ground.path());
        assert!(words.contains("is not a directory"), "{words}");
        assert_eq!(std::fs::read_dir(&ours).unwrap().count(), 0);
        let told = Client::connect(&endpoint(&home), program()).unwrap_err();
        assert_eq!(told.code, ErrorCode::Denied, "{told}");
        std::fs::remove_file(&run).unwrap();
    }

    // In a folder of ours a link where the socket and the lock go leads nowhere else.
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
    let precious = ground.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    symlink(&precious, run.join("control.sock")).unwrap();
    let server = Daemon::serve(&home).unwrap();
    well(&home);
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");

    // The folder is replaced under a living daemon: programs notice, the daemon goes on.
    std::fs::rename(&run, home.join("gone")).unwrap();
    let _listener = as_other(|| {
        std::fs::create_dir(&run).unwrap();
        UnixListener::bind(run.join("control.sock")).unwrap()
    });
    let told = Client::connect(&endpoint(&home), program()).unwrap_err();
    assert_eq!(told.code, ErrorCode::Denied, "{told}");
    std::fs::remove_dir_all(&run).unwrap();
    std::fs::rename(home.join("gone"), &run).unwrap();
    well(&home);
    assert!(server.stop().success());
}
