//! What is known of the sessions of one keeper.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Found, Keeper};
use crate::contract::sessions::Message;
use crate::worker::sessions::store::{Summary, Wanted, turn};
use crate::worker::sessions::talk::{News, Talk};
use crate::worker::sessions::text;

/// Bytes of all conversations that are kept to tell what changes of them.
const READY: usize = 8 << 20;

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
}

impl Kept {
    pub(super) fn new(keeper: Box<dyn Keeper>) -> Self {
        Self { keeper, known: BTreeMap::new() }
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

    /// Looks what has changed; what is new of the messages of each session that has. What cannot be read now stays as it was.
    pub(super) fn look(&mut self, path: &Path, anew: bool) -> Result<BTreeMap<String, Vec<News>>, String> {
        if anew {
            self.keeper.distrust();
        }
        self.try_look(path).inspect_err(|_| self.keeper.distrust())
    }

    fn try_look(&mut self, path: &Path) -> Result<BTreeMap<String, Vec<News>>, String> {
        let Some(listed) = self.keeper.list()? else { return Ok(BTreeMap::new()) };
        // Taken back or not is told by the session alone.
        let changed = |found: &&Found| {
            let known = self.known.get(&found.id);
            listed.touched.contains(&found.id) || known.is_none_or(|known| known.found.reverted != found.reverted)
        };
        let changed: Vec<&Found> = listed.found.iter().filter(changed).collect();
        let mut talks = self.keeper.talks(&changed)?;
        let there: BTreeSet<&str> = listed.found.iter().map(|found| found.id.as_str()).collect();
        self.known.retain(|id, _| there.contains(id.as_str()));
        let mut news = BTreeMap::new();
        for found in listed.found {
            let (id, talk) = (found.id.clone(), talks.remove(&found.id));
            let told = self.take(found, talk, path);
            if !told.is_empty() {
                news.insert(id, told);
            }
        }
        self.put_away();
        Ok(news)
    }

    fn take(&mut self, found: Found, talk: Option<Talk>, path: &Path) -> Vec<News> {
        let mut news = Vec::new();
        let new = || Known { found: found.clone(), summary: None, talk: None };
        let known = self.known.entry(found.id.clone()).or_insert_with(new);
        if let Some(mut talk) = talk {
            match (&known.talk, &known.summary) {
                (Some(before), _) => talk.succeed(before),
                // What it was is not known any more: all of it is new.
                (None, Some(summary)) if summary.count > 0 => news.push(News::Truncated(0)),
                _ => {}
            }
            news.extend(talk.news());
            known.talk = Some(talk);
        }
        match &known.talk {
            Some(talk) => known.summary = summary(&found, talk, path),
            None if found.hidden => known.summary = None,
            None => {
                if let (Some(summary), Some(title)) = (&mut known.summary, &found.title) {
                    summary.title = text::title(title);
                }
            }
        }
        known.found = found;
        news
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

fn summary(found: &Found, talk: &Talk, path: &Path) -> Option<Summary> {
    if found.hidden || talk.is_empty() {
        return None;
    }
    let title = found.title.as_deref().map(text::title).filter(|title| !title.is_empty());
    Some(Summary {
        id: found.id.clone(),
        title: title.unwrap_or_else(|| talk.opening_title()),
        count: talk.len(),
        last: talk.last_activity().unwrap_or(0),
        cwd: found.directory.clone(),
        turn: turn(talk),
        revision: talk.revision(),
        problem: None,
        file: path.to_owned(),
    })
}
