//! Histories by chance of the queue's decisions: files, a server that fails in every way, cuts, kills,
//! pauses. Whatever happens, every history ends, no upload is begun twice at once, a receipt is the
//! server's word, nothing is lost, and the server has each content once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::state::{End, Lane};

use super::schedule::{LONGEST, Schedule};
use super::verdict::{About, Outcome, is_strained, verdict};

/// A row, as the state keeps it.
#[derive(Debug, Clone)]
struct Row {
    lane: Lane,
    watched: bool,
    content: u8,
    faults: u32,
    stands: Stands,
}

#[derive(Debug, Clone, PartialEq)]
enum Stands {
    Settling,
    Queued,
    Sending,
    Waiting(Option<Timestamp>),
    Receipt { duplicate: bool },
    Over(Over),
}

#[derive(Debug, Clone, PartialEq)]
enum Over {
    Ignored,
    Refused(String),
    Failed,
    Gone,
}

/// Chance from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

struct World {
    dice: Dice,
    rows: Vec<Row>,
    flying: Vec<usize>,
    schedule: Schedule,
    /// What the server has: each content, and how many images of it.
    server: HashMap<u8, u32>,
    version: u32,
    start: Instant,
    passed: Duration,
    paused: bool,
    /// Nothing goes wrong any more.
    calm: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        let row = |dice: &mut Dice| Row {
            lane: if dice.one_in(3) { Lane::Large } else { Lane::Small },
            watched: dice.one_in(2),
            content: u8::try_from(dice.below(12)).unwrap(),
            faults: 0,
            stands: if dice.one_in(5) { Stands::Settling } else { Stands::Queued },
        };
        let rows = (0..1 + dice.below(40)).map(|_| row(&mut dice)).collect();
        let schedule = Schedule::new(u32::try_from(dice.below(80)).unwrap());
        World {
            dice,
            rows,
            flying: Vec::new(),
            schedule,
            server: HashMap::new(),
            version: 1,
            start: Instant::now(),
            passed: Duration::ZERO,
            paused: false,
            calm: false,
        }
    }

    fn now(&self) -> Instant {
        self.start + self.passed
    }

    fn clock(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::try_from(self.passed).unwrap()
    }

    /// As the runner fills its lanes.
    fn fill(&mut self) {
        for lane in [Lane::Small, Lane::Large] {
            let room = if self.paused { 0 } else { self.schedule.room(lane, self.now()) };
            let clock = self.clock();
            let is_due = |row: &Row| match row.stands {
                Stands::Queued => true,
                Stands::Waiting(at) => at.is_none_or(|at| at <= clock),
                _ => false,
            };
            let due = |(_, row): &(usize, &Row)| row.lane == lane && is_due(row);
            let turns = self.rows.iter().enumerate().filter(due).map(|(at, _)| at);
            let turns: Vec<usize> = turns.take(room as usize).collect();
            for at in turns {
                assert!(!self.flying.contains(&at), "begun twice at once");
                self.rows[at].stands = Stands::Sending;
                self.schedule.began(lane);
                self.flying.push(at);
            }
        }
        assert!(self.flying.len() <= 35);
    }

    /// What an attempt comes to: the server may have stored it whatever is heard of that.
    fn outcome(&mut self, at: usize) -> Outcome {
        let refusal = |code| Refusal::new(code, "no");
        let content = self.rows[at].content;
        let kind = if self.calm { 0 } else { self.dice.below(12) };
        match kind {
            0..=4 => {
                let duplicate = self.server.contains_key(&content);
                self.server.entry(content).or_insert(1);
                if !self.calm && self.dice.one_in(4) {
                    return Outcome::Refused(refusal(ErrorCode::NotConnected));
                }
                let (hash, image) = (BlobHash([content; 32]), ImageId(u64::from(content)));
                Outcome::Stored { hash, image, duplicate }
            }
            5 => Outcome::GivenUp,
            6 => Outcome::Missing(refusal(ErrorCode::FileError)),
            7 => Outcome::Changed(refusal(ErrorCode::FileError)),
            8 => Outcome::Away(refusal(ErrorCode::FileError)),
            9 => Outcome::Unreadable(refusal(ErrorCode::FileError)),
            _ => {
                let codes = ErrorCode::ALL;
                Outcome::Refused(refusal(codes[self.dice.below(codes.len())]))
            }
        }
    }

    /// One of those under way ends, and is written down, unless the process dies before.
    fn land(&mut self, dies: bool) {
        if self.flying.is_empty() {
            return;
        }
        let place = self.dice.below(self.flying.len());
        let at = self.flying[place];
        let outcome = self.outcome(at);
        if dies {
            return;
        }
        self.flying.swap_remove(place);
        let (strained, random) = (is_strained(&outcome), self.dice.roll());
        let had = self.server.contains_key(&self.rows[at].content);
        let row = &self.rows[at];
        let server = format!("s {}", self.version);
        let about = About { watched: row.watched, faults: row.faults, server };
        let end = verdict(outcome, &about, self.clock(), random);
        self.schedule.ended(self.rows[at].lane, strained, self.now(), random);
        let row = &mut self.rows[at];
        assert_eq!(row.stands, Stands::Sending);
        row.stands = match end {
            End::Receipt { hash, duplicate, .. } => {
                assert!(had && hash == BlobHash([row.content; 32]), "a receipt of nothing");
                Stands::Receipt { duplicate }
            }
            End::Waiting(_, at) => {
                row.faults += u32::from(at.is_some());
                Stands::Waiting(at)
            }
            End::Queued => Stands::Queued,
            End::Settling => Stands::Settling,
            End::Ignored(..) => Stands::Over(Over::Ignored),
            End::Refused(_, by) => Stands::Over(Over::Refused(by)),
            End::Failed(_) => Stands::Over(Over::Failed),
            End::Gone => Stands::Over(Over::Gone),
        };
        let is_gone = matches!(row.stands, Stands::Settling | Stands::Over(Over::Gone));
        assert!(row.watched || !is_gone, "left to a watcher that is not there");
    }

    /// The process ends and another begins.
    fn restart(&mut self) {
        self.land(true);
        for row in &mut self.rows {
            if row.stands == Stands::Sending {
                row.stands = Stands::Queued;
            }
        }
        self.flying.clear();
        self.schedule = Schedule::new(64);
    }

    fn step(&mut self) {
        self.fill();
        match self.dice.below(20) {
            0..=11 => self.land(false),
            12 => self.restart(),
            13 => self.paused = !self.paused,
            14 => {
                // A new session, of another version perhaps: what that one refused is tried again.
                self.version += u32::from(self.dice.one_in(2));
                self.schedule.serve(64);
                let by = format!("s {}", self.version);
                for row in &mut self.rows {
                    if matches!(&row.stands, Stands::Over(Over::Refused(server)) if *server != by) {
                        row.stands = Stands::Queued;
                        row.faults = 0;
                    }
                }
            }
            15 => self.settle(),
            _ => {
                let pause = self.dice.roll() % 400_000;
                self.passed += Duration::from_millis(pause);
            }
        }
    }

    fn settle(&mut self) {
        for row in &mut self.rows {
            if row.stands == Stands::Settling {
                row.stands = Stands::Queued;
            }
        }
    }

    /// All is well from now on: how it ends.
    fn end(&mut self) {
        (self.paused, self.calm) = (false, true);
        self.settle();
        let is_open =
            |row: &Row| matches!(row.stands, Stands::Queued | Stands::Sending | Stands::Waiting(_));
        for _ in 0..10_000 {
            if !self.rows.iter().any(is_open) {
                return;
            }
            self.fill();
            match self.flying.is_empty() {
                true => self.passed += LONGEST,
                false => self.land(false),
            }
        }
        panic!("it never ends: {:?}", self.rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_with_each_content_once(seed: u64, steps in 0..200usize) {
        let mut world = World::new(seed);
        for _ in 0..steps {
            world.step();
        }
        world.end();
        prop_assert!(world.server.values().all(|images| *images == 1));
        let kept: HashSet<u8> = world
            .rows
            .iter()
            .filter(|row| matches!(row.stands, Stands::Receipt { .. }))
            .map(|row| row.content)
            .collect();
        prop_assert!(kept.iter().all(|content| world.server.contains_key(content)));
        for row in &world.rows {
            let ended = matches!(row.stands, Stands::Receipt { .. } | Stands::Over(_));
            prop_assert!(ended, "lost: {row:?}");
        }
    }
}
