//! The one door through which randomness enters the queue.

use std::time::Duration;

/// The middle of the interval after which a key is looked at again although nothing happened.
pub const RESYNC: Duration = Duration::from_secs(60);

/// A seeded source of jitter (SplitMix64): the same seed gives the same delays, so that a test can be replayed.
/// Spreads load; it is not fit for secrets.
#[derive(Debug, Clone)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// A source that starts from `seed`: a fixed one in tests, a random one in the agent.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// How long to wait before the next resync: [`RESYNC`] ± 20 %, so that a thousand keys added in one burst do not
    /// come back in one burst.
    pub fn resync(&mut self) -> Duration {
        RESYNC.mul_f64(0.8 + 0.4 * self.fraction())
    }

    /// The next 64 bits; also the seed of a generator that is to be independent of this one.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1): the upper 53 bits, which is all an f64 holds.
    fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_its_published_sequence() {
        let mut jitter = Jitter::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| jitter.next_u64()), expected);
    }

    #[test]
    fn resyncs_stay_within_twenty_percent_and_use_the_whole_range() {
        let mut jitter = Jitter::new(7);
        let delays: Vec<_> = (0..10_000).map(|_| jitter.resync()).collect();
        let (least, most) = (delays.iter().min().expect("some"), delays.iter().max().expect("some"));
        assert!(*least >= Duration::from_secs(48) && *least < Duration::from_millis(48_100), "{least:?}");
        assert!(*most <= Duration::from_secs(72) && *most > Duration::from_millis(71_900), "{most:?}");
    }
}
