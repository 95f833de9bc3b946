//! [`Logs`]: the sessions of an agent that writes files: it knows which file belongs to which conversation, and reads of each
//! only what is new.

mod kept;
mod reading;
mod telling;
mod titles;
mod tree;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::formats::claude::Claude;
use super::formats::codex::Codex;
use super::formats::copilot::Copilot;
use super::formats::gemini::Gemini;
use super::formats::pi::Pi;
use super::formats::{Asides, Files, Format, Home, Place};
use super::goose::GooseLog;
use super::store::{Changes, More, ReadError, Store, Summary, Update, Wanted, Watched};
use crate::contract::sessions::{CodingAgent, Message};
use kept::Around;
use reading::Unit;
use telling::{Outcome, Telling};
use titles::Titles;
use tree::Tree;

/// Bytes of all conversations that are held ready to go on, where it is more than one; others are read from the cache when
/// they are needed.
const READY: usize = 512 << 10;

/// Bytes that are read in one look; the rest is left for the next one.
const AT_ONCE: u64 = 32 << 20;

/// All agents that write logs.
pub const FORMATS: [&dyn Format; 6] = [&Claude, &Codex, &Gemini, &Pi, &Copilot, &GooseLog];

/// The sessions of one agent. See the module.
pub struct Logs {
    format: &'static dyn Format,
    tree: Tree,
    units: BTreeMap<String, Unit>,
    /// Which files are of which conversation.
    files: BTreeMap<String, Vec<PathBuf>>,
    asides: Asides,
    titles: Titles,
    telling: Telling,
    /// Conversations that consist of several files, which may be those of another one.
    composed: BTreeSet<String>,
    cache: Option<Arc<Cache>>,
    /// Conversations that are still to be looked at, the newest first.
    due: BTreeSet<(Reverse<Option<i128>>, String)>,
    /// Conversations that were just being written.
    doubted: BTreeSet<String>,
    /// Bytes that all conversations take that are ready to go on.
    ready: usize,
    /// How often conversations were used.
    uses: u64,
    /// Bytes that were read.
    read: u64,
}

impl Logs {
    /// The sessions of an agent, of which nothing is read before the first look but the cache.
    pub fn new(format: &'static dyn Format, home: &Home, cache: Option<Arc<Cache>>) -> Self {
        let tree = Tree::new(format.root(home), format.depth(), &home.folder);
        let mut logs = Self {
            format,
            tree,
            units: BTreeMap::new(),
            files: BTreeMap::new(),
            asides: Asides::default(),
            titles: Titles::default(),
            telling: Telling::default(),
            composed: BTreeSet::new(),
            cache,
            due: BTreeSet::new(),
            doubted: BTreeSet::new(),
            ready: 0,
            uses: 0,
            read: 0,
        };
        logs.warm_up();
        logs
    }

    fn warm_up(&mut self) {
        let Some(cache) = &self.cache else { return };
        for (unit, saved) in cache.units(self.format.agent()) {
            if let Some(known) = Unit::restore(&saved) {
                self.units.insert(unit, known);
            }
        }
    }

    /// Which conversations the files that changed are of. Files that are gone are forgotten.
    fn affected(&mut self, changes: &Changes) -> (BTreeSet<String>, bool) {
        let changed = match changes {
            Changes::Everything => self.tree.scan(),
            Changes::Paths(paths) => self.tree.look(paths),
        };
        let mut units = BTreeSet::new();
        let mut aside = false;
        for path in changed {
            match self.format.place(&path) {
                Place::Log { unit, .. } | Place::Document { unit } => {
                    let files = self.files.entry(unit.clone()).or_default();
                    files.retain(|file| *file != path);
                    if self.tree.has(&path) {
                        files.push(path.clone());
                    }
                    units.insert(unit);
                    units.extend(self.standing_on(&path));
                }
                Place::Aside => aside = true,
                Place::Nothing => {}
            }
        }
        if *changes == Changes::Everything {
            self.titles.doubt();
            units.extend(self.units.keys().cloned());
        }
        units.append(&mut self.doubted);
        (units, aside)
    }

