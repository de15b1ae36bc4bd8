//! An echo on a link, accepted and dialed.

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use imgrepod::link::{self, Incoming, LinkSettings, Watched};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

/// Cases that the client goes through at once.
const AT_ONCE: usize = 32;

/// As a session's, but for the size of messages: the largest that a case sends.
fn settings() -> LinkSettings {
    LinkSettings { max_message_bytes: 16 * 1024 * 1024, ..LinkSettings::default() }
}

fn websocket() -> Option<WebSocketConfig> {
    Some(settings().websocket())
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                sessions.spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    let (stream, activity) = Watched::new(stream);
                    // Whoever only looks whether anybody is there sends no handshake.
                    if let Ok(socket) = accept_async_with_config(stream, websocket()).await {
                        echo(socket, activity).await;
                    }
                });
            }
        });
        Server { address, accepting }
    }

    pub(crate) async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }
}

/// Says everything back, in the order in which it came.
async fn echo(socket: WebSocketStream<Watched<TcpStream>>, activity: link::Activity) {
    let (outbox, mut inbox) = link::open(socket, activity, settings());
    loop {
        let said = match inbox.next().await {
            // Texts and contents in one line: no text before the content that it came after.
            Ok(Incoming::Text(text)) => outbox.in_order(|| Some(text.to_string())).await,
            Ok(Incoming::Data(data)) => outbox.data(data).await,
            Err(_) => break,
        };
        if said.is_err() {
            break;
        }
    }
    inbox.finish().await;
}

async fn dial(
    address: SocketAddr,
    path: &str,
) -> (WebSocketStream<Watched<TcpStream>>, link::Activity) {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (stream, activity) = Watched::new(stream);
    let url = format!("ws://{address}{path}");
    let (socket, _) = client_async_with_config(url, stream, websocket()).await.unwrap();
    (socket, activity)
}

/// Goes through all cases of the server there, in the way of Autobahn's clients.
pub(crate) async fn client(address: SocketAddr) {
    let (socket, activity) = dial(address, "/getCaseCount").await;
    let (_outbox, mut inbox) = link::open(socket, activity, settings());
    let Ok(Incoming::Text(count)) = inbox.next().await else { panic!("no number of cases") };
    let count: u32 = count.parse().unwrap();
    inbox.finish().await;
    // A link whose peer broke the protocol is over five seconds after it has said so.
    let cases =
        futures_util::stream::iter(1..=count).for_each_concurrent(AT_ONCE, |case| async move {
            let (socket, activity) =
                dial(address, &format!("/runCase?case={case}&agent=link")).await;
            echo(socket, activity).await;
        });
    cases.await;
    let (socket, activity) = dial(address, "/updateReports?agent=link").await;
    let (_outbox, mut inbox) = link::open(socket, activity, settings());
    let _ = inbox.next().await;
    inbox.finish().await;
}
