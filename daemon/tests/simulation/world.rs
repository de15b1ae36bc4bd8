//! A whole world in one thread: a server, its clients, the network between them and what goes wrong,
//! step by step in an order that the seed decides; then all troubles end, everything comes to rest,
//! and what is there is held against what was said.

use std::path::Path;

use imgrepo_proto::ImageId;
use imgrepo_proto::control::reply::SessionState;
use imgrepod::host::Mutant;
use imgrepod::repository::catalog::Catalog as _;

use crate::chance::Chance;
use crate::client::{Act, Around, SimulatedClient};
use crate::disk::{Crash, Disk, Lie};
use crate::ledger::{Ledger, hash, image};
use crate::network::{Network, Trouble};
use crate::plans::{self, Plan};
use crate::server::SimulatedServer;
use crate::tap::Tap;
use crate::trace::Trace;

/// How long everything may take to come to rest after them: half-open connections are noticed within
/// a minute, then all is sent; what waits behind a clock that was set back waits five minutes at most.
const REST_MS: u64 = 400_000;

/// The largest content that is appended; what is larger is staged.
const SMALL_BYTES: u64 = 256 * 1024;

/// What is wrong in a world on purpose, to show that it would be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    /// The daemon.
    Daemon(Mutant),
    /// The server's disk.
    Disk(Lie),
}

pub(crate) struct World {
    now_ms: u64,
    idle: u32,
    plans: Vec<(u64, Plan)>,
    clients: Vec<SimulatedClient>,
    server: SimulatedServer,
    network: Network,
    /// By how much each computer has not run yet; the server is the last.
    behind_ms: Vec<u64>,
    checked_seq: u64,
    made: u64,
    ledger: Ledger,
    chance: Chance,
    pub(crate) trace: Trace,
}

impl World {
    pub(crate) fn new(seed: u64, wrong: Wrong, root: &Path, trace: Trace) -> World {
        let (mutant, lie) = match wrong {
            Wrong::Nothing => (None, None),
            Wrong::Daemon(mutant) => (Some(mutant), None),
            Wrong::Disk(lie) => (None, Some(lie)),
        };
        let mut chance = Chance::new(seed);
        let ledger = Ledger::default();
        let disk = Disk::new(root.join("server"), lie, chance.branch(), trace.clone());
        let server = SimulatedServer::new(disk, mutant, chance.branch(), trace.clone());
        let network = Network::new(chance.branch(), Tap::new(trace.clone()), trace.clone());
        // Sometimes a person has two computers.
        let people = if chance.one_in(3) { ["ana", "ana", "bia"] } else { ["ana", "bia", "caio"] };
        let (dialed, all) = (network.dialed.clone(), ledger.clone());
        let around = Around { dialed, ledger: all, mutant, trace: trace.clone() };
        let clients = (0..chance.among(2..4) as usize)
            .map(|number| {
                let home = root.join(format!("client-{number}"));
                let (person, around) = (people[number], around.clone());
                SimulatedClient::new(number, person, home, around, chance.branch())
            })
            .collect::<Vec<_>>();
        let behind_ms = vec![0; clients.len() + 1];
        let plans = plans::all(clients.len() as u64, &mut chance);
        let mut world = World {
            now_ms: 0,
            idle: 0,
            plans,
            clients,
            server,
            network,
            behind_ms,
            checked_seq: 0,
            made: 0,
            ledger,
            chance,
            trace,
        };
        if world.plans.iter().any(|(_, plan)| matches!(plan, Plan::DiskFails(_))) {
            world.network.tap.disk_fails = true;
            world.trace.forgive_errors();
        }
        world
    }

    /// Lets everything happen, come to rest, and be checked.
    pub(crate) fn run(&mut self) {
        self.server.start(Crash::Kill);
        self.clients.iter_mut().for_each(SimulatedClient::start);
        while !self.plans.is_empty() && self.trace.found().is_none() {
            self.round(false);
        }
        self.trace.say("the troubles are over");
        self.server.disk.set_failing(false);
        self.network.heal();
        if !self.server.is_running() {
            self.server.start(Crash::Kill);
        }
        for client in self.clients.iter_mut().filter(|client| !client.is_running()) {
            client.start();
        }
        self.server.calm();
        self.clients.iter().for_each(SimulatedClient::calm);
        let until = self.now_ms + REST_MS;
        let mut look_at = 0;
        while self.trace.found().is_none() {
            self.round(true);
            let is_late = self.now_ms >= until;
            if (self.now_ms < look_at || self.idle < 3) && !is_late {
                continue;
            }
            look_at = self.now_ms + 1_000;
            if self.is_at_rest() {
                self.trace.say("everything is at rest");
                return self.check_end();
            }
            if is_late {
                let standing: Vec<_> = self.clients.iter().map(SimulatedClient::status).collect();
                self.trace.fault(format_args!("it never comes to rest: {standing:?}"));
            }
        }
    }

