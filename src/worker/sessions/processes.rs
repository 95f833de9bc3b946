//! The processes that agents may be, as /proc shows them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use super::talk::Millis;

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
    let Stat { parent, tty, began } = Stat::parse(&stat)?;
    let command = fs::read(folder.join("cmdline")).ok()?;
    let command = command[..command.len().min(COMMAND)].split(|byte| *byte == 0);
    let command: Vec<String> = command.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let links = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten().take(FILES);
    let open = links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|path| path.is_absolute());
    Some(Process {
        pid,
        parent,
        began: booted + began.saturating_mul(1000) / ticks,
        command,
        cwd: fs::read_link(folder.join("cwd")).unwrap_or_default(),
        tty,
        // Devices say nothing, and a terminal is told already.
        open: open.filter(|path| !path.starts_with("/dev")).collect(),
    })
}

/// What is wanted of a line of /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    tty: Option<String>,
    /// In ticks since the machine was started.
    began: i64,
}

impl Stat {
    /// `None` where the process has ended. Its name may hold anything, brackets included.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let tty: u32 = fields.get(4)?.parse::<i64>().ok().and_then(|tty| u32::try_from(tty).ok()).unwrap_or(0);
        // Numbers as the kernel packs them (proc(5)); 136 to 143 are pseudo-terminals, 256 to each.
        let (major, minor) = ((tty >> 8) & 0xFFF, (tty & 0xFF) | ((tty >> 12) & 0xFFF00));
        let tty = (136..144).contains(&major).then(|| format!("/dev/pts/{}", (major - 136) * 256 + minor));
        Some(Self { parent: fields.get(1)?.parse().ok()?, tty, began: fields.get(19)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_terminal_and_beginning_are_read_of_a_line() {
        let line = |state: &str, tty: u32| {
            format!("12 (a) S (b) {state} 7 12 12 {tty} -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
        };
        let of = |tty| Stat::parse(&line("S", tty)).expect("read");
        assert_eq!((of(0).parent, of(0).tty, of(0).began), (7, None, 4711));
        assert_eq!(of(34819).tty.as_deref(), Some("/dev/pts/3"));
        assert_eq!(of((137 << 8) | 1).tty.as_deref(), Some("/dev/pts/257"));
        assert_eq!(of((4 << 8) | 1).tty, None, "a console");
        assert_eq!(Stat::parse(&line("Z", 0)), None);
    }

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
