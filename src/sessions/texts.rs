//! `sessions.db`: the sessions that are known, and a full-text index of their messages. A cache: where it is lost or broken
//! it is filled anew.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Rows, params};

use super::rank::{self, Best, MARKS};
use crate::contract::sessions::{CodingAgent, Session, SnippetPart};
use crate::model::{Name, Uid};

/// The form of what is written down.
const FORM: &str = "1";
/// Messages of a session at most that are indexed: their numbers are the lower bits of a row's.
const MESSAGES: i64 = 1 << 24;
/// Of matches so many are ranked, and so many bytes of them, the latest: to rank them all takes long where a word is
/// everywhere.
const RANKED: i64 = 2000;
const RANKED_BYTES: usize = 4 << 20;
/// How long a writer is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// SQLite says no.
    #[error("sessions.db cannot be used")]
    Database(#[from] rusqlite::Error),
}

/// The file.
pub(super) struct Texts {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// How far a session is indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Indexed {
    /// Its number.
    pub(super) number: i64,
    /// The revision that is indexed; empty where that is under way.
    pub(super) revision: String,
}

/// A message that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Of which session: see [`key`].
    pub(super) key: String,
    pub(super) index: u32,
    pub(super) snippet: Vec<SnippetPart>,
}

/// What a session is known by here.
pub(super) fn key(uid: &Uid, agent: CodingAgent, session: &str) -> String {
    format!("{}/{}/{session}", uid.0, agent.name())
}

impl Texts {
    /// Opens or makes it; a broken one, and one of another form, is made anew.
    pub(super) fn open(path: &Path) -> Result<Self, TextsError> {
        let opened = Self::try_open(path).or_else(|_| {
            for suffix in ["", "-wal", "-shm"] {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                // What is not there need not go.
                let _ = fs::remove_file(name);
            }
            Self::try_open(path)
        });
        Ok(opened?)
    }

    fn try_open(path: &Path) -> rusqlite::Result<Self> {
        private(path)?;
        let writer = Connection::open(path)?;
        writer.busy_timeout(BUSY)?;
        // What a crash of the machine breaks is learnt again.
        writer.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096;
             CREATE TABLE IF NOT EXISTS form (text TEXT NOT NULL);",
        )?;
        let form: Option<String> = writer.query_row("SELECT text FROM form", [], |row| row.get(0)).optional()?;
        if form.as_deref() != Some(FORM) {
            writer.execute_batch(
                "BEGIN;
                 DROP TABLE IF EXISTS session; DROP TABLE IF EXISTS said; DELETE FROM form;
                 CREATE TABLE session (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, uid TEXT NOT NULL,
                     name TEXT NOT NULL, info TEXT NOT NULL, revision TEXT NOT NULL DEFAULT '');
                 CREATE VIRTUAL TABLE said USING fts5(body, tokenize = 'unicode61 remove_diacritics 2');",
            )?;
            writer.execute("INSERT INTO form VALUES (?)", [FORM])?;
            writer.execute_batch("COMMIT")?;
        }
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader.busy_timeout(BUSY)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All sessions that were written down.
    pub(super) fn sessions(&self) -> Result<Vec<(Uid, Name, Session)>, TextsError> {
        let reader = self.reader();
        let mut statement = reader.prepare("SELECT uid, name, info FROM session")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
        let mut all = Vec::new();
        for row in rows {
            let (uid, name, info) = row?;
            // What another version wrote is told anew.
            if let (Ok(name), Ok(session)) = (name.parse(), serde_json::from_str(&info)) {
                all.push((Uid(uid), name, session));
            }
        }
        Ok(all)
    }

    /// Writes a session down; how far it is indexed.
    pub(super) fn put(&self, uid: &Uid, name: &Name, session: &Session) -> Result<Indexed, TextsError> {
        let info = serde_json::to_string(session).unwrap_or_default();
        let query = "INSERT INTO session (key, uid, name, info) VALUES (?, ?, ?, ?)
                     ON CONFLICT (key) DO UPDATE SET info = excluded.info, name = excluded.name
                     RETURNING number, revision";
        let writer = self.writer();
        let mut statement = writer.prepare_cached(query)?;
        let row = params![key(uid, session.agent, &session.session_id), uid.0, name.as_str(), info];
        Ok(statement.query_row(row, |row| Ok(Indexed { number: row.get(0)?, revision: row.get(1)? }))?)
    }

