//! A line that breaks: a TCP proxy between a daemon and a server that resets, closes, stalls, delays
//! and slices to single bytes at points drawn from a seed, or goes silent until it is told otherwise.
//! What goes over it is counted ([`crate::wire`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::picture::Random;
use crate::wire::{Frames, Tally};

/// What the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It carries everything.
    Whole,
    /// New connections break, every so many bytes on the average.
    Cutting { every: u64 },
    /// It carries nothing and says nothing: a cable pulled out far away. Connections are taken, since
    /// the system does that by itself. Those that were there stay dead for ever after.
    Silent,
}

/// How a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// RST to both ends at once.
    Reset,
    /// FIN to both ends.
    Close,
    /// Nothing for a while, then RST.
    Stall,
    /// RST to the client; the server hears of nothing until later.
    HalfOpen,
    /// RST to the client; what it had sent last reaches the server when it is back already.
    Late,
}

/// What is in store for one connection.
#[derive(Debug)]
struct Fate {
    random: Random,
    /// Whether it breaks at all.
    breaks: bool,
    /// Bytes of both ways until it does.
    left: u64,
    how: How,
    /// When so many bytes are left, this many go one by one.
    singly: (u64, u64),
    /// Each piece waits up to so many milliseconds.
    delay_ms: u64,
}

/// A running line; it ends with this value.
pub(crate) struct Cutter {
    pub(crate) url: String,
    line: Arc<Line>,
    task: JoinHandle<()>,
}

struct Line {
    mode: watch::Sender<Mode>,
    state: Mutex<State>,
}

struct State {
    /// Where new connections lead.
    server: SocketAddr,
    random: Random,
    counted: Counted,
}

/// What was done and what came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    pub(crate) cuts: u64,
    /// By their kind.
    kinds: BTreeMap<How, u64>,
    /// With all content sent, and no answer heard yet.
    pub(crate) at_the_end: u64,
    pub(crate) up: Tally,
    pub(crate) down: Tally,
    /// How often the present transfer is still to be cut at its end.
    ends: u64,
}

