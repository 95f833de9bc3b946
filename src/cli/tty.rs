//! The terminal that `perry` runs in: raw while it shows another one, and as it was afterwards.

use std::io::{self, IsTerminal, Read, Write};
use std::thread;

use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::contract::terminal::Size;

/// Undoes what programs may have left on: the alternate screen, mouse, focus and paste reports, keys of applications, a
/// hidden cursor, colours, margins.
const SANE: &[u8] = b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[<u\x1b[4l\x1b[?6l\x1b[?7h\x1b[r\x1b[?25h\x1b[0 q\x1b(B\x0f\x1b[m";
/// What is read of the keyboard at once, in bytes.
const READ: usize = 16 << 10;
/// Pieces of input that wait.
const WAITING: usize = 4;

/// A terminal in raw mode; dropping it brings back how it was, whatever happened.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    /// Makes it raw; `None` where stdin or stdout is none.
    pub(super) fn begin() -> Option<io::Result<Self>> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let begun = || -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
            Ok(Self { before })
        };
        Some(begun())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The position is kept: the margins' reset would move it.
        let end = [b"\x1b7", SANE, b"\x1b8"].concat();
        let _ = show(&end);
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Its size.
pub(super) fn size() -> Size {
    tcgetwinsize(io::stdout())
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or(Size::USUAL, |size| Size { cols: size.ws_col, rows: size.ws_row })
}

/// Shows bytes as they are.
pub(super) fn show(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Makes it as if it were new, without a loss of what the scrollback holds.
pub(super) fn renew(first: bool) -> io::Result<()> {
    let mut bytes = SANE.to_vec();
    if first {
        // What is on the screen goes into the scrollback.
        bytes.extend(format!("\x1b[{};1H", size().rows).bytes());
        bytes.extend(std::iter::repeat_n(b'\n', usize::from(size().rows)));
    }
    bytes.extend_from_slice(b"\x1b[H\x1b[2J");
    show(&bytes)
}

/// What is typed, from a thread of its own: a read of a terminal cannot be given up.
pub(super) fn keys() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut piece = vec![0; READ];
        let mut stdin = io::stdin().lock();
        while let Ok(length @ 1..) = stdin.read(&mut piece) {
            if sender.blocking_send(Bytes::copy_from_slice(&piece[..length])).is_err() {
                return;
            }
        }
    });
    receiver
}
