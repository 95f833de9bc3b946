//! [`Talk`]: what is known of a conversation without holding any of what was said: for each message when it was and where
//! in the log it is written, so that memory depends on the number of records alone.
//!
//! A [`Format`](super::formats::Format) feeds it; [`Talk::news`] says what has changed since it was asked last.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text;
use crate::contract::sessions::MessageRole;

/// Milliseconds since 1970.
pub type Millis = i64;

/// A name of an agent's (of a message, a record, a tool call) in 64 bits.
pub type Key = u64;

/// The key of a name. Stable, since caches outlive a version of Perry.
pub fn key(name: &str) -> Key {
    let digest = Sha256::digest(name.as_bytes());
    Key::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// Where a record is in its log, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first byte.
    pub at: u64,
    /// Its length, without the line break.
    pub len: u64,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The agent's name of it.
    pub key: Key,
    /// Who said it.
    pub role: MessageRole,
    /// When its first record was written.
    pub first: Millis,
    /// When its latest one was.
    pub last: Millis,
    /// Differs where what it says does.
    pub version: u32,
}

/// What is said of a session besides its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The agent's id of the session.
    pub id: Option<String>,
    /// The folder it works in.
    pub cwd: Option<String>,
    /// The name that a person gave it.
    pub name: Option<String>,
    /// The title that the agent made.
    pub generated: Option<String>,
    /// It is a part of another session's work: never listed.
    pub child: bool,
}

/// What has changed since it was asked last, in the order in which it is to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Only so many messages are left.
    Truncated(u32),
    /// This one reads otherwise.
    Replaced(u32),
    /// From this one on they are new.
    Appended(u32),
}

/// A tool call.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Call {
    slot: u32,
    open: bool,
}

/// A conversation. See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Talk {
    /// What is said of it as a whole.
    pub facts: Facts,
    slots: Vec<Slot>,
    /// Which records say something of which message, in the order of the log.
    pieces: Vec<(u32, Span)>,
    calls: HashMap<Key, Call>,
    by_key: HashMap<Key, u32>,
    /// The first prompt with a text, as a title, and which message it is.
    opening: Option<(u32, String)>,
    ended: bool,
    understood: bool,
    /// How many messages were there when news were asked for last, and how many of them still are.
    published: u32,
    kept: u32,
    replaced: BTreeSet<u32>,
}

