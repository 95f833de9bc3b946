//! What clients watch: a cache of the newest objects, a bounded journal of their changes, and subscriptions.
//!
//! * [`Journal`] keeps the last changes and answers "what came after n?", or that it no longer knows; pure.
//! * [`Hub`] is the cache and the journal behind one lock: publish, remove, list, subscribe.
//! * [`Subscription`] is a position in the journal. It buffers nothing, so a reader that is too slow costs nothing: it
//!   is cut off, comes back with its cursor, and is sent the whole list.
//!
//! The promise: a watcher that applies its [`Frame`]s holds, at each frame that bears a cursor, exactly what the list
//! said at that version. No gap, and no change twice after resuming.

mod cursor;
mod frame;
mod hub;
mod journal;
mod subscription;
mod view;

pub use cursor::{Cursor, InvalidCursor};
pub use frame::{Frame, FrameKind, Versioned};
pub use hub::{Hub, Limits};
pub use journal::{Expired, Journal};
pub use subscription::{Subscription, WatchError};
