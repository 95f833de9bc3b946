//! `perry sessions` against an agent.

use perry::runtime::fake::Smooth;
use serde_json::Value;

use crate::agent::Agent;
use crate::{Told, perry, perry_with};

fn run(agent: &Agent, args: &[&str]) -> Told {
    perry(agent.folder.path(), &[&["sessions"], args].concat())
}

/// An agent with a workspace that has two sessions.
fn agent() -> Agent {
    let agent = Agent::start(Smooth);
    let manifest = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: web }\n";
    let told = perry_with(agent.folder.path(), &["apply", "-f", "-", "--wait"], manifest);
    assert_eq!(told.code, 0, "{told:?}");
    let known = || run(&agent, &["list"]).out.lines().count() == 3;
    let begun = std::time::Instant::now();
    while !known() {
        assert!(begun.elapsed().as_secs() < 10, "the sessions are never told");
    }
    agent
}

#[test]
fn sessions_are_listed_for_people_and_for_programs() {
    let agent = agent();
    let told = run(&agent, &["list"]);
    let rows: Vec<Vec<&str>> = told.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["WORKSPACE", "ID", "AGENT", "STATE", "MESSAGES", "ACTIVE", "TERMINAL", "TITLE"]);
    assert_eq!(rows[1][..5], ["web", "bbbb-2", "codex", "waiting", "120"]);
    assert_eq!(rows[2][..5], ["web", "aaaa-1", "claude", "waiting", "3"]);
    let told = run(&agent, &["list", "web", "--agent", "claude", "--json"]);
    let listed: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!((listed[0]["sessionId"].as_str(), listed.as_array().map(Vec::len)), (Some("aaaa-1"), Some(1)));
    assert_eq!(listed[0]["resume"], serde_json::json!(["claude", "--resume", "aaaa-1"]));
    let told = run(&agent, &["list", "--state", "idle"]);
    assert_eq!(told.out.lines().count(), 1, "{told:?}");
    assert_eq!(run(&agent, &["list", "nowhere"]).code, 3);
    assert_eq!(run(&agent, &["list", "--agent", "vim"]).code, 2);
    // Those of a workspace that does not run are shown as they were.
    assert_eq!(perry(agent.folder.path(), &["stop", "web", "--wait"]).code, 0);
    let begun = std::time::Instant::now();
    while run(&agent, &["list"]).out.matches("last known").count() < 2 {
        assert!(begun.elapsed().as_secs() < 10, "they are never said to be last known");
    }
}

#[test]
fn a_session_is_shown_from_its_end_and_nothing_in_it_steers_the_terminal() {
    let agent = agent();
    let told = run(&agent, &["show", "bbbb"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(told.out.matches("\n── ").count() + 1, 20, "{}", told.out);
    assert!(told.out.contains("answer 119 in **bbbb-2** [2J") && !told.out.contains('\u{1b}'), "{}", told.out);
    assert!(told.err.contains("100 messages before these: --tail 0 shows all"), "{told:?}");
    assert!(told.out.contains("✓ Bash") && !told.out.contains("notes.md"));
    let told = run(&agent, &["show", "aaaa-1", "web", "--tail", "0", "--tools"]);
    assert!(told.out.starts_with("── you · 2026-") && told.out.contains("  notes.md\n"), "{told:?}");
    let told = run(&agent, &["show", "bbbb-2", "--tail", "0", "--json"]);
    let messages: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(messages.as_array().map(Vec::len), Some(120));
    let told = run(&agent, &["show", "cccc"]);
    assert_eq!((told.code, told.err.lines().last()), (3, Some("hint: perry sessions list")), "{told:?}");
    let told = run(&agent, &["show", ""]);
    assert!(told.code == 2 && told.err.contains("may be any of these"), "{told:?}");
}

#[test]
fn what_was_said_is_found_in_all_sessions() {
    let agent = agent();
    let search = |words: &[&str]| run(&agent, &[&["search"], words].concat());
    let begun = std::time::Instant::now();
    let told = loop {
        let told = search(&["answer", "117"]);
        if !told.out.is_empty() {
            break told;
        }
        assert!(begun.elapsed().as_secs() < 10, "{told:?}");
    };
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(lines[..2], ["About bbbb-2", "web codex bbbb-2 #117"], "{told:?}");
    assert!(lines[2].starts_with("  answer 117 in **bbbb-2** [2J"), "{told:?}");
    let told = search(&["answer", "117", "--json"]);
    let hits: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!((hits[0]["index"].as_u64(), &hits[0]["session"]["workspaceName"]), (Some(117), &Value::from("web")));
    let told = search(&["nothing", "like", "it"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "", "nothing was found\n"));
    assert_eq!(search(&["--"]).code, 2);
}

#[test]
fn a_session_that_is_open_elsewhere_is_not_opened_twice_and_none_without_a_terminal() {
    let agent = agent();
    let told = run(&agent, &["resume", "aaaa"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("is open already, and in no terminal"), "{told:?}");
}