impl Cutter {
    /// A line to the server of this `ws://HOST:PORT/`.
    pub(crate) async fn start(server: &str, random: Random, mode: Mode) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}/", listener.local_addr().expect("an address"));
        let (server, counted) = (address(server), Counted::default());
        let line = Arc::new(Line {
            mode: watch::Sender::new(mode),
            state: Mutex::new(State { server, random, counted }),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&line)));
        Cutter { url, line, task }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.line.mode.send_replace(mode);
    }

    /// From now on connections lead to this server: it was started again, and has another port.
    pub(crate) fn lead_to(&self, server: &str) {
        self.line.lock().server = address(server);
    }

    /// A transfer of so many bytes, up or down, begins. It will be cut at its very end too.
    pub(crate) fn expect(&self, up: u64, down: u64) {
        let mut state = self.line.lock();
        let ends = 1 + state.random.next() % 2;
        let counted = &mut state.counted;
        (counted.up, counted.down, counted.ends) = (Tally::of(up), Tally::of(down), ends);
    }

    pub(crate) fn counted(&self) -> Counted {
        self.line.lock().counted.clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counted {
    pub(crate) fn kinds(&self) -> String {
        let each = self.kinds.iter().map(|(how, count)| format!("{count} {how:?}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("ws://").trim_end_matches('/').parse().expect("an address")
}

/// Takes connections as long as the line is there; each ends with its peers or with the runtime.
async fn accept(listener: TcpListener, line: Arc<Line>) {
    while let Ok((near, _)) = listener.accept().await {
        let line = Arc::clone(&line);
        tokio::spawn(async move {
            let mode = *line.mode.borrow();
            if mode == Mode::Silent {
                return silent(near, None).await;
            }
            let server = line.lock().server;
            let Ok(far) = TcpStream::connect(server).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let fate = line.fate();
            Connection { near, far, line, fate, up: Frames::default(), down: Frames::default() }
                .run()
                .await;
        });
    }
}

/// Waits until the line is silent, or no longer is.
async fn turned(mode: &mut watch::Receiver<Mode>, to_silent: bool) {
    // The line outlives its connections, and so does who sets its mode.
    let _ = mode.wait_for(|mode| (*mode == Mode::Silent) == to_silent).await;
}

/// Holds connections open and does nothing with them, for longer than any proof.
async fn silent(near: TcpStream, far: Option<TcpStream>) {
    sleep(Duration::from_secs(3600)).await;
    drop((near, far));
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self) -> Fate {
        let mode = *self.mode.borrow();
        let mut state = self.lock();
        state.counted.up.reconnected();
        state.counted.down.reconnected();
        let mut random = state.random.fork();
        let Mode::Cutting { every } = mode else {
            let (how, singly, delay_ms) = (How::Close, (0, 0), 0);
            return Fate { random, breaks: false, left: u64::MAX, how, singly, delay_ms };
        };
        // In the upgrade, at AUTH, in its reply, at the first request; or anywhere.
        let is_early = random.between(0, 7) == 0;
        let left = random.between(1, if is_early { 1200 } else { 2 * every });
        let how = match random.between(0, if is_early { 14 } else { 9 }) {
            0..4 => How::Reset,
            4..6 => How::Close,
            6..8 => How::Stall,
            8 => How::HalfOpen,
            // What matters most there is a request that comes late.
            _ => How::Late,
        };
        let singly = match random.between(0, 3) {
            0 => (random.between(0, left), random.between(1, 3000)),
            _ => (0, 0),
        };
        let delay_ms = if random.between(0, 5) == 0 { 4 } else { 0 };
        Fate { random, breaks: true, left, how, singly, delay_ms }
    }
}

struct Connection {
    near: TcpStream,
    far: TcpStream,
    line: Arc<Line>,
    fate: Fate,
    up: Frames,
    down: Frames,
}

impl Connection {
    async fn run(mut self) {
        let mut mode = self.line.mode.subscribe();
        let mut piece = vec![0; 64 * 1024];
        let mut back = vec![0; 64 * 1024];
        loop {
            let room = self.room(piece.len());
            if room == 0 {
                return self.cut(Vec::new()).await;
            }
            // A read that is dropped has taken nothing.
            let (is_up, read) = tokio::select! {
                () = turned(&mut mode, true) => {
                    turned(&mut mode, false).await;
                    // What was given to the line meanwhile counts, and arrives nowhere.
                    self.drain(&mut Vec::new());
                    return silent(self.near, Some(self.far)).await;
                }
                read = self.near.read(&mut piece[..room]) => (true, read),
                read = self.far.read(&mut back[..room]) => (false, read),
            };
            let Ok(len @ 1..) = read else { return };
            self.fate.left = self.fate.left.saturating_sub(len as u64);
            let bytes = if is_up { &piece[..len] } else { &back[..len] };
            let is_end = self.count(is_up, bytes);
            if is_end {
                self.fate.left = self.fate.random.between(0, 300);
            }
            if self.fate.left == 0 {
                let held = if is_up { bytes.to_vec() } else { Vec::new() };
                return self.cut(held).await;
            }
            if self.fate.delay_ms > 0 {
                let pause = self.fate.random.between(0, self.fate.delay_ms);
                sleep(Duration::from_millis(pause)).await;
            }
            let to = if is_up { &mut self.far } else { &mut self.near };
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// How much may be read at once.
    fn room(&mut self, most: usize) -> usize {
        let (at, len) = &mut self.fate.singly;
        if self.fate.left <= *at && *len > 0 {
            *len -= 1;
            return 1;
        }
        let ahead = if *len > 0 { self.fate.left - *at } else { self.fate.left };
        usize::try_from(ahead).unwrap_or(most).min(most)
    }

    /// Counts what a sender gave to the line. True where that was the content's end, and the
    /// connection is to break there.
    fn count(&mut self, is_up: bool, bytes: &[u8]) -> bool {
        let mut state = self.line.lock();
        let counted = &mut state.counted;
        let (frames, tally) = match is_up {
            true => (&mut self.up, &mut counted.up),
            false => (&mut self.down, &mut counted.down),
        };
        let sent = tally.sent;
        frames.feed(bytes, |offset, len| tally.add(offset, len));
        let is_end = tally.sent > sent && tally.reached == tally.size;
        let breaks = self.fate.breaks && is_end && counted.ends > 0;
        counted.ends -= u64::from(breaks);
        counted.at_the_end += u64::from(breaks);
        breaks
    }

    /// Breaks. `held` was read from the client and not passed on.
    async fn cut(mut self, mut held: Vec<u8>) {
        let how = self.fate.how;
        {
            let counted = &mut self.line.lock().counted;
            counted.cuts += 1;
            *counted.kinds.entry(how).or_default() += 1;
        }
        if how == How::Stall {
            sleep(Duration::from_millis(self.fate.random.between(20, 1500))).await;
        }
        // What is on the way now was sent as well.
        self.drain(&mut held);
        if how == How::Close {
            let _ = (self.near.shutdown().await, self.far.shutdown().await);
            return;
        }
        reset(self.near);
        match how {
            How::HalfOpen => {
                sleep(Duration::from_millis(self.fate.random.between(100, 2000))).await;
            }
            How::Late => {
                // The client dials again after 0.2 to 0.4 s.
                sleep(Duration::from_millis(self.fate.random.between(100, 800))).await;
                let _ = self.far.write_all(&held).await;
                let _ = self.far.shutdown().await;
                // The server's last words are read, or they would make a reset of the close.
                let mut rest = Vec::new();
                let read = self.far.read_to_end(&mut rest);
                let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
                return;
            }
            How::Reset | How::Close | How::Stall => {}
        }
        reset(self.far);
    }

    /// Takes what both ends have sent already.
    fn drain(&mut self, held: &mut Vec<u8>) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = self.near.try_read(&mut piece) {
            self.count(true, &piece[..len]);
            held.extend_from_slice(&piece[..len]);
        }
        while let Ok(len @ 1..) = self.far.try_read(&mut piece) {
            self.count(false, &piece[..len]);
        }
    }
}

/// RST: a socket that lingers for no time drops all that it holds.
fn reset(stream: TcpStream) {
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}
