//! The asynchronous edge of the queue: a lock, a wake-up and a timer around [`State`].

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::Notify;

use super::state::{Depth, State};
use crate::clock::Clock;

/// After how long a key is looked at again whose [`Claim`] was dropped without [`Claim::done`]: long enough that a
/// pass that panics each time does not keep a core busy.
pub const ABANDONED_RETRY: Duration = Duration::from_secs(1);

/// A handle on a queue of keys; clones share the queue. Any number of tasks may add and take.
///
/// Bounded by the number of distinct keys, since a key stands in line at most once.
pub struct WorkQueue<K: Clone + Ord> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner<K>>,
    changed: Notify,
}

struct Inner<K> {
    state: State<K>,
    shut_down: bool,
}

/// What a task that wants a key is to do next.
enum Turn<K> {
    Take(K),
    Wait(Option<Duration>),
    Stop,
}

impl<K: Clone + Ord> WorkQueue<K> {
    /// An empty queue that measures time on `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Mutex::new(Inner { state: State::new(), shut_down: false });
        Self { shared: Arc::new(Shared { clock, inner, changed: Notify::new() }) }
    }

    /// Wants a pass of `key` as soon as possible; one in a pass is due again when that ends.
    pub fn add(&self, key: K) {
        self.add_after(key, Duration::ZERO);
    }

    /// Wants a pass of `key` after `delay`, or earlier if that is or becomes wanted. Without effect after
    /// [`shutdown`](WorkQueue::shutdown).
    pub fn add_after(&self, key: K, delay: Duration) {
        let at = self.shared.clock.monotonic().saturating_add(delay);
        self.change(|inner| {
            if !inner.shut_down {
                inner.state.add(key, at);
            }
        });
    }

    /// Waits for a key that is due and opens its pass; `None` once the queue is shut down.
    ///
    /// Cancel-safe: a future that is dropped before it completes has taken nothing.
    pub async fn next(&self) -> Option<Claim<K>> {
        loop {
            // Made before looking, so that no change between looking and waiting is missed.
            let changed = self.shared.changed.notified();
            match self.turn() {
                Turn::Take(key) => return Some(Claim { key, queue: self.clone(), open: true }),
                Turn::Stop => return None,
                Turn::Wait(None) => changed.await,
                Turn::Wait(Some(at)) => {
                    match select(std::pin::pin!(changed), self.shared.clock.sleep_until(at)).await {
                        Either::Left(_) | Either::Right(_) => {}
                    }
                }
            }
        }
    }

    /// From now on no key is handed out, and every [`next`](WorkQueue::next) ends. Nothing is lost by that, since a
    /// key is only a reason to look. Passes that are open may end: see [`drained`](WorkQueue::drained). May be repeated.
    pub fn shutdown(&self) {
        self.change(|inner| inner.shut_down = true);
    }

    /// Waits until no pass is open. After [`shutdown`](WorkQueue::shutdown) that is final.
    pub async fn drained(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.lock().state.depth().in_pass == 0 {
                return;
            }
            changed.await;
        }
    }

    /// How many keys stand in line and how many are in a pass, at one moment.
    pub fn depth(&self) -> Depth {
        self.lock().state.depth()
    }

    fn turn(&self) -> Turn<K> {
        let now = self.shared.clock.monotonic();
        let mut inner = self.lock();
        if inner.shut_down {
            return Turn::Stop;
        }
        match inner.state.take(now) {
            Some(key) => Turn::Take(key),
            None => Turn::Wait(inner.state.next_due()),
        }
    }

    fn finish(&self, key: &K, abandoned: bool) {
        let now = self.shared.clock.monotonic();
        self.change(|inner| {
            if abandoned {
                inner.state.add(key.clone(), now.saturating_add(ABANDONED_RETRY));
            }
            inner.state.done(key, now);
        });
    }

    /// Changes the queue and wakes whoever waits. All of them, because the one that slept for a later time must look
    /// again too; there are as many as passes run at once, so that is cheap.
    fn change(&self, edit: impl FnOnce(&mut Inner<K>)) {
        edit(&mut self.lock());
        self.shared.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        // The sections are tiny and call nothing but the key's own `Ord` and `Clone`.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Ord> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K: Clone + Ord> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").field("depth", &self.depth()).finish_non_exhaustive()
    }
}

/// A key that was handed out: its pass is open until [`done`](Claim::done), and no one else gets the key meanwhile.
///
/// A claim that is dropped otherwise (its task panicked or was aborted) closes the pass too and has the key looked at
/// again after [`ABANDONED_RETRY`], so that no wish is lost and no key is locked for ever.
#[must_use = "dropping a claim abandons its pass"]
pub struct Claim<K: Clone + Ord> {
    key: K,
    queue: WorkQueue<K>,
    open: bool,
}

impl<K: Clone + Ord> Claim<K> {
    /// Ends the pass. If it is to be repeated later, [`add_after`](WorkQueue::add_after) first.
    pub fn done(mut self) {
        self.open = false;
        self.queue.finish(&self.key, false);
    }
}

impl<K: Clone + Ord> Deref for Claim<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K: Clone + Ord> Drop for Claim<K> {
    fn drop(&mut self) {
        if self.open {
            self.queue.finish(&self.key, true);
        }
    }
}

impl<K: Clone + Ord + fmt::Debug> fmt::Debug for Claim<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.key).finish()
    }
}
