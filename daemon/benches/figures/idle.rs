//! Ten thousand sessions that only listen: what each takes of the server's memory, how long a LIST of
//! two hundred active ones among them takes, and whether any is lost (`IDLE_SECONDS=300`; else for
//! long enough that each is pinged). And what two daemons take who have nothing to do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use imgrepo_proto::session::command::{Auth, Command, List};
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::session::{Request, SUBPROTOCOL};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::cost::{cpu_seconds, share, waited, waits};
use crate::listing::fill;
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, median, quantile};
use crate::session::{V2, tcp};
use crate::tls::settled;

/// A server takes ten thousand at once, the active ones among them.
const SESSIONS: usize = 9_700;
const ACTIVE: usize = 200;

/// Sessions that were there before memory is looked at: what a server takes once is no session's.
const BEFORE: usize = 50;

/// Guests whose they are: a server takes few new names a minute.
const GUESTS: usize = 10;

/// Dialed at once: what its backlog holds well.
const DIALING: usize = 64;

/// Between two LISTs of an active session, as people and windows leave some.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long the active ones list.
const LISTED_FOR: Duration = Duration::from_secs(20);

/// Longer than two pings.
const HELD_SECONDS: u64 = 45;

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    raise_open_files()?;
    many(&work.join("many"), report).await?;
    daemons(work, report).await
}

/// As many as this user may have: each session is one here and one there.
fn raise_open_files() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the number of open files")
}

async fn many(home: &Path, report: &mut Report) -> anyhow::Result<()> {
    let arguments = ["--serve", "--listen", "127.0.0.1:0", "--allow-guests"];
    let server = Daemon::start(&imgrepod(), home, &home.with_extension("log"), &arguments, &[]);
    let server = server.map_err(|what| anyhow!(what))?;
    let url = server.url();
    fill(&url).await?;
    drop(listeners(&url, BEFORE).await?);
    let before = settled(server.pid()).await?;
    let started = Instant::now();
    let cpu = cpu_seconds(server.pid())?;
    let idle = listeners(&url, SESSIONS).await?;
    let dialed = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(server.pid())? - cpu;
    let after = settled(server.pid()).await?;
    let each = (after as f64 - before as f64) / SESSIONS as f64;
    report.add("an idle session of 9,700, of the server's memory", each, "KiB", "<= 12 [9]");
    report.add("  begun", SESSIONS as f64 / dialed, "a second", "");
    report.add("  processor time of the server for one", cpu * 1e6 / SESSIONS as f64, "us", "");
    let alone = lists(&url, 1, LISTED_FOR / 4).await?;
    report.add("LIST beside them, one session, p50", median(&alone), "ms", "");
    let times = lists(&url, ACTIVE, LISTED_FOR).await?;
    report.add("LIST of 200 active sessions among them, p50", median(&times), "ms", "");
    report.add(
        "LIST of 200 active sessions among them, p99",
        quantile(&times, 0.99),
        "ms",
        "<= 100 [30]",
    );
    report.add("  load of the machine meanwhile", load()?, "", "");
    let seconds = std::env::var("IDLE_SECONDS").ok().and_then(|text| text.parse().ok());
    let held = Duration::from_secs(seconds.unwrap_or(HELD_SECONDS));
    tokio::time::sleep(held.saturating_sub(started.elapsed())).await;
    report.add("sessions lost", idle.lost.load(Ordering::Relaxed) as f64, "", "0");
    report.add("  within", started.elapsed().as_secs_f64(), "s", "");
    Ok(())
}

/// Sessions that only listen; dropped they end.
struct Listeners {
    lost: Arc<AtomicUsize>,
    _listening: JoinSet<()>,
}

