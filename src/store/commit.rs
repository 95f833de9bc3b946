//! How [`Core`] loads and replaces its files: the only place where their order matters.
//!
//! `state.json` is only ever renamed over, so that it has a whole document at every point; whatever is replaced keeps a
//! second name first (`state.json.1`, `state.json.broken-<date>`, `state.json.v0`).

use std::io;

use jiff::Timestamp;

use super::core::{Core, OnDisk};
use super::disk::{Disk, remove_if_there};
use super::document::{self, DOCUMENT_MAX, Document, DocumentError};
use super::error::{StoreError, Warning};
use crate::model::State;
use crate::model::files::{AGENT_ID, STATE, STATE_ORIGINAL, STATE_PREVIOUS, STATE_UNTRUSTED};

/// The next `state.json`, until it is whole.
const NEXT: &str = "state.json.tmp";
/// The next `state.json.1`, until it is whole.
const NEXT_PREVIOUS: &str = "state.json.1.tmp";
/// The next mark, until it is whole.
const NEXT_UNTRUSTED: &str = "state.untrusted.tmp";
/// How many texts that were set aside are kept; the oldest go first.
const BROKEN_MAX: usize = 32;
/// The longest mark that is read.
const MARK_MAX: u64 = 4096;

/// What was found in a file at a start.
enum Found {
    Absent,
    /// Its text, unless that is too long, and why it is no document.
    Broken(Option<Vec<u8>>, String),
    Good(Vec<u8>, Document),
}

impl<D: Disk> Core<D> {
    /// Reads everything at a start, under the lock.
    pub(super) fn load(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for name in [NEXT, NEXT_PREVIOUS, NEXT_UNTRUSTED] {
            remove_if_there(&self.disk, name).map_err(|error| StoreError::writing(name, error))?;
        }
        // What is read here may be acted upon, so it must not be lost any more by a crash of the machine.
        self.sync_folder()?;
        self.read_mark(now)?;
        match self.find(STATE)? {
            Found::Good(text, Document::Current(state)) => {
                self.seen = Some(text);
                self.take(state);
                Ok(())
            }
            Found::Good(_, Document::Original(original)) => {
                self.keep_original()?;
                self.note(
                    format!("state.json of the original Perry was migrated; it is kept as {STATE_ORIGINAL}"),
                    now,
                );
                original.notes.into_iter().for_each(|note| self.note(note, now));
                self.write(original.state, now)
            }
            Found::Broken(text, why) => {
                self.seen = text;
                self.on_disk = OnDisk::Broken(broken_at_start(&why, now));
                self.fall_back("was broken", now)
            }
            Found::Absent => self.load_without(now),
        }
    }

    /// There is no `state.json`: a new folder, or a loss.
    fn load_without(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.on_disk = OnDisk::Missing(Warning { since: now, message: "state.json is missing".to_owned() });
        let signature = |name| self.disk.signature(name).map_err(|error| StoreError::reading(name, error));
        let is_new = signature(AGENT_ID)?.is_none() && signature(STATE_PREVIOUS)?.is_none();
        if is_new {
            // Written at once, so that its absence is never again a matter of opinion.
            return self.write(State::default(), now);
        }
        self.fall_back("was missing", now)
    }

    /// Takes `state.json.1` for want of `state.json`, else nothing, and marks intent as untrusted.
    fn fall_back(&mut self, what: &str, now: Timestamp) -> Result<(), StoreError> {
        let instead = match self.find(STATE_PREVIOUS)? {
            Found::Good(_, Document::Current(state)) => {
                self.take(state);
                "state.json.1, the document before it, is used instead; its last change may be lost"
            }
            Found::Good(_, Document::Original(original)) => {
                self.take(original.state);
                "state.json.1, of the original Perry, is used instead"
            }
            Found::Broken(..) => {
                self.set_aside(STATE_PREVIOUS, now)?;
                // Else the next start would set it aside again.
                let _ = self.disk.remove(STATE_PREVIOUS);
                "state.json.1 is broken too, so no workspace is known"
            }
            Found::Absent => "there is no state.json.1 either, so no workspace is known",
        };
        let message = format!(
            "state.json {what} when the agent started: {instead}; nothing is removed, and nothing is pruned until \
             `perry agent recover`"
        );
        let _ = self.write_mark(&message).map_err(|error| self.note(error.chain(), now));
        self.untrusted = Some(Warning { since: now, message });
        Ok(())
    }

