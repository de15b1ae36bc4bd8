//! A server ends while its children make pictures: killed or in order, it leaves no process, every
//! image that it acknowledged is there, and the next start makes the pictures that are missing.

use std::time::{Duration, Instant};

use crate::picture::Picture;
use crate::process::Daemon;
use crate::session::V2;

/// How long is waited for what must come: children of an unoptimised program take seconds.
const PATIENCE: Duration = Duration::from_secs(120);

const IMAGES: u64 = 3;

/// The children of this process that make pictures.
fn children(of: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("it is there").flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| parent(*pid) == Some(of) && draws(*pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Whether it is there and makes a picture.
fn draws(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains("draw-one-picture")
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_leaves_no_child_and_no_picture_unmade() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut server = Daemon::serve(&home).expect("it starts");
        let session = V2::open(&server.url(), "ana").await.expect("a session");
        for n in 0..IMAGES {
            let picture = Picture::new(format!("{round}-{n}.bmp"), round << 32 | n, 1_500_000);
            session.upload(&picture, |_| {}).await.expect("it is stored");
            acknowledged += 1;
        }
        let mut seen = Vec::new();
        wait("a child", || {
            seen = children(server.pid());
            !seen.is_empty()
        });
        match round {
            0 | 1 => server.kill(),
            _ => assert!(server.stop().success(), "it stops in order"),
        }
        wait("its children go with it", || !seen.iter().any(|pid| draws(*pid)));
    }
    let server = Daemon::serve(&home).expect("it starts");
    let session = V2::open(&server.url(), "ana").await.expect("a session");
    let patience = Instant::now() + PATIENCE;
    loop {
        let images = session.list().await.expect("a list");
        assert_eq!(images.len(), acknowledged);
        if images.iter().all(|image| image.placeholder.is_some()) {
            break;
        }
        assert!(Instant::now() < patience, "every image has a placeholder in the end");
    }
    wait("no child is left", || children(server.pid()).is_empty());
    assert!(server.stop().success(), "it stops in order");
}
