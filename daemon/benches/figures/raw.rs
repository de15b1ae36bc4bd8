//! A client of which hardly anything is measured: texts go out as they are given, replies are counted
//! and not read. And the yardstick of both: a bare server that answers every text with as many bytes
//! as it was told, in a process of its own, as the server is.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use futures_util::stream::FusedStream as _;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use imgrepo_proto::session::SUBPROTOCOL;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::session::tcp;

/// The word that makes this program the bare server.
const BARE: &str = "--answer-texts-of";

/// A session of which only texts are seen.
pub(crate) struct Raw {
    socket: WebSocketStream<TcpStream>,
    last_id: u32,
}

impl Raw {
    /// Connects to a server and says AUTH.
    pub(crate) async fn open(url: &str, user: &str) -> anyhow::Result<Raw> {
        let mut raw = Raw::bare(url).await?;
        let greeting = raw.ask(&format!(r#""cmd":"AUTH","args":{{"user":"{user}"}}"#)).await?;
        match greeting.contains("SUCCESS") {
            true => Ok(raw),
            false => bail!("{greeting}"),
        }
    }

    /// Connects to whatever speaks WebSocket.
    pub(crate) async fn bare(url: &str) -> anyhow::Result<Raw> {
        let mut request = url.into_client_request()?;
        let word = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert("sec-websocket-protocol", word);
        let stream = tcp(url).await.map_err(|end| anyhow!("{end:?}"))?;
        let (socket, _) = match client_async(request, stream).await {
            Ok(dialed) => dialed,
            // The bare server knows of no subprotocols.
            Err(_) => {
                let stream = tcp(url).await.map_err(|end| anyhow!("{end:?}"))?;
                client_async(url, stream).await?
            }
        };
        Ok(Raw { socket, last_id: 0 })
    }

    /// A request with its number; `command` is what stands behind that.
    fn request(&mut self, command: &str) -> Message {
        self.last_id += 1;
        Message::text(format!(r#"{{"id":{},{command}}}"#, self.last_id))
    }

    /// Asks and waits for the reply.
    pub(crate) async fn ask(&mut self, command: &str) -> anyhow::Result<Utf8Bytes> {
        let request = self.request(command);
        self.socket.send(request).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.socket.next().await.context("the session ended")?? {
                Message::Text(text) if !text.starts_with(r#"{"event""#) => return Ok(text),
                Message::Close(close) => bail!("the server closed the session: {close:?}"),
                _ => {}
            }
        }
    }

    /// Asks so often with so many under way at once; how long it takes.
    pub(crate) async fn pipelined(
        &mut self,
        count: u64,
        in_flight: u64,
        mut command: impl FnMut(u64) -> String,
    ) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let (mut sent, mut answered) = (0, 0);
        while answered < count {
            while sent < count && sent - answered < in_flight {
                let request = self.request(&command(sent));
                self.socket.feed(request).await?;
                sent += 1;
            }
            self.socket.flush().await?;
            self.reply().await?;
            answered += 1;
            // All that is there already.
            while answered < sent
                && !self.socket.is_terminated()
                && let Some(reply) = self.reply().now_or_never()
            {
                reply?;
                answered += 1;
            }
        }
        Ok(started.elapsed())
    }
}

/// The bare server in a process of its own.
pub(crate) struct Bare {
    child: Child,
    pub(crate) url: String,
}

impl Bare {
    /// Starts one whose answers have so many bytes.
    pub(crate) fn start(reply_bytes: usize) -> anyhow::Result<Bare> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--bench", BARE, &reply_bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let said = child.stdout.take().context("it is piped")?;
        BufReader::new(said).read_line(&mut line)?;
        Ok(Bare { child, url: line.trim().to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many bytes this process is to answer with, where it is the bare server.
pub(crate) fn reply_bytes() -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != BARE);
    arguments.nth(1)?.parse().ok()
}

/// Serves until it is killed.
#[allow(clippy::print_stdout, reason = "it says where it listens")]
pub(crate) async fn serve(reply_bytes: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    let answer = Utf8Bytes::from("x".repeat(reply_bytes));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Ends with its client.
        tokio::spawn(answer_all(stream, answer.clone()));
    }
}

async fn answer_all(stream: TcpStream, answer: Utf8Bytes) -> anyhow::Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let mut message = Some(message);
        while let Some(Message::Text(_)) = message.take().transpose()? {
            socket.feed(Message::Text(answer.clone())).await?;
            // What is there already is answered with the same flush.
            message = socket.next().now_or_never().flatten();
        }
        socket.flush().await?;
    }
    Ok(())
}
