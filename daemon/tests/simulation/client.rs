//! A simulated client's computer: the real session, queue and transfers of a person, on a disk that
//! outlives them, and what that person does there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use imgrepo_proto::control::queue::{QueueStatus, QueuedUpload, UploadId, Which};
use imgrepo_proto::control::reply::{Phase, Progress, SessionState, Size};
use imgrepo_proto::session::EventKind;
use imgrepo_proto::session::command::{Program, Rename, Target};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, PersonName, Refusal, Seq};
use imgrepod::host::Mutant;
use imgrepod::session::{self, Address, Session};
use imgrepod::state::State;
use imgrepod::transfer::queue::{self, Queue};
use imgrepod::transfer::{AsyncSink, Source, Transfers, UploadMeta};
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::computer::Computer;
use crate::ledger::{Ledger, Queued};
use crate::network::Dialed;
use crate::trace::Trace;

/// What a connection holds on the client's side.
const SOCKET_BYTES: usize = 64 * 1024;

pub(crate) struct SimulatedClient {
    pub(crate) number: usize,
    pub(crate) person: PersonName,
    home: PathBuf,
    running: Option<Running>,
    dialed: Dialed,
    ledger: Ledger,
    mutant: Option<Mutant>,
    chance: Chance,
    trace: Trace,
}

/// What every client of a world has in common.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) dialed: Dialed,
    pub(crate) ledger: Ledger,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) trace: Trace,
}

// The parts end before the computer that they run on.
struct Running {
    session: Session,
    transfers: Transfers,
    queue: Queue,
    acts: Arc<AtomicU32>,
    computer: Computer,
}

/// Something that a person does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Queue(PathBuf, BlobHash),
    /// Uploads it and waits for that, for so many milliseconds at most.
    Give(PathBuf, BlobHash, u64),
    Cancel(UploadId),
    Rename(ImageId, String),
    Delete(ImageId),
    Restore(ImageId),
    Download(ImageId),
}

