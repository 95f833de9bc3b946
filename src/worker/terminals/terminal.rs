//! One terminal: its program, what it printed, who looks at it. Everything happens on one thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::engine::{Engine, Id, Seen};
use super::flow::{Flow, Next, Read, ViewerId};
use super::input::{Accepted, Input, is_report};
use super::pty::Pty;
use super::ring::Ring;
use crate::contract::terminal::{Exit, Info, Size};
use crate::contract::terminals::{Refusal, TerminalInfo};
use crate::model::Name;

/// What is kept of the output, in bytes, for viewers that come back soon.
const RING: usize = 1 << 20;
/// What the cells of a screen and its scrollback may take. With the ring and what is on its way to the engine it makes 8 MiB.
pub(super) const SCREEN: usize = 5 << 20;
/// Output that the engine has not looked at: so much is given to it at once, and no more than the second may wait.
const FEED: u64 = 64 << 10;
const LAG: u64 = 1 << 20;
/// Bytes to read in one go, before viewers get them.
const TURN: usize = 32 << 10;
/// After output, what follows from it (title, program) is looked at this much later; sooner where nobody looks and the
/// program may wait for an answer.
const TIDY: Duration = Duration::from_millis(250);
const TIDY_ALONE: Duration = Duration::from_millis(20);
/// Sizes are taken at most this often: a window that is dragged tells hundreds.
const RESIZE: Duration = Duration::from_millis(30);
/// How long output may still come after the program's end: more comes only from what it left in the background.
const REST: Duration = Duration::from_millis(100);
/// How long a program has to end by itself after its terminal was closed.
const HANG_UP: Duration = Duration::from_secs(2);
/// How long an acknowledgement of input waits for output to go with.
const ACK_WAIT: Duration = Duration::from_millis(50);
/// Viewers of one terminal.
const VIEWERS: usize = 128;

/// One who looks.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) id: ViewerId,
    pub(super) client: String,
    pub(super) read_only: bool,
    size: Cell<Size>,
    /// The size that its terminal has, as it was told.
    shown: Cell<Size>,
    /// Something may have come for it.
    pub(super) wake: Notify,
    told: Cell<u64>,
    /// Input that it is to be told of as applied.
    applied: Cell<Option<u64>>,
    /// It will be told, if no output comes before.
    telling: Cell<bool>,
}

impl Viewer {
    /// Input that was applied since the last time.
    pub(super) fn take_applied(&self) -> Option<u64> {
        self.applied.take()
    }

    /// Is told soon: as a rule, with the output that follows from it.
    fn was_applied(self: &Rc<Self>, id: u64) {
        self.applied.set(Some(id));
        if !self.telling.replace(true) {
            let viewer = Rc::clone(self);
            tokio::task::spawn_local(async move {
                sleep(ACK_WAIT).await;
                viewer.telling.set(false);
                viewer.wake.notify_one();
            });
        }
    }
}

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
    resized: Option<Instant>,
    flow: Flow,
    input: Input,
    viewers: BTreeMap<ViewerId, Rc<Viewer>>,
    next_viewer: ViewerId,
    /// Counts what viewers are told by [`Info`].
    version: u64,
    /// Bytes since the beginning that the engine was given.
    fed: u64,
    first: u64,
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
    began: Instant,
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
    /// The number of the first byte.
    pub(super) first: u64,
}

