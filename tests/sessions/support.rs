//! Fixtures, and stores over copies of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use perry::contract::sessions::{Message, ToolDetail, ToolStatus};
use perry::worker::sessions::formats::Home;
use perry::worker::sessions::logs::{self, Logs};
use perry::worker::sessions::store::{Changes, More, Store, Summary, Update, Wanted};
use perry::worker::sessions::talk::News;
use serde_json::{Value, json};

/// A home that an agent wrote into, and what is to be found in it.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) expected: Value,
}

/// Every fixture.
pub(crate) fn all() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions/fixtures");
    let mut fixtures = Vec::new();
    for agent in list(&root) {
        for folder in list(&agent) {
            let text = fs::read(folder.join("expected.json")).expect("what is expected");
            let expected = serde_json::from_slice(&text).expect("JSON");
            let name = folder.strip_prefix(&root).expect("below").display().to_string();
            fixtures.push(Fixture { name, home: folder.join("home"), expected });
        }
    }
    assert_eq!(fixtures.len(), 16);
    fixtures
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let each = list(folder).into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    each.collect()
}

/// The stores of all agents that write logs.
pub(crate) fn logs(home: &Home) -> Vec<Box<dyn Store>> {
    logs::FORMATS.into_iter().map(|format| Box::new(Logs::new(format, home, None)) as Box<dyn Store>).collect()
}

/// Copies a tree.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for path in list(from) {
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// A home of a test's own.
pub(crate) fn home(folder: &Path) -> Home {
    Home { folder: folder.canonicalize().expect("a folder"), environment: BTreeMap::new() }
}

/// All that stores told, as one who listens knows it: the sessions, and the messages that news led to read.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) sessions: BTreeMap<(&'static str, String), Summary>,
    pub(crate) messages: BTreeMap<(&'static str, String), Vec<Message>>,
    /// Those that were known in another life of the stores, and were not told in this one.
    unconfirmed: BTreeSet<(&'static str, String)>,
}

impl Known {
    /// The stores are begun anew: they tell of all there is once more.
    pub(crate) fn begin(&mut self, stores: &mut [Box<dyn Store>]) {
        self.unconfirmed = self.sessions.keys().cloned().collect();
        self.look(stores, &Changes::Everything);
        for gone in std::mem::take(&mut self.unconfirmed) {
            self.sessions.remove(&gone);
            self.messages.remove(&gone);
        }
    }

    /// Looks until there is nothing more to look at.
    pub(crate) fn look(&mut self, stores: &mut [Box<dyn Store>], changes: &Changes) {
        for store in stores {
            let mut changes = changes.clone();
            while self.look_once(store, &changes) == More::Now {
                changes = Changes::none();
            }
        }
    }

    /// Looks once.
    pub(crate) fn look_once(&mut self, store: &mut Box<dyn Store>, changes: &Changes) -> More {
        let mut updates = Vec::new();
        let more = store.look(changes, &mut |update| updates.push(update));
        updates.into_iter().for_each(|update| self.take(store, update));
        more
    }

    fn take(&mut self, store: &mut Box<dyn Store>, update: Update) {
        let agent = store.agent().name();
        let (summary, news) = match update {
            Update::Upserted { summary, news } => (summary, news),
            Update::Gone(id) => {
                let key = (agent, id);
                self.sessions.remove(&key).expect("it was there");
                self.messages.remove(&key);
                return;
            }
        };
        let key = (agent, summary.id.clone());
        let messages = self.messages.entry(key.clone()).or_default();
        let mut read = |from, to| {
            let wanted = Wanted { from, to, tools: ToolDetail::None };
            // What was rewritten since is told by the next look.
            store.messages(&summary.id, &wanted).unwrap_or_default()
        };
        // What is new is told of what this life of the stores knew; of what another one told only whether it is the same.
        let news = match (self.unconfirmed.remove(&key), self.sessions.get(&key)) {
            (true, Some(before)) if before.revision == summary.revision => Vec::new(),
            (true, _) => vec![News::Truncated(0), News::Appended(0)],
            (false, _) => news,
        };
        for news in news {
            match news {
                News::Truncated(to) => messages.truncate(to as usize),
                News::Replaced(index) => {
                    let read = read(index, index + 1);
                    messages[index as usize] = read.into_iter().next().expect("one that was there");
                }
                News::Appended(from) => {
                    assert_eq!(messages.len(), from as usize, "no gap");
                    messages.extend(read(from, u32::MAX));
                }
            }
        }
        if summary.revision.is_some() {
            assert_eq!(messages.len(), summary.count as usize, "news lead to what is there");
        }
        self.sessions.insert(key, summary);
    }
}

/// What stores know, in the form of `expected.json`: only what is required to match.
pub(crate) fn found(stores: &mut [Box<dyn Store>]) -> Vec<Value> {
    let mut known = Known::default();
    known.look(stores, &Changes::Everything);
    shown(&known, stores)
}

/// What is known of stores, in the same form.
pub(crate) fn shown(known: &Known, stores: &mut [Box<dyn Store>]) -> Vec<Value> {
    let mut sessions: Vec<((&str, String), Summary)> = known.sessions.clone().into_iter().collect();
    sessions.sort_by(|(_, one), (_, other)| other.last.cmp(&one.last).then(one.id.cmp(&other.id)));
    let mut all = Vec::new();
    for ((agent, id), summary) in sessions {
        let store = stores.iter_mut().filter(|store| store.agent().name() == agent);
        let wanted = Wanted { from: 0, to: u32::MAX, tools: ToolDetail::None };
        let messages = store.filter_map(|store| store.messages(&id, &wanted).ok()).next().expect("its messages");
        assert_eq!(messages.len(), summary.count as usize, "{agent} {id}");
        assert_eq!(known.messages.get(&(agent, id.clone())), Some(&messages), "news led to what is read whole");
        let last = jiff::Timestamp::from_millisecond(summary.last).expect("a time");
        let messages: Vec<Value> = messages.iter().map(said).collect();
        all.push(json!({
            "id": id, "agent": agent, "title": summary.title, "messageCount": summary.count,
            "lastActivity": format!("{last:.3}"), "cwd": summary.cwd, "messages": messages,
        }));
    }
    all
}

fn said(message: &Message) -> Value {
    let status = |status| match status {
        ToolStatus::Ok => "ok",
        ToolStatus::Error => "error",
        ToolStatus::Pending => "pending",
    };
    let tools: Vec<Value> =
        message.tools.iter().map(|tool| json!({ "name": tool.name, "status": status(tool.status) })).collect();
    let timestamp = format!("{:.3}", message.timestamp);
    let mut shown = json!({ "role": message.role, "text": message.text, "tools": tools, "timestamp": timestamp });
    if let Some(thinking) = &message.thinking {
        shown["thinking"] = json!(thinking);
    }
    if message.is_error {
        shown["isError"] = json!(true);
    }
    shown
}

/// The sessions of an `expected.json` in the same form.
pub(crate) fn expected(fixture: &Fixture) -> Vec<Value> {
    let mut sessions = fixture.expected["sessions"].as_array().expect("sessions").clone();
    for session in &mut sessions {
        let session = session.as_object_mut().expect("an object");
        session.remove("titleSource");
        session.remove("parentId");
    }
    sessions
}

/// A prompt as Claude Code writes it down, at that second.
pub(crate) fn prompt(number: u32) -> String {
    format!(
        r#"{{"type":"user","uuid":"u{number}","timestamp":"2026-11-22T17:33:{number:02}Z","message":{{"content":"prompt {number}"}}}}"#
    ) + "\n"
}
