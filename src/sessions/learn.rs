//! Keeps the texts of one workspace's sessions up to date: what changed of them is fetched and indexed, the newest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::texts::TextsError;
use super::{Inner, Workspaces, texts};
use crate::contract::sessions::{CodingAgent, Message, MessageNews, MessagesAsked, Session, ToolDetail};
use crate::model::{Name, Uid};

/// Messages that are fetched at once.
const PAGE: u32 = 100;
/// Bytes of a message that are indexed.
const BODY: usize = 64 << 10;
/// Bytes of what a tool was given that are indexed.
const INPUT: usize = 2 << 10;
/// Single messages of a session that are remembered; of more all from the first on are fetched.
const SINGLE: usize = 256;

type Key = (CodingAgent, String);

/// Messages that differ: from one on all, and some before that.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Differing {
    from: u32,
    single: BTreeSet<u32>,
}

impl Differing {
    const NONE: Self = Self { from: u32::MAX, single: BTreeSet::new() };

    fn add(&mut self, news: &[MessageNews]) {
        for news in news {
            match news {
                MessageNews::Truncated { to } | MessageNews::Appended { from: to } => self.from = self.from.min(*to),
                MessageNews::Replaced { index } => drop(self.single.insert(*index)),
            }
        }
        if self.single.len() > SINGLE {
            self.from = self.from.min(self.single.first().copied().unwrap_or(u32::MAX));
        }
        self.single.retain(|index| *index < self.from);
    }

    fn is_none(&self) -> bool {
        self.from == u32::MAX && self.single.is_empty()
    }
}

/// What was told of a session and not taken up yet.
#[derive(Debug)]
struct Note {
    /// As it is now; none where it is gone.
    session: Option<Session>,
    /// It was told of without saying what is new.
    unknown: bool,
    differing: Differing,
}

/// What is to be learnt; no more than one note of each session.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    notes: Mutex<BTreeMap<Key, Note>>,
    more: Notify,
}

impl Lessons {
    /// A session has changed.
    pub(super) fn changed(&self, session: Session, news: &[MessageNews]) {
        let key = (session.agent, session.session_id.clone());
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let note = notes.entry(key).or_insert(Note { session: None, unknown: false, differing: Differing::NONE });
        note.session = Some(session);
        note.unknown |= news.is_empty();
        note.differing.add(news);
        self.more.notify_one();
    }

    /// A session is gone.
    pub(super) fn gone(&self, agent: CodingAgent, session: String) {
        let note = Note { session: None, unknown: false, differing: Differing::NONE };
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert((agent, session), note);
        self.more.notify_one();
    }

    fn take(&self) -> Option<(Key, Note)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }
}

/// What is still to be fetched of a session.
struct Task {
    number: i64,
    differing: Differing,
}

/// The learner of one workspace.
pub(super) struct Learner {
    inner: Arc<Inner>,
    workspaces: Arc<dyn Workspaces>,
    uid: Uid,
    name: Name,
    tasks: BTreeMap<Key, Task>,
    /// The revision that the index has, or will have once all tasks are done.
    revisions: BTreeMap<Key, String>,
}

impl Learner {
    pub(super) fn new(inner: Arc<Inner>, workspaces: Arc<dyn Workspaces>, uid: Uid, name: Name) -> Self {
        Self { inner, workspaces, uid, name, tasks: BTreeMap::new(), revisions: BTreeMap::new() }
    }

    /// Learns, without end.
    pub(super) async fn run(mut self, lessons: Arc<Lessons>) {
        loop {
            let done = match lessons.take() {
                Some((key, note)) => self.heed(key, note),
                None if self.tasks.is_empty() => {
                    lessons.more.notified().await;
                    continue;
                }
                None => self.fetch().await,
            };
            if let Err(error) = done {
                tracing::warn!("sessions of {} cannot be indexed: {error:#}", self.name);
                // What was not done is told of again with the next change.
                self.tasks.clear();
                self.revisions.clear();
            }
        }
    }

