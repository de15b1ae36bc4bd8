//! The network between the clients and the server: connections whose bytes take their time, stop, or
//! are lost with the connection. It moves only when the world says so; within a connection bytes keep
//! their order, as TCP's do.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use imgrepod::link::Origin;
use imgrepod::server::LocalDoor;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::chance::Chance;
use crate::tap::{Tap, Way};
use crate::trace::Trace;

/// What the systems on both sides and the way between them hold of a connection in one direction.
const IN_FLIGHT_BYTES: usize = 128 * 1024;

/// Connections that clients have begun.
pub(crate) type Dialed = Arc<Mutex<Vec<(usize, DuplexStream)>>>;

pub(crate) struct Network {
    pub(crate) dialed: Dialed,
    pub(crate) tap: Tap,
    connections: Vec<Connection>,
    /// For each client until when nothing arrives at the server, and from it.
    stopped: BTreeMap<usize, (u64, u64)>,
    last: u64,
    /// At most so many bytes of a connection arrive at once.
    most: u64,
    is_calm: bool,
    chance: Chance,
    trace: Trace,
}

struct Connection {
    number: u64,
    client: usize,
    /// Where the client's bytes come from and go to.
    near: Option<DuplexStream>,
    /// The same of the server, once it is connected.
    far: Option<DuplexStream>,
    connects_at: u64,
    /// The client's side is gone, and the server's does not know.
    has_vanished: bool,
    up: Lane,
    down: Lane,
}

/// One direction.
#[derive(Default)]
struct Lane {
    in_flight: VecDeque<(u64, Bytes)>,
    bytes: usize,
    has_ended: bool,
    is_told: bool,
}

/// What a connection goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It breaks, and both sides hear of it.
    Cut,
    /// The client's side hears of it, the server's does not.
    Vanish,
    /// Nothing arrives for so long.
    Partition(u64),
    /// Nothing arrives at the server for so long.
    Deaf(u64),
    /// Nothing arrives at the client for so long.
    Mute(u64),
}

impl Network {
    pub(crate) fn new(mut chance: Chance, tap: Tap, trace: Trace) -> Network {
        let dialed = Dialed::default();
        let (connections, stopped) = Default::default();
        // Some lines are slow: more happens while something is on its way.
        let most =
            [IN_FLIGHT_BYTES as u64, 32 * 1024, 16 * 1024, 4 * 1024][chance.among(0..4) as usize];
        Network { dialed, tap, connections, stopped, last: 0, most, is_calm: false, chance, trace }
    }

    /// Something happens to every connection of a client, and to those that it begins meanwhile.
    pub(crate) fn trouble(&mut self, client: usize, trouble: Trouble) {
        let now = self.trace.now_ms();
        self.trace.say(format_args!("network: {trouble:?} for client {client}"));
        let (up, down) = match trouble {
            Trouble::Cut | Trouble::Vanish => (0, 0),
            Trouble::Partition(millis) => (millis, millis),
            Trouble::Deaf(millis) => (millis, 0),
            Trouble::Mute(millis) => (0, millis),
        };
        let stopped = self.stopped.entry(client).or_default();
        *stopped = (stopped.0.max(now + up), stopped.1.max(now + down));
        for connection in self.connections.iter_mut().filter(|it| it.client == client) {
            match trouble {
                Trouble::Cut => (connection.near, connection.far) = (None, None),
                Trouble::Vanish => {
                    connection.near = None;
                    connection.has_vanished = true;
                }
                _ => {}
            }
        }
    }

    /// Every connection of a client breaks: its computer is gone.
    pub(crate) fn client_is_gone(&mut self, client: usize) {
        let hears = !self.chance.one_in(3);
        self.trouble(client, if hears { Trouble::Cut } else { Trouble::Vanish });
    }

    /// The server is gone, and with it its side of every connection.
    pub(crate) fn server_is_gone(&mut self) {
        for connection in &mut self.connections {
            connection.far = None;
            // Who is connected finds out: its next byte is answered by a reset.
            connection.near = None;
        }
    }

    /// All that troubles it is over, but for what was lost.
    pub(crate) fn heal(&mut self) {
        self.stopped.clear();
        self.is_calm = true;
    }

