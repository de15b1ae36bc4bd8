//! Autobahn's cases of the WebSocket protocol against the `link` room, as a server and as a client: an echo
//! on it, which is in no program. kosoku, which has the cases, is in a venv that `make test-autobahn`
//! makes; without it nothing is proven here, and that is said.
//!
//! What each case came to is compared with `expected.txt`, in both directions: a case that gets better is
//! to be written down too. `IMGREPO_CASES=all` runs every case (a minute); else a part of them, which
//! leaves out most of the many broken texts and the endurance of large messages.

#![allow(clippy::unwrap_used)] // A test fails so.
#![allow(clippy::print_stdout)] // It tells people what it did not prove.

mod echo;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// What of the cases `make test` runs: framing, pings, reserved bits, opcodes, fragments, UTF-8 by its
/// borders, the closing handshake, and the smallest of the limits.
const PART: [&str; 12] =
    ["1.*", "2.*", "3.*", "4.*", "5.*", "6.1.*", "6.2.*", "6.3.*", "6.4.*", "7.*", "9.7.1", "10.*"];

/// For all cases on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(900);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_server_the_link_keeps_to_the_protocol() {
    let Some(python) = python() else { return };
    let echo = echo::Server::start().await;
    let (_kosoku, lines) = Kosoku::start(&python, &["client", &echo.address.to_string()]);
    let said = timeout(PATIENCE, rest(lines)).await.expect("in time");
    echo.stop().await;
    judge(&said, Side::Server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_client_the_link_keeps_to_the_protocol() {
    let Some(python) = python() else { return };
    let (_kosoku, mut lines) = Kosoku::start(&python, &["server"]);
    let first = spawn_blocking(move || {
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        (first, lines)
    });
    let (address, lines) = timeout(PATIENCE, first).await.expect("in time").unwrap();
    let address = address.trim().parse().unwrap_or_else(|_| panic!("no address: `{address}`"));
    timeout(PATIENCE, echo::client(address)).await.expect("in time");
    let said = timeout(PATIENCE, rest(lines)).await.expect("in time");
    judge(&said, Side::Client);
}

/// A run of kosoku, which ends with the test at the latest.
struct Kosoku(Child);

impl Kosoku {
    fn start(python: &Path, arguments: &[&str]) -> (Kosoku, BufReader<ChildStdout>) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/autobahn/cases.py");
        let mut command = Command::new(python);
        command.arg(script).args(arguments);
        if !is_whole() {
            command.args(PART);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (Kosoku(child), lines)
    }
}

impl Drop for Kosoku {
    fn drop(&mut self) {
        // Where it has ended there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that is left to be said, up to the end of whoever says it.
async fn rest(mut lines: BufReader<ChildStdout>) -> String {
    let read = spawn_blocking(move || {
        let mut said = String::new();
        lines.read_to_string(&mut said).unwrap();
        said
    });
    read.await.unwrap()
}

fn is_whole() -> bool {
    std::env::var("IMGREPO_CASES").is_ok_and(|which| which == "all")
}

/// The Python that has kosoku.
fn python() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let python = target.join("venv-autobahn/bin/python");
    if !python.exists() {
        println!("*** NOT PROVEN HERE: the cases of Autobahn, without kosoku: make test-autobahn");
        return None;
    }
    Some(python)
}

/// What was written down for the cases of one side.
fn expected(text: &str, side: Side) -> BTreeMap<&str, &str> {
    let column = if side == Side::Server { 1 } else { 2 };
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 3, "expected.txt: `{line}`");
            (columns[0], columns[column])
        })
        .collect()
}

fn judge(said: &str, side: Side) {
    let came: BTreeMap<&str, &str> =
        said.lines().map(|line| line.split_once('\t').unwrap()).collect();
    if let Some(kept) = std::env::var_os("IMGREPO_CASES_KEPT") {
        let name = format!("{side:?}.txt").to_lowercase();
        std::fs::write(Path::new(&kept).join(name), said.as_bytes()).unwrap();
    }
    let expected = expected(include_str!("expected.txt"), side);
    let mut faults = String::new();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for (case, verdict) in &came {
        *counts.entry(verdict).or_default() += 1;
        if expected.get(case) != Some(verdict) {
            let expected = expected.get(case).copied().unwrap_or("no such case");
            let _ = writeln!(faults, "{case}: {verdict}, expected: {expected}");
        }
    }
    println!("as a {side:?}: {} cases: {counts:?}", came.len());
    let missed = expected.len().saturating_sub(came.len());
    if is_whole() {
        assert_eq!(missed, 0, "cases of expected.txt that did not run");
    }
    assert!(came.len() >= 100, "only {} cases ran", came.len());
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn nothing_that_is_expected_has_failed() {
    let text = include_str!("expected.txt");
    for side in [Side::Server, Side::Client] {
        for (case, verdict) in expected(text, side) {
            let (behaviour, close) = verdict.split_once('/').unwrap();
            assert!(
                matches!(behaviour, "OK" | "NON-STRICT" | "INFORMATIONAL" | "UNIMPLEMENTED")
                    && matches!(close, "OK" | "INFORMATIONAL"),
                "{side:?} {case}: {verdict}"
            );
            // No compression: what is stored here is compressed already.
            let is_compression = case.starts_with("12.") || case.starts_with("13.");
            assert_eq!(behaviour == "UNIMPLEMENTED", is_compression, "{side:?} {case}: {verdict}");
        }
    }
}
