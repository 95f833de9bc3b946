//! What a watcher is sent, and what can be watched.

use std::sync::Arc;

use super::cursor::Cursor;

/// An object that can be published.
///
/// Its methods run under the lock of the [`Hub`](super::Hub): they must be quick and must not call the hub.
pub trait Versioned: Clone + PartialEq {
    /// The name that tells this object from the others; never changes.
    fn key(&self) -> &str;

    /// Sets the `resourceVersion`, the one field that the hub owns.
    fn set_version(&mut self, version: &str);

    /// Whether `other` tells a watcher nothing new, versions being equal. What only says how fresh an object is may be
    /// left out: it then reaches those who list, and watchers with the next change.
    fn same_news(&self, other: &Self) -> bool {
        self == other
    }

    /// About how many bytes this object occupies; bounds what the journal keeps alive ([`Limits`](super::Limits)).
    /// The default counts the value itself and none of its heap.
    fn weight(&self) -> usize {
        size_of_val(self)
    }
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Forget everything; the whole list follows as `Added`, and then a `Bookmark`.
    Reset,
    /// The object is new to the watcher.
    Added,
    /// The object was known and is now this.
    Modified,
    /// The object is gone; the frame bears its last content, at the version of its removal.
    Deleted,
    /// Nothing changed: everything up to the cursor has been sent.
    Bookmark,
}

/// One message to a watcher.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame<V> {
    /// What the frame says.
    pub kind: FrameKind,
    /// The whole object; `None` for `Reset` and `Bookmark`.
    pub object: Option<Arc<V>>,
    /// Where to resume after this frame. `None` from a `Reset` up to its `Bookmark`: a watcher that resumed amid the
    /// list would never be sent the rest of it. Changes bear strictly growing cursors, each one exactly once.
    pub cursor: Option<Cursor>,
}

impl<V> Frame<V> {
    pub(super) fn reset() -> Self {
        Self { kind: FrameKind::Reset, object: None, cursor: None }
    }

    pub(super) fn listed(object: Arc<V>) -> Self {
        Self { kind: FrameKind::Added, object: Some(object), cursor: None }
    }

    pub(super) fn bookmark(cursor: Cursor) -> Self {
        Self { kind: FrameKind::Bookmark, object: None, cursor: Some(cursor) }
    }
}
