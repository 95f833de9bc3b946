//! The queue as a state machine: no clock, no lock, no executor.

use std::collections::BTreeMap;
use std::time::Duration;

/// A place in the line: the time from which the key is due, then the order of arrival.
type Place = (Duration, u64);

/// Which keys want a pass and from when, and which are in one.
///
/// A key is *waiting* (at one place in the line), or *in a pass*, or in a pass and *dirty* (it wants another one);
/// never in two passes. All times are monotonic, since the same arbitrary start. Memory is bounded by the number of
/// distinct keys: adding a key again moves or keeps its entry, it never makes a second one.
#[derive(Debug, Clone)]
pub struct State<K> {
    /// The line, in the order in which keys are handed out.
    line: BTreeMap<Place, K>,
    /// The other way round: where in the line a key stands.
    places: BTreeMap<K, Place>,
    /// Keys in a pass, with the time from which they are due again if they became dirty meanwhile.
    passes: BTreeMap<K, Option<Duration>>,
    arrivals: u64,
    /// The latest `now` ever seen; see [`State::add`].
    now: Duration,
}

/// How much there is to do, at one moment. A key that is in a pass and dirty counts once, as in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Keys in line, due or not.
    pub waiting: usize,
    /// Keys in a pass.
    pub in_pass: usize,
}

impl<K: Clone + Ord> State<K> {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            line: BTreeMap::new(),
            places: BTreeMap::new(),
            passes: BTreeMap::new(),
            arrivals: 0,
            now: Duration::ZERO,
        }
    }

    /// Wants a pass of `key` at `at` or later. Of several wishes the earliest wins; each is met by a pass that starts
    /// after it was made, so a key that is in a pass becomes due again when that pass is done.
    ///
    /// A time in the past means "now", behind what is due already: nobody jumps the line by dating back.
    pub fn add(&mut self, key: K, at: Duration) {
        let at = at.max(self.now);
        if let Some(again) = self.passes.get_mut(&key) {
            *again = Some(again.map_or(at, |before| before.min(at)));
            return;
        }
        match self.places.get(&key) {
            Some((before, _)) if *before <= at => {}
            Some(place) => {
                self.line.remove(place);
                self.enter(key, at);
            }
            None => self.enter(key, at),
        }
    }

    /// Hands out the key that has been due longest at `now`, if there is one, and opens its pass.
    /// The caller owes a [`done`](State::done) for it.
    pub fn take(&mut self, now: Duration) -> Option<K> {
        self.now = self.now.max(now);
        let first = self.line.first_entry()?;
        if first.key().0 > self.now {
            return None;
        }
        let key = first.remove();
        self.places.remove(&key);
        self.passes.insert(key.clone(), None);
        Some(key)
    }

    /// Ends the pass of `key` at `now`. If it became dirty meanwhile it stands in line again, behind what is due.
    /// Does nothing for a key that is in no pass.
    pub fn done(&mut self, key: &K, now: Duration) {
        self.now = self.now.max(now);
        if let Some((key, Some(at))) = self.passes.remove_entry(key) {
            self.enter(key, at.max(self.now));
        }
    }

    /// From when the first key in line is due: a [`take`](State::take) at or after this time hands out a key, one
    /// before it does not. `None` when no key waits; keys in a pass do not count until they are done.
    pub fn next_due(&self) -> Option<Duration> {
        self.line.keys().next().map(|(at, _)| *at)
    }

    /// How many keys stand in line and how many are in a pass.
    pub fn depth(&self) -> Depth {
        Depth { waiting: self.line.len(), in_pass: self.passes.len() }
    }

    fn enter(&mut self, key: K, at: Duration) {
        self.arrivals += 1;
        let place = (at, self.arrivals);
        self.line.insert(place, key.clone());
        self.places.insert(key, place);
    }
}

impl<K: Clone + Ord> Default for State<K> {
    fn default() -> Self {
        Self::new()
    }
}
