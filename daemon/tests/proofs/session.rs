//! Two small clients, one for each dialect, with no more in them than the proofs need. They stand on
//! tungstenite and `proto` alone, not on the daemon's own session, so that no fault can hide in both.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use imgrepo_proto::limits::{DATA_MESSAGE_BYTES, SessionLimits};
use imgrepo_proto::session::command::{
    Auth, Command, Download, Events, List, Sort, Target, Upload,
};
use imgrepo_proto::session::reply::{AuthReply, EventsReply, ListReply, UploadReply};
use imgrepo_proto::session::{DataHeader, Event, Request, SUBPROTOCOL, ServerMessage, v1};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageRecord, Refusal, Seq};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::picture::Picture;

/// Why there is no outcome.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The session is gone.
    Cut,
    /// The server said ERROR.
    Refused(Refusal),
}

/// What comes for one request.
enum Heard {
    Reply(ServerMessage),
    Data(u64, Bytes),
}

/// Who waits for what; nobody can once the session is gone (None).
type Pending = Arc<Mutex<Option<HashMap<u32, mpsc::UnboundedSender<Heard>>>>>;

/// A session in v2.
pub(crate) struct V2 {
    outgoing: mpsc::Sender<Message>,
    pending: Pending,
    last_id: AtomicU32,
    pub(crate) limits: SessionLimits,
    tasks: [JoinHandle<()>; 2],
}

/// The connection below the session with the server at this URL.
pub(crate) async fn tcp(url: &str) -> Result<TcpStream, Ended> {
    let request = url.into_client_request().map_err(|_| Ended::Cut)?;
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let stream = TcpStream::connect(host).await.map_err(|_| Ended::Cut)?;
    stream.set_nodelay(true).map_err(|_| Ended::Cut)?;
    Ok(stream)
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &str,
    subprotocol: Option<&'static str>,
) -> Result<WebSocketStream<S>, Ended> {
    let mut request = url.into_client_request().map_err(|_| Ended::Cut)?;
    if let Some(word) = subprotocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(word));
    }
    // Above any picture of the proofs: v1 sends one as one message.
    let most = Some(80 << 20);
    let config = WebSocketConfig::default().max_message_size(most).max_frame_size(most);
    let dialed = client_async_with_config(request, stream, Some(config)).await;
    dialed.map(|(socket, _)| socket).map_err(|_| Ended::Cut)
}

impl V2 {
    /// Connects and says AUTH.
    pub(crate) async fn open(url: &str, user: &str) -> Result<V2, Ended> {
        V2::begin(tcp(url).await?, url, user).await
    }

