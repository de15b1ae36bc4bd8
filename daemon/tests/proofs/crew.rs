//! People who upload without a pause, in both dialects, until the server is taken from them; what was
//! cut short is taken up again with the server's next life. Every SUCCESS goes into the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use imgrepo_proto::ErrorCode;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::picture::{Picture, Random};
use crate::session::{Ended, Step, V1, V2};

/// What a server's end leaves of bytes that it acknowledged before the upload's SUCCESS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// All of them: the process is gone, the system is not.
    Process,
    /// What was synced, which is done every 16 MiB; two such pieces may be under way.
    Power,
}

/// Acknowledged bytes of an upload that may be gone after [`Outage::Power`].
const UNSYNCED_BYTES: u64 = 40 << 20;

/// A round takes a second; after this long nobody answers any more.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// When the blow falls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// After so many messages of the server, wherever everybody is.
    Messages(u64),
    /// Right after so many SUCCESSes, with nobody doing anything more (in a crew of one): what is not
    /// on disk now was acknowledged too early.
    Successes(u64),
    /// When so many bytes of one upload were acknowledged, before its SUCCESS.
    Bytes(u64),
}

/// What somebody hears.
#[derive(Debug, Clone, Copy)]
enum Heard {
    /// READY or ACK: so many bytes of the upload are there.
    Bytes(u64),
    Success,
}

/// Counts what is heard and calls out when it is enough.
#[derive(Debug)]
struct Pulse {
    moment: Moment,
    heard: AtomicU64,
    reached: AtomicBool,
    call: Notify,
}

impl Pulse {
    /// Whether whoever notes this should stand still.
    fn note(&self, heard: Heard) -> bool {
        let (goal, added) = match (self.moment, heard) {
            (Moment::Messages(goal), _) | (Moment::Successes(goal), Heard::Success) => (goal, 1),
            (Moment::Bytes(goal), Heard::Bytes(bytes)) => (goal, bytes),
            (Moment::Successes(_), Heard::Bytes(_)) => return self.stands_still(),
            (Moment::Bytes(_), Heard::Success) => return false,
        };
        let before = match self.moment {
            Moment::Bytes(_) => 0,
            _ => self.heard.fetch_add(added, Ordering::SeqCst),
        };
        if before + added >= goal {
            self.reached.store(true, Ordering::SeqCst);
            self.call.notify_one();
        }
        self.stands_still()
    }

    fn stands_still(&self) -> bool {
        matches!(self.moment, Moment::Successes(_)) && self.is_reached()
    }

    fn is_reached(&self) -> bool {
        self.reached.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V1,
    V2,
}

/// An upload that was cut short.
#[derive(Debug, Clone)]
struct Cut {
    picture: Picture,
    /// What must be there of it: all that was acknowledged, of a whole content too.
    kept: u64,
}

/// One person.
#[derive(Debug)]
struct Person {
    name: String,
    dialect: Dialect,
    random: Random,
    /// Bytes of the pictures, from and to.
    sizes: (u64, u64),
    pending: Option<Cut>,
    uploads: u64,
    resumed: u64,
}

impl Person {
    fn next_picture(&mut self) -> Cut {
        self.pending.take().unwrap_or_else(|| {
            self.uploads += 1;
            let size = self.random.between(self.sizes.0, self.sizes.1);
            let name = format!("{}-{}.bmp", self.name, self.uploads);
            Cut { picture: Picture::new(name, self.random.next(), size as usize), kept: 0 }
        })
    }

    /// Uploads until the session is gone, or until it is time to stand still.
    async fn work(
        &mut self,
        url: &str,
        ledger: &Ledger,
        pulse: &Pulse,
        last: Outage,
    ) -> Result<(), String> {
        let ended = match self.dialect {
            Dialect::V1 => self.work_v1(url, ledger, pulse).await,
            Dialect::V2 => self.work_v2(url, ledger, pulse, last).await?,
        };
        match ended {
            Ok(()) | Err(Ended::Cut) => Ok(()),
            // A disk without power is an error like any other, as long as nothing is made up of it.
            Err(Ended::Refused(refusal))
                if pulse.is_reached() && refusal.code != ErrorCode::WrongHash =>
            {
                Ok(())
            }
            Err(Ended::Refused(refusal)) => Err(format!("{} was refused: {refusal:?}", self.name)),
        }
    }

    async fn work_v1(&mut self, url: &str, ledger: &Ledger, pulse: &Pulse) -> Result<(), Ended> {
        let mut session = V1::open(url, &self.name).await?;
        loop {
            let Cut { picture, .. } = self.next_picture();
            self.pending = Some(Cut { picture: picture.clone(), kept: 0 });
            let id = session.upload(&picture).await?;
            ledger.acknowledge(id, &self.name, &picture);
            self.pending = None;
            if pulse.note(Heard::Success) {
                return Ok(());
            }
        }
    }

