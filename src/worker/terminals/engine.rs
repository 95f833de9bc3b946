//! The thread that follows all screens, off the way of the bytes: a viewer has them before they are looked at here.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::screen::{REPLIES_MAX, Screen};
use super::screens::{IDLE, Screens};
use crate::clock::{Clock, SystemClock};
use crate::contract::terminal::Size;
use crate::worker::WorkerError;

/// After so many bytes the thread lets others run: the kernel gives it a processor for milliseconds at a time, and the
/// thread that carries keys may be the one that waits for it.
const TURN: usize = 16 << 10;

/// A terminal in this worker.
pub(super) type Id = u64;

enum Order {
    Begin(Id, Size, usize, Arc<Seen>),
    Feed(Id, Vec<u8>),
    Resize(Id, Size),
    Snapshot(Id, oneshot::Sender<Vec<u8>>),
    End(Id),
}

/// What the thread has come to know of one terminal.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Bytes that were looked at.
    parsed: watch::Sender<u64>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    title: Option<String>,
    replies: Vec<u8>,
}

impl Seen {
    /// Bytes that were looked at since the beginning.
    pub(super) fn parsed(&self) -> u64 {
        *self.parsed.borrow()
    }

    /// Waits until so many were looked at.
    pub(super) async fn reached(&self, bytes: u64) {
        // The sender is in `self`, so that it ends only then.
        self.parsed.subscribe().wait_for(|parsed| *parsed >= bytes).await.ok();
    }

    /// The title where it changed.
    pub(super) fn title(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).title.take()
    }

    /// Answers to what the program asked.
    pub(super) fn replies(&self) -> Vec<u8> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner).replies)
    }
}

/// The way to the thread; it ends with the last of these.
#[derive(Debug, Clone)]
pub(super) struct Engine(mpsc::Sender<Order>);

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start() -> Result<Self, WorkerError> {
        let (orders, taken) = mpsc::channel();
        let follow = move || follow(&taken);
        thread::Builder::new().name("screens".into()).spawn(follow).map_err(WorkerError::system("start a thread"))?;
        Ok(Self(orders))
    }

    /// Begins to follow a terminal, whose screen takes at most `memory` bytes.
    pub(super) fn begin(&self, id: Id, size: Size, memory: usize) -> Arc<Seen> {
        let seen = Arc::<Seen>::default();
        self.order(Order::Begin(id, size, memory, Arc::clone(&seen)));
        seen
    }

    /// What the terminal has printed.
    pub(super) fn feed(&self, id: Id, bytes: Vec<u8>) {
        self.order(Order::Feed(id, bytes));
    }

    /// It has another size from here on.
    pub(super) fn resize(&self, id: Id, size: Size) {
        self.order(Order::Resize(id, size));
    }

    /// What it shows after all that was told before.
    pub(super) async fn snapshot(&self, id: Id) -> Option<Vec<u8>> {
        let (answer, snapshot) = oneshot::channel();
        self.order(Order::Snapshot(id, answer));
        snapshot.await.ok()
    }

    /// It is gone.
    pub(super) fn end(&self, id: Id) {
        self.order(Order::End(id));
    }

    fn order(&self, order: Order) {
        // The thread ends with this end of the channel.
        let _ = self.0.send(order);
    }
}

fn follow(orders: &mpsc::Receiver<Order>) {
    let (clock, mut screens, mut seen) = (SystemClock::new(), Screens::default(), HashMap::new());
    let mut wait = IDLE;
    loop {
        let order = match screens.are_too_many() {
            true => orders.recv_timeout(wait),
            false => orders.recv().map_err(RecvTimeoutError::from),
        };
        let has_time = order.is_err();
        match order {
            Ok(order) => obey(order, &mut screens, &mut seen, clock.monotonic()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let rested = screens.rest(clock.monotonic(), has_time);
        // One after the other, as long as nothing else is to be done.
        wait = if rested && has_time { Duration::ZERO } else { IDLE };
    }
}

fn obey(order: Order, screens: &mut Screens, told: &mut HashMap<Id, Arc<Seen>>, now: Duration) {
    match order {
        Order::Begin(id, size, memory, seen) => {
            screens.begin(id, size, memory, now);
            told.insert(id, seen);
        }
        Order::Feed(id, bytes) => {
            if let (Some(screen), Some(seen)) = (screens.get(id, now), told.get(&id)) {
                feed(screen, seen, &bytes);
            }
        }
        Order::Resize(id, size) => {
            if let Some(screen) = screens.get(id, now) {
                screen.resize(size);
            }
        }
        Order::Snapshot(id, answer) => {
            if let Some(snapshot) = screens.snapshot(id) {
                // Whoever asked may have left.
                let _ = answer.send(snapshot);
            }
        }
        Order::End(id) => {
            screens.end(id);
            told.remove(&id);
        }
    }
}

fn feed(screen: &mut Screen, seen: &Seen, bytes: &[u8]) {
    for turn in bytes.chunks(TURN) {
        screen.feed(turn);
        thread::yield_now();
    }
    let heard = screen.heard();
    if heard.title.is_some() || !heard.replies.is_empty() {
        let mut told = seen.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.title = heard.title.or(told.title.take());
        told.replies.extend(heard.replies);
        told.replies.truncate(REPLIES_MAX);
    }
    seen.parsed.send_modify(|parsed| *parsed += bytes.len() as u64);
}
