//! Fixtures, and stores over copies of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use perry::contract::sessions::{Message, ToolStatus};
use perry::worker::sessions::formats::Home;
use perry::worker::sessions::store::{Changes, More, Store, Summary, Update, Wanted};
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

/// All that stores told, as one who listens knows it.
#[derive(Default)]
pub(crate) struct Known(pub(crate) BTreeMap<(&'static str, String), Summary>);

impl Known {
    pub(crate) fn look(&mut self, stores: &mut [Box<dyn Store>], changes: &Changes) {
        for store in stores {
            let agent = store.agent().name();
            let mut changes = changes.clone();
            while store.look(&changes, &mut |update| match update {
                Update::Upserted { summary, .. } => drop(self.0.insert((agent, summary.id.clone()), summary)),
                Update::Gone(id) => drop(self.0.remove(&(agent, id)).expect("it was there")),
            }) != More::Nothing
            {
                changes = Changes::none();
            }
        }
    }
}

/// What stores know, in the form of `expected.json`: only what is required to match.
pub(crate) fn found(stores: &mut [Box<dyn Store>]) -> Vec<Value> {
    let mut known = Known::default();
    known.look(stores, &Changes::Everything);
    let mut sessions: Vec<((&str, String), Summary)> = known.0.into_iter().collect();
    sessions.sort_by(|(_, one), (_, other)| other.last.cmp(&one.last).then(one.id.cmp(&other.id)));
    let mut all = Vec::new();
    for ((agent, id), summary) in sessions {
        let store = stores.iter_mut().filter(|store| store.agent().name() == agent);
        let wanted = Wanted { from: 0, to: u32::MAX, with_tools: false };
        let messages = store.filter_map(|store| store.messages(&id, &wanted).ok()).next().expect("its messages");
        assert_eq!(messages.len(), summary.count as usize, "{agent} {id}");
        let last = jiff::Timestamp::from_millisecond(summary.last).expect("a time");
        let messages: Vec<Value> = messages.iter().map(shown).collect();
        all.push(json!({
            "id": id, "agent": agent, "title": summary.title, "messageCount": summary.count,
            "lastActivity": format!("{last:.3}"), "cwd": summary.cwd, "messages": messages,
        }));
    }
    all
}

fn shown(message: &Message) -> Value {
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
