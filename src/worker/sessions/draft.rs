//! [`Draft`]: a message that is put together of its records, as much of it as is to be given.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::talk::{Key, Slot};
use super::text;
use crate::contract::sessions::{Message, MessageRole, TEXT_MAX, TOOL_TEXT_MAX, ToolCall, ToolDetail, ToolStatus};

/// Tools of one message at most; what calls more is cut.
const TOOLS: usize = 1000;
/// Bytes of what all tools of one message were given and answered.
const TOOL_TEXTS: usize = 2 << 20;

/// A message on its way. Formats fill it, record by record.
#[derive(Debug)]
pub struct Draft {
    /// The key of the message that is wanted: a record may tell of several.
    pub key: Key,
    tools: ToolDetail,
    message: Message,
    /// What is left of [`TOOL_TEXTS`].
    room: usize,
    /// Outcomes of calls that are not known yet.
    early: HashMap<String, ToolStatus>,
}

impl Draft {
    /// An empty one for a message; what tools were given and answered only where that is asked for.
    pub fn new(index: u32, slot: &Slot, tools: ToolDetail) -> Self {
        let timestamp = Timestamp::from_millisecond(slot.first).unwrap_or(Timestamp::UNIX_EPOCH);
        let message = Message {
            index,
            id: String::new(),
            role: slot.role,
            text: String::new(),
            thinking: None,
            tools: Vec::new(),
            is_error: false,
            truncated: false,
            timestamp,
        };
        Self { key: slot.key, tools, message, room: TOOL_TEXTS, early: HashMap::new() }
    }

    /// Whose message it is.
    pub fn role(&self) -> MessageRole {
        self.message.role
    }

    /// Whether any record was taken.
    pub fn has_begun(&self) -> bool {
        !self.message.id.is_empty()
    }

    /// What was said so far goes: a later record says it all again.
    pub fn restart(&mut self) {
        let message = &mut self.message;
        (message.text, message.thinking) = (String::new(), None);
        message.tools.clear();
        (message.is_error, message.truncated) = (false, false);
        self.room = TOOL_TEXTS;
    }

    /// The agent's name of the message; the first one counts.
    pub fn id(&mut self, id: &str) {
        if self.message.id.is_empty() {
            self.message.id = text::cut(id, 256).0.to_owned();
        }
    }

    /// A block of text.
    pub fn text(&mut self, block: &str) {
        self.message.truncated |= !add_block(&mut self.message.text, block);
    }

    /// A block of what it thought.
    pub fn thinking(&mut self, block: &str) {
        if !block.is_empty() {
            let thinking = self.message.thinking.get_or_insert_default();
            self.message.truncated |= !add_block(thinking, block);
        }
    }

    /// A tool call; a second record of the same call may say what it was given.
    pub fn call(&mut self, id: &str, name: &str, input: Option<&str>) {
        let status = self.early.get(id).copied().unwrap_or(ToolStatus::Pending);
        let known = self.message.tools.iter().position(|tool| tool.id == id && !id.is_empty());
        let at = known.unwrap_or_else(|| {
            let name = text::cut(name, 256).0.to_owned();
            let tool = ToolCall { id: text::cut(id, 256).0.to_owned(), name, status, input: None, output: None };
            self.message.tools.push(tool);
            self.message.tools.len() - 1
        });
        if self.message.tools.len() > TOOLS {
            self.message.tools.truncate(TOOLS);
            self.message.truncated = true;
        } else if self.tools >= ToolDetail::Input && input.is_some() {
            let input = input.map(|input| self.limited(input));
            self.message.tools[at].input = input;
        }
    }

    /// How a call went. A failure that was told once stays one, whatever a later record of the same call says.
    pub fn outcome(&mut self, id: &str, status: ToolStatus) {
        match self.message.tools.iter_mut().find(|tool| tool.id == id) {
            Some(tool) if tool.status != ToolStatus::Error => tool.status = status,
            Some(_) => {}
            None if self.early.len() < TOOLS => drop(self.early.insert(id.to_owned(), status)),
            None => {}
        }
    }

    /// What a call answered.
    pub fn output(&mut self, id: &str, output: &str) {
        if self.tools < ToolDetail::Whole {
            return;
        }
        if let Some(at) = self.message.tools.iter().position(|tool| tool.id == id) {
            let output = self.limited(output);
            self.message.tools[at].output = Some(output);
        }
    }

    fn limited(&mut self, text: &str) -> String {
        let (kept, cut) = text::cut(text, TOOL_TEXT_MAX.min(self.room));
        self.room -= kept.len();
        self.message.truncated |= cut;
        if cut { format!("{kept}…") } else { kept.to_owned() }
    }

    /// It is a failure.
    pub fn error(&mut self) {
        self.message.is_error = true;
    }

    /// The message.
    pub fn finish(mut self) -> Message {
        if self.message.id.is_empty() {
            self.message.id = format!("{:x}", self.key);
        }
        self.message
    }
}

/// Blocks are set apart by an empty line.
fn add_block(whole: &mut String, block: &str) -> bool {
    let apart = whole.is_empty() || block.is_empty() || text::append(whole, "\n\n", TEXT_MAX);
    apart && text::append(whole, block, TEXT_MAX)
}

/// What a tool answered, as text: a text as it is, blocks of text one a line, anything else as the JSON that it is.
pub fn output_text(raw: &RawValue) -> String {
    #[derive(serde::Deserialize)]
    struct Block {
        text: String,
    }
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return text;
    }
    match serde_json::from_str::<Vec<Block>>(raw.get()) {
        Ok(blocks) => blocks.into_iter().map(|block| block.text).collect::<Vec<_>>().join("\n"),
        Err(_) => raw.get().to_owned(),
    }
}
