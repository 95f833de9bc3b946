//! How long a key that failed waits for its next pass.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::jitter::Jitter;

/// The least wait after a first failure.
pub const BACKOFF_FLOOR: Duration = Duration::from_millis(250);

/// No wait is ever longer than this, jitter included.
pub const BACKOFF_CEILING: Duration = Duration::from_secs(120);

/// The delays of one key: backon's iterator, under the name its trait gives it.
type Delays = <ExponentialBuilder as BackoffBuilder>::Backoff;

/// Exponential back-off per key: the nth wait in a row (from 0) is drawn from 250 ms × 2ⁿ to twice that, and from one
/// to two minutes once that would be longer. It never gives up; giving up is a decision of the caller's policy.
///
/// Holds only the keys whose last pass failed.
#[derive(Debug)]
pub struct Backoff<K> {
    jitter: Jitter,
    failing: BTreeMap<K, Failing>,
}

#[derive(Debug)]
struct Failing {
    generation: u64,
    failures: u32,
    delays: Delays,
}

impl<K: Clone + Ord> Backoff<K> {
    /// No key is failing; `seed` decides every jitter to come.
    pub fn new(seed: u64) -> Self {
        Self { jitter: Jitter::new(seed), failing: BTreeMap::new() }
    }

    /// Records that a pass of `key` for `generation` failed, and says how long to wait before the next one.
    /// A generation other than that of the last failure starts from the shortest wait again: the failures of an
    /// old intent say nothing about the new one.
    pub fn failed(&mut self, key: &K, generation: u64) -> Duration {
        if self.failing.get(key).is_none_or(|failing| failing.generation != generation) {
            let delays = delays(self.jitter.next_u64());
            self.failing.insert(key.clone(), Failing { generation, failures: 0, delays });
        }
        let failing = self.failing.get_mut(key).expect("inserted above when absent");
        failing.failures = failing.failures.saturating_add(1);
        let delay = failing.delays.next().expect("built without a limit of attempts");
        delay.min(BACKOFF_CEILING)
    }

    /// Forgets the failures of `key`: its pass succeeded, or it is gone.
    pub fn reset(&mut self, key: &K) {
        self.failing.remove(key);
    }

    /// How many passes of `key` failed in a row for the same generation.
    pub fn failures(&self, key: &K) -> u32 {
        self.failing.get(key).map_or(0, |failing| failing.failures)
    }
}

/// backon's defaults are three attempts and no jitter, hence the explicit words. It adds up to the whole delay as
/// jitter *after* its limit, so half the ceiling is the limit: the longest wait is then the ceiling, still spread out.
fn delays(seed: u64) -> Delays {
    ExponentialBuilder::new()
        .with_min_delay(BACKOFF_FLOOR)
        .with_max_delay(BACKOFF_CEILING / 2)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(seed)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_wait_lies_between_its_power_of_two_and_twice_that_up_to_two_minutes_for_ever() {
        for seed in 0..50 {
            let mut backoff = Backoff::new(seed);
            for n in 0..1_000_u32 {
                let base = BACKOFF_FLOOR.saturating_mul(1 << n.min(20)).min(BACKOFF_CEILING / 2);
                let wait = backoff.failed(&"a", 1);
                assert!(wait >= base && wait <= 2 * base, "seed {seed}, failure {n}: {wait:?} for {base:?}");
            }
            assert_eq!(backoff.failures(&"a"), 1_000);
        }
    }

    #[test]
    fn success_and_a_new_generation_each_start_from_the_shortest_wait() {
        let mut backoff = Backoff::new(3);
        let short = BACKOFF_FLOOR..2 * BACKOFF_FLOOR;
        for _ in 0..10 {
            backoff.failed(&"a", 1);
        }
        assert!(short.contains(&backoff.failed(&"a", 2)), "a new generation");
        assert!(!short.contains(&backoff.failed(&"a", 2)));
        backoff.reset(&"a");
        assert_eq!(backoff.failures(&"a"), 0);
        assert!(short.contains(&backoff.failed(&"a", 2)), "after success");
    }

    #[test]
    fn keys_back_off_independently_and_with_different_jitter() {
        let mut backoff = Backoff::new(11);
        let waits: Vec<_> = (0..20).map(|key| backoff.failed(&key, 1)).collect();
        let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
        assert!(waits.iter().all(|wait| *wait < 2 * BACKOFF_FLOOR), "no key waits for the failures of another");
        assert!(distinct.len() > 15, "{waits:?}");
    }

    #[test]
    fn the_same_seed_replays_the_same_waits() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..40).map(|n| backoff.failed(&(n % 3), 1)).collect::<Vec<_>>()
        };
        assert_eq!(waits(5), waits(5));
        assert_ne!(waits(5), waits(6));
    }
}
