//! `perry worker terminals`: the terminals of a workspace, over a Unix socket as [`crate::contract::terminals`] says.
//!
//! A process of its own beside [`serve`](super::serve), so that terminals outlive that one's end and a flood of output holds
//! up nothing else. Bytes go from the program to its viewers on one thread ([`terminal`], [`flow`]); what a screen shows is
//! followed on another ([`engine`], [`screen`]), from which a viewer that comes new gets a [`snapshot`].

mod boundary;
mod connection;
mod engine;
mod flow;
mod host;
mod input;
mod pen;
mod piped;
mod pty;
mod ring;
mod screen;
mod screens;
mod snapshot;
mod terminal;
mod vt;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use self::engine::Engine;
use self::host::Host;
use self::screen::Screen;
use super::{WorkerError, bootstrap, fail, socket, ttys};
use crate::contract::terminal::Size;
use crate::contract::worker::{BOOTSTRAP, Socket};

/// Connections at a time: all viewers of all terminals.
const CONNECTIONS: usize = 2048;

/// What a viewer gets who comes to a terminal of this size after its program has printed this: the stream that rebuilds it.
pub fn restored(size: Size, output: &[u8]) -> Vec<u8> {
    let mut screen = Screen::new(size, terminal::SCREEN);
    screen.feed(output);
    screen.snapshot()
}

/// Where the terminals find their files; other places in tests.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where they are reached.
    pub socket: PathBuf,
    /// The bootstrap file.
    pub bootstrap: PathBuf,
    /// The executable that programs are entered through: this one.
    pub own: PathBuf,
    /// Where it is told which terminal is on which device.
    pub ttys: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            socket: Socket::Terminals.path(),
            bootstrap: BOOTSTRAP.into(),
            own: "/proc/self/exe".into(),
            ttys: ttys::FOLDER.into(),
        }
    }
}

/// Serves until SIGTERM comes, or SIGHUP while there is no terminal.
pub fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&WorkerError::System { what: "start the event loop", source }),
    };
    match LocalSet::new().block_on(&runtime, serve(&Places::default())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Serves until SIGTERM comes, or SIGHUP while there is no terminal; within a [`LocalSet`].
///
/// # Errors
/// The bootstrap is missing or broken, or the socket cannot be made.
pub async fn serve(places: &Places) -> Result<(), WorkerError> {
    let secret = bootstrap::read(&places.bootstrap)?.secret;
    heed_ignored().map_err(WorkerError::system("await signals"))?;
    let mut children = signal(SignalKind::child()).map_err(WorkerError::system("await signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(WorkerError::system("await signals"))?;
    let mut replaced = signal(SignalKind::hangup()).map_err(WorkerError::system("await signals"))?;
    let listener = socket::listen(&places.socket)?;
    // Those of a life before; without them names are missing or wrong for a while, no more.
    let _ = ttys::clear(&places.ttys);
    let host = Rc::new(Host::new(secret, places.own.clone(), places.ttys.clone(), Engine::start()?));
    let accepting = tokio::task::spawn_local(accept(listener, Rc::clone(&host)));
    loop {
        tokio::select! {
            _ = children.recv() => host.reap(),
            _ = terminate.recv() => break,
            // There is a new executable: PID 1 starts that one.
            _ = replaced.recv() => {
                if host.terminals.borrow().is_empty() {
                    break;
                }
            }
        }
    }
    accepting.abort();
    Ok(())
}

/// Whoever was started in the background may have to ignore what Ctrl-C and Ctrl-\ send, and so would all programs here: what
/// is ignored stays so in them, what is handled does not (execve(2)).
fn heed_ignored() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    for kind in [SignalKind::interrupt(), SignalKind::quit()] {
        if ignored >> (kind.as_raw_value() - 1) & 1 == 1 {
            // That there is a handler is all that is wanted.
            drop(signal(kind)?);
        }
    }
    Ok(())
}

async fn accept(listener: UnixListener, host: Rc<Host>) {
    let open = Rc::new(std::cell::Cell::new(0_usize));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: until one is free there is nothing to do.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // A connection too many is closed at once.
        if open.get() < CONNECTIONS {
            open.set(open.get() + 1);
            let (host, open) = (Rc::clone(&host), Rc::clone(&open));
            tokio::task::spawn_local(async move {
                connection::serve(host, stream).await;
                open.set(open.get() - 1);
            });
        }
    }
}