async fn listeners(url: &str, many: usize) -> anyhow::Result<Listeners> {
    let lost = Arc::new(AtomicUsize::new(0));
    let mut listening = JoinSet::new();
    let mut dialing = JoinSet::new();
    for n in 0..many {
        if dialing.len() >= DIALING
            && let Some(dialed) = dialing.join_next().await
        {
            listening.spawn(listen(dialed??, lost.clone()));
        }
        let url = url.to_owned();
        dialing.spawn(async move { dial(&url, n % GUESTS).await });
    }
    while let Some(dialed) = dialing.join_next().await {
        listening.spawn(listen(dialed??, lost.clone()));
    }
    Ok(Listeners { lost, _listening: listening })
}

type Socket = WebSocketStream<TcpStream>;

pub(crate) async fn dial(url: &str, guest: usize) -> anyhow::Result<Socket> {
    let stream = tcp(url).await.map_err(|end| anyhow!("{end:?}"))?;
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    // So many of them are here too.
    let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    let auth = Auth { user: Some(format!("guest-{guest}")), ..Auth::default() };
    let text = Request { id: 1, command: Command::Auth(auth) }.encode();
    socket.send(Message::text(text)).await?;
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("SUCCESS") => Ok(socket),
        other => bail!("the server said {other:?}"),
    }
}

async fn listen(mut socket: Socket, lost: Arc<AtomicUsize>) {
    // It answers pings by itself.
    while let Some(Ok(_)) = socket.next().await {}
    lost.fetch_add(1, Ordering::Relaxed);
}

/// The milliseconds of each LIST of so many sessions that each list now and then.
pub(crate) async fn lists(url: &str, sessions: usize, time: Duration) -> anyhow::Result<Vec<f64>> {
    let mut listing = JoinSet::new();
    for n in 0..sessions {
        let session = V2::open(url, &format!("guest-{}", n % GUESTS)).await;
        let session = session.map_err(|end| anyhow!("{end:?}"))?;
        listing.spawn(async move {
            let mut times = Vec::new();
            // Not all in the same moment.
            tokio::time::sleep(PAUSE * n as u32 / sessions as u32).await;
            let until = Instant::now() + time;
            while Instant::now() < until {
                let started = Instant::now();
                let list = List { limit: Some(50), ..List::default() };
                let page: ListReply =
                    session.call(Command::List(list)).await.map_err(|end| anyhow!("{end:?}"))?;
                anyhow::ensure!(!page.images.is_empty(), "an empty page");
                times.push(started.elapsed().as_secs_f64() * 1000.0);
                tokio::time::sleep(if sessions > 1 { PAUSE } else { PAUSE / 50 }).await;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(listed) = listing.join_next().await {
        times.extend(listed??);
    }
    Ok(times)
}

/// Processes that want a processor, over the last minute.
pub(crate) fn load() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|load| load.parse().ok()).context("no load average")
}

/// A server's and a client's daemon with nothing to do.
async fn daemons(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    const WATCHED: Duration = Duration::from_secs(60);
    let server = Daemon::serve(&work.join("server")).map_err(|what| anyhow!(what))?;
    let client = Daemon::client(&work.join("client"), &server.url(), "ana");
    let client = client.map_err(|what| anyhow!(what))?;
    settled(server.pid()).await?;
    let processes = [server.pid(), client.pid()];
    let before = processes.map(waits);
    let worked = processes.map(cpu_seconds);
    tokio::time::sleep(WATCHED).await;
    let names = [
        ["an idle server's memory", "  times that it woke in a minute", "  processor time"],
        ["an idle client's memory", "  times that it woke in a minute", "  processor time"],
    ];
    for (((process, names), before), worked) in
        processes.into_iter().zip(names).zip(before).zip(worked)
    {
        report.add(names[0], share(process)? as f64 / 1024.0, "MiB", "<= 12 [6]");
        let woke = waited(&before?, &waits(process)?);
        report.add(names[1], woke as f64, "", "a ping's");
        report.add(names[2], (cpu_seconds(process)? - worked?) * 1000.0, "ms", "");
    }
    Ok(())
}
