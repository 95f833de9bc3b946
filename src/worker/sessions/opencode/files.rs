//! OpenCode before 1.2: a tree of JSON files, a file for each session, message and part.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use super::records::Message;
use super::{Found, Keeper, PartSource, Revert, Wanted};
use crate::contract::sessions;
use crate::worker::sessions::formats::lenient::Maybe;
use crate::worker::sessions::keepers::Listed;
use crate::worker::sessions::talk::Talk;

/// The largest file that is read, in bytes.
const FILE: u64 = 8 << 20;

/// What was seen of a session: when its own file and those of its messages were written.
type Seen = Vec<(PathBuf, SystemTime)>;

/// A tree of files.
pub(super) struct Tree {
    root: PathBuf,
    /// By the file of the session.
    seen: BTreeMap<PathBuf, (Found, Seen)>,
}

#[derive(Deserialize)]
struct Session {
    id: String,
    directory: Option<String>,
    title: Option<String>,
    #[serde(rename = "parentID")]
    parent: Option<String>,
    revert: Option<Revert>,
    #[serde(default)]
    time: Maybe<Time>,
}

#[derive(Deserialize)]
struct Time {
    archived: Option<f64>,
}

impl Tree {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new() }
    }

    fn read(&self, session: &str) -> Vec<Message> {
        let files = folder(&self.root.join("message").join(session));
        let mut messages: Vec<Message> = files.iter().filter_map(|path| Message::read(None, &read(path)?)).collect();
        messages.sort_by(|one, other| one.created.cmp(&other.created).then_with(|| one.id.cmp(&other.id)));
        messages
    }
}

impl PartSource for Tree {
    fn parts(&self, message: &str, take: &mut dyn FnMut(&str)) -> Result<(), String> {
        for path in folder(&self.root.join("part").join(message)) {
            if let Some(text) = read(&path) {
                take(&text);
            }
        }
        Ok(())
    }
}

impl Keeper for Tree {
    fn distrust(&mut self) {
        self.seen.values_mut().for_each(|(_, seen)| seen.clear());
    }

    fn list(&mut self) -> Result<Option<Listed>, String> {
        let (mut touched, mut now) = (BTreeSet::new(), BTreeMap::new());
        for path in folder(&self.root.join("session")).iter().flat_map(|project| folder(project)) {
            let before = self.seen.get(&path);
            // One that is just being written stays what it was until it can be read.
            let Some(found) = session(&path).or_else(|| before.map(|(found, _)| found.clone())) else { continue };
            let messages = folder(&self.root.join("message").join(&found.id));
            let files = [path.clone()].into_iter().chain(messages);
            let seen: Seen = files.map(|path| (path.clone(), modified(&path))).collect();
            if before.is_none_or(|(_, known)| *known != seen) {
                touched.insert(found.id.clone());
            }
            now.insert(path, (found, seen));
        }
        self.seen = now;
        let found = self.seen.values().map(|(found, _)| found.clone()).collect();
        Ok(Some(Listed { found, touched }))
    }

    fn talks(&mut self, sessions: &[&Found]) -> Result<BTreeMap<String, Talk>, String> {
        let each =
            sessions.iter().map(|found| Ok((found.id.clone(), super::talk(found, &self.read(&found.id), self)?)));
        each.collect()
    }

    fn messages(&mut self, session: &Found, wanted: &Wanted) -> Result<Vec<sessions::Message>, String> {
        super::messages(session, &self.read(&session.id), self, wanted)
    }
}

fn session(path: &Path) -> Option<Found> {
    let session: Session = serde_json::from_str(&read(path)?).ok()?;
    let archived = session.time.0.is_some_and(|time| time.archived.is_some());
    Some(Found {
        id: session.id,
        directory: session.directory,
        title: super::title(session.title),
        hidden: session.parent.is_some() || archived,
        reverted: session.revert.and_then(|revert| revert.message),
    })
}

/// What is in a folder, in order of names. Links are not followed.
fn folder(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let plain = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    let mut paths: Vec<PathBuf> = plain.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A file that was rewritten and not yet cut off may have more behind its object: that is not wanted.
fn read(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(FILE).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<&serde_json::value::RawValue>();
    let first = values.next()?.ok()?.get().to_owned();
    Some(first)
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
