//! `agent.lock`: one agent per folder. The lock itself is the kernel's and ends with the process; the file says who holds
//! it, for a second agent's error and for clients that look for the agent's address.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::StoreError;
use super::disk::try_lock;
use crate::model::files::{AGENT_LOCK, AgentLock};

/// The content is padded to this length, so that writing it anew is one write in place, which readers do not see half of.
const LENGTH: usize = 512;
/// How often, and how long apart, a second agent asks for the name of the first, which may be writing it just now.
const ASKS: (u32, Duration) = (50, Duration::from_millis(10));

/// The lock of this folder, held until dropped.
#[derive(Debug)]
pub struct HeldLock {
    file: File,
    info: AgentLock,
}

impl HeldLock {
    /// Takes the lock and writes `info`, whose address is not known yet as a rule.
    ///
    /// # Errors
    /// [`StoreError::InUse`] names the agent that holds it; or the disk's own.
    pub fn take(folder: &Path, info: AgentLock) -> Result<Self, StoreError> {
        let path = folder.join(AGENT_LOCK);
        let failed = |error| StoreError::writing(AGENT_LOCK, error);
        match try_lock(&path).map_err(failed)? {
            Some(file) => {
                let mut lock = Self { file, info };
                lock.write().map_err(failed)?;
                Ok(lock)
            }
            None => Err(StoreError::InUse { holder: holder(&path) }),
        }
    }

    /// Says where the API listens.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn announce(&mut self, address: &str) -> Result<(), StoreError> {
        self.info.address = Some(address.to_owned());
        self.write().map_err(|error| StoreError::writing(AGENT_LOCK, error))
    }

    fn write(&mut self) -> io::Result<()> {
        let mut text = serde_json::to_string(&self.info)?;
        text.push_str(&" ".repeat(LENGTH.saturating_sub(text.len() + 1)));
        text.push('\n');
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)
    }
}

impl Drop for HeldLock {
    /// Empties the file, so that nobody looks for an agent that has ended. The name stays: removing it could let two in.
    fn drop(&mut self) {
        // The lock is free either way; a stale content is what a killed agent leaves, too.
        let _ = self.file.set_len(0);
    }
}

/// Who holds the lock, in words.
fn holder(path: &Path) -> String {
    for _ in 0..ASKS.0 {
        if let Some(lock) = read(path) {
            let address = lock.address.map_or("still starting".to_owned(), |address| format!("at {address}"));
            return format!("process {} ({address}, version {}, since {})", lock.pid, lock.version, lock.started_at);
        }
        std::thread::sleep(ASKS.1);
    }
    format!("it has not said which process it is in {}", path.display())
}

fn read(path: &Path) -> Option<AgentLock> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(4096).read_to_end(&mut text).ok()?;
    AgentLock::parse(&text)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn info(pid: u32) -> AgentLock {
        AgentLock { pid, address: None, version: "0.1.0".to_owned(), started_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn the_second_agent_is_refused_and_told_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = HeldLock::take(folder.path(), info(41)).expect("free");
        let error = HeldLock::take(folder.path(), info(42)).expect_err("taken");
        assert!(error.to_string().contains("process 41 (still starting"), "{error}");
        first.announce("127.0.0.1:7391").expect("written");
        let error = HeldLock::take(folder.path(), info(42)).expect_err("taken");
        assert!(error.to_string().contains("process 41 (at 127.0.0.1:7391, version 0.1.0, since 1970"), "{error}");
        drop(first);
        assert_eq!(read(&folder.path().join(AGENT_LOCK)), None);
        HeldLock::take(folder.path(), info(42)).expect("free again");
    }

    #[test]
    fn what_a_killed_agent_left_holds_nobody_up_and_a_shorter_content_leaves_no_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(AGENT_LOCK), "{\"pid\":1}".repeat(200)).expect("written");
        let lock = HeldLock::take(folder.path(), info(7)).expect("free");
        assert_eq!(read(&folder.path().join(AGENT_LOCK)), Some(info(7)));
        drop(lock);
    }
}
