//! The disk under the store: one flat folder, as few operations as an atomic commit needs. [`OsDisk`] is the real one;
//! [`SimDisk`](super::sim_disk::SimDisk) forgets on purpose.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;
use crate::model::files;

/// How long a lock is waited for before it counts as stuck. Commits hold it for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// The longest pause between two tries for a lock.
const LOCK_PAUSE_MAX: Duration = Duration::from_millis(10);

/// What tells one version of a file from another without reading it. Two versions may share one, where an inode is
/// reused within one tick of the file system's clock: good enough to poll, not to commit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Bytes.
    pub len: u64,
    /// When its content changed, in nanoseconds since 1970.
    pub mtime: i128,
}

/// A lock that is held until dropped.
pub trait DiskLock: Send {}

/// One flat folder. Every name is a plain file name.
pub trait Disk: Send {
    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound`; `FileTooLarge` beyond the limit; `InvalidInput` for what is no regular file; the disk's own.
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>>;

    /// Writes a file that is not there yet, mode 0600, and syncs its content (not its name: see `sync_dir`).
    ///
    /// # Errors
    /// `AlreadyExists`, or the disk's own: a part of the file may then be there.
    fn write_new(&self, name: &str, data: &[u8]) -> io::Result<()>;

    /// Renames a file over whatever has the other name, atomically.
    ///
    /// # Errors
    /// The disk's own.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a second name, which nothing has yet.
    ///
    /// # Errors
    /// `AlreadyExists`, or the disk's own.
    fn hard_link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// `NotFound`, or the disk's own.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every change of names so far outlast a crash of the machine.
    ///
    /// # Errors
    /// The disk's own; what outlasts a crash is then unknown.
    fn sync_dir(&self) -> io::Result<()>;

    /// What tells this version of a file from another; `None` where there is none.
    ///
    /// # Errors
    /// The disk's own.
    fn signature(&self, name: &str) -> io::Result<Option<Signature>>;

    /// All names in the folder.
    ///
    /// # Errors
    /// The disk's own.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Takes an exclusive lock between processes, waiting for it at most some seconds.
    ///
    /// # Errors
    /// `TimedOut`, or the disk's own.
    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>>;
}

/// A folder of the operating system's.
#[derive(Debug, Clone)]
pub struct OsDisk {
    folder: PathBuf,
}

impl OsDisk {
    /// The disk whose files are in `folder`, which must exist (see [`folder::prepare`](super::folder::prepare)).
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

struct OsLock {
    // Closing the file releases the lock, also when the process dies.
    _file: File,
}

impl DiskLock for OsLock {}

impl Disk for OsDisk {
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let path = self.path(name);
        // Asked before opening, because opening a pipe would wait for a writer.
        let found = fs::metadata(&path)?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut data = Vec::new();
        if found.len() <= limit {
            File::open(&path)?.take(limit.saturating_add(1)).read_to_end(&mut data)?;
        }
        // It may have grown since.
        if found.len().max(data.len() as u64) > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes")));
        }
        Ok(data)
    }

    fn write_new(&self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name))?;
        file.write_all(data)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        match fs::hard_link(self.path(from), self.path(to)) {
            // Some file systems (FAT, some network ones) have no hard links: a copy does as well, it is only slower.
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                self.write_new(to, &self.read(from, u64::MAX - 1)?)
            }
            result => result,
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn signature(&self, name: &str) -> io::Result<Option<Signature>> {
        let found = match fs::metadata(self.path(name)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mtime = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Ok(Some(Signature { dev: found.dev(), ino: found.ino(), len: found.len(), mtime }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|entry| entry.map(|entry| entry.file_name().into_string()));
        // A name that is no UTF-8 is none of ours.
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().filter_map(Result::ok).collect())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_micros(200));
        while waited < LOCK_PATIENCE {
            if let Some(file) = try_lock(&self.path(name))? {
                return Ok(Box::new(OsLock { _file: file }));
            }
            // Tried again and again rather than waited for in the kernel, which knows no deadline: a stopped holder must
            // not hang the store.
            std::thread::sleep(pause);
            waited += pause;
            pause = (pause * 2).min(LOCK_PAUSE_MAX);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("another program has held {name} for {waited:?}")))
    }
}

/// Opens a file, made where there is none, and locks it; `None` where somebody else holds it. Closing it unlocks.
///
/// # Errors
/// It can be neither opened nor made, or the file system knows no locks.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) if leads_to(path, &file)? => return Ok(Some(file)),
            // The name leads to another file by now, which is the one to lock.
            Ok(()) => {}
            Err(fs4::TryLockError::WouldBlock) => return Ok(None),
            Err(fs4::TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether the name still leads to the file that was locked: somebody may have removed or replaced it meanwhile, and a
/// lock on a dead inode excludes nobody.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a small file, or writes `content` to it where there is none; says which it was. Of several that try at once
/// all get the same.
///
/// # Errors
/// It can be neither read nor written.
pub fn read_or_create(disk: &dyn Disk, name: &str, limit: u64, content: &str) -> Result<(String, bool), StoreError> {
    let _lock = disk.lock(files::STATE_LOCK).map_err(StoreError::locking)?;
    match disk.read(name, limit) {
        Ok(data) => {
            // Its writer may have died before its own sync, and what is built on the content must not outlast it.
            disk.sync_dir().map_err(|error| StoreError::writing(name, error))?;
            return Ok((String::from_utf8_lossy(&data).into_owned(), false));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::reading(name, error)),
    }
    replace(disk, name, content.as_bytes())?;
    Ok((content.to_owned(), true))
}

/// Writes a small file, over the one that may be there. It is complete before it has its name: a crash leaves the old one
/// or the new one.
///
/// # Errors
/// It cannot be written; then it is as it was, but may not outlast a crash where only the folder could not be synced.
pub fn replace(disk: &dyn Disk, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let temporary = format!("{name}.tmp");
    let write = || {
        remove_if_there(disk, &temporary)?;
        disk.write_new(&temporary, content)?;
        disk.rename(&temporary, name)?;
        disk.sync_dir()
    };
    write().map_err(|error| StoreError::writing(name, error))
}

/// Removes a name that may be gone already.
///
/// # Errors
/// The disk's own, but not `NotFound`.
pub fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
