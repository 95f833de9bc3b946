//! OpenCode 1.2 and later: a SQLite database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::{Connection, params};

use super::records::Message;
use super::{Found, Keeper, PartSource, Revert, Wanted};
use crate::contract::sessions;
use crate::worker::sessions::database::{Database, has_column};
use crate::worker::sessions::keepers::Listed;
use crate::worker::sessions::talk::{Millis, Talk};

/// How far a message's time may be behind that of one before, in milliseconds.
const BEHIND: Millis = 5000;

/// A database.
pub(super) struct Rows {
    database: Database,
    /// The last event that was seen; 0 where there are none.
    event: i64,
    /// The latest time of any message that was seen, where there are no events.
    updated: Millis,
}

impl Rows {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { database: Database::new(path), event: 0, updated: 0 }
    }
}

impl PartSource for Connection {
    fn parts(&self, message: &str, take: &mut dyn FnMut(&str)) -> Result<(), String> {
        let read = |take: &mut dyn FnMut(&str)| {
            let mut statement = self.prepare_cached("SELECT data FROM part WHERE message_id = ? ORDER BY id")?;
            let mut rows = statement.query(params![message])?;
            while let Some(row) = rows.next()? {
                take(row.get_ref(0)?.as_str()?);
            }
            Ok(())
        };
        read(take).map_err(text)
    }
}

impl Keeper for Rows {
    fn distrust(&mut self) {
        (self.event, self.updated) = (0, 0);
        self.database.distrust();
    }

    fn list(&mut self) -> Result<Option<Listed>, String> {
        if self.database.connection().map_err(text)?.is_none() {
            return Ok(Some(Listed { found: Vec::new(), touched: BTreeSet::new() }));
        }
        if !self.database.has_changed() {
            return Ok(None);
        }
        let Some(connection) = self.database.connection().map_err(text)? else { return Ok(None) };
        let found = sessions(connection).map_err(text)?;
        let (event, updated) = latest(connection).map_err(text)?;
        let touched = touched(connection, (self.event, self.updated), event).map_err(text)?;
        let touched = touched.unwrap_or_else(|| found.iter().map(|found| found.id.clone()).collect());
        (self.event, self.updated) = (event, updated);
        Ok(Some(Listed { found, touched }))
    }

    fn outline(&mut self) -> Result<BTreeMap<String, (u32, Millis)>, String> {
        let Some(connection) = self.database.connection().map_err(text)? else { return Ok(BTreeMap::new()) };
        outline(connection).map_err(text)
    }

    fn talks(&mut self, sessions: &[&Found]) -> Result<BTreeMap<String, Talk>, String> {
        let Some(connection) = self.database.connection().map_err(text)? else { return Ok(BTreeMap::new()) };
        let each = sessions.iter().map(|found| {
            let messages = messages(connection, &found.id).map_err(text)?;
            Ok((found.id.clone(), super::talk(found, &messages, connection)?))
        });
        each.collect()
    }

    fn messages(&mut self, session: &Found, wanted: &Wanted) -> Result<Vec<sessions::Message>, String> {
        let Some(connection) = self.database.connection().map_err(text)? else { return Ok(Vec::new()) };
        super::messages(session, &messages(connection, &session.id).map_err(text)?, connection, wanted)
    }
}

/// The latest event, and where there are none the latest time of a message.
fn latest(connection: &Connection) -> rusqlite::Result<(i64, Millis)> {
    let max = |query: &str| connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0));
    let event = max("SELECT max(rowid) FROM event").ok().flatten().unwrap_or(0);
    let updated = if event > 0 { 0 } else { max("SELECT max(time_updated) FROM message")?.unwrap_or(0) };
    Ok((event, updated))
}

/// The sessions that were touched since then; `None` where that cannot be told.
fn touched(connection: &Connection, since: (i64, Millis), event: i64) -> rusqlite::Result<Option<BTreeSet<String>>> {
    let names = |query: &str, after: i64| {
        let mut statement = connection.prepare_cached(query)?;
        let rows = statement.query_map([after], |row| row.get::<_, String>(0))?;
        rows.collect::<rusqlite::Result<BTreeSet<_>>>()
    };
    match since {
        (seen, _) if seen > 0 && event >= seen => {
            names("SELECT DISTINCT aggregate_id FROM event WHERE rowid > ?", seen).map(Some)
        }
        (0, updated) if updated > 0 && event == 0 => {
            names("SELECT DISTINCT session_id FROM message WHERE time_updated >= ?", updated - BEHIND).map(Some)
        }
        _ => Ok(None),
    }
}

/// What an index tells without the messages.
fn outline(connection: &Connection) -> rusqlite::Result<BTreeMap<String, (u32, Millis)>> {
    let query = "SELECT session_id, count(*), max(time_created) FROM message GROUP BY session_id";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

fn messages(connection: &Connection, session: &str) -> rusqlite::Result<Vec<Message>> {
    // Ids wrap around every 795 days: the time comes first.
    let query = "SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([session])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.extend(Message::read(Some(row.get_ref(0)?.as_str()?), row.get_ref(1)?.as_str()?));
    }
    Ok(all)
}

fn sessions(connection: &Connection) -> rusqlite::Result<Vec<Found>> {
    // Columns come and go: what is missing is nothing.
    let column = |name: &str| if has_column(connection, "session", name) { name.to_owned() } else { "NULL".to_owned() };
    let columns = ["directory", "title", "parent_id", "time_archived", "revert"].map(column).join(", ");
    let mut statement = connection.prepare_cached(&format!("SELECT id, {columns} FROM session"))?;
    let rows = statement.query_map([], |row| {
        let revert = row.get::<_, Option<String>>(5)?;
        let revert = revert.and_then(|revert| serde_json::from_str::<Revert>(&revert).ok());
        Ok(Found {
            id: row.get(0)?,
            directory: row.get(1)?,
            title: super::title(row.get(2)?),
            hidden: row.get::<_, Option<String>>(3)?.is_some() || row.get::<_, Option<i64>>(4)?.is_some(),
            reverted: revert.and_then(|revert| revert.message),
        })
    })?;
    rows.collect()
}

fn text(error: rusqlite::Error) -> String {
    format!("its database cannot be read: {error}")
}
