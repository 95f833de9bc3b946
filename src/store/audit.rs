//! Who did what, `audit.log`: one JSON object a line for every change that was asked for and every refusal, never with a
//! secret in it.
//!
//! Two files of a few megabytes at most: the log, and `audit.log.1` before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::files::AUDIT;

/// The most bytes of one file.
const MOST: u64 = 8 << 20;

/// What somebody did or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// When it was answered.
    pub at: Timestamp,
    /// The token's name; absent where nobody said who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<&'a str>,
    /// The token's id, which no other token ever has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// The procedure, or the path that was asked for.
    pub what: &'a str,
    /// The workspaces or tokens that it was about.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub of: &'a [String],
    /// `ok`, or the code of the error.
    pub result: &'a str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'a str>,
}

/// Keeps records.
pub trait Records: Send + Sync {
    /// Writes one down.
    fn record(&self, record: &Record<'_>);
}

/// The log of a folder.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: Option<File>,
    length: u64,
    /// The last line could not be written, and that was said.
    failing: bool,
}

impl Audit {
    /// The log of a folder, which must exist. It is opened with the first record.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join(AUDIT), open: Mutex::new(Open { file: None, length: 0, failing: false }) }
    }
}

impl Records for Audit {
    /// Whoever calls it goes on where it fails: a full disk must not take stop and delete away. It is said in the log.
    fn record(&self, record: &Record<'_>) {
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.append(&self.path, &line) {
            Ok(()) => open.failing = false,
            Err(error) => {
                open.file = None;
                if !std::mem::replace(&mut open.failing, true) {
                    tracing::warn!("{AUDIT} cannot be written, so that what people do is not on record: {error}");
                }
            }
        }
    }
}

impl Open {
    fn append(&mut self, path: &Path, line: &[u8]) -> io::Result<()> {
        if self.file.is_some() && self.length + line.len() as u64 > MOST {
            self.file = None;
            fs::rename(path, path.with_extension("log.1"))?;
        }
        if self.file.is_none() {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            self.length = file.metadata()?.len();
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            // One write a line, so that lines of two processes do not mix.
            file.write_all(line)?;
            self.length += line.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(what: &str) -> Record<'_> {
        Record {
            at: Timestamp::UNIX_EPOCH,
            who: Some("phone"),
            token: Some("a1"),
            from: "127.0.0.1".parse().ok(),
            what,
            of: &[],
            result: "ok",
            why: None,
        }
    }

    #[test]
    fn a_record_is_a_line_and_lines_of_earlier_agents_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        Audit::new(folder.path()).record(&record("workspaces/create"));
        Audit::new(folder.path()).record(&record("quote \" and\nbreak"));
        let text = fs::read_to_string(folder.path().join(AUDIT)).expect("there");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(
            (lines.len(), &lines[0]["who"], &lines[1]["what"]),
            (2, &"phone".into(), &"quote \" and\nbreak".into())
        );
    }

    #[test]
    fn it_takes_two_files_at_most() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::new(folder.path());
        let long = "x".repeat(1 << 20);
        (0..20).for_each(|_| audit.record(&record(&long)));
        let length = |name: &str| fs::metadata(folder.path().join(name)).expect("there").len();
        assert!(length(AUDIT) <= MOST && length("audit.log.1") <= MOST);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2);
    }

    #[test]
    fn where_it_cannot_be_written_nobody_is_stopped_and_it_goes_on_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::new(folder.path());
        fs::create_dir(folder.path().join(AUDIT)).expect("in the way");
        audit.record(&record("lost"));
        fs::remove_dir(folder.path().join(AUDIT)).expect("away");
        audit.record(&record("kept"));
        assert!(fs::read_to_string(folder.path().join(AUDIT)).expect("there").contains("kept"));
    }
}
