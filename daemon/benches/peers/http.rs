//! A client that is one socket and nothing else, so that the server is what is measured.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, bail, ensure};

/// One connection, which is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(host: &str) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, host: host.to_owned(), buffer: vec![0; 256 * 1024] })
    }

    /// Sends a body and takes the answer, which has to be a success.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nOrigin: http://{}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            self.host,
            body.len()
        );
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        self.answer(|_| ()).with_context(|| format!("{method} {path}"))?;
        Ok(())
    }

    /// Takes all of a content and gives its length; `take` hears of every piece.
    pub(crate) fn get(&mut self, path: &str, take: impl FnMut(&[u8])) -> anyhow::Result<usize> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n",
            self.host
        );
        self.stream.write_all(head.as_bytes())?;
        self.answer(take).with_context(|| format!("GET {path}"))
    }

    fn answer(&mut self, mut take: impl FnMut(&[u8])) -> anyhow::Result<usize> {
        let mut came = 0;
        let (head, length, is_last) = loop {
            let room = self.buffer.get_mut(came..).filter(|room| !room.is_empty());
            let read = self.stream.read(room.context("a long head")?)?;
            ensure!(read > 0, "the server closed the connection");
            came += read;
            let text = String::from_utf8_lossy(&self.buffer[..came.min(4096)]).into_owned();
            let Some(end) = text.find("\r\n\r\n") else { continue };
            let head = text[..end].to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 20"), "{}", &text[..end]);
            let field = |name: &str| {
                head.lines().find_map(|line| line.strip_prefix(name).map(|it| it.trim().to_owned()))
            };
            if field("transfer-encoding:").is_some() {
                bail!("this client takes no content of unknown length");
            }
            let length =
                field("content-length:").map_or(Ok(0), |length| length.parse::<usize>())?;
            break (end + 4, length, field("connection:").as_deref() == Some("close"));
        };
        take(&self.buffer[head..came]);
        let mut left = (head + length).checked_sub(came).context("more than was asked for")?;
        while left > 0 {
            let most = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..most])?;
            ensure!(read > 0, "the server closed the connection");
            take(&self.buffer[..read]);
            left -= read;
        }
        if is_last {
            self.stream = TcpStream::connect(&self.host)?;
            self.stream.set_nodelay(true)?;
        }
        Ok(length)
    }
}
