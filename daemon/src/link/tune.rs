//! The settings of a TCP connection that carries a link. Both ends call it before the handshake.

use std::io;

use tokio::net::TcpStream;

/// What the kernel may hold unsent before it lets the writer wait. What is there already goes
/// before a reply, so it is half a data message: 32 ms on a line of 1 MB/s. A fast line is refilled
/// long before so much is gone.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 32 * 1024;

/// Sends without delay and queues little.
///
/// # Errors
/// The system's; the link works without, only not as fast.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    Ok(())
}
