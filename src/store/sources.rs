//! The files of the host that workspaces are brought. What was looked at is watched from then on.
//!
//! A file that changes all the time must not keep a workspace busy: what was seen of it stands for [`SETTLE`], and a
//! change is told that long after its last sign.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::model::FileSpec;
use crate::model::observed::{FileFault, SourcesSeen};
use crate::model::sync::{SourceFile, Sources, inside};
use crate::nofollow;

/// How long what was seen of a file stands, and how long after the last sign of a change it is told.
const SETTLE: Duration = Duration::from_millis(500);
/// The most bytes of a file, and of all files of a workspace.
const FILE_MAX: u64 = 4 << 20;
const ALL_MAX: u64 = 16 << 20;
/// Files that are remembered; beyond that all are looked at anew.
const REMEMBERED: usize = 10_000;

/// Looks at files of the host, remembers what they held, and tells when one may have changed.
pub struct HostFiles {
    home: PathBuf,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Seen>>,
    changed: Arc<Notify>,
    /// `None` where the system gave no watch: changes are then seen at the next resync.
    watcher: Mutex<Option<RecommendedWatcher>>,
}

#[derive(Default)]
struct Seen {
    files: BTreeMap<PathBuf, Entry>,
    watched: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

/// What was seen of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    at: Duration,
    /// Device, inode, size, times: as long as these stay so does the content.
    stamp: [i128; 6],
    mode: u32,
    digest: [u8; 32],
}

impl HostFiles {
    /// Files of this machine; `~` is `home`, links in that path itself are followed once, now.
    pub fn new(home: &Path, clock: Arc<dyn Clock>) -> Self {
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let (seen, changed) = (Arc::<Mutex<Seen>>::default(), Arc::<Notify>::default());
        let (known, tell) = (seen.clone(), changed.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns = event.map_or(true, |event| {
                let known = locked(&known);
                !event.kind.is_access() && event.paths.iter().any(|path| known.watched.contains(path))
            });
            if concerns {
                tell.notify_one();
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!("changes of files that are brought into workspaces are noticed late: {error}");
        }
        Self { home, clock, seen, changed, watcher: Mutex::new(watcher.ok()) }
    }

    /// Waits until a file that was looked at may have changed, and then until it has settled.
    pub async fn changed(&self) {
        self.changed.notified().await;
        loop {
            let settled = self.clock.sleep_until(self.clock.monotonic() + SETTLE);
            tokio::select! {
                () = settled => return,
                () = self.changed.notified() => {}
            }
        }
    }

    fn path(&self, from: &str) -> PathBuf {
        match from.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => from.into(),
        }
    }

    /// Tells of changes of this file from now on, also where it is brought into no workspace.
    pub fn watch(&self, path: &Path) {
        locked(&self.seen).watched.insert(path.to_owned());
        let Some(folder) = path.parent() else { return };
        let known = !locked(&self.seen).folders.insert(folder.to_owned());
        if let (false, Some(watcher)) = (known, &mut *locked(&self.watcher))
            && watcher.watch(folder, RecursiveMode::NonRecursive).is_err()
        {
            // It may not be there yet; the next look tries again.
            locked(&self.seen).folders.remove(folder);
        }
    }

    fn look_at(&self, file: &FileSpec) -> Result<Entry, FileFault> {
        let path = self.path(&file.from);
        self.watch(&path);
        let now = self.clock.monotonic();
        let known = locked(&self.seen).files.get(&path).cloned();
        if let Some(entry) = known.as_ref().filter(|entry| now < entry.at + SETTLE) {
            return Ok(entry.clone());
        }
        let (opened, metadata) = open(&path).map_err(|error| fault(file, &error))?;
        let stamp = stamp(&metadata);
        match known.filter(|entry| entry.stamp == stamp) {
            Some(entry) => Ok(self.remember(path, Entry { at: now, ..entry })),
            None => {
                let content = content(opened).map_err(|error| fault(file, &error))?;
                Ok(self.remember(path, entry(now, &metadata, &content)))
            }
        }
    }

