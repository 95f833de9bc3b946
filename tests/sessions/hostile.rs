//! What nobody should write harms nothing but itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use perry::contract::sessions::{SessionState, ToolDetail, ToolStatus};
use perry::shown::transcript::{self, Style};
use perry::worker::sessions::formats::Home;
use perry::worker::sessions::index::{Index, Places};
use perry::worker::sessions::logs::{self, Logs};
use perry::worker::sessions::store::{Changes, More, Store, Wanted};

use crate::support::{self, Known};

const PROJECT: &str = ".claude/projects/-home";
const ID: &str = "0c1e5a2f-0000-4000-8000-00000000000";

fn prompt(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        r#"{{"type":"user","uuid":"u1","timestamp":"2026-11-22T17:33:17.909Z","cwd":"/w","message":{{"content":{text}}}}}"#
    ) + "\n"
}

fn answer(content: &str) -> String {
    format!(
        r#"{{"type":"assistant","uuid":"a1","parentUuid":"u1","timestamp":"2026-11-22T17:33:18Z","message":{{"id":"m1","stop_reason":"tool_use","content":[{content}]}}}}"#
    ) + "\n"
}

fn result(content: &str) -> String {
    format!(
        r#"{{"type":"user","uuid":"r1","parentUuid":"a1","timestamp":"2026-11-22T17:33:19Z","message":{{"content":[{{"type":"tool_result","tool_use_id":"t1","content":{content}}}]}}}}"#
    ) + "\n"
}

fn put(folder: &Path, number: u8, text: &str) {
    let project = folder.join(PROJECT);
    fs::create_dir_all(&project).expect("made");
    fs::write(project.join(format!("{ID}{number}.jsonl")), text).expect("written");
}

fn claude(home: &Home) -> Vec<Box<dyn Store>> {
    vec![Box::new(Logs::new(logs::FORMATS[0], home, None))]
}

/// What is printed of a home's sessions and all their messages.
fn printed(folder: &Path) -> String {
    let mut stores = claude(&support::home(folder));
    let mut known = Known::default();
    known.look(&mut stores, &Changes::Everything);
    let mut text = String::new();
    for (_, id) in known.sessions.keys() {
        let wanted = Wanted { from: 0, to: u32::MAX, tools: ToolDetail::Whole };
        let messages = stores[0].messages(id, &wanted).expect("messages");
        text += &transcript::messages(&messages, Style::Plain);
    }
    text
}

#[test]
fn a_line_of_50_megabytes_is_a_message_without_its_end_and_those_around_it_are_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let call = r#"{"type":"text","text":"Look:"},{"type":"tool_use","id":"t1","name":"Read","input":{"path":"x"}}"#;
    let long = format!("\"{}\"", "iVBORw0KGgo".repeat(5_000_000));
    put(folder.path(), 1, &(prompt("hello") + &answer(call) + &result(&long) + &prompt("after").replace("u1", "u2")));
    let mut stores = claude(&support::home(folder.path()));
    let mut known = Known::default();
    known.look(&mut stores, &Changes::Everything);
    let id = format!("{ID}1");
    assert_eq!(known.sessions[&("claude", id.clone())].count, 3);
    let wanted = Wanted { from: 0, to: 10, tools: ToolDetail::Whole };
    let messages = stores[0].messages(&id, &wanted).expect("messages");
    let tool = &messages[1].tools[0];
    assert_eq!((messages[1].text.as_str(), tool.status), ("Look:", ToolStatus::Ok));
    let output = tool.output.as_deref().expect("its beginning");
    assert!(output.starts_with("iVBORw0KGgo") && (60_000..1_100_000).contains(&output.len()), "{}", output.len());
    assert_eq!(messages[2].text, "after");
}

#[test]
fn deep_nesting_and_numbers_beyond_all_measure_cost_at_most_their_own_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let call = format!(r#"{{"type":"tool_use","id":"t1","name":"Odd","input":{{"deep":{deep},"n":-1e999999}}}}"#);
    let odd = r#"{"type":"user","uuid":1e400,"timestamp":99999999999999999999,"message":{"content":"never"}}"#;
    let nested = format!("{deep}\n{{\"type\":{deep}}}\n");
    put(folder.path(), 1, &(prompt("hello") + &answer(&call) + &result("\"fine\"") + odd + "\n" + &nested));
    let text = printed(folder.path());
    assert!(text.contains("hello") && text.contains("✓ Odd") && text.contains("fine") && !text.contains("never"));
}

