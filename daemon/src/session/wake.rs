//! Whether this computer slept. Pure: both clocks come in from outside.
//!
//! The keeper asks while a session is up. A sleep stops the clock by which silence is measured, so
//! without this a session that the server gave up long ago would be waited for as if nothing had
//! happened.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A sleep that a session outlives well: a peer is dropped after 40 s. A clock that is set forward by
/// as much looks the same, and costs one connection.
const SHORT: Duration = Duration::from_secs(30);

/// The clock on the wall, and the one that stops in a sleep, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    wall: Timestamp,
    awake: Instant,
}

impl Clocks {
    pub(super) fn new(wall: Timestamp, awake: Instant) -> Self {
        Clocks { wall, awake }
    }

    /// How long the computer slept between the last look and this one, where that was long.
    pub(super) fn slept(&mut self, now: Clocks) -> Option<Duration> {
        let before = std::mem::replace(self, now);
        // A clock that was set back tells nothing.
        let passed = Duration::try_from(now.wall.duration_since(before.wall)).unwrap_or_default();
        let slept = passed.saturating_sub(now.awake.duration_since(before.awake));
        (slept >= SHORT).then_some(slept)
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
}