impl SimulatedClient {
    pub(crate) fn new(
        number: usize,
        person: &str,
        home: PathBuf,
        around: Around,
        chance: Chance,
    ) -> SimulatedClient {
        let person = PersonName::parse(person).unwrap();
        std::fs::create_dir_all(&home).unwrap();
        let Around { dialed, ledger, mutant, trace } = around;
        let running = None;
        SimulatedClient { number, person, home, running, dialed, ledger, mutant, chance, trace }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn start(&mut self) {
        self.trace.say(format_args!("client {}: starts", self.number));
        let computer = Computer::new(self.chance.next(), self.trace.now_ms(), self.mutant);
        let (session, transfers, queue) = computer.wait_for(self.daemon());
        let acts = Arc::default();
        let running = Running { session, transfers, queue, acts, computer };
        running.computer.spawn(self.follow(&running.session));
        self.running = Some(running);
    }

    /// As the daemon starts them.
    async fn daemon(&self) -> (Session, Transfers, Queue) {
        let state = State::open(&self.home.join("queue.db")).unwrap();
        let (session, _) = Session::start(session::Settings {
            program: Program { name: "simulated".to_owned(), version: "1".to_owned() },
            seen: self.home.join("seen.json"),
            connect_timeout: Duration::from_secs(10),
        });
        let transfers = Transfers::new(session.clone());
        let settings = queue::Settings {
            spool: self.home.join("queue"),
            last: Some(("local".to_owned(), self.person.clone())),
            end: CancellationToken::new(),
        };
        let (queue, _) = Queue::start(state, transfers.clone(), settings).await.unwrap();
        let (dialed, number) = (self.dialed.clone(), self.number);
        let dial = move || {
            let (ours, theirs) = tokio::io::duplex(SOCKET_BYTES);
            dialed.lock().unwrap().push((number, theirs));
            ours
        };
        session.connect(Address::Local(Arc::new(dial)), self.person.clone());
        (session, transfers, queue)
    }

    /// Somebody who follows what happens, and was told the rest before a crash.
    fn follow(&self, session: &Session) -> impl Future<Output = ()> + Send + use<> {
        let (ledger, trace, number) = (self.ledger.clone(), self.trace.clone(), self.number);
        let session = session.clone();
        async move {
            let known = ledger.with(|kept| kept.heard.entry(number).or_default().len() as u64);
            let mut follower = session.follow(Some(Seq(known)));
            loop {
                match follower.next().await {
                    Ok(event) => {
                        let heard = |kept: &mut crate::ledger::Kept| {
                            let heard = kept.heard.entry(number).or_default();
                            heard.push(event.clone());
                            heard.len() as u64
                        };
                        let (place, seq) = (ledger.with(heard), event.seq.unwrap_or_default());
                        trace.say(format_args!("client {number}: hears {seq} {:?}", event.event));
                        if place != seq.0 {
                            trace.fault(format_args!("client {number} hears {seq} as {place}"));
                        }
                    }
                    Err(refusal) if refusal.code == ErrorCode::NotConnected => {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    Err(refusal) => {
                        trace.fault(format_args!("client {number} cannot follow: {refusal}"));
                        return;
                    }
                }
            }
        }
    }

    /// It ends where it stands.
    pub(crate) fn crash(&mut self) {
        self.trace.say(format_args!("client {}: crashes", self.number));
        if let Some(Running { session, transfers, queue, computer, .. }) = self.running.take() {
            computer.act(|| drop((session, transfers, queue)));
        }
    }

    pub(crate) fn run(&self, millis: u64) {
        if let Some(running) = &self.running {
            running.computer.run(millis);
        }
    }

    pub(crate) fn calm(&self) {
        if let Some(running) = &self.running {
            running.computer.calm();
        }
    }

    pub(crate) fn set_clock(&self, by_ms: i64) {
        if let Some(running) = &self.running {
            running.computer.set_clock(by_ms);
        }
    }

    /// A file of this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Has the person begin to do something.
    pub(crate) fn begin(&self, act: Act) {
        let Some(running) = &self.running else { return };
        self.trace.say(format_args!("client {}: {}", self.number, shown(&act)));
        let person = Person {
            number: self.number,
            person: self.person.to_string(),
            session: running.session.clone(),
            transfers: running.transfers.clone(),
            queue: running.queue.clone(),
            ledger: self.ledger.clone(),
            trace: self.trace.clone(),
        };
        let acts = running.acts.clone();
        acts.fetch_add(1, Ordering::Relaxed);
        running.computer.spawn(async move {
            person.carry_out(act).await;
            acts.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// How it stands: its session, its queue, and how much its person waits for.
    pub(crate) fn status(&self) -> Option<(SessionState, QueueStatus, u32)> {
        let running = self.running.as_ref()?;
        let state = running.session.status().borrow().state;
        let queue = running.computer.wait_for(running.queue.status()).unwrap();
        Some((state, queue, running.acts.load(Ordering::Relaxed)))
    }

    /// Every upload of its queue.
    pub(crate) fn uploads(&self) -> Vec<QueuedUpload> {
        let Some(running) = &self.running else { return Vec::new() };
        running.computer.wait_for(running.queue.page(true, None, 10_000)).unwrap()
    }
}

fn shown(act: &Act) -> String {
    match act {
        // The folder is another each time.
        Act::Queue(path, _) => format!("queues {:?}", path.file_name().unwrap_or_default()),
        Act::Give(path, _, millis) => {
            format!("gives {:?} within {millis} ms", path.file_name().unwrap_or_default())
        }
        act => format!("{act:?}"),
    }
}

/// The person at a client.
struct Person {
    number: usize,
    person: String,
    session: Session,
    transfers: Transfers,
    queue: Queue,
    ledger: Ledger,
    trace: Trace,
}

impl Person {
    async fn carry_out(&self, act: Act) {
        let told = shown(&act);
        let outcome = match act {
            Act::Queue(path, hash) => self.queue(&path, hash).await,
            Act::Give(path, hash, millis) => {
                let patience = Duration::from_millis(millis);
                let given = tokio::time::timeout(patience, self.give(&path, hash)).await;
                given.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::TimedOut, "too long")))
            }
            Act::Cancel(id) => self.cancel(id).await,
            Act::Rename(image, name) => {
                let renamed = async |rename| Ok(self.session.peer().await?.rename(rename).await?);
                let outcome = renamed(Rename { image, name: name.clone() }).await;
                self.changed(outcome, image, EventKind::Renamed, Some(name))
            }
            Act::Delete(image) => {
                let deleted = async |target| self.session.peer().await?.delete(target).await;
                let outcome = deleted(Target::id(image)).await;
                self.changed(outcome, image, EventKind::Deleted, None)
            }
            Act::Restore(image) => {
                let restored = async |target| self.session.peer().await?.restore(target).await;
                let outcome = restored(Target::id(image)).await;
                self.changed(outcome, image, EventKind::Restored, None)
            }
            Act::Download(image) => self.download(image).await,
        };
        let (number, trace) = (self.number, &self.trace);
        match outcome {
            Ok(()) => trace.say(format_args!("client {number}: done: {told}")),
            Err(refusal) => trace.say(format_args!("client {number}: {told}: {refusal}")),
        }
    }

    async fn queue(&self, path: &Path, hash: BlobHash) -> Result<(), Refusal> {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let id = self.queue.enqueue(path.to_owned(), name, false).await?;
        let person = self.person.clone();
        let queued = Queued {
            person,
            hash,
            is_cancelled: false,
            may_be_cancelled: false,
            must_not_arrive: false,
        };
        self.ledger.with(|kept| kept.queued.insert((self.number, id), queued));
        Ok(())
    }

    async fn give(&self, path: &Path, hash: BlobHash) -> Result<(), Refusal> {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let source = Source::open(path)?;
        let progress = Progress { phase: Phase::Hashing, done: 0, total: source.size() };
        let meta = UploadMeta { name, unless_deleted: false };
        let progress = tokio::sync::watch::Sender::new(progress);
        // From here on it may arrive.
        self.ledger.with(|kept| kept.offered.insert((self.person.clone(), hash)));
        let reply = self.transfers.upload(source, meta, progress).await?;
        self.ledger.with(|kept| kept.given.push((reply.image.id, hash)));
        Ok(())
    }

    async fn cancel(&self, id: UploadId) -> Result<(), Refusal> {
        let tell = |tell: &dyn Fn(&mut Queued)| {
            self.ledger.with(|kept| kept.queued.get_mut(&(self.number, id)).map(tell));
        };
        tell(&|queued| queued.may_be_cancelled = true);
        let cancelled = self.queue.cancel(Which::These(vec![id])).await?;
        let row = self.queue.page(true, Some(UploadId(id.0 - 1)), 1).await?;
        let was_begun = row.first().is_none_or(|row| row.attempts > 0);
        tell(&|queued| {
            queued.may_be_cancelled = false;
            if cancelled > 0 {
                queued.is_cancelled = true;
                queued.must_not_arrive = !was_begun;
            }
        });
        Ok(())
    }

    fn changed<T>(
        &self,
        outcome: Result<T, Refusal>,
        image: ImageId,
        event: EventKind,
        name: Option<String>,
    ) -> Result<(), Refusal> {
        outcome.map(|_| self.ledger.with(|kept| kept.changed.push((image, event, name))))
    }

    async fn download(&self, image: ImageId) -> Result<(), Refusal> {
        let taken = Taken::default();
        let outcome = self.transfers.download(Target::id(image), 0, taken.clone()).await;
        let record = outcome.inspect_err(|refusal| {
            let is_fine = matches!(
                refusal.code,
                ErrorCode::NotConnected | ErrorCode::NotFound | ErrorCode::Busy
            );
            if !is_fine {
                self.trace.fault(format_args!("cannot download {image}: {refusal}"));
            }
        })?;
        let came = std::mem::take(&mut *taken.0.lock().unwrap());
        let meant =
            record.hash.map(|hash| self.ledger.with(|kept| kept.contents.get(&hash).cloned()));
        if meant.flatten().as_ref() != Some(&came) {
            self.trace.fault(format_args!("image {image} came as other bytes"));
        }
        self.ledger.with(|kept| kept.downloads += 1);
        Ok(())
    }
}

/// What a download brings.
#[derive(Clone, Default)]
struct Taken(Arc<std::sync::Mutex<Vec<u8>>>);

impl AsyncSink for Taken {
    async fn size(&mut self, _: Size) -> Result<(), Refusal> {
        self.0.lock().unwrap().clear();
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        self.0.lock().unwrap().extend_from_slice(&bytes);
        Ok(())
    }
}
