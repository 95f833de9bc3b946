//! The size of a terminal: whose window decides, and when it is taken.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Terminal, Viewer};
use crate::contract::terminal::{Info, Size};

/// Sizes are taken at most this often: a window that is dragged tells hundreds.
const RESIZE: Duration = Duration::from_millis(30);

impl Terminal {
    /// A viewer is told of a new size, in its place among the data.
    pub(in crate::worker::terminals) fn tell_size(&self, viewer: &Viewer, size: Size) -> Info {
        viewer.shown.set(size);
        let mut state = self.state.borrow_mut();
        state.flow.told_size(viewer.id);
        self.info(&state, viewer)
    }

    /// A viewer's window has this size.
    pub(in crate::worker::terminals) fn viewer_resized(self: &Rc<Self>, viewer: &Viewer, size: Size) {
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
    pub(super) fn want_size(self: &Rc<Self>, size: Size) {
        let mut state = self.state.borrow_mut();
        let waits = state.wanted.replace(size).is_some();
        let wait = state.resized.map(|at| (at + RESIZE).saturating_sub(self.now())).filter(|wait| !wait.is_zero());
        drop(state);
        match wait {
            _ if waits => {}
            None => self.take_size(),
            Some(wait) => {
                let terminal = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    sleep(wait).await;
                    terminal.take_size();
                });
            }
        }
    }

    /// Takes the size that is wanted, where it is another one.
    pub(super) fn take_size(&self) {
        self.feed();
        let mut state = self.state.borrow_mut();
        let Some(size) = state.wanted.take().filter(|size| *size != state.size) else { return };
        (state.size, state.resized) = (size, Some(self.now()));
        state.flow.resized(size);
        self.pty.resize(size);
        self.engine.resize(self.number, size);
        drop(state);
        self.wake_all();
    }
}
