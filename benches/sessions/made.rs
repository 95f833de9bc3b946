//! What is read: made of records that agents wrote.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, params};

/// A session of Claude Code's with an answer, a tool and its result in each turn.
const PROJECT: &str = ".claude/projects/-home-workspace-demo";

fn turn(out: &mut impl Write, number: usize, result: &str) -> usize {
    let id = |kind: &str, more: usize| format!("{kind}{:016x}", number * 8 + more);
    let parent = if number == 0 { "null".to_owned() } else { format!("\"u{:016x}\"", (number - 1) * 8 + 4) };
    let common = r#""isSidechain":false,"userType":"external","entrypoint":"cli","cwd":"/home/workspace/demo","sessionId":"0c1e5a2f-0000-4000-8000-0000000000aa","version":"2.1.330","gitBranch":"main""#;
    let usage = r#""usage":{"input_tokens":2401,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":35,"service_tier":"standard","inference_geo":"","iterations":[],"speed":"standard"}"#;
    let time = format!("2026-11-22T17:{:02}:{:02}.{:03}Z", number / 60 % 60, number % 60, number % 1000);
    let result = serde_json::Value::from(result);
    let lines = [
        format!(
            r#"{{"parentUuid":{parent},"type":"user","message":{{"role":"user","content":"What files are in this project? ({number})"}},"uuid":"{}","timestamp":"{time}",{common}}}"#,
            id("u", 0)
        ),
        format!(
            r#"{{"parentUuid":"{}","message":{{"id":"{}","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{{"type":"text","text":"I'll look at the directory."}}],"stop_reason":"tool_use","stop_sequence":null,{usage}}},"type":"assistant","uuid":"{}","timestamp":"{time}",{common}}}"#,
            id("u", 0),
            id("m", 0),
            id("u", 1)
        ),
        format!(
            r#"{{"parentUuid":"{}","message":{{"id":"{}","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{{"type":"tool_use","id":"{}","name":"Bash","input":{{"command":"ls -a","description":"Run a command"}}}}],"stop_reason":"tool_use","stop_sequence":null,{usage}}},"type":"assistant","uuid":"{}","timestamp":"{time}",{common}}}"#,
            id("u", 1),
            id("m", 0),
            id("t", 0),
            id("u", 2)
        ),
        format!(
            r#"{{"parentUuid":"{}","type":"user","message":{{"role":"user","content":[{{"tool_use_id":"{}","type":"tool_result","content":{result},"is_error":false}}]}},"uuid":"{}","timestamp":"{time}","toolUseResult":{{"stdout":"","interrupted":false}},{common}}}"#,
            id("u", 2),
            id("t", 0),
            id("u", 3)
        ),
        format!(
            r#"{{"parentUuid":"{}","message":{{"id":"{}","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{{"type":"text","text":"It is a small demo: a README and one module in `src/`."}}],"stop_reason":"end_turn","stop_sequence":null,{usage}}},"type":"assistant","uuid":"{}","timestamp":"{time}",{common}}}"#,
            id("u", 3),
            id("m", 1),
            id("u", 4)
        ),
    ];
    lines.iter().map(|line| writeln!(out, "{line}").map(|()| line.len() + 1).expect("written")).sum()
}

/// Results of tools are from 0.2 to 60 KB, most of them small.
fn result(number: usize) -> String {
    let share = (number * 7919 % 1000) as f64 / 1000.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let length = (200.0 * 300_f64.powf(share)) as usize;
    "total 24\ndrwxr-xr-x 5 me me 4096 \"src\" tests/ README.md\t# Demo ümläut\n".repeat(length / 60 + 1)
}

/// A log of about so many bytes.
pub(crate) fn log(home: &Path, bytes: usize) -> PathBuf {
    let path = home.join(PROJECT).join("0c1e5a2f-0000-4000-8000-0000000000aa.jsonl");
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let mut out = BufWriter::new(File::create(&path).expect("made"));
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        written += turn(&mut out, number, &result(number));
        number += 1;
    }
    out.flush().expect("written");
    path
}

/// A small session.
pub(crate) fn session(home: &Path, number: usize) {
    let path = home.join(PROJECT).join(format!("0c1e5a2f-0000-4000-8000-{number:012x}.jsonl"));
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let mut out = BufWriter::new(File::create(path).expect("made"));
    for number in 0..10 {
        turn(&mut out, number, "README.md");
    }
}

