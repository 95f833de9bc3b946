//! Hears of changes below folders, of which not all are there yet. Folders are watched, not files: a file that is replaced is
//! another one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;

use super::store::{Changes, Watched};

/// Folders that are watched at most; the kernel has a limit for all programs of a user together.
const FOLDERS: usize = 8192;
/// Bytes of events that are read at once.
const BUFFER: usize = 16 << 10;

/// What is heard of.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Watches.
pub struct Watch {
    inotify: OwnedFd,
    /// The same once more, to be awaited.
    events: Receiver,
    wanted: Vec<Watched>,
    folders: BTreeMap<PathBuf, i32>,
    paths: BTreeMap<i32, PathBuf>,
    /// More than can be watched.
    overflown: bool,
}

impl Watch {
    /// Begins to watch. What happens before the first look at the files is heard. To be called within a runtime of tokio.
    ///
    /// # Errors
    /// The kernel grants no more of these.
    pub fn new(wanted: Vec<Watched>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let events = Receiver::from_owned_fd_unchecked(inotify.as_fd().try_clone_to_owned()?)?;
        let (folders, paths) = (BTreeMap::new(), BTreeMap::new());
        let mut watch = Self { inotify, events, wanted, folders, paths, overflown: false };
        watch.cover();
        Ok(watch)
    }

    /// Waits until something has happened. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is ending.
    pub async fn ready(&self) -> io::Result<()> {
        self.events.readable().await
    }

    /// Whether not everything is watched: then it has to be looked at from time to time.
    pub fn is_partial(&self) -> bool {
        self.overflown
    }

    /// What has happened since this was asked last.
    pub fn changes(&mut self) -> Option<Changes> {
        let mut paths = BTreeSet::new();
        let mut lost = false;
        let mut buffer = vec![0; BUFFER];
        while let Ok(length @ 1..) = self.events.try_read(&mut buffer) {
            for event in events(&buffer[..length]) {
                lost |= event.mask.contains(ReadFlags::QUEUE_OVERFLOW);
                let Some(folder) = self.paths.get(&event.watch).cloned() else { continue };
                if event.mask.contains(ReadFlags::IGNORED) {
                    self.forget(&folder);
                }
                paths.insert(event.name.map_or(folder.clone(), |name| folder.join(name)));
            }
        }
        if lost {
            self.cover();
            return Some(Changes::Everything);
        }
        if paths.is_empty() {
            return None;
        }
        // What was in a new folder before it was watched is looked at with the folder.
        if paths.iter().any(|path| path.is_dir() || self.folders.contains_key(path)) {
            self.cover();
        }
        Some(Changes::Paths(paths))
    }

    /// Watches every wanted folder that is there, and of one that is not the nearest one above.
    fn cover(&mut self) {
        let gone: Vec<PathBuf> = self.folders.keys().filter(|path| !path.is_dir()).cloned().collect();
        gone.iter().for_each(|path| self.forget(path));
        for wanted in self.wanted.clone() {
            let there = wanted.root.ancestors().find(|path| path.is_dir());
            if let Some(there) = there {
                self.add(there);
                if there == wanted.root {
                    self.cover_below(there, wanted.depth, wanted.but.as_deref());
                }
            }
        }
    }

    fn cover_below(&mut self, folder: &Path, depth: usize, but: Option<&Path>) {
        if depth == 0 {
            return;
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if but != Some(path.as_path()) && path.is_dir() {
                self.add(&path);
                self.cover_below(&path, depth - 1, but);
            }
        }
    }

    fn add(&mut self, path: &Path) {
        if self.folders.contains_key(path) {
            return;
        }
        if self.folders.len() >= FOLDERS {
            self.overflown = true;
            return;
        }
        match inotify::add_watch(&self.inotify, path, EVENTS) {
            Ok(watch) => {
                // Another path to the same folder has the same number: the first one stays.
                self.paths.entry(watch).or_insert_with(|| path.to_owned());
                self.folders.insert(path.to_owned(), watch);
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(_) => self.overflown = true,
        }
    }

    fn forget(&mut self, path: &Path) {
        if let Some(watch) = self.folders.remove(path) {
            // It may be gone already, with its folder.
            let _ = inotify::remove_watch(&self.inotify, watch);
            self.paths.remove(&watch);
        }
    }
}

/// Something that happened in a folder.
struct Event<'a> {
    watch: i32,
    mask: ReadFlags,
    name: Option<&'a OsStr>,
}

/// The events that were read: number of the watch, what happened, a cookie, the length of the name and the name, filled up
/// with zeros (inotify(7)).
fn events(mut bytes: &[u8]) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let Some((name, rest)) = rest.split_at_checked(word(12) as usize) else { break };
        let name = name.split(|byte| *byte == 0).next().filter(|name| !name.is_empty());
        let mask = ReadFlags::from_bits_retain(word(4));
        events.push(Event { watch: word(0).cast_signed(), mask, name: name.map(OsStr::from_bytes) });
        bytes = rest;
    }
    events
}
