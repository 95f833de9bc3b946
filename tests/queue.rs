//! Properties of the queue's state machine, over random interleavings of everything that can happen to it.
//!
//! What must hold is written down twice, neither time in the way the queue itself works: as promises about the history
//! of each key (`Ledger`), and as a list that is sorted again for every question (`the_order_is_that_of_falling_due`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perry::queue::{Depth, State};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence::WithSource;

type Key = u8;

#[derive(Debug, Clone)]
enum Step {
    /// Add a key at now plus so many seconds; negative is in the past.
    Add(Key, i64),
    Take,
    /// End one of the open passes.
    Done(prop::sample::Index),
    /// End the pass of a key that may be in none.
    DoneUnasked(Key),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..5_u8;
    prop_oneof![
        6 => (key.clone(), -5..8_i64).prop_map(|(key, after)| Step::Add(key, after)),
        5 => Just(Step::Take),
        4 => any::<prop::sample::Index>().prop_map(Step::Done),
        1 => key.prop_map(Step::DoneUnasked),
        3 => (0..5_u64).prop_map(Step::Advance),
    ]
}

/// What was asked for and what was given, per key.
#[derive(Default)]
struct Ledger {
    queue: State<Key>,
    now: Duration,
    /// Keys that were added since they were last taken, with the earliest time asked for.
    owed: BTreeMap<Key, Duration>,
    in_pass: BTreeSet<Key>,
    /// For each key that could be taken now: how often each other key was taken while it could.
    overtaken: BTreeMap<Key, BTreeMap<Key, u32>>,
}

impl Ledger {
    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Add(key, after) => {
                let seconds = (self.now.as_secs() as i64 + after).max(0) as u64;
                let at = Duration::from_secs(seconds);
                self.queue.add(*key, at);
                self.owed.entry(*key).and_modify(|owed| *owed = at.min(*owed)).or_insert(at);
            }
            Step::Take => {
                self.take()?;
            }
            Step::Done(_) if self.in_pass.is_empty() => {}
            Step::Done(which) => {
                let keys: Vec<_> = self.in_pass.iter().copied().collect();
                self.done(*which.get(&keys));
            }
            Step::DoneUnasked(key) if self.in_pass.contains(key) => {}
            Step::DoneUnasked(key) => self.done(*key),
            Step::Advance(seconds) => self.now += Duration::from_secs(*seconds),
        }
        self.check()
    }

    fn done(&mut self, key: Key) {
        self.queue.done(&key, self.now);
        self.in_pass.remove(&key);
    }

    fn take(&mut self) -> Result<Option<Key>, TestCaseError> {
        let Some(key) = self.queue.take(self.now) else {
            prop_assert!(self.ready().is_empty(), "{:?} are due, and none was handed out", self.ready());
            return Ok(None);
        };
        let asked = self.owed.remove(&key);
        prop_assert!(asked.is_some_and(|at| at <= self.now), "{key} asked for {asked:?}, taken at {:?}", self.now);
        prop_assert!(self.in_pass.insert(key), "S7: {key} is in two passes");
        self.overtaken.remove(&key);
        for (waiting, others) in &mut self.overtaken {
            let times = others.entry(key).or_default();
            *times += 1;
            prop_assert!(*times <= 1, "L3: {key} was taken twice while {waiting} could be");
        }
        Ok(Some(key))
    }

    /// The keys that may be taken now.
    fn ready(&self) -> Vec<Key> {
        let waiting = self.owed.iter().filter(|(key, _)| !self.in_pass.contains(key));
        waiting.filter(|(_, at)| **at <= self.now).map(|(key, _)| *key).collect()
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let ready = self.ready();
        self.overtaken.retain(|key, _| ready.contains(key));
        for key in ready {
            self.overtaken.entry(key).or_default();
        }
        let waiting = self.owed.iter().filter(|(key, _)| !self.in_pass.contains(key));
        let earliest = waiting.clone().map(|(_, at)| (*at).max(self.now)).min();
        prop_assert_eq!(self.queue.next_due().map(|at| at.max(self.now)), earliest, "the next due time");
        let depth = Depth { waiting: waiting.count(), in_pass: self.in_pass.len() };
        prop_assert_eq!(self.queue.depth(), depth, "one place per key");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_failure_persistence(WithSource("regressions")))]

    #[test]
    fn no_key_is_in_two_passes_no_wish_is_lost_and_none_is_overtaken_twice(steps in prop::collection::vec(step(), 0..200)) {
        let mut ledger = Ledger::default();
        for step in &steps {
            ledger.run(step)?;
        }
        // Once nothing more is asked for, everything that was is given.
        ledger.now += Duration::from_secs(100);
        for key in ledger.in_pass.clone() {
            ledger.done(key);
        }
        ledger.check()?;
        while let Some(key) = ledger.take()? {
            ledger.done(key);
            ledger.check()?;
        }
        prop_assert!(ledger.owed.is_empty(), "lost: {:?}", ledger.owed);
        prop_assert_eq!(ledger.queue.next_due(), None);
    }

    #[test]
    fn the_order_is_that_of_falling_due_and_then_of_arrival(adds in prop::collection::vec((0..40_u8, 0..6_u64), 0..60)) {
        let mut queue = State::new();
        let mut expected: Vec<(Duration, usize, Key)> = Vec::new();
        for (arrival, (key, at)) in adds.into_iter().enumerate() {
            let at = Duration::from_secs(at);
            queue.add(key, at);
            let earlier = expected.iter().any(|(before, _, other)| *other == key && *before <= at);
            if !earlier {
                expected.retain(|(_, _, other)| *other != key);
                expected.push((at, arrival, key));
            }
        }
        expected.sort();
        for (at, _, key) in expected {
            prop_assert_eq!(queue.next_due(), Some(at));
            prop_assert_eq!(queue.take(at), Some(key));
        }
    }
}

#[test]
fn a_key_that_comes_back_from_a_pass_stands_behind_what_fell_due_meanwhile() {
    let [t1, t2, t5] = [1, 2, 5].map(Duration::from_secs);
    let mut queue = State::new();
    queue.add('a', Duration::ZERO);
    assert_eq!(queue.take(Duration::ZERO), Some('a'));
    queue.add('a', t1);
    queue.add('b', t2);
    queue.done(&'a', t5);
    assert_eq!([queue.take(t5), queue.take(t5), queue.take(t5)], [Some('b'), Some('a'), None]);
}
