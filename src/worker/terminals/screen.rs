//! What a terminal shows, followed by `alacritty_terminal`: screen, scrollback, modes, title. What it cannot keep is
//! listed in `specs/terminal.md`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{Processor, Timeout};

use super::boundary::Boundary;
use super::snapshot;
use super::vt::Vt;
use crate::contract::terminal::Size;

/// A cell of the engine, in bytes.
const CELL: usize = 24;
/// The most lines of scrollback: more would make a snapshot slow to read.
const LINES_MAX: usize = 5_000;
/// Answers to questions of the program, in bytes: more are dropped.
pub(super) const REPLIES_MAX: usize = 4 << 10;

/// How many lines of scrollback a terminal of this size may have within so many bytes.
pub(super) fn lines_within(size: Size, bytes: usize) -> usize {
    let row = usize::from(size.cols) * CELL + 32;
    // The alternate screen has as many rows again.
    let screens = 2 * usize::from(size.rows) * row;
    (bytes.saturating_sub(screens) / row).min(LINES_MAX)
}

/// What a program tells or asks its terminal, beside what it prints.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Its title, where it changed.
    pub(super) title: Option<String>,
    /// What a terminal answers to its questions.
    pub(super) replies: Vec<u8>,
}

/// Answers to questions of the program, until they are taken.
#[derive(Debug, Clone, Default)]
struct Replies(Arc<Mutex<Vec<u8>>>);

impl Replies {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventListener for Replies {
    fn send_event(&self, event: Event) {
        let Event::PtyWrite(reply) = event else { return };
        let mut replies = self.lock();
        if replies.len() + reply.len() <= REPLIES_MAX {
            replies.extend(reply.bytes());
        }
    }
}

/// Synchronized updates are shown as they come: a snapshot must hold them.
#[derive(Debug, Default)]
struct Never;

impl Timeout for Never {
    fn set_timeout(&mut self, _: Duration) {}
    fn clear_timeout(&mut self) {}
    fn pending_timeout(&self) -> bool {
        false
    }
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }
    fn screen_lines(&self) -> usize {
        usize::from(self.rows)
    }
    fn columns(&self) -> usize {
        usize::from(self.cols)
    }
}

/// One terminal's screen.
pub(super) struct Screen {
    vt: Vt<Replies>,
    parser: Processor<Never>,
    boundary: Boundary,
    replies: Replies,
    size: Size,
    /// The title that was told.
    told: String,
    memory: usize,
}

impl Screen {
    /// An empty one, whose cells take at most `memory` bytes, as near as that can be told.
    pub(super) fn new(size: Size, memory: usize) -> Self {
        let (size, replies) = (usable(size), Replies::default());
        let term = Term::new(config(size, memory), &size, replies.clone());
        Self {
            vt: Vt::new(term),
            parser: Processor::new(),
            boundary: Boundary::default(),
            replies,
            size,
            told: String::new(),
            memory,
        }
    }

    /// Shows what a program prints. Nothing that it prints can do more harm than that the screen begins anew.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let fed = catch_unwind(AssertUnwindSafe(|| self.parser.advance(&mut self.vt, bytes)));
        if fed.is_err() {
            *self = Self::new(self.size, self.memory);
        }
        self.boundary.feed(bytes);
    }

    /// Takes another size.
    pub(super) fn resize(&mut self, size: Size) {
        let size = usable(size);
        let resized = catch_unwind(AssertUnwindSafe(|| {
            self.vt.resize(size);
            self.vt.term.set_options(config(size, self.memory));
        }));
        if resized.is_err() {
            *self = Self::new(size, self.memory);
        }
        self.size = size;
    }

    /// What makes another terminal, reset and of the same size, show the same.
    pub(super) fn snapshot(&mut self) -> Vec<u8> {
        let mut bytes = snapshot::of(&mut self.vt);
        bytes.extend_from_slice(self.boundary.begun());
        bytes
    }

    /// The same, where nothing at all is lost by it that may show later.
    pub(super) fn whole(&mut self) -> Option<Vec<u8>> {
        let grid = self.vt.term.grid();
        let (top, bottom) = self.vt.margins;
        // In origin mode there is no way to put the cursor outside the margins.
        let is_outside =
            self.vt.term.mode().contains(TermMode::ORIGIN) && !(top..=bottom).contains(&grid.cursor.point.line.0);
        (!is_outside && !self.vt.stacked).then(|| self.snapshot())
    }

    /// Lines above it.
    pub(super) fn scrollback(&self) -> usize {
        self.vt.term.grid().history_size()
    }

    /// Its size.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// What was told or asked since the last time.
    pub(super) fn heard(&mut self) -> Heard {
        let title = (self.told != self.vt.title).then(|| self.vt.title.clone());
        self.told.clone_from(&self.vt.title);
        Heard { title, replies: std::mem::take(&mut *self.replies.lock()) }
    }
}

/// The engine has no screens with fewer than two columns.
fn usable(size: Size) -> Size {
    let Size { cols, rows } = size.clamped();
    Size { cols: cols.max(2), rows }
}

fn config(size: Size, memory: usize) -> Config {
    Config {
        scrolling_history: lines_within(size, memory),
        kitty_keyboard: true,
        osc52: Osc52::Disabled,
        ..Config::default()
    }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
pub(super) mod tests;
