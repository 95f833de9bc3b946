//! Databases that agents write, opened so that nothing of theirs is disturbed: read-only, no transaction held, and never
//! `immutable`, which would hide what is only in the write-ahead log.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long a writer is waited for.
const BUSY: Duration = Duration::from_secs(3);

/// A database of an agent's.
pub struct Database {
    path: PathBuf,
    open: Option<(Connection, u64)>,
    version: Option<i64>,
}

impl Database {
    /// The one at that path, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: None, version: None }
    }

    /// The connection; `None` where there is no database.
    ///
    /// # Errors
    /// It cannot be opened: not a database, no right to read it.
    pub fn connection(&mut self) -> rusqlite::Result<Option<&Connection>> {
        let inode = match fs::metadata(&self.path) {
            Ok(found) => found.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.open = None;
                return Ok(None);
            }
            Err(_) => 0,
        };
        if self.open.as_ref().is_some_and(|(_, known)| *known != inode) {
            (self.open, self.version) = (None, None);
        }
        if self.open.is_none() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(BUSY)?;
            connection
                .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024; PRAGMA trusted_schema = OFF;")?;
            self.open = Some((connection, inode));
        }
        Ok(self.open.as_ref().map(|(connection, _)| connection))
    }

    /// Whether anything was committed since this was asked last, or could not be told.
    pub fn has_changed(&mut self) -> bool {
        let asked = self
            .connection()
            .ok()
            .flatten()
            .map(|connection| connection.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)));
        let version = asked.and_then(Result::ok);
        let changed = version.is_none() || version != self.version;
        self.version = version;
        changed
    }

    /// The next time it counts as changed.
    pub fn distrust(&mut self) {
        self.version = None;
    }
}

/// Whether a table has a column.
pub fn has_column(connection: &Connection, table: &str, column: &str) -> bool {
    let query = "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?";
    connection.query_row(query, [table, column], |row| row.get::<_, i64>(0)).is_ok_and(|count| count > 0)
}