    /// Says AUTH over a connection to the server.
    pub(crate) async fn begin<S>(stream: S, url: &str, user: &str) -> Result<V2, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sink, mut stream) = upgrade(stream, url, Some(SUBPROTOCOL)).await?.split();
        let pending = Pending::new(Mutex::new(Some(HashMap::new())));
        // The window of all transfers is what bounds the queue; this only paces the pictures.
        let (outgoing, mut queue) = mpsc::channel::<Message>(16);
        let writer = tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
        });
        let heard = Arc::clone(&pending);
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let (id, what, last) = match message {
                    Message::Text(text) => match ServerMessage::decode(&text).expect("a message") {
                        ServerMessage::Event(_) | ServerMessage::Actor(_) | ServerMessage::Lost => {
                            continue;
                        }
                        reply => {
                            let (id, last) = address(&reply);
                            (id, Heard::Reply(reply), last)
                        }
                    },
                    Message::Binary(data) => {
                        let (header, bytes) = DataHeader::decode(data).expect("a data message");
                        (Some(header.id), Heard::Data(header.offset, bytes), false)
                    }
                    _ => continue,
                };
                let Some(id) = id else { continue };
                let mut waiting = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(waiting) = waiting.as_mut() else { break };
                if let Some(sender) = waiting.get(&id) {
                    let _ = sender.send(what);
                }
                if last {
                    waiting.remove(&id);
                }
            }
            // Whoever waits still learns of the cut by its channel's end.
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
        let limits = SessionLimits::default();
        let mut session =
            V2 { outgoing, pending, last_id: AtomicU32::new(0), limits, tasks: [writer, reader] };
        let auth = Auth { user: Some(user.to_owned()), ..Auth::default() };
        let reply: AuthReply = session.call(Command::Auth(auth)).await?;
        session.limits = reply.limits;
        Ok(session)
    }

    async fn ask(&self, command: Command) -> Result<(u32, mpsc::UnboundedReceiver<Heard>), Ended> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let text = {
            // Numbers must go out in their order, so the number is taken with the place in the queue.
            let permit = self.outgoing.reserve().await.map_err(|_| Ended::Cut)?;
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
            pending.as_mut().ok_or(Ended::Cut)?.insert(id, sender);
            permit.send(Message::text(Request { id, command }.encode()));
            id
        };
        Ok((text, receiver))
    }

    async fn send(&self, message: Message) -> Result<(), Ended> {
        self.outgoing.send(message).await.map_err(|_| Ended::Cut)
    }

    /// Asks what is answered at once.
    pub(crate) async fn call<T: DeserializeOwned>(&self, command: Command) -> Result<T, Ended> {
        let (_, mut heard) = self.ask(command).await?;
        match heard.recv().await {
            Some(Heard::Reply(reply)) => outcome(reply),
            Some(Heard::Data(..)) => panic!("data for a question"),
            None => Err(Ended::Cut),
        }
    }

    /// Uploads a picture with its hash. `note` hears of every step.
    pub(crate) async fn upload(
        &self,
        picture: &Picture,
        mut note: impl FnMut(Step),
    ) -> Result<UploadReply, Ended> {
        let upload = Upload {
            name: picture.name.clone(),
            size: picture.size(),
            hash: Some(picture.hash),
            taken_at: None,
            unless_deleted: false,
        };
        let (id, mut heard) = self.ask(Command::Upload(upload)).await?;
        let mut sent = 0;
        loop {
            let edge = match heard.recv().await {
                Some(Heard::Reply(ServerMessage::Ready { offset, .. })) => {
                    note(Step::Ready(offset));
                    sent = offset;
                    offset
                }
                Some(Heard::Reply(ServerMessage::Ack { offset, .. })) => {
                    note(Step::Acked(offset));
                    offset
                }
                Some(Heard::Reply(reply)) => return outcome(reply),
                Some(Heard::Data(..)) => panic!("data for an upload"),
                None => return Err(Ended::Cut),
            };
            let edge = picture.size().min(edge + self.limits.window);
            while sent < edge {
                let end = edge.min(sent + DATA_MESSAGE_BYTES as u64);
                let piece = &picture.content[sent as usize..end as usize];
                let message = DataHeader { id, offset: sent }.message(piece);
                self.send(Message::Binary(message)).await?;
                sent = end;
            }
        }
    }

    /// Downloads a whole image and gives its bytes' hash and number, without keeping them.
    pub(crate) async fn download(&self, image: ImageId) -> Result<(BlobHash, u64), Ended> {
        let download = Download { target: Target::id(image), offset: 0, length: None };
        let (id, mut heard) = self.ask(Command::Download(download)).await?;
        let (mut hasher, mut taken) = (blake3::Hasher::new(), 0);
        loop {
            match heard.recv().await {
                Some(Heard::Data(offset, bytes)) => {
                    assert_eq!(offset, taken, "data comes in order");
                    hasher.update(&bytes);
                    taken += bytes.len() as u64;
                    let ack = Request { id, command: Command::Ack(taken) };
                    self.send(Message::text(ack.encode())).await?;
                }
                Some(Heard::Reply(ServerMessage::SizeInfo { .. })) => {}
                Some(Heard::Reply(ServerMessage::Success { .. })) => {
                    return Ok((BlobHash(*hasher.finalize().as_bytes()), taken));
                }
                Some(Heard::Reply(ServerMessage::Error { refusal, .. })) => {
                    return Err(Ended::Refused(refusal));
                }
                Some(Heard::Reply(other)) => panic!("{other:?} for a download"),
                None => return Err(Ended::Cut),
            }
        }
    }

    /// Everything that is listed, the oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<ImageRecord>, Ended> {
        let (mut images, mut cursor) = (Vec::new(), None);
        loop {
            let list = List { sort: Sort::Oldest, limit: Some(500), cursor, ..List::default() };
            let page: ListReply = self.call(Command::List(list)).await?;
            images.extend(page.images);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(images),
            }
        }
    }

    /// Everything that happened.
    pub(crate) async fn events(&self) -> Result<Vec<Event>, Ended> {
        let (mut events, mut since) = (Vec::new(), Seq(0));
        loop {
            let page = Command::Events(Events { since, limit: Some(500) });
            let page: EventsReply = self.call(page).await?;
            events.extend(page.events);
            match page.next {
                Some(next) => since = next,
                None => return Ok(events),
            }
        }
    }
}

