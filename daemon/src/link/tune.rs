//! The settings of a TCP connection that carries a link. Both ends call it before the handshake.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::time::Duration;

use tokio::net::TcpStream;

/// What the kernel may hold unsent before it lets the writer wait. What is there already goes
/// before a reply, so it is half a data message: 32 ms on a line of 1 MB/s. A fast line is refilled
/// long before so much is gone.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 32 * 1024;

/// How long the other computer may acknowledge nothing of what was sent. A session finds out sooner by
/// its pings; a browser that only listens is sent a few bytes now and then, which the kernel would try
/// to deliver for a quarter of an hour.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Sends without delay, queues little and gives up on who is gone.
///
/// # Errors
/// The system's; the link works without, only not as fast.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let socket = socket2::SockRef::from(stream);
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    }
    Ok(())
}
