//! Moves bytes between a program and its terminal.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::flow::Read;
use super::Terminal;
use crate::clock::Clock;

/// Output that the engine has not looked at: so much is given to it at once, and no more than the second may wait.
const FEED: u64 = 64 << 10;
const LAG: u64 = 1 << 20;
/// Bytes to read in one go, before viewers get them.
const TURN: usize = 32 << 10;
/// After output, what follows from it (title, program) is looked at this much later; sooner where nobody looks and the
/// program may wait for an answer.
const TIDY: Duration = Duration::from_millis(250);
const TIDY_ALONE: Duration = Duration::from_millis(20);
/// How long output may still come after the program's end: more comes only from what it left in the background.
const REST: Duration = Duration::from_millis(100);

impl Terminal {
    /// Moves its bytes, until it is complete.
    pub(in crate::worker::terminals) async fn run(self: Rc<Self>, scratch: Rc<RefCell<Vec<u8>>>) {
        let typing = Rc::clone(&self);
        tokio::select! {
            () = self.read(&scratch) => {}
            () = typing.type_in() => {}
        }
        self.feed();
        self.state.borrow_mut().complete = true;
        self.wake_all();
        self.over.notify_waiters();
    }

    /// Reads what the program prints, as far as it may.
    pub(super) async fn read(self: &Rc<Self>, scratch: &RefCell<Vec<u8>>) {
        loop {
            let is_over = self.state.borrow().ended.is_some();
            if !is_over && self.wait_for_room().await {
                continue;
            }
            let ready = match is_over {
                true => timeout(REST, self.pty.output.readable()).await,
                false => tokio::select! {
                    ready = self.pty.output.readable() => Ok(ready),
                    // It has ended, or a viewer has come or gone.
                    () = self.room.notified() => continue,
                },
            };
            let Ok(Ok(())) = ready else { return };
            let (length, is_closed) = self.read_some(&mut scratch.borrow_mut());
            if is_closed {
                return self.wait_for_end().await;
            }
            if length == TURN {
                // Viewers first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes what is there, up to a turn of it; how much, and whether nobody has the terminal open any more.
    pub(super) fn read_some(self: &Rc<Self>, scratch: &mut [u8]) -> (usize, bool) {
        let (mut length, mut is_closed) = (0, false);
        while length < TURN {
            match self.pty.output.try_read(&mut scratch[length..TURN]) {
                Ok(more @ 1..) => {
                    length += more;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // EIO is the end of a terminal.
                Ok(0) | Err(_) => is_closed = true,
            }
            break;
        }
        if length > 0 {
            self.printed(&scratch[..length]);
        }
        (length, is_closed)
    }

    /// Nobody has the terminal open, and so its program is at its end, or does without.
    pub(super) async fn wait_for_end(&self) {
        while self.state.borrow().ended.is_none() {
            self.room.notified().await;
        }
    }

    /// Waits where there is no room; whether it had to.
    pub(super) async fn wait_for_room(&self) -> bool {
        let (read, lag) = {
            let mut state = self.state.borrow_mut();
            (state.flow.may_read(self.now()), state.fed - self.seen.parsed())
        };
        match read {
            _ if lag > LAG => self.seen.reached(self.seen.parsed() + 1).await,
            Read::Go => return false,
            Read::Wait(until) => tokio::select! {
                () = self.room.notified() => {}
                () = sleep(until.saturating_sub(self.now())) => {}
            },
        }
        true
    }

    pub(super) fn printed(self: &Rc<Self>, bytes: &[u8]) {
        let (unfed, alone) = {
            let mut state = self.state.borrow_mut();
            state.flow.ring.push(bytes);
            (state.flow.ring.head() - state.fed, state.viewers.is_empty())
        };
        self.wake_all();
        if unfed >= FEED {
            self.feed();
        }
        self.tidy_soon(if alone { TIDY_ALONE } else { TIDY });
    }

    /// Gives the engine what it was not given yet.
    pub(super) fn feed(&self) {
        let mut state = self.state.borrow_mut();
        let fed = state.fed;
        let Some((first, second)) = state.flow.ring.from(fed, usize::MAX) else { return };
        if !first.is_empty() {
            let piece = [first, second].concat();
            state.fed += piece.len() as u64;
            self.engine.feed(self.number, piece);
        }
    }

    /// Looks a little later at what follows from output. No timer is in the way of the output itself.
    pub(super) fn tidy_soon(self: &Rc<Self>, wait: Duration) {
        if std::mem::replace(&mut self.state.borrow_mut().tidying, true) {
            return;
        }
        let terminal = Rc::clone(self);
        tokio::task::spawn_local(async move {
            sleep(wait).await;
            terminal.feed();
            let fed = terminal.state.borrow().fed;
            terminal.seen.reached(fed).await;
            terminal.tidy();
        });
    }

    pub(super) fn tidy(self: &Rc<Self>) {
        self.asked(self.seen.replies());
        let (title, program) = (self.seen.title(), self.pty.program());
        let mut state = self.state.borrow_mut();
        state.tidying = false;
        state.last_activity = self.clock.wall();
        let before = (state.title.clone(), state.program.clone());
        state.title = title.unwrap_or(before.0.clone());
        state.program = program.unwrap_or(before.1.clone());
        if before != (state.title.clone(), state.program.clone()) {
            state.version += 1;
            drop(state);
            self.wake_all();
        }
    }

    /// Hands the program what was typed, as it takes it.
    pub(super) async fn type_in(&self) {
        loop {
            self.typed.notified().await;
            while !self.write_some() {
                if self.pty.input.writable().await.is_err() {
                    return;
                }
            }
        }
    }

    /// Hands over what can be at once; whether all was.
    pub(super) fn write_some(&self) -> bool {
        let mut state = self.state.borrow_mut();
        loop {
            let Some(front) = state.input.front() else { return true };
            let written = if front.is_empty() { Ok(0) } else { self.pty.input.try_write(front) };
            match written {
                Ok(length) => {
                    if let Some((client, id)) = state.input.taken(length) {
                        let of = state.viewers.values().filter(|viewer| viewer.client == client);
                        of.for_each(|viewer| viewer.was_applied(id));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The program is gone, and what was typed with it.
                Err(_) => {
                    let length = state.input.front().map_or(0, <[u8]>::len);
                    state.input.taken(length);
                }
            }
        }
    }
}
