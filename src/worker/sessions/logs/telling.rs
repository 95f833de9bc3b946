//! What was told of each session, and of which conversation: where several are of one session the one that went on later
//! counts, and another one when that goes.

use std::collections::{BTreeMap, BTreeSet};

use crate::worker::sessions::store::{Summary, Update, print_of};
use crate::worker::sessions::talk::{Millis, News};

/// See the module.
#[derive(Default)]
pub(super) struct Telling {
    sessions: BTreeMap<String, Told>,
    /// The session that a conversation was told as.
    ids: BTreeMap<String, String>,
    /// Conversations of sessions that are told of another one, and of which.
    shadowed: BTreeMap<String, String>,
    /// Conversations of which nobody was told what is in them, or was told that they are gone.
    hidden: BTreeSet<String>,
}

/// A session.
struct Told {
    unit: String,
    last: Millis,
    print: u64,
}

/// What is to be told, and which conversations may be told instead of one that is not any more.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) updates: Vec<Update>,
    pub(super) again: Vec<String>,
}

impl Telling {
    /// The conversation that a session is told of.
    pub(super) fn unit_of(&self, session: &str) -> Option<&str> {
        self.sessions.get(session).map(|told| told.unit.as_str())
    }

    /// A conversation is such a session now, or none that is listed.
    pub(super) fn put(&mut self, unit: &str, summary: Option<Summary>, news: Vec<News>) -> Outcome {
        let mut outcome = Outcome::default();
        let was_unknown = self.shadowed.remove(unit).is_some() | self.hidden.remove(unit);
        if summary.is_none() && (self.ids.contains_key(unit) || !news.is_empty()) {
            self.hidden.insert(unit.to_owned());
        }
        let id = summary.as_ref().map(|summary| summary.id.as_str());
        if let Some(before) = self.ids.get(unit).filter(|before| Some(before.as_str()) != id).cloned() {
            self.ids.remove(unit);
            self.sessions.remove(&before);
            let shadowed = self.shadowed.iter().filter(|(_, of)| **of == before);
            outcome.again = shadowed.map(|(unit, _)| unit.clone()).collect();
            outcome.updates.push(Update::Gone(before));
        }
        if let Some(summary) = summary {
            outcome.updates.extend(self.upsert(unit, summary, news, was_unknown));
        }
        outcome
    }

    /// A conversation is no more.
    pub(super) fn forget(&mut self, unit: &str) -> Outcome {
        let outcome = self.put(unit, None, Vec::new());
        self.hidden.remove(unit);
        outcome
    }

    fn upsert(&mut self, unit: &str, summary: Summary, mut news: Vec<News>, was_unknown: bool) -> Option<Update> {
        let (id, now) =
            (summary.id.clone(), Told { unit: unit.to_owned(), last: summary.last, print: print_of(&summary) });
        match self.sessions.get(&id) {
            Some(known) if known.unit != unit && known.last >= now.last => {
                self.shadowed.insert(unit.to_owned(), id);
                return None;
            }
            Some(known) if known.unit != unit => {
                self.ids.remove(&known.unit);
                self.shadowed.insert(known.unit.clone(), id.clone());
                news = vec![News::Truncated(0), News::Appended(0)];
            }
            Some(known) if known.print == now.print && news.is_empty() => return None,
            Some(_) => {}
            None if was_unknown => news = vec![News::Appended(0)],
            None => {}
        }
        self.ids.insert(unit.to_owned(), id.clone());
        self.sessions.insert(id, now);
        Some(Update::Upserted { summary, news })
    }
}
