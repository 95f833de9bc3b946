//! `perry worker init`: PID 1 of a workspace.
//!
//! It needs nothing of the image. Everything happens on one thread, which waits for events: signals, answers of probes,
//! requests of `serve`. What to run when is decided by `supervisor`; this module does it. A reload replaces the
//! executable by `exec`: same PID 1, same children, whose numbers are handed over as an argument.

mod dockerd;
mod launch;
mod log;
mod pid1;
mod probe;
mod processes;
mod reap;
mod serving;
mod shutdown;
mod sshd;
mod supervisor;
mod tasks;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::worker::link::Request;
use crate::worker::{WorkerError, fail};

/// Events that may wait; who has more to tell waits itself.
const EVENTS: usize = 256;

/// Something that PID 1 waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Some process has ended.
    Ended,
    /// The container is to end.
    Stop,
    /// Whether a process answers, as a probe found.
    Probed(supervisor::Unit, i32, bool),
    /// What the `serve` with that number wants.
    Request(i32, Request),
}

/// Runs the workspace to its end; refuses where it is not PID 1.
pub fn run(args: &[OsString]) -> ExitCode {
    if std::process::id() != 1 {
        return fail(&WorkerError::NotPidOne { pid: std::process::id() });
    }
    match live(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn live(args: &[OsString]) -> Result<(), WorkerError> {
    let (sender, events) = mpsc::sync_channel(EVENTS);
    listen_to_signals(sender.clone())?;
    let mut init = pid1::Init::begin(args, sender)?;
    init.supervise(&events);
    say("stopping");
    shutdown::run(init.clock(), &events);
    say("stopped");
    Ok(())
}

/// Turns signals into events. PID 1 has no default for them: unheard, they would be lost.
fn listen_to_signals(events: SyncSender<Event>) -> Result<(), WorkerError> {
    let mut signals =
        Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGQUIT]).map_err(WorkerError::system("await signals"))?;
    let hear = move || {
        for signal in signals.forever() {
            let event = if signal == SIGCHLD { Event::Ended } else { Event::Stop };
            if events.send(event).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(hear).map_err(WorkerError::system("start a thread"))?;
    // Before a reload they were blocked, to be kept for now.
    hold_signals(false)
}

/// Blocks the signals that end a container, or lets them through: what is blocked waits, through an `exec` too.
fn hold_signals(hold: bool) -> Result<(), WorkerError> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        set.add(signal);
    }
    let done = if hold { set.thread_block() } else { set.thread_unblock() };
    done.map_err(|errno| WorkerError::System { what: "block signals", source: errno.into() })
}

/// A line in the container's own log.
fn say(line: &str) {
    // Whoever closed it does not want to know.
    let _ = writeln!(io::stdout(), "perry worker: {line}");
}
