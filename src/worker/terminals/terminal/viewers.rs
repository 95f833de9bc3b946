//! Those who look at a terminal: what they are sent, and what they type.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::super::flow::{Next, ViewerId};
use super::super::input::{Accepted, is_report};
use super::{State, Terminal};
use crate::clock::Clock;
use crate::contract::terminal::{Exit, Info, Size};
use crate::contract::terminals::Refusal;

/// How long an acknowledgement of input waits for output to go with.
const ACK_WAIT: Duration = Duration::from_millis(50);
/// Viewers of one terminal.
const VIEWERS: usize = 128;

/// One who looks.
#[derive(Debug)]
pub(in crate::worker::terminals) struct Viewer {
    pub(in crate::worker::terminals) id: ViewerId,
    pub(in crate::worker::terminals) client: String,
    pub(in crate::worker::terminals) read_only: bool,
    /// Its window's.
    pub(super) size: Cell<Size>,
    /// The size that its terminal has, as it was told.
    pub(super) shown: Cell<Size>,
    /// Something may have come for it.
    pub(in crate::worker::terminals) wake: Notify,
    told: Cell<u64>,
    /// Input that it is to be told of as applied.
    applied: Cell<Option<u64>>,
    /// It will be told, if no output comes before.
    telling: Cell<bool>,
}

impl Viewer {
    /// Input that was applied since the last time.
    pub(in crate::worker::terminals) fn take_applied(&self) -> Option<u64> {
        self.applied.take()
    }

    /// Is told soon: as a rule, with the output that follows from it.
    pub(super) fn was_applied(self: &Rc<Self>, id: u64) {
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

impl Terminal {
    /// Somebody types.
    ///
    /// # Errors
    /// More than may be on its way.
    pub(in crate::worker::terminals) fn input(
        self: &Rc<Self>,
        viewer: &Viewer,
        id: u64,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
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
        self.state.borrow_mut().last_activity = self.clock.wall();
        Ok(())
    }

    /// Somebody comes.
    ///
    /// # Errors
    /// Too many look already.
    pub(in crate::worker::terminals) fn attach(
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
        if !read_only && state.flow.next(id) != Next::Snapshot {
            // It gets the questions, and answers them itself.
            state.owed.clear();
        }
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
    pub(in crate::worker::terminals) fn detach(self: &Rc<Self>, viewer: &Viewer, returns: bool) {
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
        self.shrink();
        self.room.notify_one();
        self.wake_all();
    }

    /// A viewer has rendered everything before this number.
    pub(in crate::worker::terminals) fn acked(&self, viewer: &Viewer, sequence: u64) {
        let now = self.now();
        if self.state.borrow_mut().flow.acked(viewer.id, sequence, now) {
            self.room.notify_one();
            viewer.wake.notify_one();
        }
    }

    /// What a viewer is to be told of the terminal, where that is new.
    pub(in crate::worker::terminals) fn news(&self, viewer: &Viewer) -> Option<Info> {
        let state = self.state.borrow();
        if viewer.told.replace(state.version) == state.version {
            return None;
        }
        Some(self.info(&state, viewer))
    }

    pub(super) fn info(&self, state: &State, viewer: &Viewer) -> Info {
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
    pub(in crate::worker::terminals) fn next(&self, viewer: &Viewer) -> Next {
        self.state.borrow().flow.next(viewer.id)
    }

    /// Lets `send` take the next bytes of a viewer, in two pieces.
    pub(in crate::worker::terminals) fn send<T>(
        &self,
        viewer: &Viewer,
        from: u64,
        most: usize,
        send: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> T {
        let mut state = self.state.borrow_mut();
        let (first, second) = state.flow.ring.from(from, most).unwrap_or_default();
        let length = first.len() + second.len();
        let sent = send(first, second);
        state.flow.sent(viewer.id, length);
        sent
    }

    /// What a viewer needs that comes new: the number after the last byte in it, the size, and the stream that rebuilds it.
    pub(in crate::worker::terminals) async fn snapshot(&self, viewer: &Viewer) -> Option<(u64, Size, Vec<u8>)> {
        self.feed();
        let (sequence, size) = {
            let mut state = self.state.borrow_mut();
            (state.flow.snapshot_begun(viewer.id), state.size)
        };
        viewer.shown.set(size);
        let bytes = self.engine.snapshot(self.number).await?;
        self.unheard_by(viewer);
        self.state.borrow_mut().flow.snapshot_sent(viewer.id, sequence);
        self.room.notify_one();
        Some((sequence, size, bytes))
    }

    /// How it ended, once a viewer has had all of it.
    pub(in crate::worker::terminals) fn end_for(&self, viewer: &Viewer) -> Option<Exit> {
        let state = self.state.borrow();
        state.ended.clone().filter(|_| state.complete && state.flow.is_done(viewer.id))
    }

    pub(super) fn wake_all(&self) {
        self.state.borrow().viewers.values().for_each(|viewer| viewer.wake.notify_one());
    }
}
