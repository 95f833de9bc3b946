//! Views can be watched.

use super::Versioned;
use crate::model::{Shown, View};

impl Versioned for Shown {
    fn key(&self) -> &str {
        self.name.as_str()
    }

    fn set_version(&mut self, version: &str) {
        self.change(|view| version.clone_into(&mut view.resource_version));
    }

    fn same_news(&self, other: &Self) -> bool {
        news(self) == news(other)
    }

    fn weight(&self) -> usize {
        // Texts of people make most of a view: the spec is bounded by admission, the messages by the controller.
        2048 + self.conditions.iter().map(|condition| condition.message.len()).sum::<usize>()
    }
}

/// Everything but when it was last looked at: else every resync would wake every watcher.
fn news(view: &View) -> impl PartialEq + '_ {
    let View { name, status, observed_at, container_id, created, image, ports, uid, labels, annotations, .. } = view;
    let View { generation, observed_generation, resource_version, spec, conditions, startup, worker, .. } = view;
    (
        (name, status, observed_at.is_some(), container_id, created, image, ports, uid, labels, annotations),
        (generation, observed_generation, resource_version, spec, conditions, startup, worker),
    )
}