    fn read_one(&self, file: &FileSpec) -> Result<(Entry, SourceFile), FileFault> {
        let path = self.path(&file.from);
        let (opened, metadata) = open(&path).map_err(|error| fault(file, &error))?;
        let content = content(opened).map_err(|error| fault(file, &error))?;
        let entry = self.remember(path, entry(self.clock.monotonic(), &metadata, &content));
        let source = SourceFile { to: inside(&file.to), mode: entry.mode, content };
        Ok((entry, source))
    }

    fn remember(&self, path: PathBuf, entry: Entry) -> Entry {
        let mut seen = locked(&self.seen);
        if seen.files.len() >= REMEMBERED {
            seen.files.clear();
        }
        seen.files.insert(path, entry.clone());
        entry
    }
}

impl Sources for HostFiles {
    fn look(&self, files: &[FileSpec]) -> SourcesSeen {
        let mut sum = Sum::default();
        for file in files {
            sum.add(file, self.look_at(file).map(|entry| (entry, ())));
        }
        sum.finish(files).0
    }

    fn read(&self, files: &[FileSpec]) -> (SourcesSeen, Vec<SourceFile>) {
        let mut sum = Sum::default();
        for file in files {
            sum.add(file, self.read_one(file));
        }
        sum.finish(files)
    }
}

/// What becomes of all files of a workspace.
struct Sum<T> {
    hash: Sha256,
    size: u64,
    faults: Vec<FileFault>,
    values: Vec<T>,
}

impl<T> Default for Sum<T> {
    fn default() -> Self {
        Self { hash: Sha256::new(), size: 0, faults: Vec::new(), values: Vec::new() }
    }
}

impl<T> Sum<T> {
    fn add(&mut self, file: &FileSpec, found: Result<(Entry, T), FileFault>) {
        let (entry, value) = match found {
            Ok(found) => found,
            Err(fault) => return self.faults.push(fault),
        };
        let size = u64::try_from(entry.stamp[2]).unwrap_or(u64::MAX);
        if self.size.saturating_add(size) > ALL_MAX {
            let message = format!("is too much: all files of a workspace have at most {} MiB", ALL_MAX >> 20);
            return self.faults.push(FileFault { path: file.from.clone(), message });
        }
        self.size += size;
        self.hash.update(inside(&file.to));
        self.hash.update([0]);
        self.hash.update(entry.mode.to_le_bytes());
        self.hash.update(entry.digest);
        self.values.push(value);
    }

    fn finish(self, files: &[FileSpec]) -> (SourcesSeen, Vec<T>) {
        // No files and no readable file are different things: the worker waits for the latter to be told.
        let text = |digest: &[u8]| digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let hash = if files.is_empty() { String::new() } else { text(&self.hash.finalize()) };
        (SourcesSeen { hash, faults: self.faults }, self.values)
    }
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = nofollow::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > FILE_MAX {
        let message = format!("is larger than {} MiB", FILE_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok((file, metadata))
}

fn content(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut content)?;
    Ok(content)
}

fn entry(at: Duration, metadata: &Metadata, content: &[u8]) -> Entry {
    let mut stamp = stamp(metadata);
    stamp[2] = content.len() as i128;
    // Never a set-user-id bit: the file gets another owner.
    Entry { at, stamp, mode: metadata.mode() & 0o777, digest: Sha256::digest(content).into() }
}

fn stamp(metadata: &Metadata) -> [i128; 6] {
    let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    [
        i128::from(metadata.dev()),
        i128::from(metadata.ino()),
        i128::from(metadata.len()),
        i128::from(metadata.mode()),
        time(metadata.mtime(), metadata.mtime_nsec()),
        time(metadata.ctime(), metadata.ctime_nsec()),
    ]
}

fn fault(file: &FileSpec, error: &io::Error) -> FileFault {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by the agent".to_owned(),
        io::ErrorKind::InvalidInput => error.to_string(),
        _ => format!("cannot be read: {error}"),
    };
    FileFault { path: file.from.clone(), message }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::clock::{ManualClock, SystemClock};

    fn file(from: &str, to: &str) -> FileSpec {
        FileSpec { from: from.to_owned(), to: to.to_owned() }
    }

