//! The processes of the container, as /proc shows them.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::worker::stat::Stat;

/// A living process other than PID 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub pid: i32,
    /// Where it belongs.
    pub kind: Kind,
    /// It has a terminal: shells there ignore SIGTERM, but not that the terminal hangs up.
    pub terminal: bool,
}

/// Where a process belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The workspace itself.
    Own,
    /// What dockerd ends its containers with: it must outlive dockerd.
    Containerd,
    /// A container inside: dockerd's to end.
    Nested,
}

/// All living processes but PID 1.
pub(super) fn all(proc: &Path) -> Vec<Process> {
    let own = fs::read_link(proc.join("1/ns/pid")).ok();
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let look = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = Stat::parse(&fs::read_to_string(entry.path().join("stat")).ok()?)?;
        if pid == 1 || stat.has_ended {
            return None;
        }
        let nested = fs::read_link(entry.path().join("ns/pid")).ok() != own;
        let kind = match stat.name.as_str() {
            _ if nested => Kind::Nested,
            "containerd" | "containerd-shim" => Kind::Containerd,
            _ => Kind::Own,
        };
        Some(Process { pid, kind, terminal: stat.terminal != 0 })
    };
    entries.flatten().filter_map(look).collect()
}

/// Sends a signal; whoever has ended meanwhile did not need it.
pub(super) fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether there is no such process any more.
pub(super) fn is_gone(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_inside_are_told_from_the_workspace_by_their_namespace() {
        let folder = tempfile::tempdir().expect("a folder");
        let proc = folder.path();
        for (pid, name, state, space) in [
            (1, "perry", 'S', "pid:[1]"),
            (5, "sshd", 'S', "pid:[1]"),
            (6, "containerd-shim", 'S', "pid:[1]"),
            (7, "sleep", 'S', "pid:[2]"),
            (8, "dead", 'Z', "pid:[1]"),
        ] {
            fs::create_dir_all(proc.join(format!("{pid}/ns"))).expect("made");
            let stat = format!("{pid} ({name}) {state} 1 5 5 0 -1 {}", "0 ".repeat(20));
            fs::write(proc.join(format!("{pid}/stat")), stat).expect("written");
            std::os::unix::fs::symlink(space, proc.join(format!("{pid}/ns/pid"))).expect("linked");
        }
        fs::create_dir(proc.join("self")).expect("made");
        let mut found: Vec<_> = all(proc).into_iter().map(|process| (process.pid, process.kind)).collect();
        found.sort_unstable_by_key(|(pid, _)| *pid);
        assert_eq!(found, [(5, Kind::Own), (6, Kind::Containerd), (7, Kind::Nested)]);
    }
}
