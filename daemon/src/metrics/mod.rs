//! Figures of what goes on: counted where it happens by one atomic addition, and written as a page that
//! Prometheus reads. What is counted, and under which name, is for the rooms that count and for the
//! server's door, which writes the page; nothing here knows either.
//!
//! An own encoder: the format is forty lines, and the libraries for it bring a registry that is locked,
//! labels that are looked up at each count, or both.

mod page;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use page::{CONTENT_TYPE, Kind, Labels, Page};

/// What only grows, from the start of the process.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// At 0.
    #[must_use]
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts so many.
    pub fn add(&self, count: u64) {
        // Each figure is read by itself: their order to each other means nothing.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there were of each size: whole numbers of some unit.
#[derive(Debug)]
pub struct Histogram {
    /// The largest value of each bucket but the last, which takes what is above.
    bounds: &'static [u64],
    buckets: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// With buckets up to these values, which rise.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Histogram { bounds, buckets, sum: Counter::default() }
    }

    /// Counts a value.
    pub fn count(&self, value: u64) {
        // A handful of bounds: a search would be slower.
        let bucket = self.bounds.iter().position(|most| value <= *most);
        self.buckets[bucket.unwrap_or(self.bounds.len())].one();
        self.sum.add(value);
    }

    /// Counts a time, in microseconds.
    pub fn took(&self, time: Duration) {
        self.count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Whether nothing was counted yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.get() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[1, 10]);
        assert!(histogram.is_empty());
        for value in [0, 1, 2, 10, 11, 1_000] {
            histogram.count(value);
        }
        histogram.took(Duration::from_micros(10));
        let counts: Vec<u64> = histogram.buckets.iter().map(Counter::get).collect();
        assert_eq!(counts, [2, 3, 2]);
        assert_eq!(histogram.sum.get(), 1_034);
        assert!(!histogram.is_empty());
    }
}
