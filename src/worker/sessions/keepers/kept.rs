//! What is known of the sessions of one keeper.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Found, Keeper, Listed};
use crate::contract::sessions::Message;
use crate::worker::sessions::store::{More, Summary, Turn, Wanted, turn};
use crate::worker::sessions::talk::{Millis, News, Talk};
use crate::worker::sessions::text;

/// Bytes of all conversations that are kept to tell what changes of them.
const READY: usize = 8 << 20;

/// So many sessions are read at once; of more it is told first how many messages there are.
const FEW: usize = 16;
/// Messages that are read in one look, and in the one in which sessions are counted: somebody waits for that.
const AT_ONCE: u32 = 8000;
const WITH_COUNT: u32 = 500;

/// A session.
struct Known {
    found: Found,
    summary: Option<Summary>,
    /// Put away where there are too many.
    talk: Option<Talk>,
}

/// A keeper, and what is known of its sessions.
pub(super) struct Kept {
    keeper: Box<dyn Keeper>,
    known: BTreeMap<String, Known>,
    /// Sessions whose messages are to be read.
    due: BTreeSet<String>,
}

/// What is new of the messages of sessions.
type AllNews = BTreeMap<String, Vec<News>>;

impl Kept {
    pub(super) fn new(keeper: Box<dyn Keeper>) -> Self {
        Self { keeper, known: BTreeMap::new(), due: BTreeSet::new() }
    }

    pub(super) fn has(&self, session: &str) -> bool {
        self.known.get(session).is_some_and(|known| known.summary.is_some())
    }

    pub(super) fn summaries(&self) -> impl Iterator<Item = (String, Summary)> {
        self.known.iter().filter_map(|(id, known)| Some((id.clone(), known.summary.clone()?)))
    }

    pub(super) fn messages(&mut self, session: &str, wanted: &Wanted) -> Result<Vec<Message>, String> {
        let known = self.known.get(session).ok_or("there is no such session")?;
        self.keeper.messages(&known.found, wanted)
    }

    /// Looks what has changed; what is new of the messages of each session that has, and whether there is more to read. What
    /// cannot be read now stays as it was.
    pub(super) fn look(&mut self, path: &Path, anew: bool) -> Result<(AllNews, More), String> {
        if anew {
            self.keeper.distrust();
        }
        self.try_look(path).inspect_err(|_| self.keeper.distrust())
    }

    fn try_look(&mut self, path: &Path) -> Result<(AllNews, More), String> {
        let mut room = AT_ONCE;
        if let Some(listed) = self.keeper.list()? {
            self.take_list(listed, path);
            if self.due.len() > FEW && self.count(path)? {
                room = WITH_COUNT;
            }
        }
        let news = self.read(path, room)?;
        self.put_away();
        Ok((news, if self.due.is_empty() { More::Nothing } else { More::Now }))
    }

    fn take_list(&mut self, listed: Listed, path: &Path) {
        let there: BTreeSet<&str> = listed.found.iter().map(|found| found.id.as_str()).collect();
        self.known.retain(|id, _| there.contains(id.as_str()));
        self.due.retain(|id| there.contains(id.as_str()));
        for found in listed.found {
            let known = self.known.get(&found.id).map(|known| &known.found);
            // Taken back or put away is told by the session alone.
            let other = known.is_none_or(|known| known.hidden || known.reverted != found.reverted);
            if !found.hidden && (other || listed.touched.contains(&found.id)) {
                self.due.insert(found.id.clone());
            }
            let new = || Known { found: found.clone(), summary: None, talk: None };
            let known = self.known.entry(found.id.clone()).or_insert_with(new);
            known.found = found;
            known.describe(path);
        }
    }

    /// Tells of sessions that were never read how many messages they have; whether there are any.
    fn count(&mut self, path: &Path) -> Result<bool, String> {
        let unread = |known: &&mut Known| known.summary.is_none() && !known.found.hidden;
        if !self.known.values_mut().any(|known| unread(&known)) {
            return Ok(false);
        }
        let outline = self.keeper.outline()?;
        for known in self.known.values_mut().filter(unread) {
            if let Some((count, last)) = outline.get(&known.found.id) {
                known.summary = Some(Summary { count: *count, last: *last, ..unread_yet(&known.found, path) });
            }
        }
        Ok(!outline.is_empty())
    }

