//! Logs that belong together, in whatever order they come and go.

use std::fs;
use std::path::{Path, PathBuf};

use perry::worker::sessions::store::{Changes, Store};
use serde_json::Value;

use crate::support::{self, Known, prompt};

/// A home that is written file by file, and what is known of it.
struct Home {
    folder: tempfile::TempDir,
    stores: Vec<Box<dyn Store>>,
    known: Known,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stores = support::logs(&support::home(folder.path()));
        let mut known = Known::default();
        known.look(&mut stores, &Changes::Everything);
        Self { folder, stores, known }
    }

    /// Something happens to a file, and is heard of.
    fn change(&mut self, path: &Path, what: impl Fn(&Path)) {
        let path = self.folder.path().canonicalize().expect("a folder").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        what(&path);
        self.known.look(&mut self.stores, &Changes::Paths([path].into()));
    }

    fn write(&mut self, path: &Path, text: &[u8]) {
        self.change(path, |path| fs::write(path, text).expect("written"));
    }

    /// What is known, without another look.
    fn found(&mut self) -> Vec<Value> {
        support::shown(&self.known, &mut self.stores)
    }

    /// Titles and numbers of messages.
    fn counts(&mut self) -> Vec<(String, u64)> {
        let told = |session: &Value| Some((session["title"].as_str()?.to_owned(), session["messageCount"].as_u64()?));
        self.found().iter().filter_map(told).collect()
    }
}

/// A session of Codex's that was taken back: the log that it began with, the one that goes on, and what is in them together.
fn taken_back() -> (PathBuf, Vec<u8>, PathBuf, Vec<u8>, Vec<Value>) {
    let fixture = support::all().into_iter().find(|fixture| fixture.name == "codex/v0.169.0-rewound").expect("there");
    let below = |path: &PathBuf| path.strip_prefix(&fixture.home).expect("below").to_owned();
    let logs = support::files(&fixture.home.join(".codex/sessions"));
    let [first, later] = &logs[..] else { panic!("two logs") };
    let content = |path: &PathBuf| fs::read(path).expect("read");
    let mut expected = support::expected(&fixture);
    // Its name is in a file that is not written here.
    expected.iter_mut().for_each(|session| session["title"] = "Say hello.".into());
    (below(first), content(first), below(later), content(later), expected)
}

#[test]
fn what_a_log_stands_on_may_come_after_it() {
    let (first, begun, later, goes_on, expected) = taken_back();
    let mut home = Home::new();
    home.write(&later, &goes_on);
    assert_eq!(home.counts(), [("Go on from where we were.".to_owned(), 2)], "what is there is told");
    home.write(&first, &begun[..begun.len() / 2]);
    home.write(&first, &begun);
    assert_eq!(home.found(), expected);
    home.change(&first, |path| fs::remove_file(path).expect("removed"));
    assert_eq!(home.counts()[0].1, 2);
    home.write(&first, &begun);
    assert_eq!(home.found(), expected);
}

#[test]
fn a_fork_is_told_anew_when_the_session_it_came_of_comes_or_grows() {
    let (first, begun, later, goes_on, expected) = taken_back();
    let named = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    // The same log under an id of its own.
    let (thread, fork) = ("01a20477-242e-7d80-8b5f-8a59f0a57b19", "01a20477-ffff-7d80-8b5f-8a59f0a57b19");
    let text = String::from_utf8(goes_on).expect("text");
    let text = text.replacen(&format!("\"id\":\"{thread}\""), &format!("\"id\":\"{fork}\""), 1);
    let path = later.with_file_name(named(&later).replacen(&format!("{thread}_"), &format!("{fork}_"), 1));
    let mut home = Home::new();
    home.write(&path, text.as_bytes());
    for end in [1000, begun.len() / 2, begun.len()] {
        home.write(&first, &begun[..end]);
    }
    let found = home.found();
    let fork = found.iter().find(|session| session["id"] == fork).expect("listed");
    assert_eq!(fork["messages"], expected[0]["messages"]);
}

#[test]
fn a_session_that_is_put_away_is_gone_and_comes_back_whole() {
    let folder = PathBuf::from(".claude/projects/p");
    let (log, archived) = (folder.join("0b8a4c1e.jsonl"), folder.join("0b8a4c1e/archived.json"));
    let mut home = Home::new();
    home.write(&archived, br#"{"archived":true}"#);
    home.write(&log, prompt(1).as_bytes());
    assert_eq!(home.counts(), []);
    for round in 2..4 {
        home.write(&archived, br#"{"archived":false}"#);
        assert_eq!(home.counts(), [("prompt 1".to_owned(), u64::from(round) - 1)]);
        home.write(&archived, br#"{"archived":true}"#);
        assert_eq!(home.counts(), []);
        home.write(&log, (1..=round).map(prompt).collect::<String>().as_bytes());
    }
    home.change(&archived, |path| fs::remove_file(path).expect("removed"));
    assert_eq!(home.counts(), [("prompt 1".to_owned(), 3)]);
}

#[test]
fn of_two_logs_of_one_session_the_later_counts_and_the_other_one_when_that_goes() {
    let at =
        |folder: &str| PathBuf::from(format!(".claude/projects/{folder}/0b8a4c1e-7f2d-4a55-9d0c-6e1f2a3b4c5d.jsonl"));
    let mut home = Home::new();
    home.write(&at("one"), prompt(1).as_bytes());
    home.write(&at("two"), (prompt(2) + &prompt(3)).as_bytes());
    assert_eq!(home.counts(), [("prompt 2".to_owned(), 2)]);
    home.write(&at("one"), (prompt(1) + &prompt(2)).as_bytes());
    assert_eq!(home.counts(), [("prompt 2".to_owned(), 2)]);
    home.change(&at("two"), |path| fs::remove_file(path).expect("removed"));
    assert_eq!(home.counts(), [("prompt 1".to_owned(), 2)]);
    home.write(&at("two"), (prompt(2) + &prompt(3)).as_bytes());
    home.write(&at("one"), (prompt(1) + &prompt(9)).as_bytes());
    assert_eq!(home.counts(), [("prompt 1".to_owned(), 2)]);
    home.change(&at("one"), |path| fs::remove_file(path).expect("removed"));
    home.change(&at("two"), |path| fs::remove_file(path).expect("removed"));
    assert_eq!(home.counts(), []);
}
