//! `GET /metrics`: the figures of this server, as Prometheus reads them. They are told to whoever works
//! on this computer, and to an admin's device; they name nobody and nothing that was uploaded.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use super::call::Failure;
use super::denied::Denied;
use super::desk::Desk;
use crate::link::Origin;
use crate::metrics::{CONTENT_TYPE, Counter, Kind, Page};
use crate::repository::{Action, Object, Standing, authorize};
use crate::server::Context;

/// Answers with the page, or says who may have it.
pub(super) async fn page(
    State(desk): State<Arc<Desk>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Result<Response, Response> {
    if !is_from_here(desk.way, origin) {
        let Some(credential) = bearer(request.headers()) else {
            let text = "the figures of this server are told on its own computer, and to an admin's \
                 device (Authorization: Bearer)";
            return Err(Denied::new(StatusCode::FORBIDDEN, text).into_response());
        };
        let refused = |refusal: Refusal| Failure::from(refusal).into_response();
        let actor = desk.context.authenticate(None, &credential, origin).await.map_err(refused)?;
        authorize(&actor, Action::Metrics, Object::Any).map_err(refused)?;
    }
    let standing = desk.repository().standing().await;
    let standing = standing.map_err(|refusal| Failure::from(refusal).into_response())?;
    let context = desk.context.clone();
    // Asking the system for its files takes a moment where there are thousands.
    let written = tokio::task::spawn_blocking(move || write(&context, &standing)).await;
    let text = written.map_err(|error| {
        let message = format!("cannot write the figures: {error}");
        Failure::from(Refusal::new(ErrorCode::Internal, message)).into_response()
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Whether somebody on this computer asks, and no proxy for them: behind one everybody has its address.
fn is_from_here(way: Origin, origin: Origin) -> bool {
    way == origin && origin.address().is_none_or(|address| address.is_loopback())
}

/// The credential that a request shows (RFC 6750, 2.1); none where it shows several.
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, credential) = line.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Secret::parse(credential.trim()).ok()).flatten()
}

/// Microseconds of a second.
const MICROS: f64 = 1e6;

fn write(context: &Context, standing: &Standing) -> String {
    let mut page = Page::new();
    let version = [("version", context.program.version.as_str())];
    let help = "The program that serves.";
    page.family("imgrepo_build_info", Kind::Gauge, help, [(&version[..], 1.0)]);
    write_server(&mut page, context);
    write_repository(&mut page, context, standing);
    write_process(&mut page, context);
    page.into_text()
}

/// Sessions and requests.
fn write_server(page: &mut Page, context: &Context) {
    let sessions = context.registry.sessions().map(|(dialect, state, count)| {
        ([("dialect", dialect), ("state", state)], f64::from(count))
    });
    let help = "Sessions that are open; `greeting` has not said yet who it is.";
    let sessions = sessions.iter().map(|(labels, count)| (&labels[..], *count));
    page.family("imgrepo_sessions", Kind::Gauge, help, sessions);

    let figures = &context.figures;
    let commands: Vec<_> = figures
        .commands()
        .map(|(dialect, kind, took)| ([("command", kind.word()), ("dialect", dialect)], took))
        .collect();
    let commands = commands.iter().map(|(labels, took)| (&labels[..], *took));
    let help = "Time from a command to its final reply, transfer included.";
    page.histograms("imgrepo_command_seconds", help, MICROS, commands);

    let codes: Vec<(String, f64)> =
        figures.refusals().map(|(code, count)| (word(code), count as f64)).collect();
    let codes: Vec<_> =
        codes.iter().map(|(code, count)| ([("code", code.as_str())], *count)).collect();
    let help = "Refusals in v2 sessions, by code.";
    let codes = codes.iter().map(|(labels, count)| (&labels[..], *count));
    page.family("imgrepo_refusals_total", Kind::Counter, help, codes);

    let classes: Vec<_> =
        figures.requests().map(|(class, count)| ([("class", class)], count as f64)).collect();
    let help = "HTTP requests answered, by class of status; a new session is 1xx.";
    let classes = classes.iter().map(|(labels, count)| (&labels[..], *count));
    page.family("imgrepo_http_requests_total", Kind::Counter, help, classes);

    let help = "Time from a commit until its event was on its way to a listener.";
    page.histograms("imgrepo_feed_delay_seconds", help, MICROS, [(&[][..], &figures.feed)]);
}

/// A code as it is on the wire.
fn word(code: ErrorCode) -> String {
    let word = serde_json::to_value(code).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

/// What is kept, and what keeping it costs.
fn write_repository(page: &mut Page, context: &Context, standing: &Standing) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        page.figure(name, Kind::Gauge, help, value as f64);
    };
    gauge("imgrepo_images", "Images that are listed.", standing.listed);
    let help = "Bytes of the images, those in the trash too.";
    gauge("imgrepo_images_bytes", help, standing.kept_bytes);
    gauge("imgrepo_newest_seq", "The newest change's number.", standing.newest.0);
    gauge("imgrepo_changes_waiting", "Changes that wait to be committed.", standing.waiting);
    if let Some(journal) = standing.journal {
        let help = "Files of the journal of small contents.";
        gauge("imgrepo_journal_segments", help, journal.segments);
        let help = "Bytes of contents that wait in the journal for their places.";
        gauge("imgrepo_journal_bytes", help, journal.bytes);
    }
    if let Some(making) = standing.making {
        let help = "Images whose pictures are to be made.";
        gauge("imgrepo_pictures_waiting", help, making.waiting as u64);
        if let Some(bytes) = making.kept_bytes {
            gauge("imgrepo_pictures_bytes", "Bytes of pictures that are kept.", bytes);
        }
    }
    let mut counter = |name: &str, help: &str, value: u64| {
        page.figure(name, Kind::Counter, help, value as f64);
    };
    if let Some(making) = standing.making {
        counter("imgrepo_pictures_made_total", "Pictures made.", making.made);
        let help = "Contents of which no picture could be made.";
        counter("imgrepo_pictures_failed_total", help, making.failed);
    }
    let figures = context.repository.figures();
    let mut count = |name: &str, help: &str, of: &Counter| counter(name, help, of.get());
    count("imgrepo_uploads_total", "New images.", &figures.stored);
    count("imgrepo_upload_bytes_total", "Bytes of new images.", &figures.stored_bytes);
    count("imgrepo_downloads_total", "Originals given out.", &figures.downloads);
    count("imgrepo_download_bytes_total", "Bytes of originals read.", &figures.download_bytes);
    count("imgrepo_views_total", "Pictures given out.", &figures.views);

    let help = "Changes that were committed together.";
    let one = |histogram| [(&[][..], histogram)];
    page.histograms("imgrepo_commit_changes", help, 1.0, one(&figures.groups));
    let help = "Time of a commit, its sync included.";
    page.histograms("imgrepo_commit_seconds", help, MICROS, one(&figures.commits));
    let syncs: Vec<_> = context
        .repository
        .syncs()
        .map(|(place, count)| ([("place", place)], count as f64))
        .collect();
    let syncs = syncs.iter().map(|(labels, count)| (&labels[..], *count));
    let help = "Times that the disk was waited for, but for the catalog's commits.";
    page.family("imgrepo_syncs_total", Kind::Counter, help, syncs);
}

