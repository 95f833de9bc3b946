//! What the workspace uses: read from its cgroup when asked. Bytes on disk are counted by a thread of their own, and only
//! while somebody asks.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::extract::State;
use axum::response::Json;

use super::Shared;
use crate::clock::{Clock, SystemClock};
use crate::contract::usage::{Disk, Measured};
use crate::listening;
use crate::model::desired::{DOCKER_DATA, HOME};

const CGROUP: &str = "/sys/fs/cgroup";
/// A count is made at most this often, and takes at most a tenth of the time.
const PAUSE: Duration = Duration::from_secs(60);
/// A count rests after so many files, for as long, so that it is nobody's competitor.
const REST: (usize, Duration) = (200, Duration::from_millis(2));
/// Files with several names that are remembered, to be counted once.
const LINKS: usize = 100_000;
/// More than this is no limit: what cgroup v1 says where there is none.
const NO_LIMIT: u64 = 1 << 60;

/// `GET /v1/usage`: [`Measured`] as JSON.
pub(super) async fn get(State(shared): State<Arc<Shared>>) -> Json<Measured> {
    shared.counting.ask();
    let read = |path: &str| fs::read_to_string(Path::new(CGROUP).join(path)).ok();
    let mut ports: Vec<u16> = listening::tcp(Path::new("/proc")).iter().map(std::net::SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    Json(Measured {
        cpu_seconds: cpu_seconds(&read).unwrap_or_default(),
        memory: memory(&read).unwrap_or_default(),
        memory_limit: memory_limit(&read),
        disk: shared.counting.disk(),
        ports,
    })
}

fn cpu_seconds(read: &impl Fn(&str) -> Option<String>) -> Option<f64> {
    let v2 = || Some(field(&read("cpu.stat")?, "usage_usec")? as f64 / 1e6);
    let v1 = || Some(read("cpuacct/cpuacct.usage")?.trim().parse::<f64>().ok()? / 1e9);
    v2().or_else(v1)
}

/// In use, without pages of files that nobody has touched of late.
fn memory(read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
    let (used, idle) = match read("memory.current") {
        Some(used) => (used, field(&read("memory.stat")?, "inactive_file")),
        None => (read("memory/memory.usage_in_bytes")?, field(&read("memory/memory.stat")?, "total_inactive_file")),
    };
    Some(used.trim().parse::<u64>().ok()?.saturating_sub(idle.unwrap_or_default()))
}

fn memory_limit(read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
    let text = read("memory.max").or_else(|| read("memory/memory.limit_in_bytes"))?;
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Counts bytes on disk while somebody asks.
#[derive(Default)]
pub struct Counting(Arc<Mutex<Count>>);

#[derive(Default)]
struct Count {
    disk: Disk,
    under_way: bool,
    /// By the clock of the worker; `None` before the first.
    next: Option<Duration>,
    clock: Option<SystemClock>,
}

impl Counting {
    fn disk(&self) -> Disk {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).disk
    }

    /// Begins a count where the last one is old enough.
    fn ask(&self) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = count.clock.get_or_insert_with(SystemClock::new).monotonic();
        if count.under_way || count.next.is_some_and(|next| now < next) {
            return;
        }
        let shared = Arc::clone(&self.0);
        let counted = move || {
            let disk = Disk { home: bytes(Path::new(HOME)), docker: bytes(Path::new(DOCKER_DATA)) };
            let mut count = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let end = count.clock.get_or_insert_with(SystemClock::new).monotonic();
            (count.disk, count.under_way) = (disk, false);
            count.next = Some(end + PAUSE.max(end.saturating_sub(now) * 9));
        };
        count.under_way = thread::Builder::new().name("count".into()).spawn(counted).is_ok();
    }
}

/// What a folder occupies on its file system; what is mounted below it is not its own. `None` where there is none.
fn bytes(folder: &Path) -> Option<u64> {
    let device = fs::symlink_metadata(folder).ok()?.dev();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let (mut links, mut total, mut seen) = (HashSet::new(), 0_u64, 0_usize);
    while let Some(folder) = folders.pop() {
        // What vanishes meanwhile, or may not be looked at, is not counted.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen % REST.0 == 0 {
                thread::sleep(REST.1);
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let known = metadata.nlink() > 1 && !metadata.is_dir() && !links.insert(metadata.ino());
            if metadata.dev() != device || known {
                continue;
            }
            if links.len() > LINKS {
                links.clear();
            }
            total += metadata.blocks() * 512;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files<'a>(all: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |path| all.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn cgroups_of_both_versions_are_read() {
        let v2 = files(&[
            ("cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
            ("memory.current", "1000\n"),
            ("memory.stat", "anon 600\ninactive_file 300\n"),
            ("memory.max", "max\n"),
        ]);
        assert_eq!((cpu_seconds(&v2), memory(&v2), memory_limit(&v2)), (Some(1.5), Some(700), None));
        let v1 = files(&[
            ("cpuacct/cpuacct.usage", "1500000000\n"),
            ("memory/memory.usage_in_bytes", "1000\n"),
            ("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"),
            ("memory/memory.limit_in_bytes", "2048\n"),
        ]);
        assert_eq!((cpu_seconds(&v1), memory(&v1), memory_limit(&v1)), (Some(1.5), Some(700), Some(2048)));
        let unlimited = files(&[("memory/memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!((memory_limit(&unlimited), cpu_seconds(&unlimited)), (None, None));
    }

    #[test]
    fn a_file_with_two_names_is_counted_once_and_a_link_leads_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(bytes(&folder.path().join("none")), None);
        let before = bytes(folder.path()).expect("counted");
        fs::create_dir(folder.path().join("d")).expect("made");
        fs::write(folder.path().join("d/f"), vec![1; 1 << 20]).expect("written");
        let once = bytes(folder.path()).expect("counted") - before;
        assert!((1 << 20..(1 << 20) + 64 * 1024).contains(&once), "{once}");
        fs::hard_link(folder.path().join("d/f"), folder.path().join("g")).expect("linked");
        std::os::unix::fs::symlink("/", folder.path().join("l")).expect("linked");
        assert!(bytes(folder.path()).expect("counted") - before < once + 8192);
    }
}