impl Terminal {
    /// Goes on with a program, from its first byte or a later one.
    pub(super) fn new(beginning: Beginning, pty: Pty, engine: Engine, input: Input) -> Rc<Self> {
        let Beginning { name, id, number, command, size, created, first } = beginning;
        let seen = engine.begin(number, size, SCREEN);
        let state = State {
            name,
            title: String::new(),
            program: String::new(),
            size,
            typist: None,
            wanted: None,
            resized: None,
            flow: Flow::new(Ring::new(RING, first)),
            input,
            viewers: BTreeMap::new(),
            next_viewer: 0,
            version: 0,
            fed: first,
            first,
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
            began: Instant::now(),
            state: RefCell::new(state),
            room: Notify::new(),
            typed: Notify::new(),
            over: Notify::new(),
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Moves its bytes, until it is complete.
    pub(super) async fn run(self: Rc<Self>, scratch: Rc<RefCell<Vec<u8>>>) {
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
    async fn read(self: &Rc<Self>, scratch: &RefCell<Vec<u8>>) {
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
            let mut scratch = scratch.borrow_mut();
            let (mut length, mut is_closed) = (0, false);
            while length < TURN {
                match self.pty.output.try_read(&mut scratch[length..TURN]) {
                    Ok(0) => is_closed = true,
                    Ok(more) => {
                        length += more;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // EIO: nobody has the terminal open any more.
                    Err(_) => is_closed = true,
                }
                break;
            }
            if length > 0 {
                self.printed(&scratch[..length]);
            }
            drop(scratch);
            if is_closed {
                return self.wait_for_end().await;
            }
            if length == TURN {
                // Viewers first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Nobody has the terminal open, and so its program is at its end, or does without.
    async fn wait_for_end(&self) {
        while self.state.borrow().ended.is_none() {
            self.room.notified().await;
        }
    }

    /// Waits where there is no room; whether it had to.
    async fn wait_for_room(&self) -> bool {
        let (read, lag) = {
            let mut state = self.state.borrow_mut();
            (state.flow.may_read(self.now()), state.fed - state.first - self.seen.parsed())
        };
        match read {
            _ if lag > LAG => self.seen.changed().await,
            Read::Go => return false,
            Read::Wait(until) => tokio::select! {
                () = self.room.notified() => {}
                () = sleep_until(self.began + until) => {}
            },
        }
        true
    }

    fn printed(self: &Rc<Self>, bytes: &[u8]) {
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
    fn feed(&self) {
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
    fn tidy_soon(self: &Rc<Self>, wait: Duration) {
        if std::mem::replace(&mut self.state.borrow_mut().tidying, true) {
            return;
        }
        let terminal = Rc::clone(self);
        tokio::task::spawn_local(async move {
            sleep(wait).await;
            terminal.feed();
            let target = { terminal.state.borrow().fed - terminal.state.borrow().first };
            while terminal.seen.parsed() < target {
                terminal.seen.changed().await;
            }
            terminal.tidy();
        });
    }

    fn tidy(&self) {
        let (title, replies) = self.seen.take();
        let program = self.pty.program();
        let mut state = self.state.borrow_mut();
        state.tidying = false;
        state.last_activity = Timestamp::now();
        let before = (state.title.clone(), state.program.clone());
        state.title = title.unwrap_or(before.0.clone());
        state.program = program.unwrap_or(before.1.clone());
        // Where somebody looks, that one's terminal answers: it knows its own colours.
        if !replies.is_empty() && state.viewers.is_empty() {
            let id = u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX);
            state.input.accept("", id, replies.into());
            self.typed.notify_one();
        }
        if before != (state.title.clone(), state.program.clone()) {
            state.version += 1;
            drop(state);
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        self.state.borrow().viewers.values().for_each(|viewer| viewer.wake.notify_one());
    }

    /// Hands the program what was typed, as it takes it.
    async fn type_in(&self) {
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
    fn write_some(&self) -> bool {
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

    /// Somebody types.
    ///
    /// # Errors
    /// More than may be on its way.
    pub(super) fn input(self: &Rc<Self>, viewer: &Viewer, id: u64, bytes: Bytes) -> Result<(), Refusal> {
        if viewer.read_only {
            return Ok(());
        }
        let (mut state, others_answer) = (self.state.borrow_mut(), is_report(&bytes));
        let is_typist = state.typist == Some(viewer.id);
        let bytes = if others_answer && !is_typist { Bytes::new() } else { bytes };
        match state.input.accept(&viewer.client, id, bytes) {
            Accepted::New => {}
            Accepted::Already => {
                let applied = state.input.applied(&viewer.client);
                viewer.applied.set((applied >= id).then_some(applied));
                return Ok(());
            }
            Accepted::TooMuch => {
                return Err(Refusal::TooMany("too much input is on its way: await its acknowledgement".to_owned()));
            }
        }
        let size = viewer.size.get();
        if !is_typist && !others_answer {
            state.typist = Some(viewer.id);
        }
        drop(state);
        if !self.write_some() {
            self.typed.notify_one();
        }
        if !is_typist && !others_answer {
            self.want_size(size);
        }
        self.state.borrow_mut().last_activity = Timestamp::now();
        Ok(())
    }

    /// A viewer's window has this size.
    pub(super) fn viewer_resized(self: &Rc<Self>, viewer: &Viewer, size: Size) {
        viewer.size.set(size.clamped());
        let decides = {
            let mut state = self.state.borrow_mut();
            let nobody = state.typist.is_none();
            if nobody && !viewer.read_only {
                state.typist = Some(viewer.id);
            }
            state.typist == Some(viewer.id)
        };
        if decides {
            self.want_size(size.clamped());
        }
    }

    /// Has this size at once, or a moment later.
    fn want_size(self: &Rc<Self>, size: Size) {
        let mut state = self.state.borrow_mut();
        let waits = state.wanted.replace(size).is_some();
        let at = state.resized.map(|at| at + RESIZE).filter(|at| *at > Instant::now());
        drop(state);
        match at {
            _ if waits => {}
            None => self.take_size(),
            Some(at) => {
                let terminal = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    sleep_until(at).await;
                    terminal.take_size();
                });
            }
        }
    }

    /// Takes the size that is wanted, where it is another one.
    fn take_size(&self) {
        self.feed();
        let mut state = self.state.borrow_mut();
        let Some(size) = state.wanted.take().filter(|size| *size != state.size) else { return };
        (state.size, state.resized) = (size, Some(Instant::now()));
        state.flow.resized(size);
        self.pty.resize(size);
        self.engine.resize(self.number, size);
        drop(state);
        self.wake_all();
    }

    /// Somebody comes.
    ///
    /// # Errors
    /// Too many look already.
    pub(super) fn attach(
        self: &Rc<Self>,
        client: String,
        read_only: bool,
        size: Size,
        have: Option<u64>,
    ) -> Result<Rc<Viewer>, Refusal> {
        let mut state = self.state.borrow_mut();
        if state.viewers.len() >= VIEWERS {
            return Err(Refusal::TooMany(format!("{VIEWERS} look at terminal {} already", state.name)));
        }
        let id = state.next_viewer;
        state.next_viewer += 1;
        state.version += 1;
        state.flow.attach(id, have);
        let applied = Some(state.input.applied(&client)).filter(|applied| *applied > 0);
        let viewer = Rc::new(Viewer {
            id,
            client,
            read_only,
            size: Cell::new(size.clamped()),
            shown: Cell::new(state.size),
            wake: Notify::new(),
            told: Cell::new(0),
            applied: Cell::new(applied),
            telling: Cell::new(false),
        });
        state.viewers.insert(id, Rc::clone(&viewer));
        drop(state);
        self.viewer_resized(&viewer, size);
        viewer.shown.set(self.state.borrow().size);
        self.room.notify_one();
        self.wake_all();
        Ok(viewer)
    }

    /// Somebody goes; `returns`: the connection broke.
    pub(super) fn detach(self: &Rc<Self>, viewer: &Viewer, returns: bool) {
        let mut state = self.state.borrow_mut();
        state.viewers.remove(&viewer.id);
        state.version += 1;
        let now = self.now();
        state.flow.detach(viewer.id, returns, now);
        let heir = state.viewers.values().rev().find(|viewer| !viewer.read_only).cloned();
        let was_typist = state.typist == Some(viewer.id);
        if was_typist {
            state.typist = heir.as_ref().map(|heir| heir.id);
        }
        drop(state);
        if let Some(heir) = heir.filter(|_| was_typist) {
            self.want_size(heir.size.get());
        }
        self.room.notify_one();
        self.wake_all();
    }

    /// A viewer has rendered everything before this number.
    pub(super) fn acked(&self, viewer: &Viewer, sequence: u64) {
        let now = self.now();
        if self.state.borrow_mut().flow.acked(viewer.id, sequence, now) {
            self.room.notify_one();
            viewer.wake.notify_one();
        }
    }

    /// What a viewer is to be told of the terminal, where that is new.
    pub(super) fn news(&self, viewer: &Viewer) -> Option<Info> {
        let state = self.state.borrow();
        if viewer.told.replace(state.version) == state.version {
            return None;
        }
        Some(self.info(&state, viewer))
    }

    fn info(&self, state: &State, viewer: &Viewer) -> Info {
        let Size { cols, rows } = viewer.shown.get();
        Info {
            terminal: state.name.clone(),
            id: self.id.clone(),
            title: state.title.clone(),
            program: state.program.clone(),
            cols,
            rows,
            viewers: u32::try_from(state.viewers.len()).unwrap_or(u32::MAX),
            read_only: viewer.read_only,
        }
    }

    /// What a viewer is to be sent.
    pub(super) fn next(&self, viewer: &Viewer) -> Next {
        self.state.borrow().flow.next(viewer.id)
    }

    /// A viewer is told of a new size, in its place among the data.
    pub(super) fn tell_size(&self, viewer: &Viewer, size: Size) -> Info {
        viewer.shown.set(size);
        let mut state = self.state.borrow_mut();
        state.flow.told_size(viewer.id);
        self.info(&state, viewer)
    }

    /// Lets `send` take the next bytes of a viewer, in two pieces.
    pub(super) fn send<T>(&self, viewer: &Viewer, from: u64, most: usize, send: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let (first, second) = state.flow.ring.from(from, most).unwrap_or_default();
        let length = first.len() + second.len();
        let sent = send(first, second);
        state.flow.sent(viewer.id, length);
        sent
    }

    /// What a viewer needs that comes new: the number after the last byte in it, the size, and the stream that rebuilds it.
    pub(super) async fn snapshot(&self, viewer: &Viewer) -> Option<(u64, Size, Vec<u8>)> {
        self.feed();
        let (sequence, size) = {
            let mut state = self.state.borrow_mut();
            (state.flow.snapshot_begun(viewer.id), state.size)
        };
        viewer.shown.set(size);
        let bytes = self.engine.snapshot(self.number).await?;
        self.state.borrow_mut().flow.snapshot_sent(viewer.id, sequence);
        self.room.notify_one();
        Some((sequence, size, bytes))
    }

    /// How it ended, once a viewer has had all of it.
    pub(super) fn end_for(&self, viewer: &Viewer) -> Option<Exit> {
        let state = self.state.borrow();
        state.ended.clone().filter(|_| state.complete && state.flow.is_done(viewer.id))
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

    /// Frees what an ended one needs no more.
    pub(super) fn shrink(&self) {
        self.state.borrow_mut().flow.ring.shrink(FEED as usize);
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
