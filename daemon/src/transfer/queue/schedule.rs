//! How many uploads of the queue are begun now. Pure: what is under way, what came of it, the time and
//! chance come in.
//!
//! Two lanes, so that small ones are never stuck behind large ones. Where the server has no room or
//! no time, one at a time looks whether it has again, ever more rarely: a hundred thousand files that
//! wait ask it no more often than one.

use std::time::Duration;

use tokio::time::Instant;

use crate::state::Lane;

/// Small uploads at once: what keeps a server's groups of commits full.
const SMALL: u32 = 32;

/// Large ones: enough that one which is hashed or waits does not leave the line idle.
const LARGE: u32 = 3;

/// The first and the longest pause.
const SHORTEST: Duration = Duration::from_secs(1);
pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The pause after so many passing faults in a row: doubling, and between its half and its whole by
/// chance, so that many that fail at once do not come back at once.
pub(super) fn pause(faults: u32, random: u64) -> Duration {
    let full = SHORTEST.saturating_mul(1 << faults.min(16)).min(LONGEST);
    let half_ms = u64::try_from(full.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half_ms + random % (half_ms + 1))
}

/// What is under way.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    small: Places,
    large: Places,
    /// Times in a row that the server had no room or no time.
    strains: u32,
    rest_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Places {
    all: u32,
    taken: u32,
}

impl Schedule {
    /// For a server that takes so many requests at once: half of them stay for people.
    pub(super) fn new(max_requests: u32) -> Schedule {
        let mut schedule = Schedule {
            small: Places { all: 0, taken: 0 },
            large: Places { all: 0, taken: 0 },
            strains: 0,
            rest_until: None,
        };
        schedule.serve(max_requests);
        schedule
    }

    /// From now on it is this server, with all its strength; what is under way stays so.
    pub(super) fn serve(&mut self, max_requests: u32) {
        self.small.all = (max_requests / 2).clamp(1, SMALL);
        self.large.all = (max_requests / 8).clamp(1, LARGE);
        self.strains = 0;
        self.rest_until = None;
    }

    /// How many of a lane may be begun now.
    pub(super) fn room(&self, lane: Lane, now: Instant) -> u32 {
        if self.rest_until.is_some_and(|until| now < until) {
            return 0;
        }
        if self.strains > 0 {
            return u32::from(self.small.taken + self.large.taken == 0);
        }
        let places = match lane {
            Lane::Small => self.small,
            Lane::Large => self.large,
        };
        places.all.saturating_sub(places.taken)
    }

    /// When to look again though nothing happens.
    pub(super) fn rest_until(&self) -> Option<Instant> {
        self.rest_until
    }

    /// One was begun.
    pub(super) fn began(&mut self, lane: Lane) {
        self.places(lane).taken += 1;
    }

    /// One has ended; whether the server had no room or no time for it.
    pub(super) fn ended(&mut self, lane: Lane, strained: bool, now: Instant, random: u64) {
        let places = self.places(lane);
        places.taken = places.taken.saturating_sub(1);
        if strained {
            // Those that were under way together are one word of the server's.
            if self.rest_until.is_none_or(|until| until <= now) {
                self.rest_until = Some(now + pause(self.strains, random));
                self.strains = self.strains.saturating_add(1);
            }
        } else {
            self.strains = 0;
            self.rest_until = None;
        }
    }

    fn places(&mut self, lane: Lane) -> &mut Places {
        match lane {
            Lane::Small => &mut self.small,
            Lane::Large => &mut self.large,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_ones_leave_the_small_lane_alone() {
        let now = Instant::now();
        let mut schedule = Schedule::new(64);
        assert_eq!((schedule.room(Lane::Small, now), schedule.room(Lane::Large, now)), (32, 3));
        for _ in 0..3 {
            schedule.began(Lane::Large);
        }
        assert_eq!((schedule.room(Lane::Small, now), schedule.room(Lane::Large, now)), (32, 0));
        schedule.ended(Lane::Large, false, now, 0);
        assert_eq!(schedule.room(Lane::Large, now), 1);
        let one_by_one = Schedule::new(1);
        assert_eq!((one_by_one.room(Lane::Small, now), one_by_one.room(Lane::Large, now)), (1, 1));
    }

    #[test]
    fn a_strained_server_is_asked_by_one_and_ever_more_rarely() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(64);
        for _ in 0..32 {
            schedule.began(Lane::Small);
        }
        for _ in 0..32 {
            schedule.ended(Lane::Small, true, now, 0);
        }
        let mut pauses = Vec::new();
        for _ in 0..20 {
            assert_eq!(schedule.room(Lane::Small, now), 0);
            let until = schedule.rest_until().unwrap();
            pauses.push(until - now);
            now = until;
            assert_eq!(schedule.room(Lane::Large, now), 1);
            schedule.began(Lane::Large);
            assert_eq!(schedule.room(Lane::Small, now), 0);
            schedule.ended(Lane::Large, true, now, 0);
        }
        assert_eq!((pauses[0], pauses[1]), (SHORTEST / 2, SHORTEST));
        assert_eq!(pauses[19], LONGEST / 2);
        now = schedule.rest_until().unwrap();
        schedule.began(Lane::Small);
        schedule.ended(Lane::Small, false, now, 0);
        assert_eq!(schedule.room(Lane::Small, now), 32);
    }

    #[test]
    fn pauses_stay_between_a_half_and_the_whole() {
        for faults in 0..100 {
            let (least, most) = (pause(faults, 0), pause(faults, u64::MAX / 3));
            assert!(least >= SHORTEST / 2 && most <= LONGEST, "{faults}: {least:?} {most:?}");
            assert!(most <= 2 * least);
        }
    }
}
