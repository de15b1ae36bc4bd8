//! The simulated server's computer: the real server before the real repository, whose threads are the
//! world's to drive, on a disk that outlives it.

use imgrepo_proto::PersonName;
use imgrepo_proto::limits::SessionLimits;
use imgrepod::host::Mutant;
use imgrepod::repository::{Repository, Settings, Steps};
use imgrepod::server::{self, Server};

use crate::chance::Chance;
use crate::computer::Computer;
use crate::disk::{Crash, Disk};
use crate::trace::Trace;

/// What may be lost of a large upload with the power: in small what is 16 MiB outside.
const SYNC_EVERY_BYTES: u64 = 64 * 1024;

pub(crate) struct SimulatedServer {
    pub(crate) disk: Disk,
    running: Option<Running>,
    mutant: Option<Mutant>,
    chance: Chance,
    trace: Trace,
}

// The parts end before the computer that they run on.
struct Running {
    steps: Steps,
    server: Server,
    computer: Computer,
}

impl SimulatedServer {
    pub(crate) fn new(
        disk: Disk,
        mutant: Option<Mutant>,
        chance: Chance,
        trace: Trace,
    ) -> SimulatedServer {
        SimulatedServer { disk, running: None, mutant, chance, trace }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn start(&mut self, after: Crash) {
        self.trace.say("server: starts");
        let computer = Computer::new(self.chance.next(), self.trace.now_ms(), self.mutant);
        let settings = Settings {
            reserve_bytes: 0,
            staging_sync_bytes: SYNC_EVERY_BYTES,
            ..Settings::new(self.disk.data(), PersonName::parse("olga").unwrap())
        };
        let (catalog, blobs) = (self.disk.catalog.clone(), self.disk.blobs.clone());
        let lengths_hold = after == Crash::Kill;
        let (server, steps) = computer.wait_for(async {
            let opened = Repository::stepped(catalog, blobs, settings, lengths_hold);
            let (repository, steps) = opened.unwrap();
            let settings = server::Settings {
                listen: "127.0.0.1:0".parse().unwrap(),
                limits: SessionLimits { max_requests: 8, ..SessionLimits::default() },
                ..server::Settings::default()
            };
            (Server::start(settings, repository).await.unwrap(), steps)
        });
        self.running = Some(Running { steps, server, computer });
    }

    /// It ends where it stands.
    pub(crate) fn crash(&mut self, crash: Crash) {
        self.trace.say(format_args!("server: {crash:?}"));
        self.disk.crash(crash);
        if let Some(Running { steps, server, computer }) = self.running.take() {
            computer.act(|| drop((steps, server)));
        }
    }

    pub(crate) fn door(&self) -> Option<server::LocalDoor> {
        self.running.as_ref().map(|running| running.server.local())
    }

    pub(crate) fn run(&mut self, millis: u64) {
        if let Some(running) = &self.running {
            running.computer.run(millis);
        }
    }

    /// What its threads do in a moment, if they come to it; whether they did anything.
    pub(crate) fn step(&mut self, is_calm: bool) -> bool {
        let Some(Running { steps, computer, .. }) = &mut self.running else { return false };
        let disk = &mut self.disk;
        let mut worked = false;
        if is_calm || self.chance.one_in(2) {
            worked |= computer.act(|| steps.append());
        }
        if is_calm || self.chance.one_in(2) {
            disk.note();
            worked |= computer.act(|| steps.commit());
        }
        if worked {
            self.trace.say("server: commits");
        }
        worked
    }

    pub(crate) fn set_clock(&self, by_ms: i64) {
        if let Some(running) = &self.running {
            running.computer.set_clock(by_ms);
        }
    }

    pub(crate) fn calm(&self) {
        if let Some(running) = &self.running {
            running.computer.calm();
        }
    }
}
