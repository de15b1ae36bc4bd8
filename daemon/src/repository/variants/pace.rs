//! When pictures that nobody waits for are made: not at the cost of the images that are coming in. Pure:
//! the [`Agenda`](super::agenda::Agenda) says what happens and when, and asks.
//!
//! Images that follow one another closely are a row. A short row is let through alone; of a longer one's
//! time a tenth goes to pictures, so that an import of hours is not without them until its end.

use std::time::{Duration, Instant};

/// How soon after the last image another is of the same row. As long as this nobody misses a picture
/// that they did not ask for.
pub(super) const CALM: Duration = Duration::from_millis(50);

/// How long a row has everything for itself.
pub(super) const ALONE: Duration = Duration::from_secs(1);

/// The pause after a piece of work, in times of what that took: with it, a tenth of the time is work.
const REST: u32 = 9;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last image came.
    came: Option<Instant>,
    /// In a row, nothing is begun before this.
    rest_until: Option<Instant>,
}

impl Pace {
    /// An image came. Whether it begins a row.
    pub(super) fn came(&mut self, now: Instant) -> bool {
        let is_first = self.came.is_none_or(|came| came + CALM <= now);
        if is_first {
            self.rest_until = Some(now + ALONE);
        }
        self.came = Some(now);
        is_first
    }

    /// Something that nobody waited for took from then until now.
    pub(super) fn worked(&mut self, since: Instant, now: Instant) {
        self.rest_until = Some(now + now.saturating_duration_since(since) * REST);
    }

    /// Until when nothing is begun that nobody waits for, unless another image comes before; None when
    /// it may be now.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        let until = (self.came? + CALM).min(self.rest_until?);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_image_has_its_pictures_made_in_a_moment() {
        let mut pace = Pace::default();
        let start = Instant::now();
        assert_eq!(pace.rests_until(start), None);
        assert!(pace.came(start));
        assert_eq!(pace.rests_until(start), Some(start + CALM));
        assert_eq!(pace.rests_until(start + CALM), None);
        // What was made of it holds up nothing when no image comes.
        pace.worked(start + CALM, start + 1000 * MS);
        assert_eq!(pace.rests_until(start + 1000 * MS), None);
    }

    #[test]
    fn of_the_time_of_a_row_a_tenth_is_for_pictures() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let (mut worked, mut free_at) = (0, start);
        // An image every millisecond for half a minute; a picture takes 40.
        for ms in 0..30_000 {
            let now = start + ms * MS;
            assert_eq!(pace.came(now), ms == 0);
            if free_at > now {
                continue;
            }
            if pace.rests_until(now).is_none() {
                assert!(now >= start + ALONE, "the row has the first second alone");
                free_at = now + 40 * MS;
                pace.worked(now, free_at);
                worked += 40;
            }
        }
        assert!((2_800..=3_000).contains(&worked), "{worked}");
    }
}
