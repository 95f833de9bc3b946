//! What is written down of a conversation, without what it takes to go on with it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::worker::sessions::formats::{Fold, Part};
use crate::worker::sessions::source::Mark;
use crate::worker::sessions::store::{Summary, Turn, turn};
use crate::worker::sessions::talk::{Key, Talk};
use crate::worker::sessions::text;

/// What tells a part that another one stands on: the file, how much of it is there, and what it begins and ends with.
pub(super) type Base = (u64, u64, u64, u64);

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) parts: Vec<Part>,
    /// What tells that the parts before the last one are the same: where they do not end yet they may grow.
    pub(super) bases: Vec<Option<Base>>,
    /// What the last file was like when it was read.
    pub(super) mark: Option<Mark>,
    /// How far the last file is read, and what tells that it still is the same.
    pub(super) offset: u64,
    pub(super) fingerprint: u64,
    pub(super) id: Option<String>,
    cwd: Option<String>,
    name: Option<String>,
    generated: Option<String>,
    opening: String,
    pub(super) child: bool,
    pub(super) count: u32,
    last: i64,
    turn: Turn,
    revision: u64,
    pub(super) problem: Option<String>,
    pub(super) titles: Vec<(Key, String)>,
    /// The title that another log held when the records of this one were at hand: without them no title can be placed.
    pub(super) elsewhere: Option<String>,
    /// Which titles other logs held then.
    pub(super) titled: u64,
}

/// What files beside a log tell of a session, or their place.
pub(super) struct Around {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) file: PathBuf,
}

impl Kept {
    /// Takes what a conversation is by now.
    pub(super) fn learn(&mut self, talk: &Talk, fold: &dyn Fold, problem: Option<String>) {
        (self.id, self.cwd, self.child) = (talk.facts.id.clone(), talk.facts.cwd.clone(), talk.facts.child);
        (self.name, self.generated) = (talk.facts.name.clone(), talk.generated_title());
        (self.opening, self.problem) = (talk.opening_title(), problem);
        (self.count, self.last) = (talk.len(), talk.last_activity().unwrap_or(0));
        (self.turn, self.revision) = (turn(talk), talk.revision());
        self.titles = fold.titles_of_others().to_vec();
    }

    /// The session that it is; none where nothing was said.
    pub(super) fn summary(&self, around: Around) -> Option<Summary> {
        let Around { id, name, cwd, file } = around;
        if self.problem.is_some() {
            return Some(self.unreadable(id, file));
        }
        if self.count == 0 {
            return None;
        }
        let named = self.name.as_deref().or(name.as_deref()).map(text::title).filter(|title| !title.is_empty());
        let made = self.generated.as_ref().or(self.elsewhere.as_ref()).unwrap_or(&self.opening);
        Some(Summary {
            id,
            title: named.unwrap_or_else(|| made.clone()),
            count: self.count,
            last: self.last,
            cwd: self.cwd.clone().or(cwd),
            turn: self.turn,
            revision: Some(self.revision),
            problem: None,
            file,
        })
    }

    fn unreadable(&self, id: String, file: PathBuf) -> Summary {
        let title = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        // Nothing else tells when.
        let last = i64::try_from(self.mark.map_or(0, |mark| mark.modified / 1_000_000)).unwrap_or(0);
        let (turn, problem) = (Turn::Ended, self.problem.clone());
        Summary { id, title, count: 0, last, cwd: None, turn, revision: Some(0), problem, file }
    }
}
