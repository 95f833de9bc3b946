//! pi: a log of entries that form a tree; what counts is the way from the latest one to the root.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lenient::{Content, Maybe};
use super::{Fold, Format, Home, Place, Text, millis};
use crate::contract::sessions::{CodingAgent, MessageRole, ToolStatus};
use crate::worker::sessions::draft::Draft;
use crate::worker::sessions::talk::{Key, Millis, Span, Talk, key};
use crate::worker::sessions::text;

/// pi, 0.73 and later.
pub struct Pi;

impl Format for Pi {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Pi
    }

    fn root(&self, home: &Home) -> PathBuf {
        match home.environment.get("PI_CODING_AGENT_SESSION_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(folder) => folder,
            None => home.folder_of("PI_CODING_AGENT_DIR", ".pi/agent").join("sessions"),
        }
    }

    fn depth(&self) -> usize {
        1
    }

    fn place(&self, path: &Path) -> Place {
        let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
        match names[..] {
            // A folder that was named holds them without one for each project.
            [.., file] if names.len() <= 2 && file.ends_with(".jsonl") => Place::log(&names.join("/"), ""),
            _ => Place::Nothing,
        }
    }

    super::followed_by!(Following);

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        let Some(message) = line.message.0.as_ref() else { return };
        match message.role.as_deref() {
            Some("user") if draft.role() == MessageRole::User => {
                draft.id(line.id.as_deref().unwrap_or_default());
                draft.text(&message.text());
            }
            Some("bashExecution") => {
                draft.id(line.id.as_deref().unwrap_or_default());
                draft.text(&message.typed());
            }
            Some("assistant") => {
                draft.id(line.id.as_deref().unwrap_or_default());
                fill_answer(message, draft);
            }
            Some("toolResult") => {
                let call = message.tool_call_id.as_deref().unwrap_or_default();
                let failed = message.is_error == Some(true);
                draft.outcome(call, if failed { ToolStatus::Error } else { ToolStatus::Ok });
                draft.output(call, &message.text());
            }
            _ => {}
        }
    }
}

fn fill_answer(message: &Spoken<'_>, draft: &mut Draft) {
    for block in message.content.blocks() {
        match &*block.kind {
            "text" => draft.text(block.text.as_deref().unwrap_or_default()),
            "thinking" => draft.thinking(block.thinking.as_deref().unwrap_or_default()),
            "toolCall" => {
                let (id, name) = (block.id.as_deref().unwrap_or_default(), block.name.as_deref().unwrap_or_default());
                draft.call(id, name, block.arguments.map(RawValue::get));
            }
            _ => {}
        }
    }
    if matches!(message.stop_reason.as_deref(), Some("error" | "aborted")) {
        draft.text(message.error_message.as_deref().unwrap_or_default());
        draft.error();
    }
}

/// What an entry means for the conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Meaning {
    Prompt(String),
    Answer { calls: Vec<Key>, ends: bool },
    Result(Key),
    Nothing,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    key: Key,
    parent: Option<u32>,
    at: Millis,
    span: Span,
    meaning: Meaning,
}

/// The state of a log's reading.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Following {
    entries: Vec<Entry>,
    by_key: HashMap<Key, u32>,
}

impl Fold for Following {
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        if line.kind.is_some() {
            talk.understand();
        }
        match line.kind.as_deref() {
            Some("session") => {
                talk.facts.id = line.id.map(|id| id.to_string());
                talk.facts.cwd = line.cwd.map(|cwd| cwd.to_string());
                return;
            }
            Some("session_info") => talk.facts.name = line.name.as_ref().map(|name| name.to_string()),
            _ => {}
        }
        let Some(id) = line.id.as_ref() else { return };
        let tip = u32::try_from(self.entries.len()).unwrap_or(u32::MAX).checked_sub(1);
        // Where a damaged line is missing its children hang on what was before.
        let known = line.parent_id.as_ref().map(|parent| self.by_key.get(&key(parent)).copied().or(tip));
        let parent = known.unwrap_or(None);
        let entry = Entry { key: key(id), parent, at: millis(line.timestamp.as_ref()), span, meaning: line.meaning() };
        self.by_key.insert(entry.key, tip.map_or(0, |tip| tip + 1));
        self.entries.push(entry);
        if parent == tip {
            self.entries[self.entries.len() - 1].apply(talk);
        } else {
            self.switch(talk);
        }
    }

    super::saved_by_value!();

    fn footprint(&self) -> usize {
        self.entries.capacity() * 104 + self.by_key.capacity() * 16
    }
}

impl Following {
    /// Another branch: the conversation is the way to the latest entry.
    fn switch(&self, talk: &mut Talk) {
        let mut way = Vec::new();
        let mut at = self.entries.len().checked_sub(1);
        while let Some(entry) = at.and_then(|at| self.entries.get(at)) {
            way.push(entry);
            at = entry.parent.map(|parent| parent as usize);
        }
        let mut other = Talk::default();
        other.facts = talk.facts.clone();
        other.understand();
        way.iter().rev().for_each(|entry| entry.apply(&mut other));
        other.succeed(talk);
        *talk = other;
    }
}

impl Entry {
    fn apply(&self, talk: &mut Talk) {
        match &self.meaning {
            Meaning::Prompt(said) => talk.prompt(self.key, self.at, self.span, said),
            Meaning::Answer { calls, ends } => {
                let slot = talk.answer(self.key, self.at, self.span);
                calls.iter().for_each(|call| talk.call(slot, *call));
                if *ends {
                    talk.end();
                }
            }
            Meaning::Result(call) => talk.result(*call, self.at, self.span, true),
            Meaning::Nothing => {}
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    parent_id: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    cwd: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Maybe<Spoken<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spoken<'a> {
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Content<'a, Block<'a>>,
    #[serde(borrow)]
    command: Option<Text<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    is_error: Option<bool>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    error_message: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Line<'_> {
    fn meaning(&self) -> Meaning {
        let Some(message) = self.message.0.as_ref().filter(|_| self.kind.as_deref() == Some("message")) else {
            return Meaning::Nothing;
        };
        match message.role.as_deref() {
            Some("user") => Meaning::Prompt(text::title(&message.text())),
            Some("bashExecution") => Meaning::Prompt(text::title(&message.typed())),
            Some("assistant") => {
                let calls = message.content.blocks().iter().filter(|block| &*block.kind == "toolCall");
                let calls: Vec<Key> = calls.map(|block| key(block.id.as_deref().unwrap_or_default())).collect();
                let stop = message.stop_reason.as_deref();
                Meaning::Answer { ends: stop.map_or(calls.is_empty(), |stop| stop != "toolUse"), calls }
            }
            Some("toolResult") => Meaning::Result(key(message.tool_call_id.as_deref().unwrap_or_default())),
            _ => Meaning::Nothing,
        }
    }
}

impl Spoken<'_> {
    fn text(&self) -> String {
        self.content.text(|block| block.text.as_deref().filter(|_| &*block.kind == "text"))
    }

    fn typed(&self) -> String {
        format!("! {}", self.command.as_deref().unwrap_or_default().trim())
    }
}
