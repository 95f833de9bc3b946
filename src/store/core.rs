//! The synchronous heart of the store: `state.json` and nothing else. No threads, no clock, no executor: the same calls
//! on the same disk do the same.
//!
//! A commit takes the lock, reads the file anew, applies edits to a copy, and replaces the file by rename, so that at every
//! point of it the file is the old or the new document. Many edits make one commit. What is found on disk is never
//! trusted to be what was left there: an outside edit is merged and admitted, a text that does not parse changes nothing
//! and is set aside, a missing file is written again.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;

use super::disk::{Disk, Signature, remove_if_there};
use super::document::{self, DOCUMENT_MAX, Document};
use super::error::{CommitError, Rejected, StoreError, Warning};
use super::outside::{self, Admit};
use crate::model::files::{STATE, STATE_LOCK, STATE_UNTRUSTED};
use crate::model::{State, Uid};

/// One change of intent. It works on a copy of its own: where it says no, nothing of it is kept.
pub type Edit = Box<dyn FnOnce(&mut State) -> Result<(), Rejected> + Send>;

/// The answer to each edit, in the order of the edits.
pub type Results = Vec<Result<(), CommitError>>;

/// How many uids of deleted workspaces are remembered.
const FORGOTTEN_MAX: usize = 1024;
/// How many past warnings are kept.
const NOTES_MAX: usize = 32;

/// What the store did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Documents written.
    pub commits: u64,
    /// Edits accepted, those that changed nothing included.
    pub edits: u64,
    /// Syncs of files and of the folder.
    pub syncs: u64,
}

/// What `state.json` is at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// The committed intent.
    Current,
    /// Not there.
    Missing(Warning),
    /// No document that could be taken; intent is what it was before.
    Broken(Warning),
}

/// The owner of `state.json`.
pub struct Core<D> {
    pub(super) disk: D,
    admit: Admit,
    /// The committed intent.
    pub(super) state: Arc<State>,
    /// The text that was last read or written; `None` where the file must be read anew whatever it holds.
    pub(super) seen: Option<Vec<u8>>,
    pub(super) on_disk: OnDisk,
    /// The file's signature just before that.
    signature: Option<Signature>,
    /// A document was put in place but the folder could not be synced.
    pub(super) unsynced: bool,
    pub(super) untrusted: Option<Warning>,
    forgotten: VecDeque<Uid>,
    notes: VecDeque<Warning>,
    pub(super) stats: Stats,
}

/// What a commit starts from.
struct Base {
    state: State,
    /// The file does not hold it yet.
    write: bool,
}

impl<D: Disk> Core<D> {
    /// Reads the folder's intent, cleans up after a crash, and migrates an original Perry's `state.json`.
    ///
    /// A `state.json` that is broken or missing falls back to `state.json.1`, then to nothing; intent is then untrusted
    /// until [`Core::trust`]. It may be missing only where there is no `agent.id` yet either: a new folder.
    ///
    /// # Errors
    /// The folder can be neither locked, read nor written; the document is of a newer Perry, or of the original one and
    /// cannot be taken over.
    pub fn open(disk: D, admit: Admit, now: Timestamp) -> Result<Self, StoreError> {
        let mut core = Self {
            disk,
            admit,
            state: Arc::default(),
            seen: None,
            on_disk: OnDisk::Current,
            signature: None,
            unsynced: false,
            untrusted: None,
            forgotten: VecDeque::new(),
            notes: VecDeque::new(),
            stats: Stats::default(),
        };
        let lock = core.disk.lock(STATE_LOCK).map_err(StoreError::locking)?;
        core.load(now)?;
        drop(lock);
        core.admit_at_start(now)?;
        Ok(core)
    }

    /// The committed intent.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// What was done since it was opened.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What a person should know of the files: what is the matter now first, then what happened, oldest first.
    pub fn warnings(&self) -> Vec<Warning> {
        let standing = match &self.on_disk {
            OnDisk::Current => None,
            OnDisk::Missing(warning) | OnDisk::Broken(warning) => Some(warning),
        };
        standing.into_iter().chain(&self.untrusted).chain(&self.notes).cloned().collect()
    }

