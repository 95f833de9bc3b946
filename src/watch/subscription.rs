//! One watcher's place in the journal.

use std::fmt;
use std::sync::Arc;

use super::cursor::Cursor;
use super::frame::Frame;
use super::hub::Shared;

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The reader was so slow that changes it has not read are no longer kept. Subscribe again, with the last cursor.
    #[error("the watcher fell behind and was cut off")]
    Lagged,
    /// The hub was closed, because the agent ends.
    #[error("the watch was closed")]
    Closed,
}

/// A stream of [`Frame`]s. It holds the opening list until that is read, and else nothing but a position: what it has
/// not read is kept only as long as the journal keeps it anyway.
pub struct Subscription<V> {
    shared: Arc<Shared<V>>,
    opening: std::vec::IntoIter<Frame<V>>,
    /// The last change that was handed out, or is contained in the opening list.
    position: Cursor,
    /// The version at which the watcher has caught up, until it has been told so.
    caught_up_at: Option<u64>,
}

impl<V> Subscription<V> {
    pub(super) fn new(shared: Arc<Shared<V>>, opening: Vec<Frame<V>>, position: Cursor, caught_up_at: u64) -> Self {
        Self { shared, opening: opening.into_iter(), position, caught_up_at: Some(caught_up_at) }
    }

    /// Waits for the next frame.
    ///
    /// Cancel-safe: a future that is dropped before it completes has skipped nothing.
    ///
    /// # Errors
    /// [`WatchError`] when the stream has ended; it stays so.
    pub async fn next(&mut self) -> Result<Frame<V>, WatchError> {
        let shared = self.shared.clone();
        loop {
            // Made before looking, so that no change between looking and waiting is missed.
            let changed = shared.changed.notified();
            if let Some(frame) = self.try_next()? {
                return Ok(frame);
            }
            changed.await;
        }
    }

    /// The next frame if there is one now.
    ///
    /// # Errors
    /// [`WatchError`] when the stream has ended; it stays so.
    pub fn try_next(&mut self) -> Result<Option<Frame<V>>, WatchError> {
        if let Some(frame) = self.opening.next() {
            if self.opening.as_slice().is_empty() {
                // Its memory would else be kept for as long as the watcher is there.
                self.opening = Vec::new().into_iter();
            }
            return Ok(Some(frame));
        }
        if self.caught_up_at.take_if(|at| *at <= self.position.n()).is_some() {
            return Ok(Some(Frame::bookmark(self.position.clone())));
        }
        let change = self.shared.change_after(&self.position)?;
        if let Some(cursor) = change.as_ref().and_then(|frame| frame.cursor.as_ref()) {
            self.position = cursor.clone();
        }
        Ok(change)
    }

    /// A bookmark for what has been handed out so far: a keep-alive that also spares the watcher a reset when it
    /// resumes. `None` while the opening list is being read, for until then there is no place to resume from.
    pub fn bookmark(&self) -> Option<Frame<V>> {
        self.opening.as_slice().is_empty().then(|| Frame::bookmark(self.position.clone()))
    }
}

impl<V> fmt::Debug for Subscription<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position).finish_non_exhaustive()
    }
}
