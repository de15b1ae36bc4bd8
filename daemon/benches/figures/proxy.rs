//! A slow line: a TCP proxy that lets so many bytes a second through, each way, and holds little itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// What the system may hold for each socket: a line has little memory of its own. Linux takes twice
/// what is asked for.
const SOCKET_BYTES: u32 = 64 * 1024 / 2;

/// Content of a packet of Ethernet. Loopback's own have 64 KiB, of which one fills half such a socket:
/// the next is dropped and sent again after 200 ms, which no line of this kind does.
const PACKET_BYTES: u32 = 1448;

/// Passed on at once: 4 ms of a line of 1 MB/s.
const PIECE_BYTES: usize = 4 * 1024;

/// How late a sleep may end.
const SLACK: Duration = Duration::from_millis(10);

/// A running proxy; it ends with this value.
pub(crate) struct Proxy {
    pub(crate) url: String,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the server of this `ws://HOST:PORT/`.
    pub(crate) async fn start(server: &str, bytes_a_second: u64) -> anyhow::Result<Proxy> {
        let server: SocketAddr = server
            .trim_start_matches("ws://")
            .trim_end_matches('/')
            .parse()
            .with_context(|| format!("`{server}` is no address"))?;
        let socket = TcpSocket::new_v4()?;
        // Accepted connections get the listener's.
        socket.set_recv_buffer_size(SOCKET_BYTES)?;
        socket.set_send_buffer_size(SOCKET_BYTES)?;
        SockRef::from(&socket).set_tcp_mss(PACKET_BYTES)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(16)?;
        let address = listener.local_addr().map_err(|error| anyhow!(error))?;
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = join(near, server, bytes_a_second).await;
                });
            }
        });
        Ok(Proxy { url: format!("ws://{address}/"), task })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn join(near: TcpStream, server: SocketAddr, bytes_a_second: u64) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BYTES)?;
    SockRef::from(&socket).set_tcp_mss(PACKET_BYTES)?;
    let far = socket.connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::try_join!(
        pass(near_in, far_out, bytes_a_second),
        pass(far_in, near_out, bytes_a_second)
    )?;
    Ok(())
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    bytes_a_second: u64,
) -> anyhow::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    // When the line is free again.
    let mut free = Instant::now();
    loop {
        let len = from.read(&mut piece).await?;
        if len == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        // A sleep that was too long is made good by the next ones, or the line would be slower than
        // it is said to be; an idle line saves nothing up.
        let earliest = Instant::now().checked_sub(SLACK).unwrap_or(free);
        free = free.max(earliest) + Duration::from_secs_f64(len as f64 / bytes_a_second as f64);
        to.write_all(&piece[..len]).await?;
        tokio::time::sleep_until(free.into()).await;
    }
}
