//! A file system of its own that the power can be taken from: ext4 in a file, mounted over a loop
//! device. FS_IOC_SHUTDOWN drops everything that was not synced, as a power cut does; then it is
//! unmounted and mounted again, which replays its journal. Needs root.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Takes the power from all mount points that it is given, when it hears a line. In Python, because
/// the ioctl is unsafe in Rust; 2 is EXT4_GOING_FLAGS_NOLOGFLUSH: the journal is not flushed either.
const CUTTER: &str = "
import fcntl, os, struct, sys
volumes = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
print('ready', flush=True)
sys.stdin.readline()
for volume in volumes: fcntl.ioctl(volume, 0x8004587d, struct.pack('I', 2))
";

/// Room for all pictures of a run; the file is sparse.
const VOLUME_BYTES: u64 = 4 << 30;

/// One mounted file system. Its loop device is attached once for all mounts: `mount -o loop` detaches
/// at each unmount, a little later than it says, and the next mount may find the device on its way out.
pub(crate) struct Volume {
    device: PathBuf,
    pub(crate) mounted_at: PathBuf,
    is_mounted: bool,
    _below: Below,
}

/// The mount that the file system is mounted on: its own directory.
struct Below(PathBuf);

impl Drop for Below {
    fn drop(&mut self) {
        let _ = run("umount", &[&self.0]);
    }
}

/// Runs a program of the system to its end; what it printed.
fn run(program: &str, arguments: &[&Path]) -> Result<String, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Volume {
    /// Makes and mounts one. The error says what this system lacks.
    pub(crate) fn new(directory: &Path, name: &str) -> Result<Volume, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can mount".to_owned());
        }
        let image = directory.join(format!("{name}.ext4"));
        let mounted_at = directory.join(name);
        std::fs::create_dir(&mounted_at).map_err(|error| error.to_string())?;
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(VOLUME_BYTES).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &[Path::new("-qF"), &image])?;
        // On a mount that passes on what happens on it: a network namespace that begins meanwhile copies
        // all mounts, and a copy that stays would keep the file system alive without its power.
        run("mount", &[Path::new("--bind"), &mounted_at, &mounted_at])?;
        let below = Below(mounted_at.clone());
        run("mount", &[Path::new("--make-shared"), &mounted_at])?;
        let device = run("losetup", &[Path::new("--find"), Path::new("--show"), &image])?.into();
        let mut volume = Volume { device, mounted_at, is_mounted: false, _below: below };
        volume.mount()?;
        Ok(volume)
    }

    pub(crate) fn mount(&mut self) -> Result<(), String> {
        run("mount", &[&self.device, &self.mounted_at])?;
        self.is_mounted = true;
        Ok(())
    }

    pub(crate) fn unmount(&mut self) -> Result<(), String> {
        run("umount", &[&self.mounted_at])?;
        self.is_mounted = false;
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = self.unmount();
        }
        let _ = run("losetup", &[Path::new("--detach"), &self.device]);
    }
}

/// A hand on the switch of some volumes: ready, so that the cut comes at once.
pub(crate) struct Switch(Child);

impl Switch {
    pub(crate) fn of(volumes: &[Volume]) -> Switch {
        let mut child = Command::new("python3")
            .arg("-c")
            .arg(CUTTER)
            .args(volumes.iter().map(|volume| &volume.mounted_at))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let said = child.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut line).expect("it says that it is ready");
        assert_eq!(line, "ready\n");
        Switch(child)
    }

    /// The cut, of the first volume first. Closing its input is the line that it waits for.
    pub(crate) fn cut(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it ends").success(), "the power could not be cut");
    }
}

/// The rig itself: what was synced is there after a cut, and what was not is gone.
#[test]
fn a_cut_takes_what_was_not_synced() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut volume = match Volume::new(directory.path(), "volume") {
        Ok(volume) => volume,
        Err(why) => return println!("*** NOT PROVEN HERE: {why}"),
    };
    let at = |name: &str| directory.path().join("volume").join(name);
    let switch = Switch::of(std::slice::from_ref(&volume));
    for name in ["synced", "unsynced"] {
        std::fs::write(at(name), "content").expect("room");
        let file = std::fs::File::open(at(name)).expect("it is there");
        if name == "synced" {
            file.sync_all().expect("it is synced");
        }
    }
    switch.cut();
    assert!(std::fs::write(at("later"), "content").is_err(), "nothing is written without power");
    volume.unmount().expect("nobody uses it");
    volume.mount().expect("its journal is replayed");
    assert_eq!(std::fs::read_to_string(at("synced")).expect("it is there"), "content");
    let unsynced = std::fs::read_to_string(at("unsynced")).unwrap_or_default();
    assert_eq!(unsynced, "", "what was not synced is gone");
}
