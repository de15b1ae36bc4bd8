//! How fast all transfers together may go, one way: a bucket of tokens, a byte each, that fills at
//! the rate. [`Bucket`] decides and is pure; [`Gate`] lets transfers through one after the other.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// What the bucket holds at most, in time of its rate: a moment's pause is made up for, more would
/// be a burst that the limit was to keep away.
const BURST: Duration = Duration::from_millis(250);

/// The longest pause at once: a limit that is lifted, or a clock, is looked at again by then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Bytes that may pass now, or are owed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    /// Bytes a second; none is without a limit.
    rate: Option<u64>,
    /// Below 0 it is owed: what passed was more than there was.
    tokens: f64,
    filled_at: Duration,
}

impl Bucket {
    pub(super) fn new(rate: Option<u64>) -> Bucket {
        Bucket { rate, tokens: 0.0, filled_at: Duration::ZERO }
    }

    /// Lets so many bytes pass, where nothing is owed.
    ///
    /// # Errors
    /// How long it takes until nothing is.
    pub(super) fn pass(&mut self, bytes: u64, now: Duration) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        // A rate of some exabytes a second is exact enough.
        let rate = rate.max(1) as f64;
        let gained = now.saturating_sub(self.filled_at).as_secs_f64() * rate;
        self.filled_at = now;
        self.tokens = (self.tokens + gained).min(BURST.as_secs_f64() * rate);
        if self.tokens < 0.0 {
            return Err(Duration::try_from_secs_f64(-self.tokens / rate).unwrap_or(LOOK_AGAIN));
        }
        self.tokens -= bytes as f64;
        Ok(())
    }

    /// From now on this rate; what is owed at the old one is forgiven.
    pub(super) fn set(&mut self, rate: Option<u64>) {
        self.rate = rate;
        self.tokens = 0.0;
    }
}

/// Lets transfers through at a rate, in the order in which they came.
#[derive(Debug)]
pub(super) struct Gate {
    bucket: Mutex<Bucket>,
    rate: watch::Sender<Option<u64>>,
    /// Held by the one whose turn it is.
    turn: Semaphore,
    since: Instant,
}

impl Gate {
    pub(super) fn new() -> Gate {
        Gate {
            bucket: Mutex::new(Bucket::new(None)),
            rate: watch::Sender::new(None),
            turn: Semaphore::new(1),
            since: Instant::now(),
        }
    }

    /// The rate: bytes a second.
    pub(super) fn rate(&self) -> Option<u64> {
        *self.rate.borrow()
    }

    pub(super) fn set(&self, rate: Option<u64>) {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).set(rate);
        self.rate.send_replace(rate);
    }

    /// Waits until so many bytes may pass. Cancel-safe: until then none are counted.
    pub(super) async fn pass(&self, bytes: u64) {
        if bytes == 0 || self.rate().is_none() {
            return;
        }
        let mut rate = self.rate.subscribe();
        // It is never closed.
        let _turn = self.turn.acquire().await;
        loop {
            let now = self.since.elapsed();
            let passed = {
                let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
                bucket.pass(bytes, now)
            };
            let Err(wait) = passed else { return };
            // Either only wakes.
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
                _ = rate.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_time_just_the_rate_passes() {
        for (rate, piece) in [(1, 1), (1000, 1), (1000, 999), (1000, 256_000), (u64::MAX, 65_536)] {
            let mut bucket = Bucket::new(Some(rate));
            let mut now = Duration::from_secs(100);
            let start = now;
            let mut passed = 0u64;
            for _ in 0..1000 {
                while let Err(wait) = bucket.pass(piece, now) {
                    now += wait + Duration::from_nanos(1);
                }
                passed += piece;
            }
            let took = (now - start).as_secs_f64();
            // The last piece is owed, and the first moment's burst was for nothing.
            let least = (passed - piece) as f64 / rate as f64 - BURST.as_secs_f64();
            let most = passed as f64 / rate as f64 + 0.001;
            assert!(took >= least - 0.001 && took <= most, "{rate} {piece}: {took} {least} {most}");
        }
    }

    #[test]
    fn a_pause_is_no_reason_for_a_burst_and_no_limit_is_none() {
        let mut bucket = Bucket::new(Some(1000));
        assert_eq!(bucket.pass(100, Duration::from_secs(9)), Ok(()));
        assert_eq!(bucket.pass(100, Duration::from_secs(99_999)), Ok(()));
        assert_eq!(bucket.pass(1000, Duration::from_secs(99_999)), Ok(()));
        assert!(bucket.pass(1, Duration::from_secs(99_999)).is_err());
        bucket.set(None);
        assert_eq!(bucket.pass(u64::MAX, Duration::ZERO), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lifted_limit_lets_who_waits_through() {
        let gate = std::sync::Arc::new(Gate::new());
        gate.set(Some(1));
        gate.pass(1_000_000).await;
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass(1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let before = Instant::now();
        gate.set(None);
        waiting.await.unwrap();
        assert!(before.elapsed() < LOOK_AGAIN);
        gate.pass(u64::MAX).await;
    }
}