    /// What a file holds at a start.
    fn find(&self, name: &str) -> Result<Found, StoreError> {
        let text = match self.disk.read(name, DOCUMENT_MAX as u64) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Ok(Found::Broken(None, error.to_string()));
            }
            Err(error) => return Err(StoreError::reading(name, error)),
        };
        match document::parse(&text) {
            Ok(document) => Ok(Found::Good(text, document)),
            Err(DocumentError::Newer(found)) => Err(StoreError::Newer { found }),
            Err(DocumentError::Original(issues)) => Err(StoreError::Original { issues }),
            Err(error @ (DocumentError::Form(_) | DocumentError::Invalid(_))) => {
                Ok(Found::Broken(Some(text), error.to_string()))
            }
        }
    }

    fn read_mark(&mut self, now: Timestamp) -> Result<(), StoreError> {
        match self.disk.read(STATE_UNTRUSTED, MARK_MAX) {
            Ok(text) => {
                let message = String::from_utf8_lossy(&text).trim().to_owned();
                self.untrusted = Some(Warning { since: now, message });
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::reading(STATE_UNTRUSTED, error)),
        }
    }

    /// Marks intent as untrusted, for later starts too.
    fn write_mark(&mut self, message: &str) -> Result<(), StoreError> {
        let write = || {
            remove_if_there(&self.disk, NEXT_UNTRUSTED)?;
            self.disk.write_new(NEXT_UNTRUSTED, format!("{message}\n").as_bytes())?;
            self.disk.rename(NEXT_UNTRUSTED, STATE_UNTRUSTED)?;
            self.disk.sync_dir()
        };
        write().map_err(|error| StoreError::writing(STATE_UNTRUSTED, error))
    }

    /// Puts a document in place of `state.json`. On any error but `Unsynced` the file and intent are as they were.
    pub(super) fn write(&mut self, mut next: State, now: Timestamp) -> Result<(), StoreError> {
        // Saturating, since an edit by hand may have put any number there.
        next.revision = next.revision.max(self.state.revision).saturating_add(1);
        let text = document::render(&next)?;
        if let Err(error) = self.put(&text, now) {
            // The disk is in doubt: read it anew next time. The rest of an attempt must not fill a full disk further.
            self.seen = None;
            let _ = self.disk.remove(NEXT);
            return Err(error);
        }
        self.stats.commits += 1;
        self.take(next);
        self.seen = Some(text);
        self.on_disk = OnDisk::Current;
        self.unsynced = true;
        self.sync_folder()
    }

    fn put(&mut self, text: &[u8], now: Timestamp) -> Result<(), StoreError> {
        let writing = |error| StoreError::writing(STATE, error);
        remove_if_there(&self.disk, NEXT).map_err(writing)?;
        self.disk.write_new(NEXT, text).map_err(writing)?;
        self.stats.syncs += 1;
        // A rename keeps it, so whatever differs later was somebody else.
        let signature = self.disk.signature(NEXT).map_err(writing)?;
        match self.on_disk {
            OnDisk::Current => self.keep_previous()?,
            OnDisk::Broken(_) => self.set_aside(STATE, now)?,
            OnDisk::Missing(_) => {}
        }
        match self.disk.rename(NEXT, STATE) {
            Ok(()) => {}
            // Some failures come after the effect. What counts is what readers see.
            Err(_) if self.disk.read(STATE, DOCUMENT_MAX as u64).is_ok_and(|found| found == text) => {}
            Err(error) => return Err(writing(error)),
        }
        self.set_signature(signature);
        Ok(())
    }

    /// Syncs the folder; until that succeeds, a document that was put in place may be lost.
    pub(super) fn sync_folder(&mut self) -> Result<(), StoreError> {
        self.disk.sync_dir().map_err(|error| StoreError::Unsynced { source: error.into() })?;
        self.stats.syncs += 1;
        self.unsynced = false;
        Ok(())
    }

    /// Gives the present `state.json` the name `state.json.1` as well.
    fn keep_previous(&self) -> Result<(), StoreError> {
        let keep = || {
            remove_if_there(&self.disk, NEXT_PREVIOUS)?;
            self.disk.hard_link(STATE, NEXT_PREVIOUS)?;
            self.disk.rename(NEXT_PREVIOUS, STATE_PREVIOUS)?;
            // A rename between two names of one file does nothing, by POSIX: after a crash just before the end of a
            // commit both are the same file.
            remove_if_there(&self.disk, NEXT_PREVIOUS)
        };
        match keep() {
            // Somebody removed it this instant.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| StoreError::writing(STATE_PREVIOUS, error)),
        }
    }

    /// Makes the intent in memory `state.json.1`, because `state.json` has just been found broken or missing: a restart
    /// would else fall back to the document before it. That failing changes nothing else.
    pub(super) fn keep_last_good(&mut self, now: Timestamp) {
        let text = match document::render(&self.state) {
            Ok(text) => text,
            Err(error) => return self.note(error.chain(), now),
        };
        let keep = || {
            remove_if_there(&self.disk, NEXT_PREVIOUS)?;
            self.disk.write_new(NEXT_PREVIOUS, &text)?;
            self.disk.rename(NEXT_PREVIOUS, STATE_PREVIOUS)?;
            self.disk.sync_dir()
        };
        match keep() {
            Ok(()) => self.stats.syncs += 2,
            Err(error) => self.note(StoreError::writing(STATE_PREVIOUS, error).chain(), now),
        }
    }

    /// Keeps the original Perry's text; at most one, since a second migration would be of the same.
    fn keep_original(&self) -> Result<(), StoreError> {
        match self.disk.hard_link(STATE, STATE_ORIGINAL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(|error| StoreError::writing(STATE_ORIGINAL, error)),
        }
    }

    /// Gives a broken file a dated name, under which it stays when its own is taken from it.
    fn set_aside(&mut self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let dated = format!("{name}.broken-{}", now.strftime("%Y-%m-%dT%H-%M-%SZ"));
        // Before, so that the newest is never the one to go; and so that one of these names is free.
        self.drop_oldest_broken(name);
        for attempt in 1..=BROKEN_MAX {
            let aside = if attempt == 1 { dated.clone() } else { format!("{dated}-{attempt:02}") };
            match self.disk.hard_link(name, &aside) {
                Ok(()) => {
                    self.note(format!("a {name} that could not be read was set aside as {aside}"), now);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::writing(&aside, error)),
            }
        }
        Err(StoreError::writing(&dated, io::ErrorKind::AlreadyExists.into()))
    }

    fn drop_oldest_broken(&self, name: &str) {
        let prefix = format!("{name}.broken-");
        let mut aside: Vec<_> = self.disk.list().unwrap_or_default();
        aside.retain(|other| other.starts_with(&prefix));
        aside.sort();
        let surplus = (aside.len() + 1).saturating_sub(BROKEN_MAX);
        // Left over where it fails; nothing depends on it.
        aside[..surplus].iter().for_each(|old| drop(self.disk.remove(old)));
    }
}

fn broken_at_start(why: &str, now: Timestamp) -> Warning {
    let message =
        format!("state.json cannot be read: {why}; with the next change it is set aside as state.json.broken-<date>");
    Warning { since: now, message }
}