#[test]
fn nothing_that_was_said_steers_a_terminal_or_is_changed_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let evil = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}<script>alert(1)</script>\r\u{0}";
    put(folder.path(), 1, &prompt(evil));
    let text = printed(folder.path());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
    let mut known = Known::default();
    known.look(&mut claude(&support::home(folder.path())), &Changes::Everything);
    let key = ("claude", format!("{ID}1"));
    assert_eq!(known.messages[&key][0].text, evil, "escaped where it is shown, and not before");
}

#[test]
fn a_link_that_leads_out_of_the_home_is_not_followed_and_one_within_is() {
    let (folder, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    put(outside.path(), 1, &prompt("secret"));
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).expect("made");
    put(&kept, 2, &prompt("mine"));
    let projects = folder.path().join(".claude/projects");
    fs::create_dir_all(projects.join("-a")).expect("made");
    let file = format!("{ID}1.jsonl");
    symlink(outside.path().join(PROJECT).join(&file), projects.join("-a").join(&file)).expect("linked");
    symlink(outside.path().join(PROJECT), projects.join("-b")).expect("linked");
    symlink(kept.join(PROJECT), projects.join("-c")).expect("linked");
    let text = printed(folder.path());
    assert!(text.contains("mine") && !text.contains("secret"), "{text}");
}

#[test]
fn what_is_not_understood_is_listed_with_the_reason_and_breaks_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    put(folder.path(), 1, &prompt("fine"));
    put(folder.path(), 2, "\u{7f}ELF nothing of the kind\nmore\n");
    let data = folder.path().join(".local/share/opencode");
    fs::create_dir_all(&data).expect("made");
    fs::write(data.join("opencode.db"), "no database at all, but long enough to be looked at".repeat(100))
        .expect("written");
    let places = Places { proc: folder.path().join("proc"), ttys: folder.path().join("ttys") };
    let mut index = Index::new(support::home(folder.path()), places, None);
    while index.look(&Changes::Everything, 0, &mut |_| {}) == More::Now {}
    let list = index.list();
    let said = |id: &str| {
        let session = list.iter().find(|session| session.session_id == id).expect("listed");
        (session.state, session.reason.clone())
    };
    assert_eq!(said(&format!("{ID}1")).0, SessionState::Idle);
    let (state, reason) = said(&format!("{ID}2"));
    assert_eq!(
        (state, reason.as_str()),
        (SessionState::Unreadable, "no record in it is one that claude is known to write")
    );
    let (state, reason) = said("opencode.db");
    assert!(state == SessionState::Unreadable && reason.contains("not a database"), "{reason}");
    assert_eq!(list.len(), 3, "{list:?}");
}

#[test]
fn a_document_that_is_just_being_written_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let chats = folder.path().join(".gemini/tmp/p/chats");
    fs::create_dir_all(&chats).expect("made");
    let file = chats.join("session-1.json");
    let whole = |text: &str| {
        format!(
            r#"{{"sessionId":"s1","messages":[{{"id":"1","type":"user","timestamp":"2026-11-22T17:33:17Z","content":"{text}"}}]}}"#
        )
    };
    fs::write(&file, whole("hello")).expect("written");
    let home = support::home(folder.path());
    let gemini = logs::FORMATS.into_iter().find(|format| format.agent().name() == "gemini").expect("gemini");
    let mut stores: Vec<Box<dyn Store>> = vec![Box::new(Logs::new(gemini, &home, None))];
    let mut known = Known::default();
    known.look(&mut stores, &Changes::Everything);
    let title = |known: &Known| known.sessions.values().next().map(|summary| summary.title.clone());
    assert_eq!(title(&known).as_deref(), Some("hello"));
    let path = Changes::Paths([home.folder.join(".gemini/tmp/p/chats/session-1.json")].into());
    fs::write(&file, &whole("hello again, and longer")[..60]).expect("written");
    assert_eq!(stores[0].look(&path, &mut |_| panic!("nothing to tell")), More::Soon);
    assert_eq!(title(&known).as_deref(), Some("hello"));
    fs::write(&file, whole("bye")).expect("written");
    known.look(&mut stores, &path);
    assert_eq!(title(&known).as_deref(), Some("bye"));
}
