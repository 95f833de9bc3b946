//! The processes that agents may be, as /proc shows them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use super::talk::Millis;
use crate::worker::stat::Stat;

/// Bytes of a command line that are read.
const COMMAND: usize = 4096;
/// Open files of one process that are looked at.
const FILES: usize = 4096;

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// That of its parent.
    pub parent: i32,
    /// When it was begun, in milliseconds since 1970.
    pub began: Millis,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its folder.
    pub cwd: PathBuf,
    /// Its terminal, such as `/dev/pts/3`.
    pub tty: Option<String>,
    /// The files that it has open.
    pub open: Vec<PathBuf>,
}

/// All processes of the user who asks, by number.
pub fn all(proc: &Path) -> BTreeMap<i32, Process> {
    let booted = booted(proc);
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().filter(|ticks| *ticks > 0).unwrap_or(100);
    let own = fs::metadata(proc.join("self")).map(|own| own.uid()).ok();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let look = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        if entry.metadata().ok().map(|found| found.uid()) != own {
            return None;
        }
        read(&entry.path(), pid, booted, ticks).map(|process| (pid, process))
    };
    entries.filter_map(look).collect()
}

/// When the machine was started, in milliseconds since 1970.
fn booted(proc: &Path) -> Millis {
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse::<Millis>().ok()).unwrap_or(0) * 1000
}

fn read(folder: &Path, pid: i32, booted: Millis, ticks: i64) -> Option<Process> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let stat = Stat::parse(&stat).filter(|stat| !stat.has_ended)?;
    let command = fs::read(folder.join("cmdline")).ok()?;
    let command = command[..command.len().min(COMMAND)].split(|byte| *byte == 0);
    let command: Vec<String> = command.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let links = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten().take(FILES);
    let open = links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|path| path.is_absolute());
    Some(Process {
        pid,
        parent: stat.parent,
        began: booted + stat.began.saturating_mul(1000) / ticks,
        command,
        cwd: fs::read_link(folder.join("cwd")).unwrap_or_default(),
        tty: stat.pts(),
        // Devices say nothing, and a terminal is told already.
        open: open.filter(|path| !path.starts_with("/dev")).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_with_its_files_and_folder() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let all = all(Path::new("/proc"));
        let own = all.get(&i32::try_from(std::process::id()).expect("fits")).expect("this one");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
        let age = i64::try_from(now.as_millis()).expect("fits") - own.began;
        assert!((-2000..3_600_000).contains(&age), "{age} ms old");
        assert_eq!(own.cwd, std::env::current_dir().expect("a folder"));
        assert!(own.open.contains(&file.path().canonicalize().expect("a path")), "{:?}", own.open);
    }
}