    fn files(home: &Path) -> (HostFiles, ManualClock) {
        let clock = ManualClock::default();
        (HostFiles::new(home, Arc::new(clock.clone())), clock)
    }

    #[test]
    fn what_is_read_has_the_hash_that_is_looked_at_and_another_content_or_target_has_another() {
        let home = tempfile::tempdir().expect("a folder");
        let (host, clock) = files(home.path());
        fs::write(home.path().join("a"), "one").expect("written");
        let wanted = [file("~/a", "~/b")];
        let first = host.look(&wanted);
        let (read, content) = host.read(&wanted);
        assert_eq!((&read, content.len()), (&first, 1));
        assert_eq!((content[0].to.as_str(), content[0].content.as_slice()), ("/home/workspace/b", &b"one"[..]));
        assert_ne!(host.look(&[file("~/a", "~/c")]).hash, first.hash);
        assert_eq!(host.look(&[]), SourcesSeen::default());
        fs::write(home.path().join("a"), "two").expect("written");
        assert_eq!(host.look(&wanted), first, "it stands for a moment");
        clock.advance(SETTLE);
        let second = host.look(&wanted);
        assert_ne!(second.hash, first.hash);
        fs::set_permissions(home.path().join("a"), fs::Permissions::from_mode(0o600)).expect("set");
        clock.advance(SETTLE);
        assert_ne!(host.look(&wanted).hash, second.hash);
    }

    #[test]
    fn what_cannot_be_brought_is_told_with_its_reason_and_the_rest_is_brought() {
        let home = tempfile::tempdir().expect("a folder");
        let (host, _) = files(home.path());
        fs::write(home.path().join("a"), "one").expect("written");
        fs::create_dir(home.path().join("d")).expect("made");
        symlink("a", home.path().join("l")).expect("linked");
        File::create(home.path().join("big")).expect("made").set_len(FILE_MAX + 1).expect("large");
        let names = ["~/gone", "~/d", "~/l", "~/big", "~/a"];
        let wanted: Vec<FileSpec> = names.iter().map(|name| file(name, name)).collect();
        let (seen, content) = host.read(&wanted);
        assert_eq!(seen, host.look(&wanted));
        assert_eq!(content.len(), 1);
        let told: Vec<String> = seen.faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4);
        for (told, why) in told.iter().zip(["is not there", "is a folder", "is a symbolic link", "larger than 4 MiB"]) {
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn all_files_together_are_bounded() {
        let home = tempfile::tempdir().expect("a folder");
        let (host, _) = files(home.path());
        fs::write(home.path().join("a"), vec![0; FILE_MAX as usize]).expect("written");
        let wanted: Vec<FileSpec> = (0..5).map(|at| file("~/a", &format!("~/{at}"))).collect();
        let (seen, content) = host.read(&wanted);
        assert_eq!((seen.faults.len(), content.len()), (1, 4));
        assert!(seen.faults[0].message.contains("at most 16 MiB"));
    }

    #[tokio::test]
    async fn a_change_is_told_also_of_a_file_that_is_replaced_and_not_of_its_neighbours() {
        let home = tempfile::tempdir().expect("a folder");
        let host = HostFiles::new(home.path(), Arc::new(SystemClock::new()));
        fs::write(home.path().join("a"), "one").expect("written");
        let wanted = [file("~/a", "~/a")];
        let first = host.look(&wanted);
        fs::write(home.path().join("neighbour"), "x").expect("written");
        let told = tokio::time::timeout(Duration::from_millis(700), host.changed()).await;
        assert!(told.is_err(), "a neighbour is nobody's business");
        fs::write(home.path().join("new"), "two").expect("written");
        fs::rename(home.path().join("new"), home.path().join("a")).expect("moved");
        tokio::time::timeout(Duration::from_secs(20), host.changed()).await.expect("told");
        assert_ne!(host.look(&wanted).hash, first.hash);
        fs::remove_file(home.path().join("a")).expect("removed");
        tokio::time::timeout(Duration::from_secs(20), host.changed()).await.expect("told");
        assert_eq!(host.look(&wanted).faults.len(), 1);
    }
}