    /// Conversations that stand on a file, or may: what they stand on was not there.
    fn standing_on(&self, path: &Path) -> impl Iterator<Item = String> {
        let stands = move |name: &&String| {
            let parts = self.units.get(*name).map(|unit| unit.kept.parts.as_slice()).unwrap_or_default();
            parts.iter().any(|part| part.path == path || part.path.as_os_str().is_empty())
        };
        self.composed.iter().filter(stands).cloned()
    }

    fn read_asides(&mut self) {
        let mut asides = Asides::default();
        for path in self.tree.files() {
            if self.format.place(path) == Place::Aside
                && let Some(content) = self.tree.content(path)
            {
                self.format.aside(path, &content, &mut asides);
            }
        }
        self.asides = asides;
    }

    /// Looks at one conversation; what is new of it is told.
    fn look_at(&mut self, name: &str, tell: &mut dyn FnMut(Update)) {
        let files: Vec<&Path> = self.files_of(name).collect();
        if files.is_empty() {
            self.forget(name, tell);
            return;
        }
        let parts = self.format.parts(&files, &self.tree);
        if parts.len() > 1 {
            self.composed.insert(name.to_owned());
        }
        let mut unit = self.units.remove(name).unwrap_or_default();
        self.uses += 1;
        unit.used = self.uses;
        let before = unit.footprint();
        let saved = || self.cache.as_ref()?.body(self.format.agent(), name);
        self.read += unit.follow(self.format, &self.tree, parts, saved);
        self.ready = self.ready + unit.footprint() - before;
        if unit.is_doubted() {
            self.doubted.insert(name.to_owned());
        }
        self.titles.learn(name, unit.titles_of_others());
        self.units.insert(name.to_owned(), unit);
        self.tell(name, tell);
    }

    /// Looks for titles among those that other logs hold, which takes the records of the conversations.
    fn retitle(&mut self, tell: &mut dyn FnMut(Update)) {
        let is_stale = |(name, unit): &(&String, &Unit)| {
            self.titles.have_changed(name) && unit.kept.titled != self.titles.version(name)
        };
        let stale: Vec<String> = self.units.iter().filter(is_stale).map(|(name, _)| name.clone()).collect();
        for name in stale {
            self.make_ready(&name);
            self.tell(&name, tell);
            self.put_away();
        }
        self.titles.settle();
    }

    /// Makes sure that the records of a conversation can be found.
    fn make_ready(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else { return };
        self.uses += 1;
        unit.used = self.uses;
        let before = unit.footprint();
        let saved = || self.cache.as_ref()?.body(self.format.agent(), name);
        unit.make_ready(self.format, &self.tree, saved);
        self.ready = self.ready + unit.footprint() - before;
    }

    fn files_of(&self, name: &str) -> impl Iterator<Item = &Path> {
        self.files.get(name).into_iter().flatten().map(PathBuf::as_path)
    }