    fn round(&mut self, is_calm: bool) {
        let next = self.plans.iter().map(|(at, _)| *at).min().unwrap_or(u64::MAX);
        // Nothing is on its way: the longer nothing happens, the longer is waited for the next thing.
        let most = 8 << self.idle.min(7);
        let millis = self.chance.among(1..most).min(next.saturating_sub(self.now_ms).max(1));
        self.now_ms += millis;
        self.trace.at(self.now_ms);
        let mut order: Vec<usize> = (0..self.behind_ms.len()).collect();
        self.chance.shuffle(&mut order);
        for computer in order {
            self.behind_ms[computer] += millis;
            // One that is busy with something else comes late to everything.
            if !is_calm && self.chance.one_in(10) {
                continue;
            }
            let millis = std::mem::take(&mut self.behind_ms[computer]);
            match self.clients.get(computer) {
                Some(client) => client.run(millis),
                None => self.server.run(millis),
            }
        }
        let worked = self.server.step(is_calm);
        let moved = self.network.step(self.server.door().as_ref());
        self.idle = if worked || moved { 0 } else { self.idle + 1 };
        self.check_changes();
        while let Some(at) = self.plans.iter().position(|(at, _)| *at <= self.now_ms) {
            let (_, plan) = self.plans.remove(at);
            self.happen(plan);
            self.idle = 0;
        }
        crate::take_panics().into_iter().for_each(|panic| self.trace.fault(panic));
    }

    fn happen(&mut self, plan: Plan) {
        let number = self.chance.among(0..self.clients.len() as u64) as usize;
        let client = &mut self.clients[number];
        let later = self.now_ms + self.chance.among(10..4_000);
        match plan {
            Plan::Queue | Plan::Again | Plan::Give => {
                self.made += 1;
                let size = match self.chance.among(0..8) {
                    0 => self.chance.among(40..200),
                    1 => SMALL_BYTES + self.chance.among(0..2),
                    2..=4 => self.chance.among(SMALL_BYTES + 1..400_000),
                    _ => self.chance.among(200..60_000),
                };
                let content = match plan {
                    Plan::Queue => image(self.made, size as usize),
                    Plan::Give if self.chance.one_in(2) => image(self.made, size as usize),
                    _ => {
                        let chance = &mut self.chance;
                        let known = self.ledger.with(|kept| {
                            let known: Vec<_> = kept.contents.values().collect();
                            chance.pick(&known).map(|content| content.to_vec())
                        });
                        let Some(known) = known else { return };
                        known
                    }
                };
                let path = client.file(&format!("{}.ppm", self.made), &content);
                let hash = hash(&content);
                self.ledger.with(|kept| kept.contents.insert(hash, content));
                client.begin(match plan {
                    Plan::Give => Act::Give(path, hash, self.chance.among(1..20_000)),
                    _ => Act::Queue(path, hash),
                });
            }
            Plan::Cancel => {
                let known = self.ledger.with(|kept| {
                    let ours = kept.queued.keys().filter(|(whose, _)| *whose == number);
                    ours.map(|(_, id)| *id).collect::<Vec<_>>()
                });
                if let Some(id) = self.chance.pick(&known) {
                    client.begin(Act::Cancel(*id));
                }
            }
            Plan::Change | Plan::Download => {
                let newest = self.server.disk.catalog.newest_seq().unwrap().0;
                if newest == 0 {
                    return;
                }
                let ours = |id: &ImageId| {
                    let record = self.server.disk.catalog.image(*id).unwrap().map(|it| it.record);
                    record.is_some_and(|it| it.uploader.as_str() == client.person.as_str())
                };
                let all: Vec<ImageId> = (1..newest + 1).map(ImageId).collect();
                let ours: Vec<ImageId> = all.iter().copied().filter(ours).collect();
                let which = if self.chance.one_in(6) { &all } else { &ours };
                let Some(image) = self.chance.pick(which).copied() else { return };
                self.made += 1;
                client.begin(match (plan, self.chance.among(0..4)) {
                    (Plan::Download, _) => Act::Download(image),
                    (_, 0) => Act::Delete(image),
                    (_, 1) => Act::Restore(image),
                    _ => Act::Rename(image, format!("renamed {}", self.made)),
                });
            }
            Plan::Network => {
                self.ledger.with(|kept| kept.cuts += 1);
                let millis = match self.chance.one_in(4) {
                    true => self.chance.among(1_000..70_000),
                    false => self.chance.among(10..3_000),
                };
                let trouble = match self.chance.among(0..7) {
                    0..=2 => Trouble::Cut,
                    3 => Trouble::Partition(millis),
                    4 => Trouble::Deaf(millis),
                    5 => Trouble::Vanish,
                    _ => Trouble::Mute(millis),
                };
                self.network.trouble(number, trouble);
            }
            Plan::ClientCrash => {
                if client.is_running() {
                    client.crash();
                    self.network.client_is_gone(number);
                    self.plans.push((later, Plan::ClientStart(number)));
                }
            }
            Plan::ClientStart(number) => self.clients[number].start(),
            Plan::ServerCrash => {
                if self.server.is_running() {
                    let crash = if self.chance.one_in(2) { Crash::Kill } else { Crash::Power };
                    self.crash_server(crash);
                    self.plans.push((later, Plan::ServerStart(crash)));
                }
            }
            Plan::ServerStart(crash) => self.server.start(crash),
            Plan::DiskFails(fails) => {
                self.trace.say(format_args!("server: its disk fails: {fails}"));
                self.server.disk.set_failing(fails);
            }
            Plan::Clock => {
                let by_ms = self.chance.among(0..7_200_000).cast_signed() - 3_600_000;
                self.trace.say(format_args!("clock: {number} by {by_ms} ms"));
                client.set_clock(by_ms);
                if self.chance.one_in(2) {
                    self.server.set_clock(-by_ms);
                }
            }
        }
    }

