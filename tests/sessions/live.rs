//! The index as a process of its own: what is written is told soon, folders may come late, and its end costs nothing.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use perry::contract::sessions::{
    CodingAgent, MessageNews, MessagesAnswer, MessagesAsked, Session, SessionChange, ToolDetail,
};
use perry::worker::sessions::link::{Question, Word};

use crate::support::prompt;

/// How long anything may take that is waited for. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process with the index of a home.
struct Index {
    child: Child,
    stdin: Option<ChildStdin>,
    words: Receiver<Word>,
}

impl Index {
    fn begin(home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perry"));
        command.args(["worker", "sessions", "serve"]).env_clear().env("HOME", home);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, words) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let word = serde_json::from_str(&line.expect("read")).expect("a word");
                if sender.send(word).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, words }
    }

    fn next(&self) -> Word {
        self.words.recv_timeout(PATIENCE).expect("something is told")
    }

    /// Waits until a session is told of so.
    fn until(&self, is: impl Fn(&Session, &[MessageNews]) -> bool) -> Session {
        loop {
            if let Word::Change(SessionChange::Upserted { session, news }) = self.next()
                && is(&session, &news)
            {
                return session;
            }
        }
    }

    fn until_complete(&self) -> Vec<Session> {
        let mut sessions = Vec::new();
        loop {
            match self.next() {
                Word::Change(SessionChange::Upserted { session, .. }) => sessions.push(session),
                Word::Change(SessionChange::Bookmark) => return sessions,
                _ => {}
            }
        }
    }

    fn messages(&mut self, session: &str) -> MessagesAnswer {
        let asked = MessagesAsked {
            agent: CodingAgent::Claude,
            session: session.to_owned(),
            from: 0,
            to: 100,
            tools: ToolDetail::None,
        };
        let line = serde_json::to_string(&Question { id: 7, asked }).expect("JSON") + "\n";
        self.stdin.as_mut().expect("open").write_all(line.as_bytes()).expect("written");
        loop {
            if let Word::Answer { id: 7, answer } = self.next() {
                return answer;
            }
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

fn log(home: &Path) -> PathBuf {
    home.join(".claude/projects/-w/0c1e5a2f-0000-4000-8000-000000000001.jsonl")
}

#[test]
fn a_home_without_any_agent_is_watched_and_what_comes_is_told_piece_by_piece() {
    let home = tempfile::tempdir().expect("a folder");
    let mut index = Index::begin(home.path());
    assert!(index.until_complete().is_empty());
    let path = log(home.path());
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    append(&path, &prompt(1));
    let session = index.until(|session, _| session.message_count == 1);
    assert_eq!(session.title, "prompt 1");
    append(&path, &prompt(2));
    index.until(|session, news| session.message_count == 2 && news == [MessageNews::Appended { from: 1 }]);
    // Half a line is none.
    let line = prompt(3);
    append(&path, &line[..40]);
    append(&path, &line[40..]);
    index.until(|session, _| session.message_count == 3);
    let MessagesAnswer::Messages(messages) = index.messages(&session.session_id) else { panic!("messages") };
    let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["prompt 1", "prompt 2", "prompt 3"]);
    assert_eq!(index.messages("none"), MessagesAnswer::Unknown);
    // A folder that is renamed takes its sessions along, and one that is removed ends them.
    fs::rename(home.path().join(".claude"), home.path().join("aside")).expect("renamed");
    loop {
        if let Word::Change(SessionChange::Gone { session_id, .. }) = index.next() {
            assert_eq!(session_id, session.session_id);
            break;
        }
    }
    fs::rename(home.path().join("aside"), home.path().join(".claude")).expect("renamed");
    index.until(|session, _| session.message_count == 3);
    append(&path, &prompt(4));
    index.until(|session, _| session.message_count == 4);
    // It ends with the one who began it.
    drop(index.stdin.take());
    assert!(index.child.wait().expect("it ends").success());
}

#[test]
fn killed_at_any_time_it_knows_afterwards_what_it_would_have_known() {
    let home = tempfile::tempdir().expect("a folder");
    let path = log(home.path());
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    for round in 0..8 {
        let index = Index::begin(home.path());
        append(&path, &prompt(2 * round + 1));
        if round % 2 == 0 {
            index.until(|session, _| session.message_count == 2 * round + 1);
        }
        drop(index);
        append(&path, &prompt(2 * round + 2));
    }
    let mut index = Index::begin(home.path());
    let sessions = index.until_complete();
    assert_eq!(sessions.iter().map(|session| session.message_count).collect::<Vec<_>>(), [16]);
    let MessagesAnswer::Messages(messages) = index.messages(&sessions[0].session_id) else { panic!("messages") };
    let expected: Vec<String> = (1..=16).map(|number| format!("prompt {number}")).collect();
    assert_eq!(messages.into_iter().map(|message| message.text).collect::<Vec<_>>(), expected);
}

#[test]
fn a_cache_that_is_broken_is_made_anew() {
    let home = tempfile::tempdir().expect("a folder");
    let path = log(home.path());
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    append(&path, &prompt(1));
    let cache = home.path().join(".cache/perry/sessions.db");
    fs::create_dir_all(cache.parent().expect("a folder")).expect("made");
    fs::write(&cache, "no database".repeat(1000)).expect("written");
    assert_eq!(list(home.path()).len(), 1);
    assert!(fs::read(&cache).expect("read").starts_with(b"SQLite format 3"));
    assert_eq!(list(home.path()).len(), 1);
}

#[test]
fn a_title_that_another_log_holds_is_the_same_after_a_start_from_the_cache() {
    let home = tempfile::tempdir().expect("a folder");
    let path = log(home.path());
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    append(&path, &prompt(1));
    let record: serde_json::Value = serde_json::from_str(prompt(1).trim()).expect("JSON");
    let summary = serde_json::json!({ "type": "summary", "summary": "Told elsewhere", "leafUuid": record["uuid"] });
    let other = path.with_file_name("3b8a4c1e-7f2d-4a55-9d0c-6e1f2a3b4c5d.jsonl");
    append(&other, &format!("{summary}\n"));
    let titles = || list(home.path()).into_iter().map(|session| session.title).collect::<Vec<_>>();
    assert_eq!(titles(), ["Told elsewhere"]);
    assert_eq!(titles(), ["Told elsewhere"], "nothing is read again");
    // It comes while nothing of the session it is for is at hand.
    let later = serde_json::json!({ "type": "summary", "summary": "Told later", "leafUuid": record["uuid"] });
    fs::write(&other, format!("{later}\n")).expect("written");
    assert_eq!(titles(), ["Told later"]);
    fs::remove_file(&other).expect("removed");
    assert_eq!(titles(), ["prompt 1"]);
    assert_eq!(titles(), ["prompt 1"]);
}

/// What a process of its own lists of a home.
fn list(home: &Path) -> Vec<Session> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perry"));
    command.args(["worker", "sessions", "list", "--json"]).env_clear().env("HOME", home);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
