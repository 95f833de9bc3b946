//! The only caller of "now" in the crate.
//!
//! Two times are kept apart because they answer different questions: [`Clock::wall`] is what people read (it may
//! jump when the machine's clock is set), [`Clock::monotonic`] is what deadlines are measured on (it never goes back).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// A source of time and of timers. Object-safe, so that a room holds an `Arc<dyn Clock>`.
pub trait Clock: Send + Sync {
    /// The time of day, in UTC. May go back when the machine's clock is corrected: for display, never for deadlines.
    fn wall(&self) -> Timestamp;

    /// Time since an arbitrary start of this clock; never goes back.
    fn monotonic(&self) -> Duration;

    /// Completes once [`monotonic`](Clock::monotonic) has reached `at`; at once when it already has.
    /// Dropping the future cancels the timer.
    fn sleep_until(&self, at: Duration) -> BoxFuture<'static, ()>;
}

/// The real clock, on tokio's timers; it follows tokio's paused time in tests.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    pub fn new() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        // Milliseconds are what people read and what JavaScript keeps.
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    /// Must be polled inside a tokio runtime with timers.
    fn sleep_until(&self, at: Duration) -> BoxFuture<'static, ()> {
        // A deadline beyond what `Instant` can hold is one that never comes.
        let deadline = self.start.checked_add(at);
        Box::pin(async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        })
    }
}

/// A clock that moves only when told to: for tests and simulation. Clones share the same time.
///
/// Needs no runtime: its sleeps wake whatever executor polls them.
#[derive(Debug, Clone)]
pub struct ManualClock {
    inner: Arc<Mutex<Manual>>,
}

#[derive(Debug)]
struct Manual {
    wall: Timestamp,
    monotonic: Duration,
    /// Sleepers by deadline; the number tells apart those with the same one.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_id: u64,
}

impl ManualClock {
    /// A clock that stands still at `wall`, with monotonic time zero.
    pub fn new(wall: Timestamp) -> Self {
        let manual = Manual { wall, monotonic: Duration::ZERO, sleepers: BTreeMap::new(), next_id: 0 };
        Self { inner: Arc::new(Mutex::new(manual)) }
    }

    /// Moves wall and monotonic time forward by `by` and wakes the sleepers whose time has come.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut manual = self.lock();
            manual.monotonic = manual.monotonic.saturating_add(by);
            let wall = manual.wall.saturating_add(by);
            manual.wall = wall.expect("adding a duration without calendar units cannot fail");
            manual.take_due()
        };
        // Outside the lock: a waker may run code that asks for the time.
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves monotonic time forward to `at`, and wall time by as much; does nothing when `at` has passed.
    pub fn advance_to(&self, at: Duration) {
        let by = at.saturating_sub(self.lock().monotonic);
        self.advance(by);
    }

    /// Sets wall time alone, as a correction of the machine's clock does; it may go back.
    pub fn set_wall(&self, wall: Timestamp) {
        self.lock().wall = wall;
    }

    /// The earliest deadline anyone sleeps for; a simulation jumps there when nothing else can happen.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.lock().sleepers.keys().next().map(|(at, _)| *at)
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        // No section below can leave the fields inconsistent, so a poisoned lock is still good.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    /// Starts at the Unix epoch.
    fn default() -> Self {
        Self::new(Timestamp::UNIX_EPOCH)
    }
}

impl Manual {
    fn take_due(&mut self) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.sleepers.first_entry() {
            if entry.key().0 > self.monotonic {
                break;
            }
            due.push(entry.remove());
        }
        due
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.lock().wall
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn sleep_until(&self, at: Duration) -> BoxFuture<'static, ()> {
        let id = {
            let mut manual = self.lock();
            manual.next_id += 1;
            manual.next_id
        };
        Box::pin(ManualSleep { clock: self.clone(), at, id })
    }
}

/// One sleep on a [`ManualClock`]; registered while it waits, forgotten when dropped.
struct ManualSleep {
    clock: ManualClock,
    at: Duration,
    id: u64,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut manual = self.clock.lock();
        if manual.monotonic >= self.at {
            return Poll::Ready(());
        }
        manual.sleepers.insert((self.at, self.id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.clock.lock().sleepers.remove(&(self.at, self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_manual_sleep_ends_exactly_when_time_is_advanced_to_it_and_needs_no_runtime() {
        let clock = ManualClock::default();
        let mut sleep = clock.sleep_until(2 * SECOND);
        assert_eq!((&mut sleep).now_or_never(), None);
        assert_eq!(clock.next_deadline(), Some(2 * SECOND));
        clock.advance(2 * SECOND - Duration::from_nanos(1));
        assert_eq!((&mut sleep).now_or_never(), None);
        clock.advance(Duration::from_nanos(1));
        assert_eq!((&mut sleep).now_or_never(), Some(()));
    }

    #[test]
    fn a_dropped_manual_sleep_leaves_nothing_behind() {
        let clock = ManualClock::default();
        let mut sleep = clock.sleep_until(SECOND);
        assert_eq!((&mut sleep).now_or_never(), None);
        drop(sleep);
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn a_manual_clock_moves_both_times_and_only_wall_time_can_go_back() {
        let clock = ManualClock::default();
        clock.advance(5 * SECOND);
        assert_eq!(clock.wall(), Timestamp::from_second(5).expect("in range"));
        clock.set_wall(Timestamp::UNIX_EPOCH);
        clock.advance_to(SECOND);
        assert_eq!((clock.wall(), clock.monotonic()), (Timestamp::UNIX_EPOCH, 5 * SECOND));
    }

    #[tokio::test]
    async fn advancing_a_manual_clock_wakes_a_sleeping_task() {
        let clock = ManualClock::default();
        let task = tokio::spawn(clock.sleep_until(SECOND));
        tokio::task::yield_now().await;
        clock.advance(SECOND);
        task.await.expect("the task ends");
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_sleeps_until_its_own_monotonic_time() {
        let clock = SystemClock::new();
        clock.sleep_until(3 * SECOND).await;
        assert!(clock.monotonic() >= 3 * SECOND);
        assert_eq!(clock.sleep_until(Duration::MAX).now_or_never(), None, "a deadline that never comes");
    }
}
