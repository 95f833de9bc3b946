//! The newest objects and the journal of their changes, behind one lock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::cursor::{Cursor, InvalidCursor};
use super::frame::{Frame, FrameKind, Versioned};
use super::journal::{Expired, Journal};
use super::subscription::{Subscription, WatchError};

/// How much history a [`Hub`] keeps for readers that are behind. Both bounds hold; the newest change is always kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most changes that are kept.
    pub events: usize,
    /// The most that the kept objects may weigh in total, in bytes as [`Versioned::weight`] counts them.
    pub bytes: usize,
}

impl Default for Limits {
    /// 4096 changes, 64 MiB.
    fn default() -> Self {
        Self { events: 4096, bytes: 64 << 20 }
    }
}

/// A handle on a cache of objects that can be listed and watched; clones share it.
pub struct Hub<V> {
    shared: Arc<Shared<V>>,
}

pub(super) struct Shared<V> {
    inner: Mutex<Inner<V>>,
    pub(super) changed: Notify,
}

struct Inner<V> {
    /// The version of the list now.
    cursor: Cursor,
    objects: BTreeMap<String, Entry<V>>,
    journal: Journal<Event<V>>,
    closed: bool,
}

struct Entry<V> {
    object: Arc<V>,
    /// The text of its version, kept to compare a newer object on equal terms.
    version: String,
}

struct Event<V> {
    kind: FrameKind,
    object: Arc<V>,
}

impl<V: Versioned> Hub<V> {
    /// An empty cache. `boot` must differ from run to run, so that no cursor of an earlier run is taken for one of
    /// this: a fresh UUID will do.
    ///
    /// # Errors
    /// [`InvalidCursor::Boot`] when `boot` cannot be part of a cursor.
    pub fn new(boot: &str, limits: Limits) -> Result<Self, InvalidCursor> {
        let inner = Inner {
            cursor: Cursor::new(boot, 0)?,
            objects: BTreeMap::new(),
            journal: Journal::new(limits.events, limits.bytes),
            closed: false,
        };
        Ok(Self { shared: Arc::new(Shared { inner: Mutex::new(inner), changed: Notify::new() }) })
    }

    /// Makes `object` the newest of its key and tells every watcher; its version becomes the cursor of this change.
    /// Returns `false`, and tells nobody, when it is no news beside what is cached ([`Versioned::same_news`]).
    pub fn publish(&self, object: impl Into<V>) -> bool {
        let object = object.into();
        let changed = self.shared.lock().publish(object);
        if changed {
            self.shared.changed.notify_waiters();
        }
        changed
    }

    /// Removes the object of that key, tells every watcher, and returns it; `None` when there is none.
    pub fn remove(&self, key: &str) -> Option<Arc<V>> {
        let removed = self.shared.lock().remove(key)?;
        self.shared.changed.notify_waiters();
        Some(removed)
    }

    /// The newest object of that key.
    pub fn get(&self, key: &str) -> Option<Arc<V>> {
        self.shared.lock().objects.get(key).map(|entry| entry.object.clone())
    }

    /// Every object, by key, and the version of this list: [`subscribe`](Hub::subscribe) from there to miss nothing.
    pub fn list(&self) -> (Vec<Arc<V>>, Cursor) {
        let inner = self.shared.lock();
        (inner.list(), inner.cursor.clone())
    }

    /// Watches from `after` on. First comes what changed since, and a bookmark; or, without a cursor or with one that
    /// the journal does not know (expired, or of another run), `Reset`, every object as `Added`, and a bookmark.
    /// Then comes each change as it happens.
    pub fn subscribe(&self, after: Option<&Cursor>) -> Subscription<V> {
        let inner = self.shared.lock();
        let now = inner.cursor.clone();
        let known = after.filter(|after| after.boot() == now.boot() && inner.journal.since(after.n()).is_ok());
        match known {
            Some(after) => Subscription::new(self.shared.clone(), Vec::new(), after.clone(), now.n()),
            None => Subscription::new(self.shared.clone(), inner.opening(), now.clone(), now.n()),
        }
    }

    /// How many changes are kept for readers that are behind; never more than [`Limits::events`].
    pub fn journal_len(&self) -> usize {
        self.shared.lock().journal.len()
    }

    /// Ends every subscription, present and future, with [`WatchError::Closed`] once it has read what is kept.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

impl<V> Shared<V> {
    /// The change after `position`, as the frame that announces it.
    pub(super) fn change_after(&self, position: &Cursor) -> Result<Option<Frame<V>>, WatchError> {
        let inner = self.lock();
        let next = inner.journal.since(position.n()).map_err(|Expired| WatchError::Lagged)?.next();
        match next {
            Some((n, Event { kind, object })) => {
                let cursor = Some(position.at(n));
                Ok(Some(Frame { kind: *kind, object: Some(object.clone()), cursor }))
            }
            None if inner.closed => Err(WatchError::Closed),
            None => Ok(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        // What an object's own code may do (panic in `eq`) happens before anything is changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Versioned> Inner<V> {
    fn publish(&mut self, mut object: V) -> bool {
        let key = object.key().to_owned();
        let mut kind = FrameKind::Added;
        if let Some(cached) = self.objects.get_mut(&key) {
            object.set_version(&cached.version);
            if object.same_news(&cached.object) {
                cached.object = Arc::new(object);
                return false;
            }
            kind = FrameKind::Modified;
        }
        let (object, version) = self.record(kind, object);
        self.objects.insert(key, Entry { object, version });
        true
    }

    fn remove(&mut self, key: &str) -> Option<Arc<V>> {
        let last = V::clone(&self.objects.get(key)?.object);
        let (object, _) = self.record(FrameKind::Deleted, last);
        self.objects.remove(key);
        Some(object)
    }

    /// Stamps `object` with the next version and enters the change in the journal.
    fn record(&mut self, kind: FrameKind, mut object: V) -> (Arc<V>, String) {
        let cursor = self.cursor.at(self.cursor.n() + 1);
        let version = cursor.to_string();
        object.set_version(&version);
        let weight = object.weight();
        let object = Arc::new(object);
        self.journal.push(Event { kind, object: object.clone() }, weight);
        self.cursor = cursor;
        (object, version)
    }

    fn list(&self) -> Vec<Arc<V>> {
        self.objects.values().map(|entry| entry.object.clone()).collect()
    }

    fn opening(&self) -> Vec<Frame<V>> {
        std::iter::once(Frame::reset()).chain(self.list().into_iter().map(Frame::listed)).collect()
    }
}

impl<V> Clone for Hub<V> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<V> fmt::Debug for Hub<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.shared.lock();
        f.debug_struct("Hub")
            .field("cursor", &inner.cursor)
            .field("objects", &inner.objects.len())
            .field("journal", &inner.journal.len())
            .finish()
    }
}
