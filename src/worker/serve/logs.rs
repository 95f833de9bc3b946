//! Logs, as they are and as they grow. A file that was set aside in the middle is read to its end first.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::routes::Refusal;
use crate::contract::logs::{self, Lines, LogLine, LogSource, TAIL, TAIL_MAX};

/// Followers at a time.
pub(super) const FOLLOWERS: usize = 64;
/// How often it is looked for more.
const LOOK: Duration = Duration::from_millis(200);
/// After how many looks without more a line that is not whole is sent all the same.
const PATIENCE: u32 = 5;
/// What is read of a file at a time, in bytes.
const CHUNK: u64 = 256 << 10;
/// What is read of a file from its beginning: more than the worker lets one grow to.
const WHOLE: u64 = 4 << 20;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    source: LogSource,
    #[serde(default)]
    tail: Option<u32>,
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/logs?source=…&tail=…&follow=…`: a [`LogLine`] as JSON a line.
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    let permit = Arc::clone(&shared.followers).try_acquire_owned();
    let permit = permit
        .map_err(|_| (StatusCode::TOO_MANY_REQUESTS, format!("{FOLLOWERS} readers of logs are there already")))?;
    let reading = Reading::begin(&shared.places.logs, &wanted, permit);
    let lines = stream::unfold(reading, |mut reading| async move {
        let line = reading.next().await?;
        Some((Ok::<_, Infallible>(line), reading))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// One reader: what it is to get, and where it is in each file.
struct Reading {
    waiting: VecDeque<LogLine>,
    files: Vec<Followed>,
    follow: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reading {
    fn begin(folder: &Path, wanted: &Wanted, permit: OwnedSemaphorePermit) -> Self {
        let tail = usize::try_from(wanted.tail.unwrap_or(TAIL).min(TAIL_MAX)).unwrap_or(usize::MAX);
        let mut waiting = VecDeque::new();
        let mut files = Vec::new();
        for name in wanted.source.files() {
            let mut file = Followed::new(folder, wanted.source, name);
            waiting.extend(file.last(tail));
            files.push(file);
        }
        Self { waiting, files, follow: wanted.follow, _permit: permit }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                let mut line = serde_json::to_vec(&line).ok()?;
                line.push(b'\n');
                return Some(line.into());
            }
            if !self.follow {
                return None;
            }
            // Read only once everything before is sent: a slow reader waits, and costs no memory.
            for file in &mut self.files {
                self.waiting.extend(file.more());
            }
            if self.waiting.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// A file that may be set aside and made anew under its name.
struct Followed {
    source: LogSource,
    from: &'static str,
    path: PathBuf,
    open: Option<File>,
    lines: Lines,
    quiet: u32,
}

impl Followed {
    fn new(folder: &Path, source: LogSource, from: &'static str) -> Self {
        let path = folder.join(format!("{from}.log"));
        Self { source, from, path, open: None, lines: Lines::default(), quiet: 0 }
    }

    /// The last lines that are there, those of the older file included. What follows comes after them.
    fn last(&mut self, tail: usize) -> Vec<LogLine> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        let mut all = Vec::new();
        let opened = File::open(&self.path).ok();
        for file in File::open(older).ok().iter().chain(&opened) {
            // What cannot be read is not there.
            let _ = file.take(WHOLE).read_to_end(&mut all);
        }
        self.open = opened;
        // The end of a line that is not whole is told with what follows.
        let whole = all.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = logs::last(&all[..whole], tail);
        self.lines.push(&all[whole..]);
        lines.into_iter().map(|line| self.line(line)).collect()
    }

    /// What has come since.
    fn more(&mut self) -> Vec<LogLine> {
        if self.open.is_none() {
            self.open = File::open(&self.path).ok();
        }
        let mut chunk = Vec::new();
        if let Some(file) = &mut self.open {
            let _ = file.take(CHUNK).read_to_end(&mut chunk);
        }
        if chunk.is_empty() && self.is_set_aside() {
            self.open = None;
        }
        self.quiet = if chunk.is_empty() { self.quiet.saturating_add(1) } else { 0 };
        let mut lines = self.lines.push(&chunk);
        if self.quiet == PATIENCE {
            lines.extend(self.lines.rest());
        }
        lines.into_iter().map(|line| self.line(line)).collect()
    }

    fn is_set_aside(&self) -> bool {
        let inode = |metadata: std::io::Result<std::fs::Metadata>| metadata.map(|metadata| metadata.ino()).ok();
        let open = self.open.as_ref().and_then(|file| inode(file.metadata()));
        open.is_some() && inode(std::fs::metadata(&self.path)).is_some_and(|there| Some(there) != open)
    }

    fn line(&self, line: String) -> LogLine {
        LogLine { source: self.source, from: self.from.to_owned(), line }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn texts(lines: Vec<LogLine>) -> Vec<String> {
        lines.into_iter().map(|line| line.line).collect()
    }

    #[test]
    fn what_was_set_aside_is_read_to_its_end_before_the_new_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hooks.log");
        let mut file = Followed::new(folder.path(), LogSource::Hooks, "hooks");
        assert_eq!(texts(file.last(9)), [""; 0]);
        assert_eq!(texts(file.more()), [""; 0], "it is not there yet");
        fs::write(&path, "one\ntwo\n").expect("written");
        assert_eq!(texts(file.more()), ["one", "two"]);
        let mut writer = fs::OpenOptions::new().append(true).open(&path).expect("opened");
        writer.write_all(b"three\n").expect("written");
        fs::rename(&path, folder.path().join("hooks.log.1")).expect("set aside");
        fs::write(&path, "four\nfi").expect("written");
        let mut all = Vec::new();
        for _ in 0..3 {
            all.extend(texts(file.more()));
        }
        assert_eq!(all, ["three", "four"]);
        for _ in 0..PATIENCE {
            all.extend(texts(file.more()));
        }
        assert_eq!(all, ["three", "four", "fi"], "it stays without an end");
    }

    #[test]
    fn the_last_lines_go_back_into_the_older_file_and_what_follows_comes_after_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hooks.log");
        fs::write(folder.path().join("hooks.log.1"), "one\ntwo\n").expect("written");
        fs::write(&path, "three\nfo").expect("written");
        let mut file = Followed::new(folder.path(), LogSource::Hooks, "hooks");
        assert_eq!(texts(file.last(2)), ["two", "three"]);
        let mut writer = fs::OpenOptions::new().append(true).open(&path).expect("opened");
        writer.write_all(b"ur\n").expect("written");
        assert_eq!(texts(file.more()), ["four"]);
    }
}