    /// Reads sessions that are due, the latest first, as many as there is room for their messages.
    fn read(&mut self, path: &Path, room: u32) -> Result<AllNews, String> {
        let weight = |id: &str| self.known.get(id)?.summary.as_ref().map(|summary| (summary.last, summary.count));
        let mut due: Vec<(Millis, u32, &String)> = self
            .due
            .iter()
            .map(|id| weight(id).map_or((Millis::MAX, 0, id), |(last, count)| (last, count, id)))
            .collect();
        due.sort_by_key(|(last, _, _)| Reverse(*last));
        let mut batch: Vec<String> = Vec::new();
        let mut taken = 0_u32;
        for (_, count, id) in due {
            if taken >= room {
                break;
            }
            taken = taken.saturating_add(count);
            batch.push(id.clone());
        }
        let found: Vec<&Found> = batch.iter().filter_map(|id| Some(&self.known.get(id)?.found)).collect();
        let mut talks = self.keeper.talks(&found)?;
        let mut news = AllNews::new();
        for id in batch {
            self.due.remove(&id);
            if let (Some(known), Some(talk)) = (self.known.get_mut(&id), talks.remove(&id)) {
                news.insert(id, known.take(talk, path));
            }
        }
        news.retain(|_, news| !news.is_empty());
        Ok(news)
    }

    fn put_away(&mut self) {
        let mut left: usize = self.known.values().filter_map(|known| Some(known.talk.as_ref()?.footprint())).sum();
        if left <= READY {
            return;
        }
        // Those that went on last are most likely to go on.
        let mut all: Vec<&mut Known> = self.known.values_mut().filter(|known| known.talk.is_some()).collect();
        all.sort_by_key(|known| known.summary.as_ref().map_or(0, |summary| summary.last));
        for known in all {
            if left <= READY / 2 {
                break;
            }
            left -= known.talk.take().map_or(0, |talk| talk.footprint());
        }
    }
}

impl Known {
    /// What was read takes the place of what was known; what is new of it.
    fn take(&mut self, mut talk: Talk, path: &Path) -> Vec<News> {
        let mut news = Vec::new();
        match (&self.talk, &self.summary) {
            (Some(before), _) => talk.succeed(before),
            // What it was is not known any more, or never was: all of it is new.
            (None, Some(summary)) if summary.count > 0 => news.push(News::Truncated(0)),
            _ => {}
        }
        news.extend(talk.news());
        self.talk = Some(talk);
        self.describe(path);
        news
    }

    /// Says what it is from what is known.
    fn describe(&mut self, path: &Path) {
        let title = title(&self.found);
        match (&self.talk, &mut self.summary) {
            // Whoever heard that it is gone hears of all of it when it comes back.
            _ if self.found.hidden => (self.summary, self.talk) = (None, None),
            (Some(talk), _) if talk.is_empty() => self.summary = None,
            (Some(talk), _) => {
                self.summary = Some(Summary {
                    title: title.unwrap_or_else(|| talk.opening_title()),
                    count: talk.len(),
                    last: talk.last_activity().unwrap_or(0),
                    turn: turn(talk),
                    revision: Some(talk.revision()),
                    ..unread_yet(&self.found, path)
                });
            }
            (None, Some(summary)) => summary.title = title.unwrap_or(std::mem::take(&mut summary.title)),
            (None, None) => {}
        }
    }
}

fn title(found: &Found) -> Option<String> {
    found.title.as_deref().map(text::title).filter(|title| !title.is_empty())
}

/// What is known of a session before its messages are.
fn unread_yet(found: &Found, path: &Path) -> Summary {
    Summary {
        id: found.id.clone(),
        title: title(found).unwrap_or_default(),
        count: 0,
        last: 0,
        cwd: found.directory.clone(),
        turn: Turn::Ended,
        revision: None,
        problem: None,
        file: path.to_owned(),
    }
}
