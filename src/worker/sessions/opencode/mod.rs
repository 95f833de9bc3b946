//! OpenCode: sessions in a database, and before 1.2 in a tree of files. 1.2 took over the tree and left it where it was, so
//! both are read, and a session that the database has counts from there.

mod files;
mod records;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::formats::Home;
use super::keepers::{Found, Keeper, Keepers, Layout, PAGE};
use super::store::{Wanted, Watched};
use super::talk::{Talk, key};
use crate::contract::sessions::{self, CodingAgent};
use records::{Message, Parts};

/// The sessions of OpenCode below a home.
pub fn store(home: &Home) -> Keepers {
    let root = home.folder_of("XDG_DATA_HOME", ".local/share").join("opencode");
    let named = home.environment.get("OPENCODE_DB").map(|path| root.join(path));
    Keepers::new(Box::new(OpenCode { root, named }))
}

struct OpenCode {
    root: PathBuf,
    /// Where the database is said to be.
    named: Option<PathBuf>,
}

/// The folder of the tree of files.
const TREE: &str = "storage";

impl Layout for OpenCode {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Opencode
    }

    fn watched(&self) -> Vec<Watched> {
        let beside = self.named.as_ref().and_then(|path| path.parent()).filter(|folder| *folder != self.root);
        let beside = beside.map(|folder| Watched { root: folder.to_owned(), depth: 0, but: None });
        // There is a folder for each message: too many to watch, and what is in them is told by the messages.
        let root = Watched { root: self.root.clone(), depth: 3, but: Some(self.root.join(TREE).join("part")) };
        [root].into_iter().chain(beside).collect()
    }

    fn find(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let plain = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let is_one = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("opencode") && name.ends_with(".db") && self.named.as_ref() != Some(path)
        };
        let found = plain.map(|entry| entry.path()).filter(is_one);
        self.named.clone().into_iter().chain(found).chain([self.root.join(TREE)]).collect()
    }

    fn keeper(&self, path: &Path) -> Box<dyn Keeper> {
        match path.ends_with(TREE) {
            true => Box::new(files::Tree::new(path.to_owned())),
            false => Box::new(rows::Rows::new(path.to_owned())),
        }
    }
}

/// A message of these data with these parts, all JSON, as it is given; `None` where it is none.
pub fn read(data: &str, parts: &[&str]) -> Option<sessions::Message> {
    let message = Message::read(Some("msg"), data)?;
    let read = |_: &str| {
        let mut all = Parts::default();
        parts.iter().for_each(|part| all.take(part));
        all
    };
    let talk = records::talk(std::slice::from_ref(&message), None, read);
    let mut draft = records::draft(0, talk.slots().first()?, &message, sessions::ToolDetail::Whole);
    parts.iter().for_each(|part| records::fill(part, &mut draft));
    records::finish(&message, &mut draft);
    Some(draft.finish())
}

/// Where parts of messages are found.
trait PartSource {
    fn parts(&self, message: &str, take: &mut dyn FnMut(&str)) -> Result<(), String>;
}

/// The conversation of a session with these messages, in order.
fn talk(found: &Found, messages: &[Message], source: &dyn PartSource) -> Result<Talk, String> {
    let mut failed = None;
    let talk = records::talk(messages, found.reverted.as_deref(), |message| {
        let mut parts = Parts::default();
        let read = source.parts(message, &mut |data| parts.take(data));
        failed = failed.take().or(read.err());
        parts
    });
    failed.map_or(Ok(talk), Err)
}

/// Messages of a session with these messages, in order.
fn messages(
    found: &Found,
    all: &[Message],
    source: &dyn PartSource,
    wanted: &Wanted,
) -> Result<Vec<sessions::Message>, String> {
    let talk = talk(found, all, source)?;
    let by_key: BTreeMap<u64, &Message> = all.iter().map(|message| (key(&message.id), message)).collect();
    let (mut given, mut size) = (Vec::new(), 0);
    for index in wanted.from.min(talk.len())..wanted.to.min(talk.len()) {
        let slot = &talk.slots()[index as usize];
        let Some(message) = by_key.get(&slot.key) else { continue };
        let mut draft = records::draft(index, slot, message, wanted.tools);
        source.parts(&message.id, &mut |data| {
            size += data.len();
            records::fill(data, &mut draft);
        })?;
        records::finish(message, &mut draft);
        given.push(draft.finish());
        if size > PAGE {
            break;
        }
    }
    Ok(given)
}

/// Up to where a session was taken back.
#[derive(Deserialize)]
struct Revert {
    #[serde(rename = "messageID")]
    message: Option<String>,
}

/// The title, where it is none that OpenCode gives as long as it knows none.
fn title(title: Option<String>) -> Option<String> {
    title.filter(|title| !records::is_placeholder(title))
}
