//! One terminal: its program, what it printed, who looks at it. Everything happens on one thread.

mod answers;
mod program;
mod size;
mod viewers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::engine::{Engine, Id, Seen};
use super::flow::{Flow, ViewerId};
use super::input::Input;
use super::pty::Pty;
use super::ring::Ring;
use crate::clock::{Clock, SystemClock};
use crate::contract::terminal::{Exit, Size};
use crate::contract::terminals::TerminalInfo;
use crate::model::Name;

pub(super) use self::viewers::Viewer;

/// What is kept of the output, in bytes, for viewers that come back soon.
const RING: usize = 1 << 20;
/// What the cells of a screen and its scrollback may take. With the ring and what is on its way to the engine it makes 8 MiB.
pub(super) const SCREEN: usize = 5 << 20;
/// What is kept of an ended one's, for viewers that were away.
const KEPT: usize = 64 << 10;
/// How long a program has to end by itself after its terminal was closed.
const HANG_UP: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct State {
    name: Name,
    title: String,
    program: String,
    size: Size,
    /// Whose window decides.
    typist: Option<ViewerId>,
    /// A size that will be taken in a moment.
    wanted: Option<Size>,
    resized: Option<Duration>,
    flow: Flow,
    input: Input,
    /// Answers to questions that no viewer's terminal has heard.
    owed: Vec<u8>,
    viewers: BTreeMap<ViewerId, Rc<Viewer>>,
    next_viewer: ViewerId,
    /// Counts what viewers are told by [`Info`](crate::contract::terminal::Info).
    version: u64,
    /// Bytes since the beginning that the engine was given.
    fed: u64,
    tidying: bool,
    ended: Option<Exit>,
    /// All of its output is there.
    complete: bool,
    last_activity: Timestamp,
}

/// One terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) id: String,
    number: Id,
    command: Vec<String>,
    created: Timestamp,
    pty: Pty,
    engine: Engine,
    seen: Arc<Seen>,
    clock: SystemClock,
    state: RefCell<State>,
    /// The program may be allowed to print more.
    room: Notify,
    /// There is something to type.
    typed: Notify,
    /// It is complete.
    pub(super) over: Notify,
}

/// What a terminal begins with.
pub(super) struct Beginning {
    pub(super) name: Name,
    pub(super) id: String,
    pub(super) number: Id,
    pub(super) command: Vec<String>,
    pub(super) size: Size,
    pub(super) created: Timestamp,
}

impl Terminal {
    /// Follows a program from its first byte on.
    pub(super) fn new(beginning: Beginning, pty: Pty, engine: Engine) -> Rc<Self> {
        let Beginning { name, id, number, command, size, created } = beginning;
        let seen = engine.begin(number, size, SCREEN);
        let state = State {
            name,
            title: String::new(),
            program: String::new(),
            size,
            typist: None,
            wanted: None,
            resized: None,
            flow: Flow::new(Ring::new(RING, 0)),
            input: Input::default(),
            owed: Vec::new(),
            viewers: BTreeMap::new(),
            next_viewer: 0,
            version: 0,
            fed: 0,
            tidying: false,
            ended: None,
            complete: false,
            last_activity: created,
        };
        Rc::new(Self {
            id,
            number,
            command,
            created,
            pty,
            engine,
            seen,
            clock: SystemClock::new(),
            state: RefCell::new(state),
            room: Notify::new(),
            typed: Notify::new(),
            over: Notify::new(),
        })
    }

    fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Looks whether its program has ended.
    pub(super) fn reap(&self) {
        let mut state = self.state.borrow_mut();
        if state.ended.is_none() {
            state.ended = self.pty.ended();
            if state.ended.is_some() {
                self.room.notify_one();
            }
        }
    }

    /// Whether its program has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state.borrow().ended.is_some()
    }

    /// Hangs up, and waits for the end.
    pub(super) async fn close(&self) {
        self.pty.signal(Signal::SIGHUP);
        // One that was stopped could not act on it.
        self.pty.signal(Signal::SIGCONT);
        if timeout(HANG_UP, self.wait_until_over()).await.is_err() {
            self.pty.signal(Signal::SIGKILL);
            self.wait_until_over().await;
        }
    }

    async fn wait_until_over(&self) {
        loop {
            let over = self.over.notified();
            if self.state.borrow().complete {
                return;
            }
            over.await;
        }
    }

    /// Frees what an ended one needs no more: who still looks gets all of it.
    pub(super) fn shrink(&self) {
        let mut state = self.state.borrow_mut();
        if state.complete && state.viewers.is_empty() {
            state.flow.ring.shrink(KEPT);
        }
    }

    /// Its screen is followed no more.
    pub(super) fn forget(&self) {
        self.engine.end(self.number);
    }

    /// Its name.
    pub(super) fn name(&self) -> Name {
        self.state.borrow().name.clone()
    }

    /// Has another name from now on.
    pub(super) fn rename(&self, to: Name) {
        let mut state = self.state.borrow_mut();
        state.name = to;
        state.version += 1;
        drop(state);
        self.wake_all();
    }

    /// Its device.
    pub(in crate::worker::terminals) fn tty(&self) -> &str {
        &self.pty.tty
    }

    /// What there is to know of it.
    pub(super) fn told(&self) -> TerminalInfo {
        let program = self.pty.program();
        let state = self.state.borrow();
        TerminalInfo {
            terminal: state.name.clone(),
            id: self.id.clone(),
            title: state.title.clone(),
            command: self.command.clone(),
            program: program.unwrap_or_else(|| state.program.clone()),
            tty: self.pty.tty.clone(),
            cols: state.size.cols,
            rows: state.size.rows,
            viewers: u32::try_from(state.viewers.len()).unwrap_or(u32::MAX),
            created: self.created,
            last_activity: state.last_activity,
        }
    }
}
