//! The time by a server's clock: the `Date` of whatever its HTTP side answers (RFC 9110, 6.6.1).

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::session::ServerUrl;

/// A server to which there is a session answers at once, or is busy.
const LIMIT: Duration = Duration::from_secs(5);

/// More than a head of a few lines has.
const MAX_HEAD_BYTES: u64 = 16 * 1024;

/// None where it does not say.
pub(super) async fn of(url: &ServerUrl) -> Option<Timestamp> {
    tokio::time::timeout(LIMIT, ask(url)).await.ok()?.ok().and_then(|head| date(&head))
}

async fn ask(url: &ServerUrl) -> std::io::Result<Vec<u8>> {
    let (host, port) = (url.host(), url.port());
    let mut stream = TcpStream::connect((host, port)).await?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let request =
        format!("HEAD /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    stream.take(MAX_HEAD_BYTES).read_to_end(&mut head).await?;
    Ok(head)
}

fn date(answer: &[u8]) -> Option<Timestamp> {
    let head = String::from_utf8_lossy(answer);
    let mut lines = head.lines().skip(1).take_while(|line| !line.is_empty());
    let date = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim().to_owned())
    })?;
    Some(rfc2822::parse(&date).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_read_from_the_head_alone() {
        let of = |text: &str| date(text.as_bytes());
        let expected = "2026-11-23T09:12:08Z".parse().ok();
        assert_eq!(of("HTTP/1.1 404 x\r\ndate: Mon, 23 Nov 2026 09:12:08 GMT\r\n\r\n"), expected);
        assert_eq!(of("HTTP/1.1 200 OK\r\nA: b\r\n\r\nDate: Mon, 23 Nov 2026 09:12:08 GMT"), None);
        assert_eq!(of("HTTP/1.1 200 OK\r\nDate: yesterday\r\n"), None);
        assert_eq!(of(""), None);
    }
}
