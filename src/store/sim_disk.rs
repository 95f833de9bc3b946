//! A disk in memory that forgets on purpose: for simulation and tests.
//!
//! It keeps what a page cache would show apart from what would outlast a crash of the machine, and counts every step
//! that a crash could fall between, so that a test can crash at each in turn. Clones are the same disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskLock, Signature};

/// What goes wrong at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step fails with this error and does nothing (of a write: half).
    Fail(io::ErrorKind),
    /// The step does its work and says that it failed.
    FailAfter(io::ErrorKind),
    /// Everything ends before this step (within a write: after half of it); each later one fails until `reboot`.
    Crash,
}

/// What kind of crash a reboot follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// The agent's process ended: all that it did stays.
    Process,
    /// The machine went down: of what was not synced, any part may be lost. The seed says which.
    Machine(u64),
}

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Contents by inode; never freed, so that no inode is used twice.
    inodes: Vec<Inode>,
    /// The folder as programs see it.
    names: BTreeMap<String, usize>,
    /// The folder as it is after a crash of the machine.
    synced_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the folder; each is atomic.
    unsynced: Vec<Vec<(String, Option<usize>)>>,
    locked: BTreeSet<String>,
    /// The file system's clock.
    ticks: u64,
    steps: u64,
    syncs: u64,
    faults: BTreeMap<u64, Fault>,
    crashed: bool,
    /// Counts reboots: a lock of an earlier life releases nothing.
    life: u64,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Option<Vec<u8>>,
    changed: u64,
}

/// Where a step goes on.
enum Step {
    Do,
    Half(io::Error),
    DoThen(io::Error),
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a step go wrong; steps are counted from 0 over the disk's whole life.
    pub fn fault_at(&self, step: u64, fault: Fault) {
        self.inner().faults.insert(step, fault);
    }

    /// Forgets all faults to come.
    pub fn clear_faults(&self) {
        self.inner().faults.clear();
    }

    /// How many steps were taken so far, which is the number of the next.
    pub fn steps(&self) -> u64 {
        self.inner().steps
    }

    /// How many syncs of files and of the folder there were.
    pub fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    /// Whether a [`Fault::Crash`] has struck since the last reboot.
    pub fn is_crashed(&self) -> bool {
        self.inner().crashed
    }

    /// Comes up again. Locks are free, faults to come stay.
    pub fn reboot(&self, kind: Reboot) {
        let mut inner = self.inner();
        if let Reboot::Machine(seed) = kind {
            inner.lose(seed);
        }
        inner.locked.clear();
        inner.crashed = false;
        inner.life += 1;
    }

    /// Somebody else writes a file in place, as many editors do. No step, and never a fault.
    pub fn outside_write(&self, name: &str, data: &[u8]) {
        let mut inner = self.inner();
        match inner.names.get(name).copied() {
            Some(inode) => inner.set(inode, data.to_vec()),
            None => {
                let inode = inner.add(data.to_vec());
                inner.change(vec![(name.to_owned(), Some(inode))]);
            }
        }
    }

    /// Somebody else removes a file. No step, and never a fault.
    pub fn outside_remove(&self, name: &str) {
        self.inner().change(vec![(name.to_owned(), None)]);
    }