    /// Why it is not certain that intent is whole, so that nothing may be called an orphan; `None` where it is.
    pub fn untrusted(&self) -> Option<&str> {
        match (&self.untrusted, &self.on_disk) {
            (Some(warning), _) | (None, OnDisk::Missing(warning) | OnDisk::Broken(warning)) => Some(&warning.message),
            (None, OnDisk::Current) => None,
        }
    }

    /// A person says that intent is whole again, after a fall-back or a recovery.
    ///
    /// # Errors
    /// The mark could not be removed.
    pub fn trust(&mut self) -> Result<(), StoreError> {
        let remove = || remove_if_there(&self.disk, STATE_UNTRUSTED).and_then(|()| self.disk.sync_dir());
        remove().map_err(|error| StoreError::writing(STATE_UNTRUSTED, error))?;
        self.untrusted = None;
        Ok(())
    }

    /// Applies edits in order, each to what the ones before it left, and commits them together. The answers are in the
    /// same order. Where the disk fails, all fail and intent stays what it was; [`StoreError::Unsynced`] alone means that
    /// the edits are in force and may yet be lost.
    pub fn commit(&mut self, edits: Vec<Edit>, now: Timestamp) -> Results {
        let count = edits.len();
        match self.run(edits, now) {
            Ok((results, None)) => results,
            Ok((results, Some(error))) => {
                results.into_iter().map(|result| result.and_then(|()| Err(error.clone().into()))).collect()
            }
            Err(error) => (0..count).map(|_| Err(error.clone().into())).collect(),
        }
    }

    /// Looks whether somebody else changed the file, and takes what can be taken of it.
    ///
    /// # Errors
    /// The file could not be read, or what had to be written after it could not.
    pub fn look(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.run(Vec::new(), now)?.1.map_or(Ok(()), Err)
    }

    /// The same, but only where the file's signature says that it may have changed: cheap enough to do all the time.
    ///
    /// # Errors
    /// As for [`Core::look`].
    pub fn poll(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let signature = self.disk.signature(STATE).map_err(|error| StoreError::reading(STATE, error))?;
        let is_read = self.seen.is_some() || self.on_disk != OnDisk::Current;
        if signature == self.signature && is_read && !self.unsynced {
            return Ok(());
        }
        self.look(now)
    }

    /// A commit; the second error is that of writing, which every accepted edit shares.
    fn run(&mut self, edits: Vec<Edit>, now: Timestamp) -> Result<(Results, Option<StoreError>), StoreError> {
        let _lock = self.disk.lock(STATE_LOCK).map_err(StoreError::locking)?;
        let base = self.refresh(now)?;
        let mut next = base.state.clone();
        let results: Vec<_> = edits.into_iter().map(|edit| apply(&mut next, edit)).collect();
        let accepted = results.iter().filter(|result| result.is_ok()).count() as u64;
        let changed = base.write || next.workspaces != base.state.workspaces;
        let written = if changed || (accepted > 0 && self.on_disk != OnDisk::Current) {
            self.write(next, now)
        } else if self.unsynced {
            self.sync_folder()
        } else {
            Ok(())
        };
        self.stats.edits += if written.is_ok() { accepted } else { 0 };
        Ok((results, written.err()))
    }

