//! Who answers what a program asks its terminal: the terminal of the viewer that types, which knows its own colours. Where
//! none has heard the question, the worker does, once it is sure.

use std::rc::Rc;

use tokio::time::sleep;

use super::super::screen::REPLIES_MAX;
use super::{State, Terminal, Viewer};

impl Terminal {
    /// The program asked, and this is what could be answered.
    pub(super) fn asked(self: &Rc<Self>, replies: Vec<u8>) {
        let mut state = self.state.borrow_mut();
        if !replies.is_empty() && state.typist.is_none() {
            state.owed.extend(replies);
            state.owed.truncate(REPLIES_MAX);
            drop(state);
            self.answer_unless_heard();
        }
    }

    /// Answers, but not before all are given up whose connection broke: they will hear the question.
    fn answer_unless_heard(self: &Rc<Self>) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        if state.owed.is_empty() || state.typist.is_some() {
            return;
        }
        let Some(until) = state.flow.awaited(now) else { return self.answer(&mut state) };
        let terminal = Rc::clone(self);
        tokio::task::spawn_local(async move {
            sleep(until - now).await;
            terminal.answer_unless_heard();
        });
    }

    /// A viewer is shown what came of the questions, but not they themselves.
    pub(super) fn unheard_by(&self, viewer: &Viewer) {
        let replies = self.seen.replies();
        let mut state = self.state.borrow_mut();
        if state.typist == Some(viewer.id) {
            state.owed.extend(replies);
            self.answer(&mut state);
        }
    }

    fn answer(&self, state: &mut State) {
        let owed = std::mem::take(&mut state.owed);
        if owed.is_empty() {
            return;
        }
        let id = u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX);
        state.input.accept("", id, owed.into());
        self.typed.notify_one();
    }
}