    /// Forgets sessions, by their keys.
    pub(super) fn remove(&self, keys: &[String]) -> Result<(), TextsError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        for key in keys {
            let number =
                transaction.query_row("DELETE FROM session WHERE key = ? RETURNING number", [key], |row| row.get(0));
            if let Some(number) = number.optional()? {
                cut(&transaction, number, 0)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Forgets every session of a workspace.
    pub(super) fn remove_workspace(&self, uid: &Uid) -> Result<(), TextsError> {
        let keys: Vec<String> = {
            let reader = self.reader();
            let mut statement = reader.prepare("SELECT key FROM session WHERE uid = ?")?;
            let rows = statement.query_map([&uid.0], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        self.remove(&keys)
    }

    /// Forgets messages of a session from this one on; until it is said to be done its index counts as unfinished.
    pub(super) fn cut(&self, number: i64, from: u32) -> Result<(), TextsError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        transaction.execute("UPDATE session SET revision = '' WHERE number = ?", [number])?;
        cut(&transaction, number, i64::from(from))?;
        transaction.commit()?;
        Ok(())
    }

    /// Indexes messages, in the place of those there were.
    pub(super) fn write(&self, number: i64, messages: &[(u32, String)]) -> Result<(), TextsError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        for (index, body) in messages.iter().filter(|(index, _)| i64::from(*index) < MESSAGES) {
            let row = number * MESSAGES + i64::from(*index);
            transaction.prepare_cached("DELETE FROM said WHERE rowid = ?")?.execute([row])?;
            let body: String = body.chars().map(|c| if MARKS.contains(&c) { ' ' } else { c }).collect();
            transaction.prepare_cached("INSERT INTO said (rowid, body) VALUES (?, ?)")?.execute(params![row, body])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// A session is indexed up to that revision.
    pub(super) fn done(&self, number: i64, revision: &str) -> Result<(), TextsError> {
        let query = "UPDATE session SET revision = ? WHERE number = ?";
        self.writer().execute(query, params![revision, number])?;
        Ok(())
    }

    /// Messages that hold what is looked for, the best first; `only` of some sessions.
    pub(super) fn search(
        &self,
        query: &str,
        only: Option<&BTreeSet<String>>,
        limit: u32,
    ) -> Result<Vec<Found>, TextsError> {
        let reader = self.reader();
        // Numbers of sessions are few: what is not wanted is left out before anything is ranked.
        let numbers = only.map(|only| numbers(&reader, only)).transpose()?;
        let within = numbers.map_or(String::new(), |numbers| format!("AND f.rowid / {MESSAGES} IN ({numbers})"));
        let [begin, end] = MARKS;
        let text = format!(
            "SELECT s.key, f.rowid % {MESSAGES}, highlight(said, 0, '{begin}', '{end}')
             FROM said f CROSS JOIN session s ON s.number = f.rowid / {MESSAGES}
             WHERE said MATCH ?1 {within} ORDER BY f.rowid DESC LIMIT {RANKED}"
        );
        let mut statement = reader.prepare_cached(&text)?;
        Ok(ranked(statement.query([query])?, limit)?)
    }
}

/// The best of what was found, which is key, index and text with its matches marked.
fn ranked(mut rows: Rows<'_>, limit: u32) -> rusqlite::Result<Vec<Found>> {
    let (mut best, mut bytes) = (Best::new(limit as usize), 0);
    while let Some(row) = rows.next()?.filter(|_| bytes < RANKED_BYTES) {
        let (key, index, marked) = (row.get_ref(0)?.as_str()?, row.get(1)?, row.get_ref(2)?.as_str()?);
        bytes += marked.len();
        best.offer(rank::score(marked), || Found { key: key.to_owned(), index, snippet: rank::snippet(marked) });
    }
    Ok(best.into_hits().collect())
}

/// Makes the file where it is not there, for its owner alone; what SQLite puts beside it has the same rights.
fn private(path: &Path) -> rusqlite::Result<()> {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let refused = |error: std::io::Error| {
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(error.to_string()),
        )
    };
    made.map(drop).map_err(refused)
}

fn cut(connection: &Connection, number: i64, from: i64) -> rusqlite::Result<()> {
    let (first, last) = (number * MESSAGES + from.min(MESSAGES - 1), (number + 1) * MESSAGES - 1);
    connection.prepare_cached("DELETE FROM said WHERE rowid BETWEEN ? AND ?")?.execute([first, last])?;
    Ok(())
}

fn numbers(connection: &Connection, keys: &BTreeSet<String>) -> rusqlite::Result<String> {
    let mut statement = connection.prepare_cached("SELECT number, key FROM session")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut numbers = Vec::new();
    for row in rows {
        let (number, key) = row?;
        if keys.contains(&key) {
            numbers.push(number.to_string());
        }
    }
    Ok(numbers.join(","))
}
