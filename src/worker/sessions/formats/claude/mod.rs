//! Claude Code: one log for each session, of which most records are bookkeeping. An answer is written a block a record.

mod records;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Asides, Fold, Format, Home, Place, Text, lenient, millis};
use crate::contract::sessions::{CodingAgent, MessageRole, ToolStatus};
use records::{Record, Said, Spoken};

use crate::worker::sessions::draft::{Draft, output_text};
use crate::worker::sessions::talk::{Key, Span, Talk, key};

/// Claude Code, 1.0 and later.
pub struct Claude;

/// Titles for other sessions that are kept of one log.
const TITLES: usize = 1000;

impl Format for Claude {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Claude
    }

    fn root(&self, home: &Home) -> PathBuf {
        home.folder_of("CLAUDE_CONFIG_DIR", ".claude").join("projects")
    }

    fn depth(&self) -> usize {
        2
    }

    fn place(&self, path: &Path) -> Place {
        let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
        match names[..] {
            [_, file] if !file.starts_with("agent-") => match file.strip_suffix(".jsonl") {
                Some(session) => Place::log(&names.join("/"), session),
                None => Place::Nothing,
            },
            [_, _, "custom-title.json" | "archived.json"] => Place::Aside,
            _ => Place::Nothing,
        }
    }

    fn aside(&self, path: &Path, content: &[u8], asides: &mut Asides) {
        let session = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(beside) = serde_json::from_slice::<Beside>(content) else { return };
        if path.ends_with("archived.json") && beside.archived == Some(true) {
            asides.archived.insert(session.to_owned());
        }
        if let Some(title) = beside.custom_title.or(beside.title).filter(|_| path.ends_with("custom-title.json")) {
            asides.names.insert(session.to_owned(), title);
        }
    }

    super::followed_by!(Following);

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        let Ok(record) = serde_json::from_slice::<Record<'_>>(record) else { return };
        match record.said() {
            Some(Said::Prompt { id, text, .. }) if draft.role() == MessageRole::User => {
                draft.id(id);
                draft.text(&text);
            }
            Some(Said::Answer { message, failed }) => fill_answer(message, failed, draft),
            Some(Said::Results(message)) => {
                for result in message.results() {
                    let failed = result.is_error == Some(true);
                    draft.outcome(&result.tool_use_id, if failed { ToolStatus::Error } else { ToolStatus::Ok });
                    if let Some(content) = result.content {
                        draft.output(&result.tool_use_id, &output_text(content));
                    }
                }
            }
            _ => {}
        }
    }
}

fn fill_answer(message: &Spoken<'_>, failed: bool, draft: &mut Draft) {
    draft.id(message.id.as_deref().unwrap_or_default());
    if failed {
        draft.error();
    }
    for block in message.content.blocks() {
        match &*block.kind {
            "text" => draft.text(block.text.as_deref().unwrap_or_default()),
            "thinking" => draft.thinking(block.thinking.as_deref().unwrap_or_default()),
            "tool_use" => {
                let (id, name) = (block.id.as_deref().unwrap_or_default(), block.name.as_deref().unwrap_or_default());
                draft.call(id, name, block.input.map(RawValue::get));
            }
            _ => {}
        }
    }
}

/// A file beside a log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beside {
    archived: Option<bool>,
    custom_title: Option<String>,
    title: Option<String>,
}

/// The state of a log's reading.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Following {
    /// For each record that may be named as a parent: messages there were after it, and its place among them.
    nodes: HashMap<Key, (u32, u32)>,
    /// Titles of other sessions, by a record of theirs.
    titles: Vec<(Key, String)>,
}

impl Fold for Following {
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk) {
        let Ok(record) = serde_json::from_slice::<Record<'_>>(record) else { return };
        if record.kind.is_some() {
            talk.understand();
        }
        if record.is_sidechain == Some(true) {
            return;
        }
        if let Some(cwd) = record.cwd.as_ref().filter(|_| talk.facts.cwd.is_none()) {
            talk.facts.cwd = Some(cwd.to_string());
        }
        self.heed(&record, span, talk);
        if let Some(uuid) = &record.uuid {
            let place = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            self.nodes.insert(key(uuid), (talk.len(), place));
        }
    }

    super::saved_by_value!();

    fn footprint(&self) -> usize {
        self.nodes.capacity() * 24 + 256
    }

    fn titles_of_others(&self) -> &[(Key, String)] {
        &self.titles
    }

    fn position(&self, record: Key) -> Option<u32> {
        self.nodes.get(&record).map(|(_, place)| *place)
    }
}

impl Following {
    fn heed(&mut self, record: &Record<'_>, span: Span, talk: &mut Talk) {
        let at = millis(record.timestamp.as_ref());
        match record.said() {
            Some(Said::Prompt { id, text, at }) => {
                // Where it hangs on an earlier record, what came after that was taken back.
                let parent = record.parent_uuid.as_ref().and_then(|parent| self.nodes.get(&key(parent)));
                if let Some((then, _)) = parent {
                    talk.truncate(*then);
                }
                talk.prompt(key(id), at, span, &text);
            }
            Some(Said::Answer { message, .. }) => take_answer(message, record, span, talk),
            Some(Said::Results(message)) => {
                for result in message.results() {
                    talk.result(key(&result.tool_use_id), at, span, true);
                }
            }
            Some(Said::Interrupted) => talk.end(),
            None => self.heed_aside(record, talk),
        }
    }

    fn heed_aside(&mut self, record: &Record<'_>, talk: &mut Talk) {
        match record.kind.as_deref() {
            Some("custom-title") => {
                talk.facts.name = lenient::<Text<'_>>(record.custom_title).map(|title| title.to_string());
            }
            Some("ai-title") => {
                talk.facts.generated = lenient::<Text<'_>>(record.ai_title).map(|title| title.to_string());
            }
            Some("summary") if self.titles.len() < TITLES => {
                let leaf = lenient::<Text<'_>>(record.leaf_uuid);
                let title = lenient::<Text<'_>>(record.summary);
                self.titles.extend(leaf.zip(title).map(|(leaf, title)| (key(&leaf), title.to_string())));
            }
            Some("system") if lenient::<Text<'_>>(record.subtype).as_deref() == Some("turn_duration") => talk.end(),
            _ => {}
        }
    }
}

fn take_answer(message: &Spoken<'_>, record: &Record<'_>, span: Span, talk: &mut Talk) {
    let name = message.id.as_ref().or(record.uuid.as_ref());
    let slot = talk.answer(key(name.map_or("", |name| name)), millis(record.timestamp.as_ref()), span);
    let mut last_is_text = false;
    for block in message.content.blocks() {
        last_is_text = &*block.kind == "text";
        if &*block.kind == "tool_use" {
            talk.call(slot, key(block.id.as_deref().unwrap_or_default()));
        }
    }
    let stop = lenient::<Text<'_>>(message.stop_reason);
    // Before 2.0 it is never told; then an answer that ends in words is the last one.
    if stop.map_or(last_is_text, |stop| &*stop != "tool_use" && &*stop != "pause_turn") && !talk.is_calling() {
        talk.end();
    }
}
