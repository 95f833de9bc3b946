//! What the loop has done, as numbers that only grow, and how much is under way.

use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds of the buckets for times of start steps, in seconds: a step takes from a few milliseconds (a volume) to
/// half an hour (an image that is fetched).
pub const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0];

/// What the loop has done since it began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Passes that ended.
    pub passes: u64,
    /// Times that a workspace was put off because something failed.
    pub back_offs: u64,
    /// Passes that panicked: bugs.
    pub panics: u64,
    /// Steps of starts that were done, by name.
    pub steps: BTreeMap<String, Times>,
    /// Workspaces that wait for a pass, due or not.
    pub waiting: u64,
    /// Passes under way.
    pub in_pass: u64,
}

/// How long something took, each time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times {
    /// In all, in seconds.
    pub seconds: f64,
    /// How many took as long as each of [`BOUNDS`] and longer than the one before; then those that took longer.
    pub buckets: [u64; BOUNDS.len() + 1],
}

impl Times {
    pub(super) fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.seconds += seconds;
        self.buckets[BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())] += 1;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_once_in_the_first_bucket_that_holds_it() {
        let mut times = Times::default();
        for millis in [0, 10, 11, 1_000, 1_800_000, 1_800_001] {
            times.add(Duration::from_millis(millis));
        }
        assert_eq!(times.buckets, [2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1]);
        assert!((times.seconds - 3601.022).abs() < 0.001 && times.count() == 6, "{times:?}");
    }
}
