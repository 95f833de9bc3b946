//! What agents wrote, changed at random: what the fuzzers look for, with the ordinary toolchain.

use std::fs;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::{check, support};

/// Changed logs of each agent.
const ROUNDS: usize = 60;

/// What is put in somewhere.
const PIECES: [&str; 14] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "-1e999",
    "\\ud800",
    "\u{1b}[2J",
    "\n",
    "{\"type\":\"user\"}\n",
    "{\"$rewindTo\":\"x\"}\n",
];

fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 => {
                let end = (at + rng.random_range(0..200)).min(bytes.len());
                bytes.drain(at..end);
            }
            // A line comes twice, somewhere.
            2 => {
                let lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                if let Some(line) = lines.get(rng.random_range(0..lines.len().max(1))) {
                    bytes.splice(at..at, line.iter().copied());
                }
            }
            _ => {
                let piece = PIECES[rng.random_range(0..PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
        }
    }
}

#[test]
fn mutated_logs_of_every_agent_hold() {
    let seed =
        std::env::var("PERRY_SEED").map_or_else(|_| rand::rng().next_u64(), |text| text.parse().expect("a number"));
    println!("PERRY_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut tried = 0;
    for fixture in support::all() {
        let agent = fixture.name.split('/').next().expect("an agent").to_owned();
        for path in support::files(&fixture.home) {
            let text = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json");
            let content = fs::read(&path).expect("read");
            if !text || content.len() > 100_000 {
                continue;
            }
            for _ in 0..ROUNDS / 10 {
                let mut bytes = content.clone();
                mutate(&mut rng, &mut bytes);
                match agent.as_str() {
                    "opencode" => check::opencode(&bytes),
                    agent => check::log(agent, &bytes),
                }
                tried += 1;
            }
        }
    }
    // Those that there are no fixtures of.
    for _ in 0..ROUNDS {
        let mut bytes = OTHERS.as_bytes().to_vec();
        mutate(&mut rng, &mut bytes);
        check::log("goose", &bytes);
        check::log("copilot", &bytes);
    }
    assert!(tried > 500, "{tried}");
}

/// Lines of Goose's and of Copilot's, as their documents have them.
const OTHERS: &str = r#"{"working_dir":"/w","description":"About it","message_count":3}
{"id":"m1","role":"user","created":1795000000,"content":[{"type":"text","text":"hello"}]}
{"role":"assistant","created":1795000001,"content":[{"type":"text","text":"Look:"},{"type":"toolRequest","id":"t1","toolCall":{"status":"success","value":{"name":"shell","arguments":{"command":"ls"}}}}]}
{"role":"user","created":1795000002,"content":[{"type":"toolResponse","id":"t1","toolResult":{"status":"success","value":[{"type":"text","text":"notes.md"}]}}]}
{"type":"session.start","id":"e0","timestamp":"2026-11-22T17:33:17Z","data":{"sessionId":"s","context":{"cwd":"/w"}}}
{"type":"user.message","id":"e1","timestamp":"2026-11-22T17:33:17Z","data":{"content":"hello"}}
{"type":"assistant.message","id":"e2","timestamp":"2026-11-22T17:33:18Z","data":{"messageId":"m","content":"Look:","toolRequests":[{"toolCallId":"t1","name":"bash","arguments":{"command":"ls"}}]}}
{"type":"tool.execution_complete","id":"e3","timestamp":"2026-11-22T17:33:19Z","data":{"toolCallId":"t1","success":true,"result":{"content":"notes.md"}}}
{"type":"assistant.turn_end","id":"e4","timestamp":"2026-11-22T17:33:20Z","data":{}}
"#;

#[test]
fn goose_and_copilot_are_read_as_their_documents_say() {
    let read = |file: &str, lines: std::ops::Range<usize>, beside: Option<&str>| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        if let Some(text) = beside {
            fs::write(path.with_file_name("workspace.yaml"), text).expect("written");
        }
        let text: Vec<&str> = OTHERS.lines().skip(lines.start).take(lines.len()).collect();
        fs::write(path, text.join("\n") + "\n").expect("written");
        support::found(&mut support::logs(&support::home(folder.path())))
    };
    for (session, title) in [
        (&read(".local/share/goose/sessions/g1.jsonl", 0..4, None)[0], "About it"),
        (&read(".copilot/session-state/c1/events.jsonl", 4..9, None)[0], "hello"),
        (
            &read(".copilot/session-state/c1/events.jsonl", 5..9, Some("id: c1\ncwd: /w\nname: 'It''s named'\n"))[0],
            "It's named",
        ),
        (&read(".copilot/session-state/c1/events.jsonl", 4..9, Some("summary: Of 1.0"))[0], "Of 1.0"),
        (&read(".copilot/session-state/c1/events.jsonl", 4..9, Some("name: [not, a, name"))[0], "hello"),
    ] {
        assert_eq!(
            (&session["title"], &session["messageCount"], &session["cwd"]),
            (&title.into(), &2.into(), &"/w".into())
        );
        assert_eq!(session["messages"][1]["text"], "Look:");
        assert_eq!(session["messages"][1]["tools"][0]["status"], "ok");
    }
}
