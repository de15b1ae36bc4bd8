//! Who listens on the wires: reads every message of every session as it is sent, and holds both ends
//! to the protocol, delivered or not. What the server has said it must keep.

use std::collections::BTreeMap;

use imgrepo_proto::session::command::{Command, Request};
use imgrepo_proto::session::reply::{AuthReply, EventsReply, ServerMessage, UploadReply};
use imgrepo_proto::session::{DataHeader, RequestId};
use imgrepo_proto::{BlobHash, ErrorCode, ImageRecord};

use crate::frames::{Frames, Message};
use crate::trace::Trace;

/// In which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

pub(crate) struct Tap {
    sessions: BTreeMap<u64, Session>,
    /// How much of a content the server said that it has, for each client.
    held: BTreeMap<(usize, BlobHash), u64>,
    /// Every image of which the server said that it is stored.
    pub(crate) stored: Vec<ImageRecord>,
    /// Whether the server's disk fails, so that it may speak of faults.
    pub(crate) disk_fails: bool,
    trace: Trace,
}

#[derive(Default)]
struct Session {
    client: usize,
    up: Frames,
    down: Frames,
    requests: BTreeMap<RequestId, Asked>,
    last_event: Option<u64>,
}

struct Asked {
    command: Command,
    /// For UPLOAD: what was sent, and what the server says that it has.
    sent: u64,
    acked: Option<u64>,
}

impl Tap {
    pub(crate) fn new(trace: Trace) -> Tap {
        let (sessions, held, stored) = Default::default();
        Tap { sessions, held, stored, disk_fails: false, trace }
    }

    pub(crate) fn begin(&mut self, number: u64, client: usize) {
        self.sessions.insert(number, Session { client, ..Session::default() });
    }

    pub(crate) fn end(&mut self, number: u64) {
        self.sessions.remove(&number);
    }

    /// The power went: what was not synced may be gone, acknowledged or not.
    pub(crate) fn power_went(&mut self) {
        self.held.clear();
    }

    pub(crate) fn sees(&mut self, number: u64, way: Way, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let messages = match way {
            Way::Up => session.up.take(bytes),
            Way::Down => session.down.take(bytes),
        };
        for message in messages {
            match (way, message) {
                (Way::Up, Message::Text(text)) => self.request(number, &text),
                (Way::Up, Message::Data(head, len)) => self.content(number, head, len),
                (Way::Down, Message::Text(text)) => self.reply(number, &text),
                (Way::Down, Message::Data(..)) => {}
                (way, Message::Close(code)) => {
                    self.trace.say(format_args!("{number} {way:?} closes: {code}"));
                    // A breach of the protocol, or a fault of one's own.
                    if matches!(code, 1002 | 1003 | 1007 | 1009 | 1011) {
                        self.trace.fault(format_args!("{number} {way:?} closes: {code}"));
                    }
                }
            }
        }
    }

