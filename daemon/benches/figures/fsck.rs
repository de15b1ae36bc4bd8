//! How long a check takes: of many records by what is listed alone, and of contents that are read, beside
//! a loop that only reads the same files one after the other. `FSCK_IMAGES` says how many are many.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use bytes::Bytes;
use rusqlite::Connection;

use crate::cost::{cpu_seconds, resident};
use crate::picture::Picture;
use crate::process::{Daemon, imgrepod};
use crate::report::{Report, median};

/// Records of which nothing but the catalog and a small file is there.
const MANY: usize = 100_000;

/// Contents that are read, of these sizes: cameras' and telephones'.
const READ: [(usize, usize); 2] = [(3000, 111_000), (80, 4_000_000)];

const ROUNDS: usize = 3;

pub(crate) fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    fs::create_dir_all(work)?;
    let many = std::env::var("FSCK_IMAGES").ok().and_then(|text| text.parse().ok());
    let many: usize = many.unwrap_or(MANY);
    let home = work.join("many");
    repository(&home, many, |n| n.to_le_bytes().repeat(4).into())?;
    let checked = check(&home, &[])?;
    report.add("fsck, records", many as f64, "", "");
    report.add("  seconds", checked.seconds, "s", "seconds for 1,000,000");
    report.add("  processor time for 1,000", checked.cpu / many as f64 * 1e6, "ms", "");
    report.add("  memory at most", checked.most_kib as f64 / 1024.0, "MiB", "");

    let home = work.join("read");
    let sizes: Vec<usize> = READ.iter().flat_map(|(count, size)| vec![*size; *count]).collect();
    let bytes: usize = sizes.iter().sum();
    repository(&home, sizes.len(), |n| Picture::new("", n as u64, sizes[n]).content)?;
    let (mut ours, mut bare, mut ratios, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        let checked = check(&home, &["--read-data"])?;
        let by_loop = read_all(&home.join("data/blobs"))?;
        cpu += checked.cpu;
        ours.push(bytes as f64 / checked.seconds / 1e6);
        bare.push(bytes as f64 / by_loop / 1e6);
        ratios.push(by_loop / checked.seconds);
    }
    report.add("fsck --read-data, 111 KB and 4 MB", median(&ours), "MB/s", "");
    report.add("  a bare loop that reads the same files", median(&bare), "MB/s", "");
    report.add("  ratio", median(&ratios), "", ">= 1");
    report.add("  processor time for 1 GB", cpu / ROUNDS as f64 / bytes as f64 * 1e9, "s", "");
    Ok(())
}

/// A repository of so many images with these contents, made by hand: by uploads it would take longer
/// than all that is measured.
fn repository(home: &Path, count: usize, content: impl Fn(usize) -> Bytes) -> anyhow::Result<()> {
    ensure!(Daemon::serve(home).map_err(|what| anyhow!(what))?.stop().success(), "no server");
    let blobs = home.join("data/blobs");
    let mut catalog = Connection::open(home.join("data/catalog.db"))?;
    let filling = catalog.transaction()?;
    let mut total = 0;
    for n in 0..count {
        let content = content(n);
        let (hash, id) = (blake3::hash(&content), n as i64 + 1);
        let name = hash.to_string();
        fs::write(blobs.join(&name[..2]).join(&name), &content)?;
        let (hash, size) = (hash.as_bytes(), content.len() as i64);
        total += size;
        filling
            .prepare_cached(
                "INSERT INTO image (id, person, name, blob, size_bytes, media_type, uploaded_at, \
                 state) VALUES (?, 1, 'a.bmp', ?, ?, 'image/bmp', 0, 0)",
            )?
            .execute((id, hash, size))?;
        filling
            .prepare_cached("INSERT INTO change VALUES (?1, 0, 1, 'a', 'NEW_UPLOAD', ?1, '{}')")?
            .execute([id])?;
    }
    let count = count as i64;
    filling.execute(
        "UPDATE counter SET value = ? WHERE name IN ('image', 'listed', 'seq')",
        [count],
    )?;
    filling.execute("UPDATE counter SET value = ? WHERE name = 'bytes'", [total])?;
    filling.execute("UPDATE person SET listed = ?, bytes = ? WHERE id = 1", (count, total))?;
    filling.commit()?;
    drop(catalog);
    // What is not on the disk yet would be written while it is read.
    rustix::fs::syncfs(File::open(home)?)?;
    Ok(())
}

/// What a check cost.
struct Checked {
    seconds: f64,
    cpu: f64,
    most_kib: u64,
}

fn check(home: &Path, words: &[&str]) -> anyhow::Result<Checked> {
    let started = Instant::now();
    let mut checking = Command::new(imgrepod())
        .arg("fsck")
        .args(words)
        .env("IMGREPO_HOME", home)
        .stdout(Stdio::null())
        .spawn()?;
    let (mut cpu, mut most_kib) = (0.0, 0);
    let status = loop {
        // A process that has just ended tells nothing any more.
        cpu = cpu_seconds(checking.id()).unwrap_or(cpu).max(cpu);
        most_kib = resident(checking.id()).map_or(most_kib, |(_, most)| most.max(most_kib));
        if let Some(status) = checking.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    ensure!(status.success(), "the check found something: {status}");
    Ok(Checked { seconds: started.elapsed().as_secs_f64(), cpu, most_kib })
}

/// Reads every file below a directory, one after the other; the seconds that it takes.
fn read_all(blobs: &Path) -> anyhow::Result<f64> {
    let mut buffer = vec![0; 1024 * 1024];
    let started = Instant::now();
    for directory in fs::read_dir(blobs)? {
        for file in fs::read_dir(directory?.path())? {
            let mut file = File::open(file?.path())?;
            // From the disk, as the check reads it.
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(started.elapsed().as_secs_f64())
}
