//! [`Keepers`]: the sessions of an agent that keeps them where one reads a session at a time: a database, a tree of small
//! files. What has changed is told by comparing what a session was with what it is.

mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::store::{Changes, More, ReadError, Store, Summary, Turn, Update, Wanted, Watched};
use super::talk::{Millis, News, Talk};
use crate::contract::sessions::{CodingAgent, Message};
use kept::Kept;

/// Bytes of messages that are given at once.
pub(super) const PAGE: usize = 2 << 20;

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) directory: Option<String>,
    /// None where the first prompt is to be its title.
    pub(super) title: Option<String>,
    /// A part of another session's work, or put away.
    pub(super) hidden: bool,
    /// The first message that was taken back.
    pub(super) reverted: Option<String>,
}

/// What there is.
pub(super) struct Listed {
    pub(super) found: Vec<Found>,
    /// Whose messages may have changed.
    pub(super) touched: BTreeSet<String>,
}

/// A place where sessions are kept.
pub(super) trait Keeper: Send {
    /// What was seen does not count.
    fn distrust(&mut self);

    /// The sessions; `None` where nothing has changed.
    ///
    /// # Errors
    /// In words, why it cannot be read.
    fn list(&mut self) -> Result<Option<Listed>, String>;

    /// Of each session how many messages there are, and when the latest one was begun, as far as that is told without
    /// reading them.
    ///
    /// # Errors
    /// In words, why it cannot be read.
    fn outline(&mut self) -> Result<BTreeMap<String, (u32, Millis)>, String> {
        Ok(BTreeMap::new())
    }

    /// Conversations.
    ///
    /// # Errors
    /// In words, why it cannot be read.
    fn talks(&mut self, sessions: &[&Found]) -> Result<BTreeMap<String, Talk>, String>;

    /// Messages, in order.
    ///
    /// # Errors
    /// In words, why it cannot be read.
    fn messages(&mut self, session: &Found, wanted: &Wanted) -> Result<Vec<Message>, String>;
}

/// Where an agent's keepers are.
pub(super) trait Layout: Send {
    fn agent(&self) -> CodingAgent;
    fn watched(&self) -> Vec<Watched>;
    /// What is there, the one that counts first where two know a session.
    fn find(&self) -> Vec<PathBuf>;
    fn keeper(&self, path: &Path) -> Box<dyn Keeper>;
}

/// The sessions of one agent. See the module.
pub struct Keepers {
    layout: Box<dyn Layout>,
    kept: Vec<(PathBuf, Kept)>,
    told: BTreeMap<String, Summary>,
}

impl Keepers {
    pub(super) fn new(layout: Box<dyn Layout>) -> Self {
        Self { layout, kept: Vec::new(), told: BTreeMap::new() }
    }

    fn find(&mut self) {
        let mut before: BTreeMap<PathBuf, Kept> = self.kept.drain(..).collect();
        for path in self.layout.find() {
            let kept = before.remove(&path).unwrap_or_else(|| Kept::new(self.layout.keeper(&path)));
            self.kept.push((path, kept));
        }
    }

    /// Looks at each; what is new of messages, what cannot be read, and whether there is more to read.
    fn look_at_all(&mut self, anew: bool) -> (BTreeMap<String, Vec<News>>, BTreeMap<String, Summary>, More) {
        let mut more = More::Nothing;
        let (mut news, mut problems) = (BTreeMap::<String, Vec<News>>::new(), BTreeMap::new());
        for (path, kept) in &mut self.kept {
            match kept.look(path, anew) {
                Ok((told, left)) => {
                    more = more.max(left);
                    for (id, told) in told {
                        news.entry(id).or_insert(told);
                    }
                }
                Err(problem) => {
                    let summary = unreadable(path, problem);
                    problems.insert(summary.id.clone(), summary);
                }
            }
        }
        (news, problems, more)
    }
}

/// What is told of a place that cannot be read.
fn unreadable(path: &Path, problem: String) -> Summary {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let modified = std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Summary {
        id: name.clone(),
        title: name,
        count: 0,
        last: since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0),
        cwd: None,
        turn: Turn::Ended,
        revision: Some(0),
        problem: Some(problem),
        file: path.to_owned(),
    }
}

impl Store for Keepers {
    fn agent(&self) -> CodingAgent {
        self.layout.agent()
    }

    fn watched(&self) -> Vec<Watched> {
        self.layout.watched()
    }

    fn look(&mut self, changes: &Changes, tell: &mut dyn FnMut(Update)) -> More {
        self.find();
        let (mut news, mut now, more) = self.look_at_all(*changes == Changes::Everything);
        for (_, kept) in self.kept.iter().rev() {
            now.extend(kept.summaries());
        }
        for id in self.told.keys().filter(|id| !now.contains_key(*id)) {
            tell(Update::Gone(id.clone()));
        }
        for (id, summary) in &now {
            let news = news.remove(id).unwrap_or_default();
            if self.told.get(id) != Some(summary) || !news.is_empty() {
                tell(Update::Upserted { summary: summary.clone(), news });
            }
        }
        self.told = now;
        more
    }

    fn messages(&mut self, session: &str, wanted: &Wanted) -> Result<Vec<Message>, ReadError> {
        let summary = self.told.get(session).ok_or(ReadError::Unknown)?;
        if let Some(problem) = &summary.problem {
            return Err(ReadError::NotUnderstood(problem.clone()));
        }
        let kept = self.kept.iter_mut().find(|(_, kept)| kept.has(session)).ok_or(ReadError::Unknown)?;
        kept.1.messages(session, wanted).map_err(ReadError::NotUnderstood)
    }
}
