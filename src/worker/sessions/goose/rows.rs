//! Goose 1.10 and later: a SQLite database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::Connection;

use super::Blocks;
use crate::contract::sessions::Message;
use crate::worker::sessions::database::{Database, has_column};
use crate::worker::sessions::draft::Draft;
use crate::worker::sessions::keepers::{Found, Keeper, Listed, PAGE};
use crate::worker::sessions::store::Wanted;
use crate::worker::sessions::talk::{Span, Talk, key};

/// A database.
pub(super) struct Rows {
    database: Database,
    /// For each session its number of messages, and the highest number of one.
    seen: BTreeMap<String, (i64, i64)>,
}

impl Rows {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { database: Database::new(path), seen: BTreeMap::new() }
    }
}

/// A message: its number, role, content and time in seconds.
type Row = (i64, String, String, i64);

impl Keeper for Rows {
    fn distrust(&mut self) {
        self.seen.clear();
        self.database.distrust();
    }

    fn list(&mut self) -> Result<Option<Listed>, String> {
        if self.database.connection().map_err(text)?.is_some() && !self.database.has_changed() {
            return Ok(None);
        }
        let Some(connection) = self.database.connection().map_err(text)? else {
            return Ok(Some(Listed { found: Vec::new(), touched: BTreeSet::new() }));
        };
        let (found, seen) = sessions(connection).and_then(|found| Ok((found, counts(connection)?))).map_err(text)?;
        let touched = seen.iter().filter(|(id, seen)| self.seen.get(*id) != Some(seen));
        let touched = touched.map(|(id, _)| id.clone()).collect();
        self.seen = seen;
        Ok(Some(Listed { found, touched }))
    }

    fn talks(&mut self, sessions: &[&Found]) -> Result<BTreeMap<String, Talk>, String> {
        let Some(connection) = self.database.connection().map_err(text)? else { return Ok(BTreeMap::new()) };
        let each = sessions.iter().map(|found| Ok((found.id.clone(), talk(&rows(connection, &found.id)?))));
        each.collect::<rusqlite::Result<_>>().map_err(text)
    }

    fn messages(&mut self, session: &Found, wanted: &Wanted) -> Result<Vec<Message>, String> {
        let Some(connection) = self.database.connection().map_err(text)? else { return Ok(Vec::new()) };
        let rows = rows(connection, &session.id).map_err(text)?;
        let talk = talk(&rows);
        let (mut given, mut size) = (Vec::new(), 0);
        for index in wanted.from.min(talk.len())..wanted.to.min(talk.len()) {
            let mut draft = Draft::new(index, &talk.slots()[index as usize], wanted.tools);
            for (_, span) in talk.pieces(index..index + 1) {
                let (number, role, content, _) = &rows[usize::try_from(span.at).unwrap_or(0)];
                size += content.len();
                super::fill(role, &read(content), &number.to_string(), &mut draft);
            }
            given.push(draft.finish());
            if size > PAGE {
                break;
            }
        }
        Ok(given)
    }
}

fn read(content: &str) -> Blocks<'_> {
    serde_json::from_str(content).unwrap_or_default()
}

fn talk(rows: &[Row]) -> Talk {
    let mut talk = Talk::default();
    talk.understand();
    for (place, (number, role, content, created)) in rows.iter().enumerate() {
        // Which row it is, and not where in a file.
        let span = Span { at: place as u64, len: content.len() as u64 };
        super::take(role, &read(content), key(&number.to_string()), created.saturating_mul(1000), span, &mut talk);
    }
    talk
}

fn rows(connection: &Connection, session: &str) -> rusqlite::Result<Vec<Row>> {
    let query = "SELECT id, role, content_json, created_timestamp FROM messages WHERE session_id = ? ORDER BY id";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    rows.collect()
}

fn counts(connection: &Connection) -> rusqlite::Result<BTreeMap<String, (i64, i64)>> {
    let query = "SELECT session_id, count(*), max(id) FROM messages GROUP BY session_id";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

fn sessions(connection: &Connection) -> rusqlite::Result<Vec<Found>> {
    let title = ["name", "description"].into_iter().find(|name| has_column(connection, "sessions", name));
    let title = title.unwrap_or("NULL");
    let mut statement = connection.prepare_cached(&format!("SELECT id, {title}, working_dir FROM sessions"))?;
    let rows = statement.query_map([], |row| {
        Ok(Found { id: row.get(0)?, title: row.get(1)?, directory: row.get(2)?, hidden: false, reverted: None })
    })?;
    rows.collect()
}

fn text(error: rusqlite::Error) -> String {
    format!("its database cannot be read: {error}")
}
