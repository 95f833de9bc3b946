//! The last changes, numbered, in bounded memory. Pure.

use std::collections::VecDeque;

/// A ring of numbered events: the first one ever pushed is number 1. Old events make room for new ones.
#[derive(Debug, Clone)]
pub struct Journal<E> {
    events: VecDeque<(E, usize)>,
    /// The number of the newest event, kept or not; 0 before the first.
    last: u64,
    weight: usize,
    max_events: usize,
    max_weight: usize,
}

/// The journal cannot say what came after that number: it lies further back than what is kept, or was never given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal does not know that position")]
pub struct Expired;

impl<E> Journal<E> {
    /// An empty journal that keeps at most `max_events` events, and at most `max_weight` in total of what they weigh,
    /// but always the newest event.
    pub fn new(max_events: usize, max_weight: usize) -> Self {
        Self { events: VecDeque::new(), last: 0, weight: 0, max_events, max_weight }
    }

    /// Appends an event that weighs `weight` and returns its number.
    pub fn push(&mut self, event: E, weight: usize) -> u64 {
        self.last += 1;
        self.weight = self.weight.saturating_add(weight);
        self.events.push_back((event, weight));
        while self.events.len() > 1 && (self.events.len() > self.max_events || self.weight > self.max_weight) {
            if let Some((_, weight)) = self.events.pop_front() {
                self.weight = self.weight.saturating_sub(weight);
            }
        }
        self.last
    }

    /// The events after number `n`, oldest first, with their numbers.
    ///
    /// # Errors
    /// [`Expired`] when some of them are no longer kept, or when `n` was never given out.
    pub fn since(&self, n: u64) -> Result<impl Iterator<Item = (u64, &E)>, Expired> {
        let wanted = self.last.checked_sub(n).and_then(|wanted| usize::try_from(wanted).ok()).ok_or(Expired)?;
        let skipped = self.events.len().checked_sub(wanted).ok_or(Expired)?;
        Ok((n + 1..).zip(self.events.range(skipped..).map(|(event, _)| event)))
    }

    /// The number of the newest event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event is kept.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn since(journal: &Journal<char>, n: u64) -> Result<Vec<(u64, char)>, Expired> {
        journal.since(n).map(|events| events.map(|(n, event)| (n, *event)).collect())
    }

    #[test]
    fn a_position_is_known_as_long_as_every_later_event_is_kept() {
        let mut journal = Journal::new(2, usize::MAX);
        assert_eq!((since(&journal, 0), since(&journal, 1)), (Ok(vec![]), Err(Expired)));
        for event in "abc".chars() {
            journal.push(event, 1);
        }
        assert_eq!(since(&journal, 0), Err(Expired), "event 1 is gone");
        assert_eq!(since(&journal, 1), Ok(vec![(2, 'b'), (3, 'c')]));
        assert_eq!(since(&journal, 3), Ok(vec![]));
        assert_eq!(since(&journal, 4), Err(Expired), "never given out");
        assert_eq!(since(&journal, u64::MAX), Err(Expired), "never given out");
    }

    #[test]
    fn heavy_events_push_out_more_than_one_but_never_the_newest() {
        let mut journal = Journal::new(100, 10);
        for (event, weight) in [('a', 4), ('b', 4), ('c', 3)] {
            journal.push(event, weight);
        }
        assert_eq!(since(&journal, 1), Ok(vec![(2, 'b'), (3, 'c')]));
        journal.push('d', 11);
        assert_eq!(since(&journal, 3), Ok(vec![(4, 'd')]));
        assert_eq!(journal.len(), 1);
    }

    proptest! {
        #[test]
        fn it_answers_like_an_endless_journal_or_says_that_it_cannot(
            weights in prop::collection::vec(0_usize..6, 0..40),
            max_events in 0_usize..6,
            max_weight in 0_usize..12,
        ) {
            let mut journal = Journal::new(max_events, max_weight);
            for (event, weight) in weights.iter().enumerate() {
                prop_assert_eq!(journal.push(event, *weight), event as u64 + 1);
                let kept = &weights[event + 1 - journal.len()..=event];
                prop_assert!(kept.len() <= max_events.max(1));
                prop_assert!(kept.len() == 1 || kept.iter().sum::<usize>() <= max_weight);
            }
            for n in 0..=weights.len() + 2 {
                let known = n <= weights.len() && n + journal.len() >= weights.len();
                let answer = journal.since(n as u64).map(|events| events.map(|(n, event)| (n, *event)).collect::<Vec<_>>());
                let expected = (n..weights.len()).map(|event| (event as u64 + 1, event)).collect();
                prop_assert_eq!(answer, if known { Ok(expected) } else { Err(Expired) });
            }
        }
    }
}
