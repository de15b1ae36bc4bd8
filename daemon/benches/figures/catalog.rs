//! What a million images cost beside none: start, memory, pages, searches, the history, and an upload.
//! Processor time is the server's own, by the word of the system: what else the machine does hardly
//! changes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::cost::{cpu_seconds, share};
use crate::many;
use crate::picture::Picture;
use crate::process::Daemon;
use crate::raw::Raw;
use crate::report::{Report, median};
use crate::session::V2;
use crate::small::uploads;

/// Images of the large catalog, unless `IMAGES` says otherwise.
const MANY: u64 = 1_000_000;

/// Images of the middle one.
const SOME: u64 = 10_000;

/// A question is asked until the server has worked so long for it, or so often.
const WORKED: f64 = 0.5;
const ASKED: u32 = 2_000;

const STARTS: usize = 5;

const ROUNDS: u64 = 5;
const IN_FLIGHT: usize = 32;

/// Uploads of a round, and their bytes: a picture from a chat program, and one of which hardly more
/// than its entry costs.
const UPLOADS: [(usize, usize); 2] = [(1_000, 111_000), (2_000, 2_000)];

/// What is looked for, and by which figure it is known.
const SEARCHES: [(&str, &str); 16] = [
    ("glob `*.jpg`", r#""filter":{"name":"*.jpg"}"#),
    ("glob of one name", r#""filter":{"name":"dsc00077.jpg"}"#),
    ("glob that nothing fits", r#""filter":{"name":"*qqq*"}"#),
    ("glob of single letters that nothing fits", r#""filter":{"name":"?q?"}"#),
    ("glob of a class", r#""filter":{"name":"[a-f]*.png"}"#),
    ("text of one letter", r#""filter":{"text":"e"}"#),
    ("text of two letters that nothing has", r#""filter":{"text":"qq"}"#),
    ("text that half of all have", r#""filter":{"text":"IMG_20"}"#),
    ("text of the oldest alone", r#""filter":{"text":"grandmother"}"#),
    ("two texts that many have, none both", r#""filter":{"name":"*img_*","text":"dsc"}"#),
    ("a long text that nothing has", r#""filter":{"text":"IMG_20190704_183000.png"}"#),
    ("text and a person of few", r#""filter":{"text":"IMG","uploader":"zita"}"#),
    ("text and a person of many", r#""filter":{"text":"lisbon","uploader":"ana"}"#),
    ("text in the trash", r#""filter":{"text":"IMG","state":"trashed"}"#),
    (
        "one day long ago",
        r#""filter":{"uploaded_from":"2014-06-01T00:00:00Z","uploaded_before":"2014-06-02T00:00:00Z"}"#,
    ),
    ("one type of few, oldest first", r#""sort":"oldest","filter":{"media_type":"image/tiff"}"#),
];

pub(crate) async fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    let many = std::env::var("IMAGES").ok().and_then(|many| many.parse().ok()).unwrap_or(MANY);
    let homes: Vec<PathBuf> = ["none", "some", "many"].map(|name| work.join(name)).into();
    tokio::task::block_in_place(|| {
        for (home, images) in homes.iter().zip([0, SOME, many]) {
            std::fs::create_dir_all(home.join("data"))?;
            let started = Instant::now();
            many::fill(&home.join("data/catalog.db"), images, jiff::Timestamp::now())?;
            if images == many {
                let size = std::fs::metadata(home.join("data/catalog.db"))?.len();
                report.add("images in the large catalog", many as f64, "images", "");
                report.add("  making it", started.elapsed().as_secs_f64(), "s", "< 60");
                report.add("  its file", size as f64 / 1e6, "MB", "");
            }
        }
        starts([&homes[0], &homes[2]], report)
    })?;
    let servers = [Daemon::serve(&homes[0]), Daemon::serve(&homes[1]), Daemon::serve(&homes[2])];
    let [none, some, many] = servers.map(|server| server.map_err(|what| anyhow!(what)));
    let (none, some, many) = (none?, some?, many?);
    tokio::task::block_in_place(|| {
        settle(&none)?;
        settle(&some)?;
        report.add("work behind such a start", settle(&many)?, "s CPU", "");
        report.add("  memory then", share(many.pid())? as f64 / 1024.0, "MiB PSS", "");
        anyhow::Ok(())
    })?;
    pages(&some, &many, report).await?;
    searches(&many, report).await?;
    history(&many, report).await?;
    drop((none, many));
    let [none, many] = [&homes[0], &homes[2]].map(|home| plain(home));
    grown(&none?, &many?, report).await
}

/// A server that makes no pictures: the processes that do would work beside the next that is measured.
fn plain(home: &Path) -> anyhow::Result<Daemon> {
    std::fs::create_dir_all(home.join("config"))?;
    std::fs::write(home.join("config/config.toml"), "[server]\nvariants = false\n")?;
    Daemon::serve(home).map_err(|what| anyhow!(what))
}

/// Milliseconds until the ready line.
fn start(home: &Path) -> anyhow::Result<(Daemon, f64)> {
    let started = Instant::now();
    let server = Daemon::serve(home).map_err(|what| anyhow!(what))?;
    Ok((server, started.elapsed().as_secs_f64() * 1000.0))
}

fn starts(homes: [&Path; 2], report: &mut Report) -> anyhow::Result<()> {
    // By home, after a clean end and after none.
    let mut times: [[Vec<f64>; 2]; 2] = Default::default();
    let mut cpu: [Vec<f64>; 2] = Default::default();
    let mut shares = [0, 0];
    for round in 0..=STARTS {
        for (at, home) in homes.into_iter().enumerate() {
            let (server, clean) = start(home)?;
            let worked = cpu_seconds(server.pid())? * 1000.0;
            shares[at] = share(server.pid())?;
            // A killed one has left a change that stands in the log alone.
            let mut server = server;
            server.kill();
            let (server, unclean) = start(home)?;
            if !server.stop().success() {
                bail!("a server did not end in order");
            }
            if round > 0 {
                times[at][0].push(clean);
                times[at][1].push(unclean);
                cpu[at].push(worked);
            }
        }
    }
    report.add("start with no images, to the ready line", median(&times[0][0]), "ms", "");
    report.add("start with many images", median(&times[1][0]), "ms", "< 300");
    report.add("  its processor time", median(&cpu[1]), "ms", "");
    report.add("  that with no images", median(&cpu[0]), "ms", "");
    report.add("start with many images after SIGKILL", median(&times[1][1]), "ms", "");
    report.add("  that with no images", median(&times[0][1]), "ms", "");
    report.add("memory after a start with many images", shares[1] as f64 / 1024.0, "MiB PSS", "");
    report.add("  that with no images", shares[0] as f64 / 1024.0, "MiB PSS", "");
    Ok(())
}

/// Waits until a server that has started does nothing more by itself; the processor time that it had.
fn settle(server: &Daemon) -> anyhow::Result<f64> {
    let (mut worked, mut quiet) = (cpu_seconds(server.pid())?, 0);
    while quiet < 10 {
        std::thread::sleep(Duration::from_millis(100));
        let now = cpu_seconds(server.pid())?;
        quiet = if now > worked { 0 } else { quiet + 1 };
        worked = now;
    }
    Ok(worked)
}

/// Milliseconds of the server's processor time for one of these, and of the wall for the middle one.
async fn cost(
    session: &mut Raw,
    server: &Daemon,
    mut command: impl FnMut(u32) -> String,
) -> anyhow::Result<(f64, f64)> {
    let before = cpu_seconds(server.pid())?;
    let (mut asked, mut times) = (0, Vec::new());
    let until = Instant::now() + Duration::from_secs(20);
    while asked < ASKED && Instant::now() < until {
        let command = command(asked);
        let started = Instant::now();
        let reply = session.ask(&command).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        asked += 1;
        if asked == 1 && !reply.contains("SUCCESS") {
            bail!("{reply}");
        }
        if asked % 8 == 0 && cpu_seconds(server.pid())? - before > WORKED {
            break;
        }
    }
    let worked = cpu_seconds(server.pid())? - before;
    Ok((worked * 1000.0 / f64::from(asked), median(&times)))
}

fn list(rest: &str) -> String {
    format!(r#""cmd":"LIST","args":{{{rest}}}"#)
}

/// The cursor of a page's reply, or None at the end.
fn next(reply: &str) -> anyhow::Result<Option<String>> {
    let reply: serde_json::Value = serde_json::from_str(reply)?;
    let next = reply.pointer("/data/next").context("no cursor")?;
    Ok(next.as_str().map(str::to_owned))
}

async fn pages(some: &Daemon, many: &Daemon, report: &mut Report) -> anyhow::Result<()> {
    for (server, names) in [
        (
            some,
            [
                "LIST, 10,000 images, first page",
                "LIST, 10,000 images, any page",
                "  by uploader",
                "  any page of it",
            ],
        ),
        (
            many,
            [
                "LIST, many images, first page",
                "LIST, many images, any page",
                "  by uploader",
                "  any page of it",
            ],
        ),
    ] {
        let mut session = Raw::open(&server.url(), "bench").await?;
        for (filter, names) in
            [("", &names[..2]), (r#""filter":{"uploader":"bruno"},"#, &names[2..])]
        {
            let first = list(&format!(r#"{filter}"limit":50"#));
            let reply = session.ask(&first).await?;
            let cursor = next(&reply)?.context("there is one page alone")?;
            let (head, newest) = cursor.rsplit_once('.').context("a cursor of another form")?;
            let newest: u64 = newest.parse()?;
            let (cpu, _) = cost(&mut session, server, |_| first.clone()).await?;
            report.add(names[0], cpu, "ms CPU", "<= 1 [0.4]");
            let any = |n: u32| {
                let id = 1000 + u64::from(n).wrapping_mul(7_919_777) % (newest - 1000);
                list(&format!(r#"{filter}"limit":50,"cursor":"{head}.{id}""#))
            };
            let (cpu, _) = cost(&mut session, server, any).await?;
            report.add(names[1], cpu, "ms CPU", "<= 1 [0.4]");
        }
    }
    Ok(())
}

async fn searches(server: &Daemon, report: &mut Report) -> anyhow::Result<()> {
    let mut session = Raw::open(&server.url(), "bench").await?;
    for (name, filter) in SEARCHES {
        let command = list(&format!(r#"{filter},"limit":50"#));
        let (cpu, wall) = cost(&mut session, server, |_| command.clone()).await?;
        report.add(name, cpu, "ms CPU", "<= 20 [5]");
        if wall > 20.0 {
            report.add("  by the clock, median", wall, "ms", "");
        }
    }
    // To the end of what is found by looking at every name.
    let before = cpu_seconds(server.pid())?;
    let (mut pages, mut cursor, started) = (0u32, String::new(), Instant::now());
    loop {
        let command = list(&format!(r#""filter":{{"text":"qq"}},"limit":50{cursor}"#));
        let reply = session.ask(&command).await?;
        pages += 1;
        match next(&reply)? {
            Some(next) => cursor = format!(r#","cursor":"{next}""#),
            None => break,
        }
    }
    report.add("two letters that nothing has, to the end", f64::from(pages), "pages", "");
    report.add("  processor time", cpu_seconds(server.pid())? - before, "s", "");
    report.add("  by the clock", started.elapsed().as_secs_f64(), "s", "");
    Ok(())
}

/// All that ever happened, page after page, and then as events of a session from 0 on.
async fn history(server: &Daemon, report: &mut Report) -> anyhow::Result<()> {
    let mut session = Raw::open(&server.url(), "bench").await?;
    let (before, share_before) = (cpu_seconds(server.pid())?, share(server.pid())?);
    let (mut since, mut pages, started) = (0, 0u32, Instant::now());
    loop {
        let page = format!(r#""cmd":"EVENTS","args":{{"since":{since},"limit":500}}"#);
        let reply = session.ask(&page).await?;
        pages += 1;
        let reply: serde_json::Value = serde_json::from_str(&reply)?;
        match reply.pointer("/data/next").and_then(serde_json::Value::as_u64) {
            Some(next) => since = next,
            None => break,
        }
    }
    let worked = cpu_seconds(server.pid())? - before;
    let grown = share(server.pid())? as f64 - share_before as f64;
    report.add("the whole history, pages of 500", f64::from(pages), "pages", "");
    report.add("  processor time of a page", worked * 1000.0 / f64::from(pages), "ms", "");
    report.add("  by the clock, its reader included", started.elapsed().as_secs_f64(), "s", "");
    report.add("  growth of the server", grown / 1024.0, "MiB PSS", "");
    Ok(())
}

/// What an upload costs where there are many images beside what it costs where there are none.
async fn grown(none: &Daemon, many: &Daemon, report: &mut Report) -> anyhow::Result<()> {
    let open = async |server: &Daemon| {
        let session = V2::open(&server.url(), "bench").await.map_err(|end| anyhow!("{end:?}"))?;
        anyhow::Ok(Arc::new(session))
    };
    let sessions = [(none, open(none).await?), (many, open(many).await?)];
    let names = [
        ["upload of 111 KB, 32 in flight, no images", "  many images", "  ratio"],
        ["upload of 2 KB, 32 in flight, no images", "  many images", "  ratio"],
    ];
    for ((count, bytes), names) in UPLOADS.into_iter().zip(names) {
        let (mut cpu, mut rates) = ([0.0, 0.0], [Vec::new(), Vec::new()]);
        let mut ratios = Vec::new();
        // The first round warms up and does not count.
        for round in 0..=ROUNDS {
            let seed = (bytes as u64) << 40 | round << 20;
            let picture =
                |n: usize| Picture::new(format!("new {round}-{n}.bmp"), seed + n as u64, bytes);
            let pictures: Arc<Vec<Picture>> = Arc::new((0..count).map(picture).collect());
            let mut rate = [0.0, 0.0];
            for (at, (server, session)) in sessions.iter().enumerate() {
                let before = cpu_seconds(server.pid())?;
                rate[at] = uploads(session, &pictures, IN_FLIGHT).await?;
                // What is done behind the acknowledgement belongs to it.
                let worked = tokio::task::block_in_place(|| settle(server))? - before;
                if round > 0 {
                    rates[at].push(rate[at]);
                    cpu[at] += worked;
                }
            }
            if round > 0 {
                ratios.push(rate[0] / rate[1]);
            }
        }
        let each = |seconds: f64| seconds * 1e6 / (ROUNDS as f64 * count as f64);
        report.add(names[0], each(cpu[0]), "us CPU", "");
        report.add(names[1], each(cpu[1]), "us CPU", "");
        report.add(names[2], cpu[1] / cpu[0], "", "<= 1.2 [1.05]");
        report.add("  durable, no images", median(&rates[0]), "a second", "");
        report.add("  durable, many images", median(&rates[1]), "a second", "");
        report.add("  ratio of their times", median(&ratios), "", "<= 1.2 [1.05]");
    }
    Ok(())
}
