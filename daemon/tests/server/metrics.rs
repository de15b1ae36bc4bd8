//! The page of figures: who may read it, that it is what Prometheus reads, and that its values move with
//! what is done.

use std::collections::{BTreeMap, BTreeSet};

use imgrepo_proto::session::people::{AccountRole, DeviceKind, Invite};
use imgrepod::server::Settings;
use serde_json::json;

use crate::door::{Door, ask};
use crate::pictures::picture;
use crate::support::{Client, Stage};

/// Every series of a page with its value, after a look at each line (the text format, 0.0.4): a family
/// is in one piece, its HELP before its TYPE before its values, no series is there twice, buckets rise
/// up to the count.
fn read(page: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut families = BTreeSet::new();
    let mut family: Option<(&str, &str)> = None;
    let mut helped = None;
    assert!(page.ends_with('\n'), "the last line ends too");
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.is_none(), "{line}");
            helped = Some(name);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take(), Some(name), "HELP stands before TYPE: {line}");
            assert!(families.insert(name), "{name} is there twice");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = Some((name, kind));
            continue;
        }
        let (name, kind) = family.unwrap_or_else(|| panic!("a value before its family: {line}"));
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (base, labels) = match key.split_once('{') {
            Some((base, labels)) => (base, labels.strip_suffix('}').unwrap()),
            None => (key, ""),
        };
        let end = base.strip_prefix(name).unwrap_or_else(|| panic!("{line} in {name}"));
        match kind {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&end), "{line}"),
            _ => assert_eq!(end, "", "{line}"),
        }
        assert!(
            base.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
        );
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, says) = label.split_once('=').unwrap();
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            let says = says.strip_prefix('"').and_then(|says| says.strip_suffix('"')).unwrap();
            assert!(!says.contains(['"', '\\']), "ours need no escapes: {line}");
        }
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0, "{line}");
        assert!(series.insert(key.to_owned(), value).is_none(), "{key} is there twice");
    }
    for (key, value) in &series {
        let Some((name, labels)) = key.split_once("_bucket{") else { continue };
        let (others, _) = labels.split_once("le=").unwrap();
        let others = others.trim_end_matches(',');
        let labels = if others.is_empty() { String::new() } else { format!("{{{others}}}") };
        let count = series[&format!("{name}_count{labels}")];
        assert!(*value <= count, "{key}");
        if key.contains("le=\"+Inf\"") {
            assert!((*value - count).abs() < 0.5, "{key}");
        }
    }
    series
}

async fn page(stage: &Stage) -> BTreeMap<String, f64> {
    let stream = tokio::net::TcpStream::connect(stage.server.address()).await.unwrap();
    let host = stage.server.address();
    let reply = ask(stream, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let head = reply.head.to_ascii_lowercase();
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    read(&reply.body)
}

async fn download<S>(client: &mut Client<S>, id: u64) -> usize
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    client.download(json!({"image": id})).await.1.len()
}

