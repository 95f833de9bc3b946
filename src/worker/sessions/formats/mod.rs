//! How agents write down what is said: one module for each, behind [`Format`].
//!
//! A format is given records (lines of a log, or a whole document) twice: once by a [`Fold`], to learn which messages there
//! are and where they are written; and again, only those of the messages that somebody wants to read, to fill a [`Draft`].
//! What cannot be understood costs that record and nothing else; fields that are not known are skipped unread.

pub mod claude;
pub mod codex;
pub mod copilot;
pub mod gemini;
pub(in crate::worker::sessions) mod lenient;
pub mod pi;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::draft::Draft;
use super::talk::{Millis, Span, Talk};
use crate::contract::sessions::CodingAgent;

/// Where an agent's home is.
#[derive(Debug, Clone, Default)]
pub struct Home {
    /// The person's home folder.
    pub folder: PathBuf,
    /// The environment that agents run in.
    pub environment: BTreeMap<String, String>,
}

impl Home {
    /// That of whoever runs this.
    pub fn own() -> Self {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Self { folder: std::env::home_dir().unwrap_or_else(|| "/".into()), environment: environment.collect() }
    }

    /// Where what was learnt of it is written down.
    pub fn cache(&self) -> PathBuf {
        self.folder_of("XDG_CACHE_HOME", ".cache").join("perry/sessions.db")
    }

    /// The folder that a variable names, else one in the home.
    pub fn folder_of(&self, variable: &str, usual: &str) -> PathBuf {
        let named = self.environment.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        named.unwrap_or_else(|| self.folder.join(usual))
    }
}

/// What a file is to its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A log, or a part of one.
    Log {
        /// What is the same for all parts of a conversation, and for nothing else of this agent.
        unit: String,
        /// The id of the session, where its records do not tell.
        session: String,
    },
    /// One document that is written anew at each change.
    Document {
        /// See `Log`.
        unit: String,
    },
    /// It tells something of sessions: [`Format::aside`].
    Aside,
    /// Of no interest.
    Nothing,
}

impl Place {
    /// A log.
    pub fn log(unit: &str, session: &str) -> Self {
        Self::Log { unit: unit.to_owned(), session: session.to_owned() }
    }
}

/// What files beside the logs tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asides {
    /// What people call sessions, by id.
    pub names: BTreeMap<String, String>,
    /// Sessions that were put away.
    pub archived: BTreeSet<String>,
    /// The folder that is worked in, by the folder of the logs.
    pub folders: BTreeMap<PathBuf, String>,
}

/// A part of a conversation: a file, and how much of it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it is, below the root; empty where it is not there.
    pub path: PathBuf,
    /// Bytes that count; all where it is not said.
    pub end: Option<u64>,
}

/// The files of an agent, as [`Format::parts`] may ask for them.
pub trait Files {
    /// The first line of a file.
    fn first_line(&self, path: &Path) -> Vec<u8>;
    /// All logs.
    fn all(&self) -> Vec<&Path>;
}

/// How one agent writes.
pub trait Format: Sync {
    /// Whose it is.
    fn agent(&self) -> CodingAgent;

    /// The folder below which everything is.
    fn root(&self, home: &Home) -> PathBuf;

    /// How many folders deep it is to be looked for.
    fn depth(&self) -> usize;

    /// What the file at that path below the root is.
    fn place(&self, path: &Path) -> Place;

    /// The files that a conversation consists of, in order, of those that are of one unit.
    fn parts(&self, unit: &[&Path], _files: &dyn Files) -> Vec<Part> {
        unit.iter().max().map(|path| Part { path: path.to_path_buf(), end: None }).into_iter().collect()
    }

    /// Reads a file that tells something of sessions.
    fn aside(&self, _path: &Path, _content: &[u8], _asides: &mut Asides) {}

    /// What follows a log from its beginning.
    fn begin(&self) -> Box<dyn Fold>;

    /// What follows a log on, from what [`Fold::save`] gave; `None` where that is not understood.
    fn resume(&self, saved: &[u8]) -> Option<Box<dyn Fold>>;

    /// Adds what a record says of the message that the draft is of.
    fn fill(&self, record: &[u8], draft: &mut Draft);
}

/// Follows a log.
pub trait Fold: Send {
    /// Takes the next record, which is at `span`.
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk);

    /// A further file begins.
    fn next_file(&mut self) {}

    /// What [`Format::resume`] needs to go on after what was taken.
    fn save(&self) -> Vec<u8>;

    /// Bytes that this takes, about.
    fn footprint(&self) -> usize {
        256
    }

    /// Titles that the log holds for other sessions: of the one with that record, by the record's key.
    fn titles_of_others(&self) -> &[(super::talk::Key, String)] {
        &[]
    }

    /// Where in the log the record of that key is, counted in records that have one.
    fn position(&self, _record: super::talk::Key) -> Option<u32> {
        None
    }
}

/// A text that is borrowed where JSON writes it plainly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(in crate::worker::sessions) struct Text<'a>(#[serde(borrow)] pub(in crate::worker::sessions) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A moment as RFC 3339, in milliseconds; 0 where it is none.
pub(super) fn millis(text: Option<&Text<'_>>) -> Millis {
    text.and_then(|text| text.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_millisecond)
}

/// Reads a part of a record; `None` where it is something else.
pub(super) fn part<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A value that may be of another kind than expected: then it is none.
pub(in crate::worker::sessions) fn lenient<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(part)
}

/// A format whose folds are values of this type.
macro_rules! followed_by {
    ($fold:ty) => {
        fn begin(&self) -> Box<dyn Fold> {
            Box::<$fold>::default()
        }

        fn resume(&self, saved: &[u8]) -> Option<Box<dyn Fold>> {
            postcard::from_bytes::<$fold>(saved).ok().map(|fold| Box::new(fold) as Box<dyn Fold>)
        }
    };
}
pub(in crate::worker::sessions) use followed_by;

/// A fold that is a value which can be written down.
macro_rules! saved_by_value {
    () => {
        fn save(&self) -> Vec<u8> {
            postcard::to_allocvec(self).unwrap_or_default()
        }
    };
}
pub(in crate::worker::sessions) use saved_by_value;
