//! The dead: PID 1 inherits every orphan of the container and must ask for each, else they stay as zombies.

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By a signal that has no name.
    Unnamed,
}

impl End {
    /// For people.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Code(code) => format!("ended with exit code {code}"),
            Self::Signal(signal) => format!("killed by signal {signal}"),
            Self::Unnamed => "killed by a real-time signal".to_owned(),
        }
    }
}

/// What one question showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaped {
    /// This process has ended.
    Process(i32, End),
    /// One has ended by a real-time signal, and which one is not known.
    Somebody,
    /// Nobody else has ended.
    Nobody,
}

/// Asks for one ended process, without waiting.
pub(super) fn next() -> Reaped {
    match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, code)) => Reaped::Process(pid.as_raw(), End::Code(code)),
        Ok(WaitStatus::Signaled(pid, signal, _)) => Reaped::Process(pid.as_raw(), End::Signal(signal as i32)),
        // nix knows no real-time signals: the process is reaped all the same.
        Err(Errno::EINVAL | Errno::EINTR) => Reaped::Somebody,
        Ok(_) | Err(_) => Reaped::Nobody,
    }
}
