//! What was learnt of sessions, so that a worker that starts reads only what is new. It may be lost at any time: then all is
//! read again. One of another version of Perry counts as lost.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::formats::Home;
use crate::contract::sessions::CodingAgent;

/// How long another process that writes is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// The form of what is written down.
const FORM: &str = concat!(env!("CARGO_PKG_VERSION"), "/4");

/// A cache in a file.
pub struct Cache(Mutex<Connection>);

impl Cache {
    /// That of a home; none where there is no home, which is not made for it, or where it cannot be made: everything works
    /// without, but slower.
    pub fn of(home: &Home) -> Option<Arc<Self>> {
        let is_there = home.folder.is_dir();
        is_there.then(|| Self::open(&home.cache()).ok().map(Arc::new)).flatten()
    }

    /// Opens or makes it; a broken one is made anew.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        if let Some(folder) = path.parent() {
            // Where that fails opening does too.
            let _ = fs::create_dir_all(folder);
        }
        Self::try_open(path).or_else(|_| {
            for suffix in ["", "-wal", "-shm"] {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                let _ = fs::remove_file(name);
            }
            Self::try_open(path)
        })
    }

    fn try_open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // What a crash of the machine breaks is read again; one of this process breaks nothing.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -256;
             CREATE TABLE IF NOT EXISTS form (text TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS unit (agent TEXT NOT NULL, name TEXT NOT NULL, kept BLOB NOT NULL, body BLOB,
                 PRIMARY KEY (agent, name)) WITHOUT ROWID;",
        )?;
        let form: Option<String> = connection.query_row("SELECT text FROM form", [], |row| row.get(0)).optional()?;
        if form.as_deref() != Some(FORM) {
            connection.execute_batch("BEGIN; DELETE FROM unit; DELETE FROM form;")?;
            connection.execute("INSERT INTO form VALUES (?)", [FORM])?;
            connection.execute_batch("COMMIT")?;
        }
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All conversations of an agent, without what it takes to go on with them.
    pub fn units(&self, agent: CodingAgent) -> Vec<(String, Vec<u8>)> {
        let read = || {
            let connection = self.connection();
            let mut statement = connection.prepare("SELECT name, kept FROM unit WHERE agent = ?")?;
            let rows = statement.query_map([agent.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().unwrap_or_default()
    }

    /// What it takes to go on with a conversation.
    pub fn body(&self, agent: CodingAgent, name: &str) -> Option<Vec<u8>> {
        let query = "SELECT body FROM unit WHERE agent = ? AND name = ?";
        self.connection().query_row(query, params![agent.name(), name], |row| row.get(0)).optional().ok()??
    }

    /// Writes one down. Where that fails it is read again another time.
    pub fn save(&self, agent: CodingAgent, name: &str, kept: &[u8], body: Option<&[u8]>) {
        let query = "INSERT OR REPLACE INTO unit VALUES (?, ?, ?, ?)";
        let _ = self.connection().execute(query, params![agent.name(), name, kept, body]);
    }

    /// Forgets one.
    pub fn remove(&self, agent: CodingAgent, name: &str) {
        let query = "DELETE FROM unit WHERE agent = ? AND name = ?";
        let _ = self.connection().execute(query, params![agent.name(), name]);
    }
}
