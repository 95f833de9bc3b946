//! The event log: the latest events of each workspace, bounded, for people.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::model::{Event, Name};

/// Events kept of one workspace.
const PER_WORKSPACE: usize = 64;
/// Workspaces whose events are kept, those that are gone included.
const WORKSPACES: usize = 4096;
/// Events that a slow follower may be behind.
const BACKLOG: usize = 1024;

/// The latest events of each workspace.
#[derive(Debug)]
pub(super) struct EventLog {
    kept: Mutex<BTreeMap<Name, VecDeque<Event>>>,
    live: broadcast::Sender<Event>,
}

impl EventLog {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::new(BTreeMap::new()), live: broadcast::Sender::new(BACKLOG) }
    }

    /// Records an event; one equal to the last but for its time counts up instead.
    pub(super) fn record(&self, mut event: Event) {
        let mut kept = self.lock();
        if !kept.contains_key(&event.name) && kept.len() >= WORKSPACES {
            let oldest = kept.iter().min_by_key(|(_, events)| events.back().map(|event| event.at));
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.map(|name| kept.remove(&name));
        }
        let events = kept.entry(event.name.clone()).or_default();
        if let Some(last) = events.back_mut().filter(|last| repeats(last, &event)) {
            last.at = event.at;
            last.count = last.count.saturating_add(1);
            event.count = last.count;
        } else {
            if events.len() == PER_WORKSPACE {
                events.pop_front();
            }
            events.push_back(event.clone());
        }
        drop(kept);
        // Nobody following is no error.
        let _ = self.live.send(event);
    }

    /// The events of one workspace or of all, oldest first.
    pub(super) fn list(&self, name: Option<&Name>) -> Vec<Event> {
        let kept = self.lock();
        let mut events: Vec<Event> = match name {
            Some(name) => kept.get(name).into_iter().flatten().cloned().collect(),
            None => kept.values().flatten().cloned().collect(),
        };
        events.sort_by_key(|event| event.at);
        events
    }

    /// The events from now on.
    pub(super) fn follow(&self) -> broadcast::Receiver<Event> {
        self.live.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, VecDeque<Event>>> {
        // Every section leaves the map whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn repeats(last: &Event, event: &Event) -> bool {
    last.uid == event.uid && last.reason == event.reason && last.message == event.message
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Severity, Uid};

    fn event(name: &str, uid: &str, message: &str, second: i64) -> Event {
        Event {
            name: name.parse().expect("a name"),
            uid: Uid(uid.to_owned()),
            severity: Severity::Normal,
            reason: "Started".to_owned(),
            message: message.to_owned(),
            at: Timestamp::from_second(second).expect("in range"),
            count: 1,
        }
    }

    #[test]
    fn only_what_is_equal_and_in_a_row_is_counted() {
        let log = EventLog::new();
        for (uid, message) in [("a", "x"), ("a", "x"), ("a", "y"), ("a", "x"), ("b", "x"), ("b", "x")] {
            log.record(event("w", uid, message, 1));
        }
        let counts: Vec<_> = log.list(None).iter().map(|event| event.count).collect();
        assert_eq!(counts, [2, 1, 1, 2]);
    }

    #[test]
    fn of_too_many_workspaces_the_one_with_the_oldest_news_is_forgotten() {
        let log = EventLog::new();
        let names = i64::try_from(WORKSPACES).expect("few");
        (0..names).for_each(|n| log.record(event(&format!("w{n}"), "a", "x", n)));
        log.record(event("w0", "a", "news", names));
        log.record(event("one-more", "a", "x", names + 1));
        let kept = |name: &str| !log.list(Some(&name.parse().expect("a name"))).is_empty();
        assert_eq!(log.list(None).len(), WORKSPACES + 1, "two of w0");
        assert!(kept("w0") && kept("one-more") && kept("w2") && !kept("w1"));
    }
}
