//! The servers: started on a folder of their own with their own defaults, and how each is spoken with.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tokio::runtime::Runtime;

use crate::http::Connection;
use crate::picture::Picture;
use crate::process::Daemon;
use crate::session::V2;
use crate::work;

/// Files of the folder that is listed.
pub(crate) const LISTED: u64 = 10_000;

/// How long one may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is spoken with.
pub(crate) enum Way {
    /// Over one session.
    Session(Arc<V2>),
    /// Over our own API.
    Api,
    /// By files' names below the address, with what asks for a list in JSON.
    Files { list: &'static str, folder: PathBuf },
}

enum Process {
    Ours(Daemon),
    Other(Child),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Process::Other(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) way: Way,
    process: Process,
}

impl Peer {
    /// All that there are.
    #[allow(clippy::print_stdout, reason = "a benchmark is a program for the terminal")]
    pub(crate) fn all(target: &Path, place: &Path, runtime: &Runtime) -> anyhow::Result<Vec<Peer>> {
        let mut peers = vec![Peer::session(place, runtime)?, Peer::api(place)?];
        let own = target.join("peers/bin/dufs");
        match first(["dufs".into(), own], &["--version"]) {
            Some(program) => peers.push(Peer::dufs(&program, place)?),
            None => println!(
                "*** NOT MEASURED: dufs: cargo install dufs --locked --root {}",
                target.join("peers").display()
            ),
        }
        let own = target.join("venv-peers/bin/copyparty");
        match first(["copyparty".into(), own], &["--version"]) {
            Some(program) => peers.push(Peer::copyparty(&program, place)?),
            None => println!("*** NOT MEASURED: copyparty: scripts/setup.sh peers"),
        }
        Ok(peers)
    }

    fn session(place: &Path, runtime: &Runtime) -> anyhow::Result<Peer> {
        let (host, daemon) = ours(&place.join("session"))?;
        let session = runtime.block_on(V2::open(&daemon.url(), "bench"));
        let session = Arc::new(session.map_err(|end| anyhow!("{end:?}"))?);
        let way = Way::Session(session);
        Ok(Peer { name: "imgrepod, session".into(), host, way, process: Process::Ours(daemon) })
    }

    fn api(place: &Path) -> anyhow::Result<Peer> {
        let (host, daemon) = ours(&place.join("api"))?;
        let process = Process::Ours(daemon);
        Ok(Peer { name: "imgrepod, HTTP".into(), host, way: Way::Api, process })
    }

    fn dufs(program: &Path, place: &Path) -> anyhow::Result<Peer> {
        let (folder, port) = (place.join("dufs"), free_port()?);
        let mut command = Command::new(program);
        command.args(["--allow-upload", "--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--log-file").arg(place.join("dufs.log")).arg(&folder);
        Peer::other(version(program)?, command, port, "?json", folder)
    }

    fn copyparty(program: &Path, place: &Path) -> anyhow::Result<Peer> {
        let (folder, port) = (place.join("copyparty"), free_port()?);
        let mut command = Command::new(program);
        command.args(["-q", "-i", "127.0.0.1", "-p", &port.to_string()]);
        command.arg("-v").arg(format!("{}::rwd", folder.display()));
        // Its settings and its index of people's files stay where the rest is.
        command.env("XDG_CONFIG_HOME", place.join("copyparty-config"));
        command.env("XDG_CACHE_HOME", place.join("copyparty-cache"));
        Peer::other(version(program)?, command, port, "?ls", folder)
    }

    fn other(
        name: String,
        mut command: Command,
        port: u16,
        list: &'static str,
        folder: PathBuf,
    ) -> anyhow::Result<Peer> {
        std::fs::create_dir_all(folder.join("up"))?;
        let host = format!("127.0.0.1:{port}");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process =
            Process::Other(command.spawn().with_context(|| format!("cannot start {name}"))?);
        let began = Instant::now();
        while Connection::open(&host).is_err() {
            if began.elapsed() > PATIENCE {
                bail!("{name} does not answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Peer { name, host, way: Way::Files { list, folder }, process })
    }

    pub(crate) fn pid(&self) -> u32 {
        match &self.process {
            Process::Ours(daemon) => daemon.pid(),
            Process::Other(child) => child.id(),
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.process, Process::Ours(_))
    }

    /// Puts there what is to be listed.
    pub(crate) fn fill(&self, runtime: &Runtime) -> anyhow::Result<()> {
        let small = |n: u64| Picture::new(format!("listed-{n}.bmp"), n, 1_500);
        if let Way::Files { folder, .. } = &self.way {
            let folder = folder.join("many");
            std::fs::create_dir_all(&folder)?;
            for n in 0..LISTED {
                let picture = small(n);
                std::fs::write(folder.join(&picture.name), &picture.content)?;
            }
            return Ok(());
        }
        let pictures: Arc<Vec<Picture>> = Arc::new((0..LISTED).map(small).collect());
        work::upload(self, &pictures, 32, runtime)
    }
}

/// A server of ours, which says where it is.
fn ours(home: &Path) -> anyhow::Result<(String, Daemon)> {
    let daemon = Daemon::serve(home).map_err(|what| anyhow!(what))?;
    let url = daemon.url();
    Ok((url.trim_start_matches("ws://").trim_end_matches('/').to_owned(), daemon))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The first that can be started.
fn first(programs: [PathBuf; 2], arguments: &[&str]) -> Option<PathBuf> {
    let starts = |program: &PathBuf| {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    programs.into_iter().find(starts)
}

/// The first line of what a program says of itself, without more than name and version.
fn version(program: &Path) -> anyhow::Result<String> {
    let said = Command::new(program).arg("--version").output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    let words = said.lines().next().unwrap_or_default().split_whitespace().take(2);
    Ok(words.map(|word| word.trim_start_matches('v')).collect::<Vec<_>>().join(" "))
}