/// What every program tells, by the names that are usual for it.
fn write_process(page: &mut Page, context: &Context) {
    let help = "Start of the server, in seconds since 1970.";
    page.figure("process_start_time_seconds", Kind::Gauge, help, context.started_at_seconds);
    let process = Process::look();
    let figures = [
        ("process_cpu_seconds_total", Kind::Counter, "Processor time.", process.cpu_seconds),
        ("process_open_fds", Kind::Gauge, "Open files.", process.open_files),
        ("process_max_fds", Kind::Gauge, "Files that may be open.", process.most_files),
        ("process_resident_memory_bytes", Kind::Gauge, "Memory in use.", process.memory_bytes),
    ];
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            page.figure(name, kind, help, value);
        }
    }
}

/// How this process stands with its system, as far as that tells.
#[derive(Debug, Default)]
struct Process {
    cpu_seconds: Option<f64>,
    open_files: Option<f64>,
    most_files: Option<f64>,
    memory_bytes: Option<f64>,
}

#[cfg(unix)]
impl Process {
    /// Blocks for a moment.
    fn look() -> Process {
        use rustix::process::{Resource, getrlimit};
        use rustix::time::{ClockId, clock_gettime};
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        // Linux's; elsewhere they are not there.
        let files = std::fs::read_dir("/proc/self/fd").ok();
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let memory = status.as_deref().and_then(resident_bytes);
        Process {
            cpu_seconds: Some(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
            open_files: files.map(|files| files.count() as f64),
            most_files: getrlimit(Resource::Nofile).current.map(|most| most as f64),
            memory_bytes: memory.map(|bytes| bytes as f64),
        }
    }
}

#[cfg(not(unix))]
impl Process {
    fn look() -> Process {
        Process::default()
    }
}

/// What `/proc/self/status` says of the memory in use (proc(5)).
#[cfg(unix)]
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn tcp(address: &str) -> Origin {
        Origin::Tcp(address.parse().unwrap())
    }

    #[test]
    fn only_who_comes_straight_from_this_computer_is_from_here() {
        for here in [tcp("127.0.0.1:9"), tcp("[::1]:9"), Origin::Local] {
            assert!(is_from_here(here, here), "{here:?}");
        }
        let tls = Origin::Tls("127.0.0.1:9".parse().unwrap());
        assert!(is_from_here(tls, tls));
        let elsewhere = tcp("192.0.2.1:9");
        assert!(!is_from_here(elsewhere, elsewhere));
        // Behind a proxy of this computer's, even one of it.
        for client in ["192.0.2.1:0", "127.0.0.1:0"] {
            let client = Origin::Tls(client.parse().unwrap());
            assert!(!is_from_here(tcp("127.0.0.1:9"), client));
        }
    }

    #[test]
    fn a_credential_is_shown_in_one_line() {
        let shown = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
            }
            bearer(&headers).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(shown(&["Bearer abc-_1"]).as_deref(), Some("abc-_1"));
        assert_eq!(shown(&["bearer  abc-_1 "]).as_deref(), Some("abc-_1"));
        for lines in [&[][..], &["Basic abc"], &["abc"], &["Bearer "], &["Bearer a", "Bearer b"]] {
            assert_eq!(shown(lines), None, "{lines:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_system_tells_of_this_process() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   1234 kB\n"), Some(1_263_616));
        assert_eq!(resident_bytes("VmRSS:\t1234\n"), None);
        let process = Process::look();
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
        if cfg!(target_os = "linux") {
            assert!(process.memory_bytes.is_some_and(|bytes| bytes > 100_000.0));
            assert!(process.open_files.is_some_and(|files| files >= 3.0));
        }
    }
}