impl Talk {
    /// Messages.
    pub fn len(&self) -> u32 {
        // A record takes some bytes, a log of 2^32 of them none that a disk holds.
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The messages.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The latest time of all records that messages are made of.
    pub fn last_activity(&self) -> Option<Millis> {
        self.slots.iter().map(|slot| slot.last).max()
    }

    /// Whether the latest turn has ended: the agent has nothing more to do.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a tool call of the latest answer is open.
    pub fn is_calling(&self) -> bool {
        let latest = self.len().wrapping_sub(1);
        self.calls.values().any(|call| call.open && call.slot == latest)
    }

    /// The title that the agent made.
    pub fn generated_title(&self) -> Option<String> {
        self.facts.generated.as_deref().map(text::title).filter(|title| !title.is_empty())
    }

    /// The first prompt, as a title.
    pub fn opening_title(&self) -> String {
        self.opening.as_ref().map(|(_, title)| title.clone()).unwrap_or_default()
    }

    /// Another number where any message differs.
    pub fn revision(&self) -> u64 {
        let mut hash = Sha256::new();
        for slot in &self.slots {
            hash.update(slot.key.to_le_bytes());
            hash.update(slot.version.to_le_bytes());
        }
        u64::from_le_bytes(hash.finalize()[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// The message of that key.
    pub fn find(&self, key: Key) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// Whether any record was of a kind that its format knows.
    pub fn is_understood(&self) -> bool {
        self.understood
    }

    /// A record was of a kind that its format knows.
    pub fn understand(&mut self) {
        self.understood = true;
    }

    /// A person says something.
    pub fn prompt(&mut self, key: Key, at: Millis, span: Span, said: &str) {
        self.push(Slot { key, role: MessageRole::User, first: at, last: at, version: 0 }, span);
        self.ended = false;
        if self.opening.is_none() {
            let title = text::title(said);
            self.opening = (!title.is_empty()).then(|| (self.len() - 1, title));
        }
    }

    /// The agent answers; a further record of the same answer adds to it. Which message it is.
    pub fn answer(&mut self, key: Key, at: Millis, span: Span) -> u32 {
        self.ended = false;
        match self.find(key) {
            Some(slot) => {
                self.add(slot, at, span);
                slot
            }
            None => self.push(Slot { key, role: MessageRole::Assistant, first: at, last: at, version: 0 }, span),
        }
    }

    /// That message calls a tool.
    pub fn call(&mut self, slot: u32, call: Key) {
        self.calls.entry(call).or_insert(Call { slot, open: true });
    }

    /// A call has ended; nothing more is told of it.
    pub fn close(&mut self, call: Key) {
        if let Some(known) = self.calls.get_mut(&call) {
            known.open = false;
        }
    }

    /// A record about a tool call that is known: its result, where it `closes` it.
    pub fn result(&mut self, call: Key, at: Millis, span: Span, closes: bool) {
        let Some(known) = self.calls.get_mut(&call) else { return };
        known.open &= !closes;
        let slot = known.slot;
        self.ended = false;
        self.add(slot, at, span);
    }

    /// A message reads as that version, whatever records it is made of.
    pub fn stamp(&mut self, slot: u32, version: u32) {
        if let Some(message) = self.slots.get_mut(slot as usize) {
            message.version = version;
        }
    }

    /// The turn has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whatever was said from this message on is taken back.
    pub fn truncate(&mut self, len: u32) {
        if len >= self.len() {
            return;
        }
        self.slots.truncate(len as usize);
        self.pieces.retain(|(slot, _)| *slot < len);
        self.calls.retain(|_, call| call.slot < len);
        self.by_key.retain(|_, slot| *slot < len);
        self.opening = self.opening.take().filter(|(slot, _)| *slot < len);
        self.kept = self.kept.min(len);
        self.ended = true;
    }

    /// The records that say something of the messages of a range, in the order of the log.
    pub fn pieces(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = (u32, Span)> + '_ {
        self.pieces.iter().copied().filter(move |(slot, _)| range.contains(slot))
    }

    /// What has changed since this was asked last.
    pub fn news(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        if self.kept < self.published {
            news.push(News::Truncated(self.kept));
        }
        news.extend(self.replaced.iter().filter(|slot| **slot < self.kept).map(|slot| News::Replaced(*slot)));
        if self.len() > self.kept {
            news.push(News::Appended(self.kept));
        }
        (self.published, self.kept) = (self.len(), self.len());
        self.replaced.clear();
        news
    }

    /// Takes the place of one that was read from the same session before: only what differs is news.
    pub fn succeed(&mut self, before: &Talk) {
        let same = |(new, old): &(&Slot, &Slot)| new.key == old.key && new.role == old.role;
        let common = self.slots.iter().zip(&before.slots).take_while(same).count();
        let changed = |at: &usize| self.slots[*at] != before.slots[*at];
        self.replaced = (0..common).filter(changed).filter_map(|at| u32::try_from(at).ok()).collect();
        (self.published, self.kept) = (before.published, u32::try_from(common).unwrap_or(u32::MAX));
        // What was not told of the one before is not told yet.
        self.kept = self.kept.min(before.kept);
        self.replaced.extend(before.replaced.iter().filter(|slot| **slot < self.kept));
    }

    /// Bytes that this takes, about.
    pub fn footprint(&self) -> usize {
        self.slots.capacity() * 32 + self.pieces.capacity() * 24 + (self.calls.len() + self.by_key.len()) * 40 + 256
    }

    fn push(&mut self, slot: Slot, span: Span) -> u32 {
        let at = self.len();
        self.by_key.insert(slot.key, at);
        self.slots.push(slot);
        self.pieces.push((at, span));
        at
    }

    fn add(&mut self, slot: u32, at: Millis, span: Span) {
        let Some(message) = self.slots.get_mut(slot as usize) else { return };
        message.last = message.last.max(at);
        message.version = message.version.wrapping_add(1);
        if self.pieces.last() != Some(&(slot, span)) {
            self.pieces.push((slot, span));
        }
        if slot < self.kept {
            self.replaced.insert(slot);
        }
    }
}
