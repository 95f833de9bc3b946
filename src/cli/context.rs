//! What every command has: the folder, the agent, the terminal.

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::client::{Client, ClientError};
use crate::clock::{Clock, SystemClock};
use crate::contract::Code;
use crate::model::Name;
use crate::model::nearest::nearest;
use crate::shown;

use super::address;
use super::failure::Failure;

/// What every command has.
#[derive(Debug)]
pub(super) struct Context {
    folder: PathBuf,
    progress: RefCell<Progress>,
}

/// The line at the bottom of a terminal that is written anew.
#[derive(Debug, Default)]
struct Progress {
    shown: String,
}

impl Context {
    pub(super) fn new(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let default = || {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            home.map(|home| PathBuf::from(home).join(".config").join("perry"))
        };
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).or_else(default);
        let folder = folder.ok_or_else(|| {
            Failure::usage("HOME is not set, so there is no folder of settings").hint("name one: --config-dir DIR")
        })?;
        Ok(Self { folder, progress: RefCell::default() })
    }

    /// The folder of settings and state.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The agent that is talked to.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        address::find(&self.folder)
    }

    /// The time of day, for ages.
    #[allow(clippy::unused_self)]
    pub(super) fn now(&self) -> Timestamp {
        SystemClock::new().wall()
    }

    /// Whether output is coloured.
    #[allow(clippy::unused_self)]
    pub(super) fn is_colored(&self) -> bool {
        io::stdout().is_terminal() && shown::colors()
    }

    /// Data, to stdout.
    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        self.end_progress();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        Ok(stdout.flush()?)
    }

    /// Everything else, to stderr.
    pub(super) fn note(&self, text: &str) {
        self.end_progress();
        // When stderr is gone there is nobody to tell.
        writeln!(io::stderr().lock(), "{}", shown::lines(text)).ok();
    }

    /// How far one is. On a terminal one line that is written anew, with `detail`; else a line each time that `text`
    /// changes.
    pub(super) fn progress(&self, text: &str, detail: &str) {
        let mut progress = self.progress.borrow_mut();
        let mut stderr = io::stderr().lock();
        if stderr.is_terminal() {
            let line: String = shown::line(&format!("{text}{detail}")).chars().take(width()).collect();
            if line != progress.shown {
                write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush()).ok();
                progress.shown = line;
            }
        } else if text != progress.shown {
            writeln!(stderr, "{}", shown::line(text)).ok();
            text.clone_into(&mut progress.shown);
        }
    }

    /// Takes the line at the bottom of a terminal away.
    pub(super) fn end_progress(&self) {
        let mut progress = self.progress.borrow_mut();
        let mut stderr = io::stderr().lock();
        if !progress.shown.is_empty() && stderr.is_terminal() {
            write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush()).ok();
            progress.shown.clear();
        }
    }

    /// Asks, where there is somebody to ask; `None` where there is not.
    pub(super) fn ask(&self, question: &str) -> Option<bool> {
        self.end_progress();
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).ok()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// The failure of a call about one workspace; where there is none of that name, with the nearest that there is.
    pub(super) async fn failure(&self, client: &Client, name: &Name, error: ClientError) -> Failure {
        let absent = error.is(Code::NotFound);
        let failure = Failure::from(error);
        if !absent {
            return failure;
        }
        let Ok(listing) = client.list_rows().await else { return failure };
        let near = listing
            .rows()
            .ok()
            .and_then(|rows| nearest(name.as_str(), rows.iter().map(|row| row.name.as_ref())).map(str::to_owned));
        match near {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("see what there is: perry get"),
        }
    }
}

/// The terminal's columns less one, by what the shell says of it.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    columns.filter(|columns| *columns > 20).unwrap_or(80) - 1
}
