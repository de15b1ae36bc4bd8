//! The yardstick of transfers: tokio-tungstenite and nothing else, in a process of its own as the
//! server is in one. It drops what it is sent, and sends as much as it is asked for.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use imgrepo_proto::limits::DATA_MESSAGE_BYTES;
use imgrepo_proto::session::DataHeader;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::picture::Picture;
use crate::session::tcp;

/// Says to this program that it is the bare server.
pub(crate) const ROLE: &str = "FIGURES_BARE";

/// Messages between who makes them and who writes them, as the proofs' client has it.
const QUEUE: usize = 16;

/// A running bare server.
pub(crate) struct Bare {
    child: Child,
    url: String,
}

impl Bare {
    pub(crate) fn start() -> anyhow::Result<Bare> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--bench")
            .env(ROLE, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let said = child.stdout.take().context("it is piped")?;
        BufReader::new(said).read_line(&mut url)?;
        Ok(Bare { child, url: url.trim().to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn open(&self) -> anyhow::Result<Session> {
        let stream = tcp(&self.url).await.map_err(|end| anyhow!("{end:?}"))?;
        let (socket, _) = client_async(&self.url, stream).await?;
        let (sink, stream) = socket.split();
        Ok(Session { sink: Some(sink), stream })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Socket = WebSocketStream<TcpStream>;

/// A session with it.
pub(crate) struct Session {
    sink: Option<SplitSink<Socket, Message>>,
    stream: SplitStream<Socket>,
}

impl Session {
    /// Sends the pictures, in messages as an upload has them, until they have been taken.
    pub(crate) async fn up(&mut self, pictures: &[Picture]) -> anyhow::Result<()> {
        let mut sink = self.sink.take().context("a transfer broke")?;
        let (outgoing, mut queue) = tokio::sync::mpsc::channel::<Message>(QUEUE);
        let writing = tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                sink.send(message).await?;
            }
            anyhow::Ok(sink)
        });
        for picture in pictures {
            let mut offset = 0;
            for piece in picture.content.chunks(DATA_MESSAGE_BYTES) {
                let message = DataHeader { id: 1, offset }.message(piece);
                outgoing.send(Message::Binary(message)).await?;
                offset += piece.len() as u64;
            }
        }
        outgoing.send(Message::text("taken?")).await?;
        drop(outgoing);
        self.sink = Some(writing.await??);
        match self.stream.next().await {
            Some(Ok(Message::Text(_))) => Ok(()),
            other => bail!("the bare server said {other:?}"),
        }
    }

    /// Takes so many pictures of so many bytes, and hashes them.
    pub(crate) async fn down(&mut self, images: usize, bytes: usize) -> anyhow::Result<()> {
        let sink = self.sink.as_mut().context("a transfer broke")?;
        sink.send(Message::text(format!("{images} {bytes}"))).await?;
        for _ in 0..images {
            let (mut taken, mut hasher) = (0, blake3::Hasher::new());
            while taken < bytes {
                let Some(Ok(Message::Binary(data))) = self.stream.next().await else {
                    bail!("the bare server ended early");
                };
                let (_, data) = DataHeader::decode(data)?;
                hasher.update(&data);
                taken += data.len();
            }
            std::hint::black_box(hasher.finalize());
        }
        Ok(())
    }
}

/// What the process does that is started with [`ROLE`].
#[allow(clippy::print_stdout, reason = "who started it waits for its address")]
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Ends with its peer, and all of them with the process.
        tokio::spawn(async move { session(accept_async(stream).await?).await });
    }
}

async fn session(mut socket: Socket) -> anyhow::Result<()> {
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        match text.split_once(' ') {
            Some((images, bytes)) => {
                let content = vec![7; bytes.parse()?];
                for _ in 0..images.parse::<usize>()? {
                    give(&mut socket, &content).await?;
                }
                socket.flush().await?;
            }
            None => socket.send(Message::text("taken")).await?,
        }
    }
    Ok(())
}

async fn give(socket: &mut Socket, content: &[u8]) -> anyhow::Result<()> {
    let mut offset = 0;
    for piece in content.chunks(DATA_MESSAGE_BYTES) {
        let message: Bytes = DataHeader { id: 1, offset }.message(piece);
        socket.feed(Message::Binary(message)).await?;
        offset += piece.len() as u64;
    }
    Ok(())
}
