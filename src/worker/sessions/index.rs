//! [`Index`]: all sessions below a home, and what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::cache::Cache;
use super::formats::Home;
use super::logs::{self, Logs};
use super::processes::{self, Process};
use super::state::{self, Claims, Verdict};
use super::store::{Changes, More, ReadError, Store, Summary, Update, Wanted, Watched, print_of};
use super::talk::{Millis, News};
use super::{goose, opencode};
use crate::contract::sessions::{CodingAgent, Message, MessageNews, Session, SessionChange};
use crate::worker::ttys;

/// Where the index finds what is not in the home; other places in tests.
#[derive(Debug, Clone)]
pub struct Places {
    /// The processes.
    pub proc: PathBuf,
    /// Which terminal is on which device.
    pub ttys: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { proc: "/proc".into(), ttys: ttys::FOLDER.into() }
    }
}

type Key = (CodingAgent, String);

/// A session, and what is said of it.
struct Entry {
    summary: Summary,
    verdict: Verdict,
    /// What was told of it last.
    told: Option<u64>,
}

/// All sessions. See the module.
pub struct Index {
    home: Home,
    places: Places,
    stores: Vec<Box<dyn Store>>,
    entries: BTreeMap<Key, Entry>,
}

impl Index {
    /// The sessions below a home. Nothing is read before the first look.
    pub fn new(home: Home, places: Places, cache: Option<Arc<Cache>>) -> Self {
        let mut stores: Vec<Box<dyn Store>> = Vec::new();
        for format in logs::FORMATS {
            stores.push(Box::new(Logs::new(format, &home, cache.clone())));
        }
        stores.push(Box::new(opencode::store(&home)));
        stores.push(Box::new(goose::store(&home)));
        Self { home, places, stores, entries: BTreeMap::new() }
    }

    /// What is to be watched.
    pub fn watched(&self) -> Vec<Watched> {
        let claims = Watched { root: claims_folder(&self.home), depth: 0, but: None };
        self.stores.iter().flat_map(|store| store.watched()).chain([claims]).collect()
    }

