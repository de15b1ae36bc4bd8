//! What the daemon takes from the computer beside files and sockets: the time of day, chance, and
//! threads for what blocks.
//!
//! Rooms that take part in a session or keep a repository ask here instead of the system, so that
//! a simulation can stand in for it: there one thread does everything in an order that a seed
//! decides, the time of day goes with tokio's paused clock, chance is a sequence, and what blocks is
//! a task that takes its time. Only tests make one ([`Simulation`]); nothing here decides anything.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

thread_local! {
    /// The simulated computer that this thread is at the moment.
    static SIMULATED: RefCell<Option<Rc<Simulation>>> = const { RefCell::new(None) };
}

/// The time of day.
#[must_use]
pub fn now() -> Timestamp {
    simulated(Simulation::now).unwrap_or_else(Timestamp::now)
}

/// A number by chance, good enough to spread attempts.
#[must_use]
pub fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library seeds it from the system and changes it with each one.
    simulated(Simulation::random)
        .unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish())
}

/// Does something that blocks away from the async threads, to its end even where nobody waits for
/// it. In a runtime's context.
pub fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match simulated(Simulation::pause) {
        None => spawn_blocking(act),
        Some(pause) => tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            act()
        }),
    }
}

/// Whether this thread is a simulated computer, which has no other threads.
#[must_use]
pub fn is_simulated() -> bool {
    simulated(|_| ()).is_some()
}

fn simulated<T>(ask: impl FnOnce(&Simulation) -> T) -> Option<T> {
    SIMULATED.with_borrow(|simulated| simulated.as_deref().map(ask))
}

/// A simulated computer. What it does by chance follows from its seed and the moment alone: tasks that
/// are woken at one moment may have their turns in any order (tokio's `watch` decides that by a
/// generator that nobody can seed) and find the same.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    wall: Cell<Timestamp>,
    /// Of tokio's clock, when the one on the wall said `wall`.
    began: Instant,
    pauses: Cell<bool>,
    mutant: Cell<Option<Mutant>>,
}

/// A fault of the daemon's own that a proof puts in, to show that it would be found. In builds with the
/// feature `mutants` alone, and on a simulated computer alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The server goes on with an upload one byte behind what it holds.
    ResumeBeyond,
    /// The server acknowledges bytes of an upload before they are written.
    AckUnwritten,
    /// A change is announced before it is committed.
    AnnounceEarly,
    /// A content that somebody has is stored once more.
    StoreTwice,
    /// The queue forgets an upload when its session is cut.
    ForgetUnheard,
    /// The queue takes up again what was given up, at a restart.
    ReviveCancelled,
    /// A session goes on one event behind the last that it has.
    SkipEvent,
}

impl Mutant {
    /// Every one, for a proof that puts in one after the other.
    pub const ALL: [Mutant; 7] = [
        Mutant::ResumeBeyond,
        Mutant::AckUnwritten,
        Mutant::AnnounceEarly,
        Mutant::StoreTwice,
        Mutant::ForgetUnheard,
        Mutant::ReviveCancelled,
        Mutant::SkipEvent,
    ];
}

/// Whether a proof has put this one in.
#[cfg(feature = "mutants")]
pub(crate) fn is_mutant(mutant: Mutant) -> bool {
    simulated(|here| here.mutant.get() == Some(mutant)).unwrap_or(false)
}

/// Whether a proof has put this one in: never.
#[cfg(not(feature = "mutants"))]
pub(crate) fn is_mutant(_: Mutant) -> bool {
    false
}

impl Simulation {
    /// One whose clock on the wall says this. In the context of its runtime, whose clock is paused.
    #[must_use]
    pub fn new(seed: u64, wall: Timestamp) -> Rc<Simulation> {
        Rc::new(Simulation {
            seed,
            wall: Cell::new(wall),
            began: Instant::now(),
            pauses: Cell::new(true),
            mutant: Cell::new(None),
        })
    }

    /// Does something as this computer.
    pub fn within<T>(self: &Rc<Self>, act: impl FnOnce() -> T) -> T {
        let before = SIMULATED.replace(Some(self.clone()));
        let _back = Back(before);
        act()
    }

    /// Sets the clock on the wall by so many milliseconds.
    pub fn set_clock(&self, by_ms: i64) {
        let by = jiff::SignedDuration::from_millis(by_ms);
        self.wall.set(self.wall.get().checked_add(by).unwrap_or(self.wall.get()));
    }

    /// Puts in a fault, where this build has any.
    pub fn put_in(&self, mutant: Option<Mutant>) {
        self.mutant.set(mutant);
    }

    /// Whether what blocks takes time by chance.
    pub fn take_time(&self, pauses: bool) {
        self.pauses.set(pauses);
    }

    fn passed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> Timestamp {
        // Whole milliseconds, as its clock is.
        let passed = i64::try_from(self.passed_ms()).unwrap_or(i64::MAX);
        let passed = jiff::SignedDuration::from_millis(passed);
        self.wall.get().checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): every seed is as good as another.
    fn random(&self) -> u64 {
        let steps = self.passed_ms().wrapping_add(1);
        let state = self.seed.wrapping_add(steps.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// How long something that blocks takes: mostly nothing, sometimes as on a disk that is busy.
    fn pause(&self) -> Duration {
        if !self.pauses.get() {
            return Duration::ZERO;
        }
        let chance = self.random().rotate_left(32);
        Duration::from_millis(match chance % 16 {
            0 => chance / 16 % 200,
            1..=4 => chance / 16 % 8,
            _ => 0,
        })
    }
}

/// Makes the thread again what it was before.
struct Back(Option<Rc<Simulation>>);

impl Drop for Back {
    fn drop(&mut self) {
        SIMULATED.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_computer_has_a_clock_and_chance_of_its_own() {
        let made = || Simulation::new(7, Timestamp::UNIX_EPOCH);
        let (one, two) = (made(), made());
        let first = one.within(random);
        assert_eq!(first, two.within(random));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_ne!(first, one.within(random));
        one.set_clock(-500);
        assert_eq!(one.within(now).as_millisecond(), 1000);
        assert_eq!(two.within(now).as_millisecond(), 1500);
        assert!(!is_simulated() && now() > Timestamp::UNIX_EPOCH);
    }

    #[tokio::test]
    async fn what_blocks_is_done_though_nobody_waits() {
        let (tell, told) = tokio::sync::oneshot::channel();
        drop(blocking(move || tell.send(())));
        told.await.unwrap();
    }
}
