//! The work queue: "look at X again", as keys only.
//!
//! * [`State`] decides: which key is due, and which is in a pass. Pure; `now` is an argument.
//! * [`Backoff`] and [`Jitter`] say how long to wait; pure, and seeded through one door.
//! * [`WorkQueue`] is the thin asynchronous edge over them: a lock, a wake-up and a timer.
//!
//! The semantics are those of client-go's workqueue (a key is dirty, or in a pass, or both) with the delays of its
//! delaying queue folded in, so that there is one place where a key can be.

mod backoff;
mod jitter;
mod state;
mod work_queue;

pub use backoff::{BACKOFF_CEILING, BACKOFF_FLOOR, Backoff};
pub use jitter::{Jitter, RESYNC};
pub use state::{Depth, State};
pub use work_queue::{ABANDONED_RETRY, Claim, WorkQueue};