    fn crash_server(&mut self, crash: Crash) {
        self.server.crash(crash);
        self.network.server_is_gone();
        if crash == Crash::Power {
            self.network.tap.power_went();
        }
    }

    /// Whether nobody waits for anything.
    fn is_at_rest(&self) -> bool {
        let newest = self.server.disk.catalog.newest_seq().unwrap().0;
        self.clients.iter().all(|client| {
            let Some((state, queue, acts)) = client.status() else { return false };
            let counts = &queue.counts;
            let open = counts.settling + counts.queued + counts.sending + counts.waiting;
            let heard = self.ledger.with(|kept| kept.heard.get(&client.number).map_or(0, Vec::len));
            state == SessionState::Connected && open == 0 && acts == 0 && heard as u64 == newest
        })
    }

    /// What was committed since the last look: its content is there, and it is the right one.
    fn check_changes(&mut self) {
        let disk = &self.server.disk;
        let newest = disk.catalog.newest_seq().unwrap().0;
        if newest < self.checked_seq {
            self.trace.fault(format_args!("{} changes became {newest}", self.checked_seq));
        }
        for event in
            disk.catalog.changes(imgrepo_proto::Seq(self.checked_seq), 1_000).unwrap().events
        {
            let (seq, kind) = (event.seq.unwrap_or_default(), event.event);
            let Some(record) = event.image else { continue };
            self.trace.say(format_args!("server: {seq} {kind:?} {} {}", record.id, record.name));
            if let Some(why) = crate::check::blob(disk, &record) {
                self.trace.fault(why);
            }
        }
        self.checked_seq = newest;
    }

    fn check_end(&mut self) {
        let stored = std::mem::take(&mut self.network.tap.stored);
        let faults = crate::check::end(&self.server.disk, &self.ledger, &self.clients, &stored);
        faults.into_iter().for_each(|fault| self.trace.fault(fault));
        let (events, downloads, cuts) =
            (self.checked_seq, self.ledger.with(|it| it.downloads), self.ledger.with(|it| it.cuts));
        self.trace.say(format_args!(
            "{events} changes, {downloads} downloads, {cuts} troubles of the network"
        ));
    }
}
