//! Reasons to look again, gathered from many sources for one reader. A hint that was not read yet is not kept twice,
//! so what is kept is bounded by the number of workspaces.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Hint;
use crate::model::Name;

/// Reasons to look again that nobody has read yet.
#[derive(Debug, Default)]
pub struct Hints {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    everything: bool,
    names: BTreeSet<Name>,
}

impl Hints {
    /// Something about this workspace may have changed.
    pub fn workspace(&self, name: &Name) {
        self.add(|waiting| {
            if !waiting.everything {
                waiting.names.insert(name.clone());
            }
        });
    }

    /// Events may have been missed.
    pub fn everything(&self) {
        self.add(|waiting| {
            waiting.everything = true;
            waiting.names.clear();
        });
    }

    /// The next hint, as soon as there is one.
    pub async fn next(&self) -> Hint {
        loop {
            if let Some(hint) = self.take() {
                return hint;
            }
            self.more.notified().await;
        }
    }

    fn add(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.more.notify_one();
    }

    fn take(&self) -> Option<Hint> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut waiting.everything) {
            return Some(Hint::Everything);
        }
        waiting.names.pop_first().map(Hint::Workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hint_is_kept_once_until_it_is_read() {
        let (hints, name): (_, Name) = (Hints::default(), "demo".parse().expect("a name"));
        hints.workspace(&name);
        hints.workspace(&name);
        assert_eq!(hints.next().await, Hint::Workspace(name.clone()));
        assert_eq!(hints.take(), None);
        hints.workspace(&name);
        assert_eq!(hints.next().await, Hint::Workspace(name), "one that comes after it was read counts again");
    }

    #[tokio::test]
    async fn everything_swallows_what_waits() {
        let hints = Hints::default();
        hints.workspace(&"a".parse().expect("a name"));
        hints.everything();
        hints.workspace(&"b".parse().expect("a name"));
        assert_eq!(hints.next().await, Hint::Everything);
        assert_eq!(hints.take(), None);
    }
}