    async fn work_v2(
        &mut self,
        url: &str,
        ledger: &Ledger,
        pulse: &Pulse,
        last: Outage,
    ) -> Result<Result<(), Ended>, String> {
        let session = match V2::open(url, &self.name).await {
            Ok(session) => session,
            Err(end) => return Ok(Err(end)),
        };
        loop {
            let Cut { picture, kept } = self.next_picture();
            let (mut acked, mut offered) = (0, None);
            let outcome = session
                .upload(&picture, |step| {
                    match step {
                        Step::Ready(offset) => (acked, offered) = (offset, Some(offset)),
                        Step::Acked(offset) => acked = offset,
                    }
                    pulse.note(Heard::Bytes(acked));
                })
                .await;
            if let Some(offset) = offered {
                let kept = match last {
                    Outage::Process => kept,
                    Outage::Power => kept.saturating_sub(UNSYNCED_BYTES),
                };
                if offset < kept {
                    let name = &picture.name;
                    return Err(format!("`{name}` had {kept} bytes to keep, {offset} are left"));
                }
                self.resumed += u64::from(offset > 0);
            }
            match outcome {
                Ok(reply) => ledger.acknowledge(reply.image.id, &self.name, &picture),
                Err(end) => {
                    let kept = if offered.is_some() { acked } else { kept };
                    self.pending = Some(Cut { picture, kept });
                    return Ok(Err(end));
                }
            }
            if pulse.note(Heard::Success) {
                return Ok(Ok(()));
            }
        }
    }
}

/// Everybody who uploads to one repository.
pub(crate) struct Crew {
    people: Vec<Person>,
    pub(crate) ledger: Arc<Ledger>,
}

impl Crew {
    /// So many people of v1 and of v2, whose names begin with `prefix`. Pictures of v2 have bytes
    /// from and to `sizes`; those of v1, which cannot be resumed, a quarter of that.
    pub(crate) fn new(
        random: &mut Random,
        prefix: &str,
        (v1, v2): (usize, usize),
        sizes: (u64, u64),
        ledger: Arc<Ledger>,
    ) -> Crew {
        let mut person = |name: String, dialect, sizes| Person {
            name,
            dialect,
            random: random.fork(),
            sizes,
            pending: None,
            uploads: 0,
            resumed: 0,
        };
        let classic = (0..v1)
            .map(|n| person(format!("{prefix}old{n}"), Dialect::V1, (sizes.0 / 4, sizes.1 / 4)))
            .collect::<Vec<_>>();
        let new = (0..v2).map(|n| person(format!("{prefix}new{n}"), Dialect::V2, sizes));
        Crew { people: classic.into_iter().chain(new).collect(), ledger }
    }

    /// Uploads that were cut short and whose part the server may keep.
    pub(crate) fn partials(&self) -> usize {
        let v2 = |person: &&Person| person.dialect == Dialect::V2 && person.pending.is_some();
        self.people.iter().filter(v2).count()
    }

    /// Uploads that went on where they had stopped.
    pub(crate) fn resumed(&self) -> u64 {
        self.people.iter().map(|person| person.resumed).sum()
    }

    /// Everybody uploads to `url` until the moment has come and `strike` has ended the server. `last`
    /// is how its life before this one ended.
    pub(crate) async fn work(
        &mut self,
        url: &str,
        last: Outage,
        moment: Moment,
        strike: impl FnOnce(),
    ) -> Result<(), String> {
        let pulse = Arc::new(Pulse {
            moment,
            heard: AtomicU64::new(0),
            reached: AtomicBool::new(false),
            call: Notify::new(),
        });
        let mut working = JoinSet::new();
        for mut person in self.people.drain(..) {
            let (url, ledger, pulse) =
                (url.to_owned(), Arc::clone(&self.ledger), Arc::clone(&pulse));
            working.spawn(async move {
                let mut outcome = person.work(&url, &ledger, &pulse, last).await;
                if outcome.is_ok() && !pulse.is_reached() {
                    outcome = Err(format!("{} lost its session by itself", person.name));
                }
                pulse.call.notify_one();
                (person, outcome)
            });
        }
        let called = tokio::time::timeout(PATIENCE, pulse.call.notified()).await;
        let heard = pulse.heard.load(Ordering::SeqCst);
        let mut outcome =
            called.map_err(|_| format!("{heard} messages, and then none: {moment:?} never came"));
        tokio::task::block_in_place(strike);
        while let Some(joined) = working.join_next().await {
            let (person, ended) = joined.map_err(|error| format!("a client failed: {error}"))?;
            self.people.push(person);
            outcome = outcome.and(ended);
        }
        self.people.sort_by(|a, b| a.name.cmp(&b.name));
        outcome
    }
}