/// One line as it is appended.
pub(crate) fn line(number: usize) -> String {
    format!(
        r#"{{"type":"user","uuid":"x{number}","timestamp":"2026-11-22T18:00:00Z","message":{{"content":"prompt {number}"}}}}"#
    ) + "\n"
}

/// Sessions, messages of each, and parts of each, as in a database of 264 MB.
const SESSIONS: usize = 514;
const MESSAGES: usize = 78;
const PARTS: usize = 4;

/// A database of OpenCode's.
pub(crate) fn database(home: &Path) -> PathBuf {
    let folder = home.join(".local/share/opencode");
    fs::create_dir_all(&folder).expect("made");
    let path = folder.join("opencode.db");
    let mut connection = Connection::open(&path).expect("opened");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             CREATE TABLE session (id text PRIMARY KEY, parent_id text, directory text NOT NULL, title text NOT NULL,
                 version text NOT NULL, revert text, time_created integer, time_updated integer, time_archived integer);
             CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
                 time_updated integer NOT NULL, data text NOT NULL);
             CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL,
                 time_created integer, time_updated integer, data text NOT NULL);
             CREATE TABLE event (id text PRIMARY KEY, aggregate_id text NOT NULL, seq integer, type text, data text);
             CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
             CREATE INDEX part_message_id_id_idx ON part (message_id, id);",
        )
        .expect("made");
    let transaction = connection.transaction().expect("begun");
    let output = "x".repeat(1450);
    for session in 0..SESSIONS {
        let id = format!("ses_{session:08x}");
        let row = "INSERT INTO session VALUES (?, NULL, '/home/workspace/demo', ?, '1.18.33', NULL, 1, 2, NULL)";
        transaction.execute(row, params![id, format!("About {session}")]).expect("written");
        transaction.execute("INSERT INTO event VALUES (?, ?, 0, 'x', '{}')", params![id, id]).expect("written");
        for message in 0..MESSAGES {
            let (time, name) = (1_795_000_000_000 + message as i64 * 1000, format!("msg_{session:06x}{message:06x}"));
            let data = match message % 4 {
                0 => format!(
                    r#"{{"role":"user","time":{{"created":{time}}},"agent":"build","model":{{"providerID":"stub","modelID":"stub-1"}},"summary":{{"diffs":[]}}}}"#
                ),
                _ => format!(
                    r#"{{"parentID":"msg","role":"assistant","mode":"build","agent":"build","path":{{"cwd":"/home/workspace/demo","root":"/home/workspace/demo"}},"cost":0,"tokens":{{"total":7355,"input":7353,"output":2,"reasoning":0,"cache":{{"write":0,"read":0}}}},"modelID":"stub-1","providerID":"stub","time":{{"created":{time},"completed":{}}},"finish":"stop"}}"#,
                    time + 500
                ),
            };
            let row = "INSERT INTO message VALUES (?, ?, ?, ?, ?)";
            transaction.execute(row, params![name, id, time, time, data]).expect("written");
            for part in 0..PARTS {
                let data = match part {
                    0 => r#"{"type":"text","text":"What files are in this project?"}"#.to_owned(),
                    _ => format!(
                        r#"{{"type":"tool","tool":"bash","callID":"c{part}","state":{{"status":"completed","input":{{"command":"ls"}},"output":"{output}","time":{{"start":{time},"end":{time}}}}}}}"#
                    ),
                };
                let row = "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)";
                transaction
                    .execute(row, params![format!("prt_{name}{part}"), name, id, time, time, data])
                    .expect("written");
            }
        }
    }
    transaction.commit().expect("committed");
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("written");
    path
}

/// The floor: how many messages each session has.
pub(crate) fn grouped_count(path: &Path) -> usize {
    let connection = Connection::open(path).expect("opened");
    let query = "SELECT session_id, count(*) FROM message GROUP BY session_id";
    let mut statement = connection.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).expect("rows");
    rows.collect::<Result<Vec<_>, _>>().expect("rows").len()
}

/// A session is said to have changed.
pub(crate) fn touch(path: &Path) {
    let connection = Connection::open(path).expect("opened");
    let query = "INSERT INTO event SELECT hex(randomblob(8)), 'ses_00000001', 1, 'x', '{}'";
    connection.execute(query, []).expect("written");
}

/// ccusage, installed where it is not there yet.
pub(crate) fn ccusage() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/ccusage");
    let program = folder.join("node_modules/.bin/ccusage");
    if !program.exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]);
        assert!(npm.current_dir(&folder).status().expect("npm").success());
    }
    program.to_str().expect("UTF-8").to_owned()
}