    /// Tells what is new of a conversation.
    fn tell(&mut self, name: &str, tell: &mut dyn FnMut(Update)) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if unit.is_ready() {
            unit.take_title(self.titles.of(name, |record| unit.position(record)), self.titles.version(name));
        }
        let news = unit.news();
        let outcome = self.telling.put(name, self.summary(name), news);
        self.pass_on(outcome, tell);
    }

    fn pass_on(&mut self, outcome: Outcome, tell: &mut dyn FnMut(Update)) {
        outcome.updates.into_iter().for_each(&mut *tell);
        outcome.again.iter().for_each(|other| self.tell(other, tell));
    }

    fn summary(&self, name: &str) -> Option<Summary> {
        let unit = self.units.get(name)?;
        let path = unit.path()?;
        let told = match self.format.place(path) {
            Place::Log { session, .. } if !session.is_empty() => Some(session),
            _ => unit.kept.id.clone(),
        };
        let id = told.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        if self.asides.archived.contains(&id) || unit.kept.child {
            return None;
        }
        let name = self.asides.names.get(&id).cloned();
        let cwd = path.parent().and_then(|folder| self.asides.folders.get(folder)).cloned();
        unit.kept.summary(Around { id, name, cwd, file: self.tree.root().join(path) })
    }

    fn forget(&mut self, name: &str, tell: &mut dyn FnMut(Update)) {
        let outcome = self.telling.forget(name);
        self.pass_on(outcome, tell);
        self.ready -= self.units.remove(name).map_or(0, |unit| unit.footprint());
        self.files.remove(name);
        self.composed.remove(name);
        self.titles.learn(name, &[]);
        if let Some(cache) = &self.cache {
            cache.remove(self.format.agent(), name);
        }
    }

    /// Puts away what was not used for longest, where all takes too much; not the one that was used last.
    fn put_away(&mut self) {
        if self.ready <= READY {
            return;
        }
        let mut ready: Vec<(u64, usize, String)> = Vec::new();
        for (name, unit) in &self.units {
            let footprint = unit.footprint();
            if footprint > 0 {
                ready.push((unit.used, footprint, name.clone()));
            }
        }
        ready.sort();
        ready.pop();
        for (_, footprint, name) in ready {
            // Half of it, so that this is not done at once again.
            if self.ready <= READY / 2 {
                break;
            }
            self.ready -= footprint;
            if let Some(unit) = self.units.get_mut(&name) {
                save(self.cache.as_deref(), self.format.agent(), &name, unit);
                unit.put_away();
            }
        }
    }
}

fn save(cache: Option<&Cache>, agent: CodingAgent, name: &str, unit: &mut Unit) {
    if let (Some(cache), true) = (cache, unit.changed) {
        let (kept, body) = unit.write_down();
        cache.save(agent, name, &kept, body.as_deref());
    }
    unit.changed = false;
}

impl Store for Logs {
    fn agent(&self) -> CodingAgent {
        self.format.agent()
    }

    fn watched(&self) -> Vec<Watched> {
        vec![Watched { root: self.tree.root().to_owned(), depth: self.format.depth(), but: None }]
    }

    fn look(&mut self, changes: &Changes, tell: &mut dyn FnMut(Update)) -> More {
        let (affected, aside) = self.affected(changes);
        if aside || *changes == Changes::Everything {
            self.read_asides();
        }
        for name in affected {
            // The newest first: they are what somebody waits for.
            let modified = self.files_of(&name).filter_map(|path| self.tree.mark(path)).map(|mark| mark.modified).max();
            self.due.insert((Reverse(modified), name));
        }
        let before = self.read;
        while self.read - before < AT_ONCE
            && let Some((_, name)) = self.due.pop_first()
        {
            self.look_at(&name, tell);
            self.put_away();
        }
        if aside {
            let all: Vec<String> = self.units.keys().cloned().collect();
            all.iter().for_each(|name| self.tell(name, tell));
        }
        if self.due.is_empty() {
            self.retitle(tell);
        }
        match self.doubted.is_empty() {
            _ if !self.due.is_empty() => More::Now,
            true => More::Nothing,
            false => More::Soon,
        }
    }

    fn messages(&mut self, session: &str, wanted: &Wanted) -> Result<Vec<Message>, ReadError> {
        let name = self.telling.unit_of(session).map(str::to_owned).ok_or(ReadError::Unknown)?;
        self.make_ready(&name);
        let unit = self.units.get(&name).ok_or(ReadError::Unknown)?;
        let found = unit.messages(self.format, &self.tree, wanted);
        self.put_away();
        found
    }

    fn save(&mut self) {
        for (name, unit) in &mut self.units {
            save(self.cache.as_deref(), self.format.agent(), name, unit);
        }
    }
}

impl Files for Tree {
    fn first_line(&self, path: &Path) -> Vec<u8> {
        self.first_record(path)
    }

    fn all(&self) -> Vec<&Path> {
        self.files().collect()
    }
}
