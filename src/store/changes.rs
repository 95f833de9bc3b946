//! The names whose intent changed and that the loop has not been told yet: each once, in the order of their first change.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::Name;

/// A queue without doubles. It grows with the number of names at most, whatever the number of changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Name>,
    names: BTreeSet<Name>,
}

impl Changes {
    pub(super) fn push(&self, names: impl IntoIterator<Item = Name>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if waiting.names.insert(name.clone()) {
                waiting.order.push_back(name);
            }
        }
        drop(waiting);
        self.more.notify_one();
    }

    pub(super) async fn next(&self) -> Name {
        loop {
            if let Some(name) = self.pop() {
                return name;
            }
            // A push since then has left a permit, so that this returns at once.
            self.more.notified().await;
        }
    }

    fn pop(&self) -> Option<Name> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let name = waiting.order.pop_front()?;
        waiting.names.remove(&name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn names_come_once_in_the_order_of_their_first_change_and_again_after_a_later_one() {
        let changes = Changes::default();
        changes.push(["b", "a", "b"].map(name));
        changes.push([name("a")]);
        assert_eq!(changes.next().now_or_never(), Some(name("b")));
        changes.push([name("b")]);
        assert_eq!(changes.next().now_or_never(), Some(name("a")));
        assert_eq!(changes.next().now_or_never(), Some(name("b")));
        assert_eq!(changes.next().now_or_never(), None);
    }
}
