//! Whether this computer slept, and when to ask. [`Clocks`] is pure: both clocks come in from outside;
//! [`Jumps`] waits for the system's word, and [`Sleeps`] puts them together.
//!
//! The keeper asks while a session is up. A sleep stops the clock by which silence is measured, so
//! without this a session that the server gave up long ago would be waited for as if nothing had
//! happened. Nobody is woken to ask while nothing happens.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A sleep that a session outlives well: a peer is dropped after 40 s. A clock that is set forward by
/// as much looks the same, and costs one connection.
const SHORT: Duration = Duration::from_secs(30);

/// The clock on the wall, and the one that stops in a sleep, at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall: Timestamp,
    awake: Instant,
}

impl Clocks {
    fn now() -> Self {
        Clocks::new(crate::host::now(), Instant::now())
    }

    fn new(wall: Timestamp, awake: Instant) -> Self {
        Clocks { wall, awake }
    }

    /// How long the computer slept between the last look and this one, where that was long.
    fn slept(&mut self, now: Clocks) -> Option<Duration> {
        let before = std::mem::replace(self, now);
        // A clock that was set back tells nothing.
        let passed = Duration::try_from(now.wall.duration_since(before.wall)).unwrap_or_default();
        let slept = passed.saturating_sub(now.awake.duration_since(before.awake));
        (slept >= SHORT).then_some(slept)
    }
}

/// Tells of each sleep that mattered.
#[derive(Debug)]
pub(super) struct Sleeps {
    clocks: Clocks,
    jumps: Jumps,
}

impl Sleeps {
    /// From now on. In a runtime's context.
    pub(super) fn new() -> Sleeps {
        Sleeps { clocks: Clocks::now(), jumps: Jumps::new() }
    }

    /// How long the next one was. Cancel-safe.
    pub(super) async fn next(&mut self) -> Duration {
        loop {
            self.jumps.next().await;
            if let Some(slept) = self.clocks.slept(Clocks::now()) {
                return slept;
            }
        }
    }
}

/// How often to ask where the system does not tell: no more often than a quiet peer is pinged.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Tells when the clock on the wall jumps, as it does at the end of a sleep.
#[derive(Debug)]
struct Jumps(Option<timer::Timer>);

impl Jumps {
    fn new() -> Jumps {
        let timer = timer::new();
        if let Err(error) = &timer {
            tracing::debug!(%error, "the system does not tell when its clock is set");
        }
        Jumps(timer.ok())
    }

    /// The next jump, or now and then where none is told. Cancel-safe.
    async fn next(&self) {
        match &self.0 {
            Some(timer) if timer::jumped(timer).await.is_ok() => {}
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// A timer that never ends, and is called off when the clock is set or has gone on in a sleep
/// (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`).
#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    pub(super) type Timer = AsyncFd<OwnedFd>;

    pub(super) fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let never = Timespec { tv_sec: i64::MAX, tv_nsec: 0 };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&timer, flags, &Itimerspec { it_interval: once, it_value: never })?;
        // Its successor is unsafe for what may close its file behind its back; this owns it.
        #[expect(deprecated)]
        AsyncFd::with_interest(timer, Interest::READABLE)
    }

    pub(super) async fn jumped(timer: &Timer) -> io::Result<()> {
        let mut ready = timer.readable().await?;
        // It says ECANCELED, and is armed for the next time by having been read.
        let _ = rustix::io::read(timer.get_ref(), &mut [0; 8]);
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io;

    pub(super) type Timer = std::convert::Infallible;

    pub(super) fn new() -> io::Result<Timer> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) async fn jumped(timer: &Timer) -> io::Result<()> {
        match *timer {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_is_what_only_the_clock_on_the_wall_has_seen() {
        let (wall, awake) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut clocks = Clocks::new(wall, awake);
        let mut look = |wall_s: i64, awake_s: u64| {
            let wall = wall + jiff::SignedDuration::from_secs(wall_s);
            let slept = clocks.slept(Clocks::new(wall, awake + Duration::from_secs(awake_s)));
            slept.map(|slept| slept.as_secs())
        };
        assert_eq!(look(1, 1), None);
        assert_eq!(look(3601, 3601), None, "stopped, not asleep: its clock has gone on");
        assert_eq!(look(3630, 3602), None, "too short to matter");
        assert_eq!(look(7231, 3603), Some(3600));
        assert_eq!(look(7232, 3604), None, "told once");
        assert_eq!(look(-9_000_000, 3605), None, "set back");
        assert_eq!(look(-8_999_999, 3606), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_tells_of_jumps_and_nothing_else() {
        let jumps = Jumps::new();
        assert!(jumps.0.is_some());
        tokio::select! {
            biased;
            () = jumps.next() => panic!("nobody set the clock"),
            () = tokio::task::yield_now() => {}
        }
    }
}
