//! The time by a server's clock: the `Date` of whatever its HTTP side answers (RFC 9110, 6.6.1).

use std::io::ErrorKind;
use std::time::Duration;

use imgrepo_proto::invitation::{HostPort, Trust};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::session::{self, Address, Route};

/// A server to which there is a session answers at once, or is busy.
const LIMIT: Duration = Duration::from_secs(5);

/// More than a head of a few lines has.
const MAX_HEAD_BYTES: u64 = 16 * 1024;

/// None where it does not say.
pub(super) async fn of(address: &Address) -> Option<Timestamp> {
    let route = match address {
        Address::Route(route) => Some(route.clone()),
        Address::Url(url) if url.is_tls() => Route::new(&[url.place()], Trust::Authorities, None),
        Address::Url(_) | Address::Local(_) => None,
    };
    let answer = async {
        match (route, address) {
            (Some(route), _) => {
                let (stream, place) = session::stream(&route, LIMIT).await?;
                ask(stream, &place).await.ok()
            }
            (None, Address::Url(url)) => {
                let stream = TcpStream::connect((url.host(), url.port())).await.ok()?;
                ask(stream, &url.place()).await.ok()
            }
            (None, _) => None,
        }
    };
    tokio::time::timeout(LIMIT, answer).await.ok()?.and_then(|head| date(&head))
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    place: &HostPort,
) -> std::io::Result<Vec<u8>> {
    let request = format!("HEAD /healthz HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    match stream.take(MAX_HEAD_BYTES).read_to_end(&mut head).await {
        // What ends TLS without a word has said its head before.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(head),
    }
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
