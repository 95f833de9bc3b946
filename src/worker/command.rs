//! Commands without a terminal: how they are started, and how they and what they started are ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long output may still come after a command has ended: more comes only from what it left in the background.
pub(super) const REST: Duration = Duration::from_millis(100);
/// The exit code where a timeout ended it, as with timeout(1).
const TIMED_OUT: i32 = 124;
/// Longer timeouts mean this: timers cannot take every number.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Starts a command by `OWN worker enter COMMAND`, in a process group of its own.
///
/// # Errors
/// There is no process to be had.
pub(super) fn spawn(own: &Path, command: &[String], stdin: Stdio) -> io::Result<Child> {
    let mut program = Command::new(own);
    program.args(["worker", "enter"]).args(command).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    program.process_group(0).kill_on_drop(true).spawn()
}

/// Says what is wrong with a command.
///
/// # Errors
/// It names no program, or no program could be given it.
pub(super) fn validate(command: &[String]) -> Result<(), String> {
    if command.first().is_none_or(String::is_empty) {
        return Err("command must be a program and its arguments, as in [\"ls\", \"-l\"]; it is empty".to_owned());
    }
    match command.iter().position(|word| word.contains('\0')) {
        Some(index) => Err(format!("command[{index}] must not hold a NUL character")),
        None => Ok(()),
    }
}

/// The exit code, once a command has ended or its time is over. Dropping the future kills it and what it started.
pub(super) async fn end(mut child: Child, seconds: Option<u64>) -> i32 {
    let mut group = Group::of(&child);
    let limit = seconds.map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST));
    match timeout(limit, child.wait()).await {
        // What it left in the background goes on, as it would after `ssh host command`.
        Ok(status) => {
            group.spare();
            status.map_or(126, code)
        }
        Err(_) => {
            group.kill();
            let _ = child.wait().await;
            TIMED_OUT
        }
    }
}

/// As shells do: 128 + n where signal n ended it.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(126)
}

/// The process group of a command, killed where nobody waits for it any more.
struct Group(Option<u32>);

impl Group {
    /// That of a command that was just started.
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// Its leader has ended: the number may soon be somebody else's.
    fn spare(&mut self) {
        self.0 = None;
    }

    fn kill(&mut self) {
        let leader = self.0.take().and_then(|pid| i32::try_from(pid).ok());
        if let Some(leader) = leader {
            // It may have ended by itself just now.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_shells() {
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }

    #[test]
    fn a_request_without_a_command_is_refused_by_field() {
        let validate = |command: &[&str]| validate(&command.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(validate(&[]).expect_err("empty").starts_with("command must be"));
        assert!(validate(&[""]).is_err());
        assert!(validate(&["a", "b\0"]).expect_err("NUL").starts_with("command[1]"));
        assert!(validate(&["a", ""]).is_ok());
    }
}