    fn request(&mut self, number: u64, text: &str) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        match Request::decode(text) {
            Ok(Request { command: Command::Ack(_), .. }) => {}
            Ok(Request { id, command }) => {
                self.trace.say(format_args!("{number} asks {id} {}", command.word()));
                session.requests.insert(id, Asked { command, sent: 0, acked: None });
            }
            Err(error) => self.trace.fault(format_args!("{number} asks {text}: {error:?}")),
        }
    }

    fn content(&mut self, number: u64, head: Vec<u8>, len: u64) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Ok((header, _)) = DataHeader::decode(head.into()) else {
            return self.trace.fault(format_args!("{number} sends data without a head"));
        };
        if let Some(asked) = session.requests.get_mut(&header.id) {
            asked.sent = asked.sent.max(header.offset + len);
        }
    }

    fn reply(&mut self, number: u64, text: &str) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let client = session.client;
        let trace = &self.trace;
        match ServerMessage::decode(text) {
            Ok(ServerMessage::Success { id, data }) => {
                let Some(asked) = session.requests.remove(&id) else {
                    return trace.fault(format_args!("{number} answers {id} once more: {text}"));
                };
                trace.say(format_args!("{number} answers {id} {}", asked.command.word()));
                match asked.command {
                    Command::Auth(auth) => {
                        let reply: AuthReply = serde_json::from_str(data.get()).unwrap();
                        session.last_event = Some(auth.events_since.unwrap_or(reply.seq).0);
                    }
                    Command::Upload(_) => {
                        let reply: UploadReply = serde_json::from_str(data.get()).unwrap();
                        if let Some(hash) = reply.image.hash {
                            self.held.remove(&(client, hash));
                        }
                        self.stored.push(reply.image);
                    }
                    Command::Events(events) => {
                        let reply: EventsReply = serde_json::from_str(data.get()).unwrap();
                        let seqs = reply.events.iter().filter_map(|event| event.seq);
                        let first = events.since.0 + 1;
                        if !seqs.map(|seq| seq.0).eq(first..first + reply.events.len() as u64) {
                            trace.fault(format_args!("events after {}: {text}", events.since));
                        }
                    }
                    _ => {}
                }
            }
            Ok(ServerMessage::Error { id, refusal }) => {
                let asked = id.and_then(|id| session.requests.remove(&id));
                let word = asked.as_ref().map_or("nothing", |asked| asked.command.word());
                trace.say(format_args!("{number} refuses {id:?} {word}: {refusal}"));
                let is_fine = match refusal.code {
                    // Nobody here breaks the protocol, or sends anything but what was announced.
                    ErrorCode::BadRequest
                    | ErrorCode::WrongHash
                    | ErrorCode::WrongSize
                    | ErrorCode::NotAnImage
                    | ErrorCode::TooLarge
                    | ErrorCode::Unauthenticated
                    | ErrorCode::Ahead => false,
                    // What is another's is theirs.
                    ErrorCode::Denied => matches!(word, "RENAME" | "DELETE" | "RESTORE"),
                    ErrorCode::Internal | ErrorCode::StorageFull => self.disk_fails,
                    _ => true,
                };
                if !is_fine {
                    trace.fault(format_args!("the server refuses {word}: {refusal}"));
                }
            }
            Ok(ServerMessage::Ready { id, offset }) => {
                let Some(asked) = session.requests.get_mut(&id) else { return };
                trace.say(format_args!("{number} is ready for {id} from {offset}"));
                asked.acked = Some(offset);
                let Command::Upload(upload) = &asked.command else { return };
                let Some(hash) = upload.hash else { return };
                let held = self.held.get(&(client, hash)).copied().unwrap_or(0);
                if offset > upload.size {
                    trace.fault(format_args!("ready from {offset} of {}", upload.size));
                }
                if offset < held && !self.disk_fails {
                    trace.fault(format_args!("ready from {offset}, {held} were acknowledged"));
                }
            }
            Ok(ServerMessage::Ack { id, offset }) => {
                let Some(asked) = session.requests.get_mut(&id) else { return };
                let before = asked.acked.replace(offset);
                let most = asked.sent.max(before.unwrap_or(0));
                if before.is_none_or(|before| offset < before) || offset > most {
                    trace.fault(format_args!(
                        "an acknowledgement of {offset} after {before:?}, {} were sent",
                        asked.sent
                    ));
                }
                if let Command::Upload(upload) = &asked.command
                    && let Some(hash) = upload.hash
                {
                    self.held.insert((client, hash), offset);
                }
            }
            Ok(ServerMessage::Event(event)) => {
                let seq = event.seq.map_or(0, |seq| seq.0);
                match session.last_event.replace(seq) {
                    Some(last) if last + 1 == seq => {}
                    last => trace.fault(format_args!("{number} tells event {seq} after {last:?}")),
                }
            }
            Ok(_) => {}
            Err(error) => trace.fault(format_args!("{number} says {text}: {error}")),
        }
    }
}
