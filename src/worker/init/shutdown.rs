//! The end: everything in the container is asked to end, in an order that lets dockerd stop its containers, and made to
//! where it does not. Together shorter than the ten seconds that engines give by default.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Event;
use super::processes::{self, Kind, Process};
use super::reap::{self, Reaped};
use crate::clock::Clock;

/// After which containers inside that do not end are killed: dockerd would wait longer for them than we can.
const NESTED: Duration = Duration::from_millis(6000);
/// After which everything is killed.
const ALL: Duration = Duration::from_millis(8000);
/// How long containerd may take to close its files.
const CONTAINERD: Duration = Duration::from_millis(500);
/// How often it is looked who is left.
const LOOK: Duration = Duration::from_millis(10);

/// Ends every process of the container.
pub(super) fn run(clock: &dyn Clock, events: &Receiver<Event>) {
    let began = clock.monotonic();
    for process in left(|kind| kind == Kind::Own) {
        ask(&process);
    }
    let mut nested_killed = false;
    loop {
        let since = clock.monotonic().saturating_sub(began);
        if left(|kind| kind == Kind::Own).is_empty() || since >= ALL {
            break;
        }
        if since >= NESTED && !nested_killed {
            nested_killed = true;
            for process in left(|kind| kind == Kind::Nested) {
                processes::send(process.pid, Signal::SIGKILL);
            }
        }
        pause(events);
    }
    for process in left(|kind| kind == Kind::Containerd) {
        ask(&process);
    }
    let until = clock.monotonic() + CONTAINERD;
    while !left(|kind| kind == Kind::Containerd).is_empty() && clock.monotonic() < until {
        pause(events);
    }
    // -1 is everybody but PID 1 itself; an error says that there is nobody.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    reap_all();
}

fn left(which: impl Fn(Kind) -> bool) -> Vec<Process> {
    processes::all(Path::new("/proc")).into_iter().filter(|process| which(process.kind)).collect()
}

fn ask(process: &Process) {
    processes::send(process.pid, Signal::SIGTERM);
    if process.terminal {
        processes::send(process.pid, Signal::SIGHUP);
    }
    // One that was stopped could not act on it.
    processes::send(process.pid, Signal::SIGCONT);
}

/// Until somebody ended, or for a moment: not everybody's end is told to PID 1.
fn pause(events: &Receiver<Event>) {
    let _ = events.recv_timeout(LOOK);
    reap_all();
}

fn reap_all() {
    while reap::next() != Reaped::Nobody {}
}