    /// What a program would read now. No step, and never a fault.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.names.get(name).map(|inode| inner.inodes[*inode].data.clone())
    }

    /// All names. No step, and never a fault.
    pub fn names(&self) -> Vec<String> {
        self.inner().names.keys().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panicking test may poison it; there is nothing half-done in there that matters then.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn step(&mut self) -> io::Result<Step> {
        if self.crashed {
            return Err(io::Error::other("the simulated machine is down"));
        }
        self.steps += 1;
        match self.faults.remove(&(self.steps - 1)) {
            None => Ok(Step::Do),
            Some(Fault::Fail(kind)) => Ok(Step::Half(kind.into())),
            Some(Fault::FailAfter(kind)) => Ok(Step::DoThen(kind.into())),
            Some(Fault::Crash) => {
                self.crashed = true;
                Ok(Step::Half(io::Error::other("the simulated machine went down")))
            }
        }
    }

    /// Does a step that is done wholly or not at all.
    fn whole(&mut self, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        match self.step()? {
            Step::Do => change(self),
            Step::Half(error) => Err(error),
            Step::DoThen(error) => change(self).and(Err(error)),
        }
    }

    fn add(&mut self, data: Vec<u8>) -> usize {
        self.inodes.push(Inode::default());
        self.set(self.inodes.len() - 1, data);
        self.inodes.len() - 1
    }

    fn set(&mut self, inode: usize, data: Vec<u8>) {
        self.ticks += 1;
        let inode = &mut self.inodes[inode];
        (inode.data, inode.changed) = (data, self.ticks);
    }

    fn change(&mut self, change: Vec<(String, Option<usize>)>) {
        apply(&mut self.names, &change);
        self.unsynced.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The machine goes down. Harsher than a journalling file system: each unsynced change of names is lost or kept for
    /// itself, and unsynced content is as before, torn, zeros or whole.
    fn lose(&mut self, seed: u64) {
        let mut random = seed;
        for change in std::mem::take(&mut self.unsynced) {
            if next(&mut random).is_multiple_of(2) {
                apply(&mut self.synced_names, &change);
            }
        }
        self.names = self.synced_names.clone();
        for inode in &mut self.inodes {
            if inode.synced.as_ref() != Some(&inode.data) {
                let length = usize::try_from(next(&mut random)).unwrap_or(0) % (inode.data.len() + 1);
                match next(&mut random) % 4 {
                    0 => inode.data = inode.synced.clone().unwrap_or_default(),
                    1 => inode.data.truncate(length),
                    2 => inode.data[length..].fill(0),
                    _ => {}
                }
            }
            inode.synced = Some(inode.data.clone());
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &[(String, Option<usize>)]) {
    for (name, inode) in change {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

/// SplitMix64: small, and good enough to choose what is lost.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct SimLock {
    disk: SimDisk,
    name: String,
    life: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner();
        if inner.life == self.life {
            inner.locked.remove(&self.name);
        }
    }
}

impl Disk for SimDisk {
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut inner = self.inner();
        inner.whole(|_| Ok(()))?;
        let data = inner.inodes[inner.find(name)?].data.clone();
        if data.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(data) }
    }

    /// Three steps: the name, the content, its sync.
    fn write_new(&self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.whole(|inner| {
            let inode = inner.add(Vec::new());
            inner.change(vec![(name.to_owned(), Some(inode))]);
            Ok(())
        })?;
        let inode = inner.find(name)?;
        let (written, failure) = match inner.step()? {
            Step::Do => (data.len(), None),
            Step::Half(error) => (data.len() / 2, Some(error)),
            Step::DoThen(error) => (data.len(), Some(error)),
        };
        inner.set(inode, data[..written].to_vec());
        failure.map_or(Ok(()), Err)?;
        inner.whole(|inner| {
            inner.inodes[inode].synced = Some(inner.inodes[inode].data.clone());
            inner.syncs += 1;
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner().whole(|inner| {
            let inode = inner.find(from)?;
            // As POSIX has it: two names of one file are left as they are.
            if inner.names.get(to) != Some(&inode) {
                inner.change(vec![(to.to_owned(), Some(inode)), (from.to_owned(), None)]);
            }
            Ok(())
        })
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner().whole(|inner| {
            let inode = inner.find(from)?;
            if inner.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            inner.change(vec![(to.to_owned(), Some(inode))]);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner().whole(|inner| {
            inner.find(name)?;
            inner.change(vec![(name.to_owned(), None)]);
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner().whole(|inner| {
            inner.synced_names = inner.names.clone();
            inner.unsynced.clear();
            inner.syncs += 1;
            Ok(())
        })
    }

    fn signature(&self, name: &str) -> io::Result<Option<Signature>> {
        let mut inner = self.inner();
        inner.whole(|_| Ok(()))?;
        Ok(inner.names.get(name).map(|number| {
            let inode = &inner.inodes[*number];
            let (ino, len) = (*number as u64, inode.data.len() as u64);
            Signature { dev: 0, ino, len, mtime: i128::from(inode.changed) }
        }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut inner = self.inner();
        inner.whole(|_| Ok(()))?;
        Ok(inner.names.keys().cloned().collect())
    }

    /// Nothing to wait for in a simulation: a lock that is held fails at once.
    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        let mut inner = self.inner();
        inner.whole(|_| Ok(()))?;
        if !inner.locked.insert(name.to_owned()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), name: name.to_owned(), life: inner.life }))
    }
}
