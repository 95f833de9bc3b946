//! Titles that logs hold for other sessions, each by a record of the one that is meant: as Claude Code wrote them before 2.1.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::worker::sessions::talk::{Key, key};
use crate::worker::sessions::text;

/// By folder: a log holds titles for those beside it.
#[derive(Default)]
pub(super) struct Titles {
    folders: BTreeMap<PathBuf, Held>,
    /// Folders where they have changed.
    changed: BTreeSet<PathBuf>,
    /// They may have changed anywhere, before this was begun.
    doubted: bool,
}

#[derive(Default)]
struct Held {
    logs: BTreeMap<String, Vec<(Key, String)>>,
    /// Another one where any title differs.
    version: u64,
}

fn folder(log: &str) -> &Path {
    Path::new(log).parent().unwrap_or(Path::new(""))
}

fn version(log: &str, titles: &[(Key, String)]) -> u64 {
    if titles.is_empty() { 0 } else { key(&format!("{log} {titles:?}")) }
}

impl Titles {
    /// A log holds these now.
    pub(super) fn learn(&mut self, log: &str, titles: &[(Key, String)]) {
        let before = self.folders.get(folder(log)).and_then(|held| held.logs.get(log));
        let before = before.map_or(&[][..], Vec::as_slice);
        if before == titles {
            return;
        }
        let differs = version(log, before) ^ version(log, titles);
        let held = self.folders.entry(folder(log).to_owned()).or_default();
        held.version ^= differs;
        match titles.is_empty() {
            true => drop(held.logs.remove(log)),
            false => drop(held.logs.insert(log.to_owned(), titles.to_vec())),
        }
        self.changed.insert(folder(log).to_owned());
    }

    /// The title for a log whose records are where `position` says: of several the one of the latest record.
    pub(super) fn of(&self, log: &str, position: impl Fn(Key) -> Option<u32>) -> Option<String> {
        let held = self.folders.get(folder(log))?;
        let placed = held.logs.values().flatten().filter_map(|(record, title)| Some((position(*record)?, title)));
        placed.max_by_key(|(place, _)| *place).map(|(_, title)| text::title(title))
    }

    /// Another number where there may be another title for that log.
    pub(super) fn version(&self, log: &str) -> u64 {
        self.folders.get(folder(log)).map_or(0, |held| held.version)
    }

    /// They may have changed anywhere.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Whether titles beside that log may have changed since [`Titles::settle`].
    pub(super) fn have_changed(&self, log: &str) -> bool {
        self.doubted || self.changed.contains(folder(log))
    }

    /// Every log has the title that is for it.
    pub(super) fn settle(&mut self) {
        self.changed.clear();
        self.doubted = false;
    }
}
