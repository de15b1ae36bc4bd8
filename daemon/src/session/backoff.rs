//! How long to wait before the next attempt. Pure: chance comes in from outside.

use std::time::Duration;

/// The first wait: a server that restarts is back by then.
const SHORTEST: Duration = Duration::from_millis(200);

/// The longest wait: a person does not wait longer for a server that is back.
const LONGEST: Duration = Duration::from_secs(4);

/// Waits between 0.2 s and 4 s that about double.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half and all of what the doubling gives, by chance,
    /// so that a server's clients do not come back all at once.
    pub(crate) fn after_failure(&mut self, random: u64) -> Duration {
        // The first one too is by chance: a server that restarts cuts all of them at one moment.
        let full = SHORTEST.saturating_mul(2 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half_ms = u64::try_from(full.as_millis() / 2).unwrap_or(u64::MAX);
        Duration::from_millis(half_ms + random % (half_ms + 1))
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_the_shortest_to_the_longest_and_start_over() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            let mut before = Duration::ZERO;
            for round in 0..100 {
                let mut low = backoff;
                let least = low.after_failure(0);
                let most = {
                    let half = Duration::from_millis(200 * (1 << round.min(16)));
                    let mut high = backoff;
                    high.after_failure(u64::try_from(half.as_millis()).unwrap().min(2000))
                };
                assert!(least >= SHORTEST && most <= LONGEST, "{least:?} {most:?}");
                assert_eq!(most, 2 * least, "by chance, the first one too");
                assert!(least >= before, "it never shrinks");
                before = backoff.after_failure(0);
            }
            assert_eq!(before, LONGEST / 2);
            backoff.reset();
        }
        assert_eq!(backoff.after_failure(0), SHORTEST);
    }
}