#[tokio::test]
async fn the_figures_move_with_what_is_done() {
    let stage = Stage::making(|_| {}).await;
    let before = page(&stage).await;
    for zero in ["imgrepo_images", "imgrepo_uploads_total", "imgrepo_newest_seq"] {
        assert_eq!(before[zero], 0.0, "{zero}");
    }
    assert_eq!(before["imgrepo_sessions{dialect=\"v2\",state=\"open\"}"], 0.0);
    let mut ana = stage.guest("ana").await;
    let waiting = stage.stranger().await;
    let contents = [picture(1_000, 1), picture(600_000, 2)];
    for (at, content) in contents.iter().enumerate() {
        let name = format!("{at}.ppm");
        let reply = ana.upload(&name, content).await;
        assert_eq!(reply["status"], "SUCCESS", "{reply}");
    }
    assert_eq!(ana.upload("again.ppm", &contents[0]).await["data"]["duplicate"], true);
    assert_eq!(download(&mut ana, 2).await, 600_000);
    assert_eq!(ana.refused("INFO", json!({"image": 77})).await, "not_found");
    ana.ok("LIST", json!({})).await;
    stage.sessions(2).await;
    let after = page(&stage).await;
    let is = |series: &str, value: f64| {
        let found = after.get(series).unwrap_or_else(|| panic!("no {series} in {after:#?}"));
        assert!((found - value).abs() < 1e-9, "{series} is {found} and not {value}");
    };
    is("imgrepo_images", 2.0);
    is("imgrepo_images_bytes", 601_000.0);
    is("imgrepo_newest_seq", 2.0);
    is("imgrepo_uploads_total", 2.0);
    is("imgrepo_upload_bytes_total", 601_000.0);
    is("imgrepo_downloads_total", 1.0);
    is("imgrepo_download_bytes_total", 600_000.0);
    is("imgrepo_sessions{dialect=\"v2\",state=\"open\"}", 1.0);
    is("imgrepo_sessions{dialect=\"v2\",state=\"greeting\"}", 1.0);
    is("imgrepo_refusals_total{code=\"not_found\"}", 1.0);
    is("imgrepo_command_seconds_count{command=\"INFO\",dialect=\"v2\"}", 1.0);
    is("imgrepo_command_seconds_count{command=\"UPLOAD\",dialect=\"v2\"}", 3.0);
    is("imgrepo_commit_changes_count", 2.0);
    is("imgrepo_commit_changes_sum", 2.0);
    is("imgrepo_feed_delay_seconds_count", 2.0);
    is("imgrepo_changes_waiting", 0.0);
    // The first question itself, and two sessions.
    is("imgrepo_http_requests_total{class=\"2xx\"}", 1.0);
    is("imgrepo_http_requests_total{class=\"1xx\"}", 2.0);
    let version = env!("CARGO_PKG_VERSION");
    is(&format!("imgrepo_build_info{{version=\"{version}\"}}"), 1.0);
    for some in [
        "imgrepo_syncs_total{place=\"journal\"}",
        "imgrepo_syncs_total{place=\"blob_directory\"}",
        "imgrepo_journal_segments",
        "imgrepo_journal_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        assert!(after[some] > 0.0, "{some}");
    }
    drop(waiting);
    // An old program's are told apart.
    let mut old = stage.old().await;
    old.text(json!({"cmd": "LIST", "args": []})).await;
    old.next().await;
    let last = page(&stage).await;
    assert_eq!(last["imgrepo_sessions{dialect=\"v1\",state=\"open\"}"], 1.0);
    // They are whole by their heads alone.
    let made = async {
        while page(&stage).await["imgrepo_pictures_failed_total"] < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), made).await.expect("pictures");
}

/// What a new account's device holds.
async fn credential(door: &Door, user: &str, role: AccountRole) -> String {
    let secret = door.invite(Invite { role: Some(role), ..Invite::default() }).await;
    let join = json!({"secret": secret, "user": user, "device": "a scraper"});
    let join = serde_json::from_value(join).unwrap();
    let joined = door.stage.repository.join(&join, DeviceKind::Program, "192.0.2.7").await;
    joined.unwrap().0.credential.expose().to_owned()
}

#[tokio::test]
async fn who_may_read_them() {
    // The test comes from the loopback: as a proxy's client it does not.
    let behind = |settings: &mut Settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    };
    let door = Door::with(behind).await;
    let host = door.host();
    let asked = async |more: &str| {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-For: 192.0.2.7\r\n{more}\r\n"
        );
        door.plain(&request).await
    };
    let reply = asked("").await;
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("Authorization: Bearer"), "{}", reply.body);
    assert_eq!(asked("Authorization: Bearer AAAAAAAAAAAAAAAAAAAAAA\r\n").await.status, 401);
    let bearer = |credential: &str| format!("Authorization: Bearer {credential}\r\n");
    let member = credential(&door, "bruno", AccountRole::Member).await;
    let reply = asked(&bearer(&member)).await;
    assert_eq!((reply.status, reply.body.contains("imgrepo_")), (403, false), "{}", reply.body);
    // A cookie is a browser's, which has no business here.
    assert_eq!(asked(&format!("Cookie: __Host-imgrepo={member}\r\n")).await.status, 403);
    let admin = credential(&door, "carla", AccountRole::Admin).await;
    let reply = asked(&bearer(&admin)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    read(&reply.body);
}
