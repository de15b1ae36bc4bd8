//! The yardstick of a dropped file: Debian's syncthing, where it is installed. Two of them in this
//! process's directory, on loopback, with everything off that is not needed and the shortest delay
//! that its settings know.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long the two may take to find each other, and a file to come over.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two synchronisers and a folder that they share.
pub(crate) struct Pair {
    here: PathBuf,
    there: PathBuf,
    /// Ended when this is dropped.
    _processes: [Process; 2],
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Device {
    home: PathBuf,
    folder: PathBuf,
    id: String,
    port: u16,
    page: u16,
}

impl Pair {
    /// Starts both and waits until a first file has come over. None where it is not installed.
    pub(crate) fn start(work: &Path) -> anyhow::Result<Option<Pair>> {
        if Command::new("syncthing").arg("--version").output().is_err() {
            return Ok(None);
        }
        let devices = [device(&work.join("one"))?, device(&work.join("two"))?];
        let mut processes = Vec::new();
        for device in &devices {
            std::fs::write(device.home.join("config.xml"), settings(device, &devices))?;
            let child = Command::new("syncthing")
                .args(["serve", "--no-browser", "--no-upgrade", "--no-restart"])
                .arg(format!("--home={}", device.home.display()))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start syncthing")?;
            processes.push(Process(child));
        }
        let [one, two] = devices;
        let processes = processes.try_into().ok().context("there are two")?;
        let pair = Pair { here: one.folder, there: two.folder, _processes: processes };
        let first = work.join("first");
        std::fs::write(&first, "first")?;
        pair.bring(&first, "first")?;
        Ok(Some(pair))
    }

    /// Renames a file into the folder of the one; the milliseconds until the other has it.
    pub(crate) fn bring(&self, file: &Path, name: &str) -> anyhow::Result<f64> {
        let there = self.there.join(name);
        let started = Instant::now();
        std::fs::rename(file, self.here.join(name))?;
        // It appears there under another name until it is whole.
        while !there.exists() {
            if started.elapsed() > PATIENCE {
                bail!("syncthing did not bring a file within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    }
}

fn device(home: &Path) -> anyhow::Result<Device> {
    let folder = home.with_extension("folder");
    // Without its mark a folder is taken for a disk that is away.
    std::fs::create_dir_all(folder.join(".stfolder"))?;
    let made = Command::new("syncthing")
        .args(["generate", "--no-default-folder"])
        .arg(format!("--home={}", home.display()))
        .output()?;
    let said =
        String::from_utf8_lossy(&made.stdout).into_owned() + &String::from_utf8_lossy(&made.stderr);
    let id = said.split("Device ID: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let id = id.with_context(|| format!("syncthing made no device: {said}"))?.to_owned();
    Ok(Device { home: home.to_owned(), folder, id, port: free_port()?, page: free_port()? })
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn settings(device: &Device, all: &[Device; 2]) -> String {
    let folder = device.folder.display();
    let devices: String = all.iter().map(|one| format!(r#"<device id="{}"/>"#, one.id)).collect();
    let addresses: String = all
        .iter()
        .map(|one| {
            let (id, port) = (&one.id, one.port);
            format!(r#"<device id="{id}"><address>tcp://127.0.0.1:{port}</address></device>"#)
        })
        .collect();
    let (port, page) = (device.port, device.page);
    format!(
        r#"<configuration version="36">
<folder id="f" path="{folder}" fsWatcherEnabled="true" fsWatcherDelayS="1">{devices}</folder>
{addresses}
<gui enabled="true"><address>127.0.0.1:{page}</address></gui>
<options><listenAddress>tcp://127.0.0.1:{port}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><urAccepted>-1</urAccepted>
<reconnectionIntervalS>1</reconnectionIntervalS><startBrowser>false</startBrowser>
<crashReportingEnabled>false</crashReportingEnabled></options>
</configuration>"#
    )
}
