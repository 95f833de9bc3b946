//! A large database: its sessions are told at once by what is counted, and then as they are.

use std::path::Path;

use perry::worker::sessions::opencode;
use perry::worker::sessions::store::{Changes, More, Store, Summary, Update};
use rusqlite::{Connection, params};

use crate::support::{self, Known};

const SESSIONS: i64 = 60;
const MESSAGES: i64 = 30;

/// A database of OpenCode's. In each session the second message is none that counts: a compaction asks for it.
fn database(path: &Path) -> Connection {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let connection = Connection::open(path).expect("opened");
    let tables = "PRAGMA journal_mode = WAL;
        CREATE TABLE session (id text PRIMARY KEY, directory text, title text, parent_id text, time_archived integer, revert text);
        CREATE TABLE message (id text PRIMARY KEY, session_id text, time_created integer, time_updated integer, data text);
        CREATE TABLE part (id text PRIMARY KEY, message_id text, session_id text, data text);
        CREATE TABLE event (id text PRIMARY KEY, aggregate_id text, seq integer, type text, data text);
        CREATE INDEX message_index ON message (session_id, time_created, id);
        CREATE INDEX part_index ON part (message_id, id);";
    connection.execute_batch(&format!("{tables} BEGIN")).expect("made");
    for session in 0..SESSIONS {
        let row = "INSERT INTO session VALUES (?, '/w', ?, NULL, NULL, NULL)";
        connection.execute(row, params![format!("s{session}"), format!("About {session}")]).expect("written");
        for message in 0..MESSAGES {
            add(&connection, session, message);
        }
    }
    connection.execute_batch("COMMIT").expect("written");
    connection
}

fn add(connection: &Connection, session: i64, message: i64) {
    let (name, id, at) = (format!("s{session}"), format!("s{session}m{message}"), session * 10_000 + message);
    let data = format!(r#"{{"role":"user","time":{{"created":{at}}}}}"#);
    connection.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", params![id, name, at, at, data]).expect("written");
    let part = if message == 1 { r#"{"type":"compaction"}"# } else { r#"{"type":"text","text":"hello"}"# };
    connection.execute("INSERT INTO part VALUES (?, ?, ?, ?)", params![id, id, name, part]).expect("written");
    connection.execute("INSERT INTO event VALUES (?, ?, ?, 'x', '{}')", params![id, name, message]).expect("written");
}

#[test]
fn all_sessions_are_told_with_the_first_look_and_the_latest_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = database(&folder.path().join(".local/share/opencode/opencode.db"));
    let mut store = opencode::store(&support::home(folder.path()));
    let mut told: Vec<Summary> = Vec::new();
    let mut tell = |update| match update {
        Update::Upserted { summary, .. } => told.push(summary),
        Update::Gone(id) => panic!("{id} is gone"),
    };
    assert_eq!(store.look(&Changes::Everything, &mut tell), More::Now);
    assert_eq!(told.len(), SESSIONS as usize);
    told.sort_by_key(|summary| -summary.last);
    let counts: Vec<(bool, u32)> = told.iter().map(|summary| (summary.revision.is_some(), summary.count)).collect();
    assert_eq!((counts[0], counts[SESSIONS as usize - 1]), ((true, 29), (false, 30)), "{counts:?}");
    assert!(counts.is_sorted_by_key(|(is_read, _)| !is_read), "the latest are read first: {counts:?}");
    drop((store, connection));
}

#[test]
fn in_the_end_it_is_known_as_if_each_session_had_been_read_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = database(&folder.path().join(".local/share/opencode/opencode.db"));
    let store = || vec![Box::new(opencode::store(&support::home(folder.path()))) as Box<dyn Store>];
    let (mut stores, mut known) = (store(), Known::default());
    known.look(&mut stores, &Changes::Everything);
    let found = support::shown(&known, &mut stores);
    assert_eq!(found.len(), SESSIONS as usize);
    assert!(found.iter().all(|session| session["messageCount"] == 29));
    // What is written while others are still to be read is not lost.
    let (mut stores, mut known) = (store(), Known::default());
    assert_eq!(known.look_once(&mut stores[0], &Changes::Everything), More::Now);
    add(&connection, 0, MESSAGES);
    add(&connection, SESSIONS - 1, MESSAGES);
    connection.execute("DELETE FROM session WHERE id = 's7'", []).expect("removed");
    known.look(&mut stores, &Changes::none());
    let counts: Vec<u64> =
        support::shown(&known, &mut stores).iter().filter_map(|session| session["messageCount"].as_u64()).collect();
    assert_eq!((counts.len(), counts[0], counts[SESSIONS as usize - 2]), (SESSIONS as usize - 1, 30, 30));
}

#[test]
fn a_session_that_is_put_away_is_gone_and_comes_back_with_what_was_written_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = database(&folder.path().join(".local/share/opencode/opencode.db"));
    let archive = |time: Option<i64>| {
        connection.execute("UPDATE session SET time_archived = ? WHERE id = 's3'", [time]).expect("written");
    };
    archive(Some(1));
    let mut stores = vec![Box::new(opencode::store(&support::home(folder.path()))) as Box<dyn Store>];
    let mut known = Known::default();
    known.look(&mut stores, &Changes::Everything);
    let count = |known: &Known| known.sessions.get(&("opencode", "s3".to_owned())).map(|summary| summary.count);
    assert_eq!(count(&known), None);
    add(&connection, 3, MESSAGES);
    known.look(&mut stores, &Changes::none());
    assert_eq!(count(&known), None);
    for (time, expected) in [(None, Some(30)), (Some(2), None), (None, Some(30))] {
        archive(time);
        known.look(&mut stores, &Changes::none());
        assert_eq!(count(&known), expected);
    }
    assert_eq!(support::shown(&known, &mut stores).len(), SESSIONS as usize);
}