    /// Looks at what may have changed.
    pub fn look(&mut self, changes: &Changes, now: Millis, tell: &mut dyn FnMut(SessionChange)) -> More {
        let mut more = More::Nothing;
        let mut touched: BTreeMap<Key, Vec<News>> = BTreeMap::new();
        for store in &mut self.stores {
            let agent = store.agent();
            let entries = &mut self.entries;
            let left = store.look(changes, &mut |update| match update {
                Update::Upserted { summary, news } => {
                    let key = (agent, summary.id.clone());
                    let verdict = Verdict::unknown();
                    let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
                        summary: summary.clone(),
                        verdict,
                        told: None,
                    });
                    entry.summary = summary;
                    touched.entry(key).or_default().extend(news);
                }
                Update::Gone(id) => {
                    entries.remove(&(agent, id.clone()));
                    touched.remove(&(agent, id.clone()));
                    tell(SessionChange::Gone { agent, session_id: id });
                }
            });
            more = more.max(left);
        }
        self.judge(now, touched, tell);
        more
    }

    /// Whether any session has a process: only then can its state change by itself.
    pub fn is_live(&self) -> bool {
        self.entries.values().any(|entry| entry.verdict.pid.is_some())
    }

    /// Says of each session anew what it does.
    pub fn judge(&mut self, now: Millis, mut touched: BTreeMap<Key, Vec<News>>, tell: &mut dyn FnMut(SessionChange)) {
        let processes = processes::all(&self.places.proc);
        let claims = claims(&claims_folder(&self.home), &processes);
        let agents: BTreeSet<CodingAgent> = self.entries.keys().map(|(agent, _)| *agent).collect();
        for agent in agents {
            let range = (agent, String::new())..;
            let own = self.entries.range(range).take_while(|((of, _), _)| *of == agent);
            let sessions: Vec<&Summary> = own.map(|(_, entry)| &entry.summary).collect();
            let owners = state::owners(agent, &sessions, &processes, &claims);
            for ((_, id), entry) in self.entries.iter_mut().filter(|((of, _), _)| *of == agent) {
                let owner = owners.get(id).copied();
                entry.verdict = state::judge(agent, &entry.summary, owner, &processes, now);
            }
        }
        let terminals = ttys::all(&self.places.ttys);
        for (key, entry) in &mut self.entries {
            let session = session(key.0, entry, &terminals);
            let news = touched.remove(key).unwrap_or_default();
            let print = Some(print_of(&session));
            if entry.told != print || !news.is_empty() {
                entry.told = print;
                tell(SessionChange::Upserted { session, news: news.into_iter().map(told).collect() });
            }
        }
    }

    /// All sessions, those that went on last first.
    pub fn list(&self) -> Vec<Session> {
        let terminals = ttys::all(&self.places.ttys);
        let told = self.entries.iter().filter(|(_, entry)| entry.told.is_some());
        let mut sessions: Vec<Session> = told.map(|((agent, _), entry)| session(*agent, entry, &terminals)).collect();
        sessions.sort_by(|one, other| {
            other.last_activity.cmp(&one.last_activity).then_with(|| one.session_id.cmp(&other.session_id))
        });
        sessions
    }

    /// Messages of a session, in order; fewer than wanted where they are long.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn messages(&mut self, agent: CodingAgent, session: &str, wanted: &Wanted) -> Result<Vec<Message>, ReadError> {
        let mut failed = ReadError::Unknown;
        for store in self.stores.iter_mut().filter(|store| store.agent() == agent) {
            match store.messages(session, wanted) {
                Err(ReadError::Unknown) => {}
                Err(error) => failed = error,
                Ok(messages) => return Ok(messages),
            }
        }
        Err(failed)
    }

    /// Writes down what was learnt.
    pub fn save(&mut self) {
        self.stores.iter_mut().for_each(|store| store.save());
    }
}

fn session(agent: CodingAgent, entry: &Entry, terminals: &BTreeMap<String, String>) -> Session {
    let Summary { id, title, count, last, cwd, revision, .. } = &entry.summary;
    Session {
        session_id: id.clone(),
        agent,
        title: title.clone(),
        message_count: *count,
        last_activity: Timestamp::from_millisecond(*last).unwrap_or(Timestamp::UNIX_EPOCH),
        project_path: cwd.clone(),
        state: entry.verdict.state,
        reason: entry.verdict.reason.clone(),
        terminal: entry.verdict.tty.as_ref().and_then(|tty| terminals.get(tty)).cloned(),
        resume: agent.resume(id),
        revision: revision.map(|revision| format!("{revision:016x}")).unwrap_or_default(),
    }
}

fn told(news: News) -> MessageNews {
    match news {
        News::Truncated(to) => MessageNews::Truncated { to },
        News::Replaced(index) => MessageNews::Replaced { index },
        News::Appended(from) => MessageNews::Appended { from },
    }
}

/// Where Claude Code says which process has which session.
fn claims_folder(home: &Home) -> PathBuf {
    home.folder_of("CLAUDE_CONFIG_DIR", ".claude").join("sessions")
}

/// What it says there of processes that live.
fn claims(folder: &Path, processes: &BTreeMap<i32, Process>) -> Claims {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Claim {
        pid: i32,
        session_id: String,
        started_at: Option<Millis>,
    }
    let files = fs::read_dir(folder).into_iter().flatten().flatten().take(1024);
    let read = files.filter_map(|file| {
        let claim: Claim = serde_json::from_slice(&fs::read(file.path()).ok()?).ok()?;
        let process = processes.get(&claim.pid)?;
        // A number is given again after a while: what was claimed before the process began is another one's.
        claim.started_at.is_none_or(|started| started + 5000 >= process.began).then_some((claim.session_id, claim.pid))
    });
    Claims(read.collect())
}