    /// Reads the file and says what intent is now.
    fn refresh(&mut self, now: Timestamp) -> Result<Base, StoreError> {
        let reading = |error| StoreError::reading(STATE, error);
        self.signature = self.disk.signature(STATE).map_err(reading)?;
        let text = match self.disk.read(STATE, DOCUMENT_MAX as u64) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.missing(now)),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                self.seen = None;
                return Ok(self.broken(&error.to_string(), now));
            }
            Err(error) => return Err(reading(error)),
        };
        if self.seen.as_ref() == Some(&text) {
            return Ok(self.base());
        }
        let taken = match document::parse(&text) {
            Ok(Document::Current(found)) => self.admit_outside(&found, now),
            Ok(Document::Original(_)) => {
                Err("it is of the original Perry, which is migrated only at a start".to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        match taken {
            Ok(base) => {
                // Kept until a rewrite of it has succeeded: else it is read, and taken, once more.
                self.seen = if base.write { None } else { Some(text) };
                Ok(base)
            }
            Err(why) => {
                self.seen = Some(text);
                Ok(self.broken(&why, now))
            }
        }
    }

    fn base(&self) -> Base {
        Base { state: (*self.state).clone(), write: false }
    }

    fn missing(&mut self, now: Timestamp) -> Base {
        self.seen = None;
        if !matches!(self.on_disk, OnDisk::Missing(_)) {
            let message =
                "state.json is missing; what it held stays in force and is written again with the next change";
            self.on_disk = OnDisk::Missing(Warning { since: now, message: message.to_owned() });
            self.keep_last_good(now);
        }
        self.base()
    }

    fn broken(&mut self, why: &str, now: Timestamp) -> Base {
        let message = format!(
            "state.json was changed outside Perry and cannot be taken: {why}; what it held before stays in force, and \
             with the next change your text is set aside as state.json.broken-<date>"
        );
        let is_new = !matches!(&self.on_disk, OnDisk::Broken(warning) if warning.message == message);
        if is_new {
            self.on_disk = OnDisk::Broken(Warning { since: now, message });
            self.keep_last_good(now);
        }
        self.base()
    }

    /// Takes an outside edit: merged, admitted, checked. What was not taken of it becomes warnings.
    fn admit_outside(&mut self, found: &State, now: Timestamp) -> Result<Base, String> {
        let merged = outside::merge(&self.state, found.clone(), &self.forgotten);
        let state = (self.admit)(&self.state, merged.state).map_err(|issues| issues.to_string())?;
        document::check(&state).map_err(|issues| issues.to_string())?;
        document::check_step(&self.state, &state).map_err(|issues| issues.to_string())?;
        for note in merged.notes {
            self.note(note, now);
        }
        self.on_disk = OnDisk::Current;
        let write = state.workspaces != found.workspaces || found.revision < self.state.revision;
        if !write {
            self.take(state.clone());
        }
        Ok(Base { state, write })
    }

    /// At a start there is nothing to compare with: whatever admission would add is added, and what it would refuse is
    /// kept with a warning, since it was in force before.
    fn admit_at_start(&mut self, now: Timestamp) -> Result<(), StoreError> {
        match (self.admit)(&self.state, (*self.state).clone()) {
            Ok(state) if state == *self.state => {}
            Ok(state) => {
                let edit: Edit = Box::new(move |all| {
                    *all = state;
                    Ok(())
                });
                match self.commit(vec![edit], now).pop() {
                    Some(Err(CommitError::Failed(error))) => return Err(error),
                    Some(Err(error)) => self.note(format!("state.json holds what cannot be completed: {error}"), now),
                    _ => {}
                }
            }
            Err(issues) => self.note(format!("state.json holds what would not be admitted today: {issues}"), now),
        }
        Ok(())
    }

    /// Makes a document the committed intent.
    pub(super) fn take(&mut self, state: State) {
        for (name, workspace) in &self.state.workspaces {
            let uid = &workspace.metadata.uid;
            if state.workspaces.get(name).is_none_or(|found| found.metadata.uid != *uid) {
                self.forgotten.push_back(uid.clone());
            }
        }
        let surplus = self.forgotten.len().saturating_sub(FORGOTTEN_MAX);
        self.forgotten.drain(..surplus);
        self.state = Arc::new(state);
    }

    /// Keeps something that happened for people to see; the same twice is kept once.
    pub(super) fn note(&mut self, message: String, now: Timestamp) {
        self.notes.retain(|note| note.message != message);
        self.notes.push_back(Warning { since: now, message });
        let surplus = self.notes.len().saturating_sub(NOTES_MAX);
        self.notes.drain(..surplus);
    }

    pub(super) fn set_signature(&mut self, signature: Option<Signature>) {
        self.signature = signature;
    }
}

/// Applies one edit to a copy, which replaces `state` only where everything is right.
fn apply(state: &mut State, edit: Edit) -> Result<(), CommitError> {
    let mut copy = state.clone();
    // A panic of one edit must not take the store away from everybody.
    match catch_unwind(AssertUnwindSafe(|| edit(&mut copy))) {
        Ok(Ok(())) => {}
        Ok(Err(Rejected)) => return Err(CommitError::Rejected),
        Err(_) => return Err(CommitError::Panicked),
    }
    document::check_step(state, &copy).map_err(CommitError::Invalid)?;
    state.workspaces = copy.workspaces;
    Ok(())
}