    /// Moves what is to be moved by now; whether anything did.
    pub(crate) fn step(&mut self, door: Option<&LocalDoor>) -> bool {
        let now = self.trace.now_ms();
        let mut moved = false;
        for (client, near) in std::mem::take(&mut *self.dialed.lock().unwrap()) {
            self.last += 1;
            let connects_at = now + self.chance.among(0..30);
            self.trace.say(format_args!("network: client {client} dials {}", self.last));
            self.connections.push(Connection {
                number: self.last,
                client,
                near: Some(near),
                far: None,
                connects_at,
                has_vanished: false,
                up: Lane::default(),
                down: Lane::default(),
            });
            moved = true;
        }
        for connection in &mut self.connections {
            let number = connection.number;
            let stopped = self.stopped.get(&connection.client).copied().unwrap_or_default();
            let is_open = stopped.0.max(stopped.1) <= now;
            if is_open
                && connection.far.is_none()
                && connection.near.is_some()
                && connection.connects_at <= now
            {
                // Once: a side that is gone does not come back.
                connection.connects_at = u64::MAX;
                match door {
                    Some(door) => {
                        let address = SocketAddr::from(([10, 0, 0, connection.client as u8], 9));
                        connection.far = Some(door.open_from(Origin::Tls(address)));
                        self.tap.begin(number, connection.client);
                        self.trace.say(format_args!("network: {number} is connected"));
                        // What a line loses, it loses at its worst moment too.
                        if !self.is_calm && self.chance.one_in(16) {
                            let until = now + self.chance.among(1_000..30_000);
                            self.stopped.entry(connection.client).or_default().0 = until;
                            self.trace.say(format_args!("network: {number} is deaf to {until}"));
                        }
                    }
                    None => {
                        self.trace.say(format_args!("network: {number} is refused"));
                        connection.near = None;
                    }
                }
                moved = true;
            }
            if connection.far.is_none() && connection.connects_at != u64::MAX {
                continue;
            }
            let Connection { near, far, up, down, has_vanished, .. } = connection;
            if *has_vanished {
                // What the server says goes nowhere, and it is told nothing.
                down.take(far, u64::MAX, &mut |bytes| self.tap.sees(number, Way::Down, bytes));
                if down.has_ended {
                    *far = None;
                }
                continue;
            }
            let latency = self.chance.among(0..12);
            moved |= up.take(near, now + latency, &mut |bytes| {
                self.tap.sees(number, Way::Up, bytes);
            });
            moved |= down.take(far, now + latency, &mut |bytes| {
                self.tap.sees(number, Way::Down, bytes);
            });
            let most = self.chance.among(1..self.most) as usize;
            if stopped.0 <= now {
                moved |= up.give(far, now, most, number, "up", &self.trace);
            }
            if stopped.1 <= now {
                moved |= down.give(near, now, most, number, "down", &self.trace);
            }
            if (up.is_told && down.is_told) || near.is_none() {
                (connection.near, connection.far) = (None, None);
            }
        }
        let trace = &self.trace;
        let tap = &mut self.tap;
        self.connections.retain(|it| {
            let is_there = it.near.is_some() || it.far.is_some();
            if !is_there {
                trace.say(format_args!("network: {} is over", it.number));
                tap.end(it.number);
            }
            is_there
        });
        moved
    }
}

impl Lane {
    /// Takes what its sender has written.
    fn take(
        &mut self,
        from: &mut Option<DuplexStream>,
        due: u64,
        seen: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let Some(stream) = from.as_mut().filter(|_| !self.has_ended) else { return false };
        let mut moved = false;
        let mut buffer = [0; 16 * 1024];
        while self.bytes < IN_FLIGHT_BYTES {
            let mut buffer = ReadBuf::new(&mut buffer);
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut *stream).poll_read(&mut context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let bytes = buffer.filled();
                    seen(bytes);
                    let due = self.in_flight.back().map_or(due, |(last, _)| due.max(*last));
                    self.bytes += bytes.len();
                    self.in_flight.push_back((due, Bytes::copy_from_slice(bytes)));
                    moved = true;
                }
                Poll::Ready(_) => {
                    self.has_ended = true;
                    return true;
                }
                Poll::Pending => break,
            }
        }
        moved
    }

    /// Gives its receiver what has arrived, at most so much.
    fn give(
        &mut self,
        to: &mut Option<DuplexStream>,
        now: u64,
        most: usize,
        number: u64,
        way: &str,
        trace: &Trace,
    ) -> bool {
        let (mut given, mut broken) = (0, to.is_none());
        while given < most && !broken {
            let Some(stream) = to.as_mut() else { break };
            let Some((_, bytes)) = self.in_flight.front_mut().filter(|(due, _)| *due <= now) else {
                break;
            };
            let slice = &bytes[..bytes.len().min(most - given)];
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(stream).poll_write(&mut context, slice) {
                Poll::Ready(Ok(written @ 1..)) => {
                    bytes.advance(written);
                    given += written;
                    self.bytes -= written;
                    if bytes.is_empty() {
                        self.in_flight.pop_front();
                    }
                }
                Poll::Ready(_) => broken = true,
                Poll::Pending => break,
            }
        }
        if given > 0 {
            trace.say(format_args!("network: {number} {way} {given}"));
        }
        if broken {
            // Nobody is there to take the rest.
            self.in_flight.clear();
            self.bytes = 0;
            self.has_ended = true;
        }
        if self.has_ended && self.in_flight.is_empty() && !self.is_told {
            self.is_told = true;
            if let Some(stream) = to.as_mut() {
                let mut context = Context::from_waker(Waker::noop());
                let _ = Pin::new(stream).poll_shutdown(&mut context);
            }
            return true;
        }
        given > 0
    }
}