    fn heed(&mut self, key: Key, note: Note) -> Result<(), TextsError> {
        let Some(session) = note.session else {
            self.tasks.remove(&key);
            self.revisions.remove(&key);
            return self.inner.texts.remove(&[texts::key(&self.uid, key.0, &key.1)]);
        };
        let indexed = self.inner.texts.put(&self.uid, &self.name, &session)?;
        let known = self.revisions.get(&key);
        // What is new is told of what was told before. When that was another life of this, it is not known.
        let mut differing = note.differing;
        if known.is_none() || note.unknown {
            differing = Differing { from: 0, single: BTreeSet::new() };
        }
        let before = known.unwrap_or(&indexed.revision);
        let same = *before == session.revision;
        self.revisions.insert(key.clone(), session.revision);
        if same {
            return Ok(());
        }
        if differing.from < u32::MAX {
            self.inner.texts.cut(indexed.number, differing.from)?;
        }
        let task = self.tasks.entry(key).or_insert(Task { number: indexed.number, differing: Differing::NONE });
        task.differing.from = task.differing.from.min(differing.from);
        task.differing.single.extend(differing.single);
        Ok(())
    }

    /// Fetches the next messages that are due, of the session that went on last.
    async fn fetch(&mut self) -> Result<(), TextsError> {
        let Some(key) = self.latest() else {
            self.tasks.clear();
            return Ok(());
        };
        let Some(task) = self.tasks.get_mut(&key) else { return Ok(()) };
        let (number, single) = (task.number, task.differing.single.pop_first());
        let from = single.unwrap_or(task.differing.from);
        let to = from.saturating_add(if single.is_some() { 1 } else { PAGE });
        let fetched = if from == u32::MAX { Ok(Vec::new()) } else { self.ask(&key, from, to).await };
        let Ok(messages) = fetched else {
            // The workspace is gone, or the session: it will be told of again.
            self.tasks.remove(&key);
            self.revisions.remove(&key);
            return Ok(());
        };
        let bodies: Vec<(u32, String)> = messages.iter().map(|message| (message.index, body(message))).collect();
        let last = bodies.last().map(|(index, _)| *index);
        let inner = Arc::clone(&self.inner);
        let written = tokio::task::spawn_blocking(move || inner.texts.write(number, &bodies)).await;
        written.unwrap_or(Ok(()))?;
        let Some(task) = self.tasks.get_mut(&key) else { return Ok(()) };
        if single.is_none() {
            task.differing.from = last.map_or(u32::MAX, |last| last + 1);
        }
        if task.differing.is_none() {
            self.tasks.remove(&key);
            let revision = self.revisions.get(&key).map_or("", String::as_str);
            self.inner.texts.done(number, revision)?;
        }
        Ok(())
    }

    fn latest(&self) -> Option<Key> {
        let aggregate = self.inner.aggregate.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |key: &&Key| aggregate.get(&self.uid, key.0, &key.1).map(|session| session.last_activity);
        self.tasks.keys().max_by_key(at).cloned()
    }

    async fn ask(&self, key: &Key, from: u32, to: u32) -> Result<Vec<Message>, String> {
        let asked = MessagesAsked { agent: key.0, session: key.1.clone(), from, to, tools: ToolDetail::Input };
        self.workspaces.messages(&self.uid, &asked).await
    }
}

/// What of a message can be found: what was said and thought, and what tools were given.
fn body(message: &Message) -> String {
    let mut body = String::new();
    let inputs = message.tools.iter().filter_map(|tool| tool.input.as_deref().map(|input| cut(input, INPUT)));
    let names = message.tools.iter().map(|tool| tool.name.as_str());
    for part in [message.text.as_str()].into_iter().chain(message.thinking.as_deref()).chain(names).chain(inputs) {
        if body.len() >= BODY {
            break;
        }
        if !body.is_empty() && !part.is_empty() {
            body.push('\n');
        }
        body.push_str(cut(part, BODY - body.len()));
    }
    body
}

fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