impl Drop for V2 {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// How an upload comes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Ready(u64),
    Acked(u64),
}

/// Which request a reply is for, and whether it is the last one.
fn address(reply: &ServerMessage) -> (Option<u32>, bool) {
    match reply {
        ServerMessage::Success { id, .. } | ServerMessage::Bye { id, .. } => (Some(*id), true),
        ServerMessage::Error { id, .. } => (*id, true),
        ServerMessage::Ready { id, .. }
        | ServerMessage::Ack { id, .. }
        | ServerMessage::SizeInfo { id, .. } => (Some(*id), false),
        ServerMessage::Event(_) | ServerMessage::Actor(_) | ServerMessage::Lost => (None, false),
    }
}

fn outcome<T: DeserializeOwned>(reply: ServerMessage) -> Result<T, Ended> {
    match reply {
        ServerMessage::Success { data, .. } => {
            Ok(serde_json::from_str(data.get()).expect("the data of this command"))
        }
        ServerMessage::Error { refusal, .. } => Err(Ended::Refused(refusal)),
        other => panic!("{other:?} is no final reply"),
    }
}

/// An ERROR of v1, which has no code.
fn refused(message: String) -> Ended {
    Ended::Refused(Refusal::new(ErrorCode::Internal, message))
}

/// A session in v1: one command after the other.
pub(crate) struct V1(WebSocketStream<TcpStream>);

impl V1 {
    pub(crate) async fn open(url: &str, user: &str) -> Result<V1, Ended> {
        let mut session = V1(upgrade(tcp(url).await?, url, None).await?);
        session.say(v1::Command::Auth(Some(user.to_owned()))).await?;
        session.success().await?;
        Ok(session)
    }

    async fn say(&mut self, command: v1::Command) -> Result<(), Ended> {
        self.0.send(Message::text(command.encode())).await.map_err(|_| Ended::Cut)
    }

    /// The next reply; what is no reply passes by.
    async fn reply(&mut self) -> Result<v1::Reply, Ended> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    match v1::Reply::decode(&text).expect("a message of v1") {
                        v1::Reply::History(_) | v1::Reply::NewUpload(_) => {}
                        reply => return Ok(reply),
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ended::Cut),
                Some(Ok(_)) => {}
            }
        }
    }

    async fn success(&mut self) -> Result<String, Ended> {
        match self.reply().await? {
            v1::Reply::Success(message) => Ok(message),
            v1::Reply::Error(message) => Err(refused(message)),
            other => panic!("{other:?} where SUCCESS was due"),
        }
    }

    /// Uploads a picture and gives the id that the server names.
    pub(crate) async fn upload(&mut self, picture: &Picture) -> Result<ImageId, Ended> {
        let upload = v1::Command::Upload { name: picture.name.clone(), size: picture.size() };
        self.say(upload).await?;
        match self.reply().await? {
            v1::Reply::Ready => {}
            v1::Reply::Error(message) => return Err(refused(message)),
            other => panic!("{other:?} where READY was due"),
        }
        let content = Message::Binary(picture.content.clone());
        self.0.send(content).await.map_err(|_| Ended::Cut)?;
        let message = self.success().await?;
        let digits = |c: char| !c.is_ascii_digit();
        let id =
            message.trim_end_matches(digits).rsplit(digits).next().and_then(|id| id.parse().ok());
        Ok(ImageId(id.unwrap_or_else(|| panic!("no id in `{message}`"))))
    }
}
