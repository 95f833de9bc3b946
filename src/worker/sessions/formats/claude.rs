//! Claude Code: one log for each session, of which most records are bookkeeping. An answer is written a block a record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lenient::{Content, Maybe};
use super::{Asides, Fold, Format, Home, Place, Text, lenient, millis};
use crate::contract::sessions::{CodingAgent, Role, ToolStatus};
use crate::worker::sessions::draft::{Draft, output_text};
use crate::worker::sessions::talk::{Key, Millis, Span, Talk, key};

/// Claude Code, 1.0 and later.
pub struct Claude;

/// What texts begin with that Claude puts into the person's mouth.
const INJECTED: [&str; 7] = [
    "<local-command-",
    "<bash-stdout",
    "<bash-stderr",
    "<task-notification",
    "<system-reminder",
    "<teammate-message",
    "[Request interrupted by user",
];
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

    fn begin(&self) -> Box<dyn Fold> {
        Box::new(Following::default())
    }

    fn resume(&self, saved: &[u8]) -> Option<Box<dyn Fold>> {
        super::resumed::<Following>(saved)
    }

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        let Ok(record) = serde_json::from_slice::<Record<'_>>(record) else { return };
        match record.said() {
            Some(Said::Prompt { id, text, .. }) if draft.role() == Role::User => {
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
    for block in message.blocks() {
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
    for block in message.blocks() {
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

/// What a record says.
enum Said<'r, 'a> {
    Prompt { id: &'r str, text: String, at: Millis },
    Answer { message: &'r Spoken<'a>, failed: bool },
    Results(&'r Spoken<'a>),
    Interrupted,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    uuid: Option<Text<'a>>,
    #[serde(borrow)]
    parent_uuid: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    cwd: Option<Text<'a>>,
    is_sidechain: Option<bool>,
    is_meta: Option<bool>,
    is_compact_summary: Option<bool>,
    is_visible_in_transcript_only: Option<bool>,
    is_api_error_message: Option<bool>,
    #[serde(borrow, default)]
    origin: Maybe<Origin<'a>>,
    #[serde(borrow, default)]
    message: Maybe<Spoken<'a>>,
    #[serde(borrow, default)]
    attachment: Maybe<Attachment<'a>>,
    #[serde(borrow)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow)]
    custom_title: Option<&'a RawValue>,
    #[serde(borrow)]
    ai_title: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    leaf_uuid: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Spoken<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Content<'a, Block<'a>>,
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
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use_id: Text<'a>,
    is_error: Option<bool>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Origin<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    command_mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    origin: Maybe<Origin<'a>>,
    #[serde(borrow, default)]
    prompt: Content<'a, Block<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
}

impl<'a> Spoken<'a> {
    fn blocks(&self) -> &[Block<'a>] {
        match &self.content {
            Content::Blocks(blocks) => blocks,
            Content::Text(_) => &[],
        }
    }

    fn results(&self) -> impl Iterator<Item = &Block<'a>> {
        self.blocks().iter().filter(|block| &*block.kind == "tool_result")
    }

    fn text(&self) -> String {
        match &self.content {
            Content::Text(text) => text.to_string(),
            Content::Blocks(blocks) => joined(blocks),
        }
    }
}

impl<'a> Record<'a> {
    fn said(&self) -> Option<Said<'_, 'a>> {
        match self.kind.as_deref()? {
            "user" => self.person_said(),
            "assistant" => {
                let message = self.message.0.as_ref()?;
                let failed = self.is_api_error_message == Some(true);
                let synthetic = lenient::<Text<'_>>(message.model).as_deref() == Some("<synthetic>");
                (failed || !synthetic).then_some(Said::Answer { message, failed })
            }
            "attachment" => self.queued(),
            _ => None,
        }
    }

    fn person_said(&self) -> Option<Said<'_, 'a>> {
        let message = self.message.0.as_ref()?;
        if message.results().next().is_some() {
            return Some(Said::Results(message));
        }
        let hidden = [self.is_meta, self.is_compact_summary, self.is_visible_in_transcript_only];
        let origin = self.origin.0.as_ref().and_then(|origin| origin.kind.as_deref());
        if hidden.contains(&Some(true)) || origin.is_some_and(|kind| kind != "human") {
            return None;
        }
        let text = message.text();
        if text.starts_with("[Request interrupted by user") {
            return Some(Said::Interrupted);
        }
        if INJECTED.iter().any(|start| text.starts_with(start)) {
            return None;
        }
        Some(Said::Prompt { id: self.uuid.as_ref()?, text: typed(text), at: millis(self.timestamp.as_ref()) })
    }

    /// A prompt that was typed while the agent worked.
    fn queued(&self) -> Option<Said<'_, 'a>> {
        let attachment = self.attachment.0.as_ref()?;
        let by_person = attachment.origin.0.as_ref().and_then(|origin| origin.kind.as_deref()) == Some("human");
        let prompt = &*attachment.kind == "queued_command" && attachment.command_mode.as_deref() == Some("prompt");
        if !prompt || !by_person {
            return None;
        }
        let text = match &attachment.prompt {
            Content::Text(text) => text.to_string(),
            Content::Blocks(blocks) => joined(blocks),
        };
        Some(Said::Prompt { id: self.uuid.as_ref()?, text, at: millis(attachment.timestamp.as_ref()) })
    }
}

fn joined(blocks: &[Block<'_>]) -> String {
    let texts = blocks.iter().filter(|block| &*block.kind == "text");
    texts.filter_map(|block| block.text.as_deref()).collect::<Vec<_>>().join("\n\n")
}

/// What a person typed to have that recorded: commands are recorded as tags.
fn typed(text: String) -> String {
    let within = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner)
    };
    if text.starts_with("<bash-input>") {
        return format!("! {}", within("bash-input").unwrap_or_default().trim());
    }
    if !text.starts_with("<command-name>") && !text.starts_with("<command-message>") {
        return text;
    }
    let name = within("command-name").unwrap_or_default().trim();
    let arguments = within("command-args").unwrap_or_default().trim();
    format!("{name} {arguments}").trim().to_owned()
}
