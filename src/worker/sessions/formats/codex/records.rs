//! What a line of Codex's says.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::worker::sessions::formats::lenient::{Content, Maybe};
use crate::worker::sessions::formats::{Text, lenient};

/// What a line says.
pub(super) enum Said<'a> {
    Prompt { id: &'a str, text: String },
    Text { id: &'a str, text: String },
    Thinking(String),
    Call { id: &'a str, name: &'a str, input: Option<String>, done: bool },
    Output { id: &'a str, output: Option<&'a RawValue> },
    Failed(&'a str),
    End { error: Option<String> },
    TakenBack(usize),
}

#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) payload: Maybe<Payload<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Payload<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) cwd: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) history_mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) history_base: Maybe<HistoryBase<'a>>,
    #[serde(borrow, default)]
    pub(super) source: Maybe<Source<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) action: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) content: Content<'a, Block<'a>>,
    #[serde(borrow, default)]
    pub(super) item: Maybe<Item<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Maybe<Failure<'a>>,
    #[serde(borrow)]
    pub(super) num_turns: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct HistoryBase<'a> {
    #[serde(borrow)]
    pub(super) thread_id: Text<'a>,
    pub(super) end_byte_offset: u64,
}

#[derive(Deserialize)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) subagent: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Content<'a, Block<'a>>,
    #[serde(borrow)]
    pub(super) summary_text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
}

impl Block<'_> {
    fn said(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

#[derive(Deserialize)]
pub(super) struct Failure<'a> {
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
}

pub(super) fn said<'a>(kind: &str, payload: &'a Payload<'a>) -> Option<Said<'a>> {
    match kind {
        "event_msg" => event(payload),
        "response_item" => response(payload),
        _ => None,
    }
}

fn event<'a>(payload: &'a Payload<'a>) -> Option<Said<'a>> {
    let string = |raw| lenient::<Text<'_>>(raw).map(|text| text.to_string());
    match &*payload.kind {
        "user_message" => Some(Said::Prompt { id: "", text: string(payload.message)? }),
        "agent_message" => Some(Said::Text { id: "", text: string(payload.message)? }),
        "agent_reasoning" => Some(Said::Thinking(string(payload.text)?)),
        "item_completed" => completed(payload.item.0.as_ref()?),
        "task_complete" | "turn_complete" => {
            let error = payload.error.0.as_ref().map(|error| error.message.as_deref().unwrap_or("failed").to_owned());
            Some(Said::End { error })
        }
        "turn_aborted" => Some(Said::End { error: None }),
        "thread_rolled_back" => Some(Said::TakenBack(lenient(payload.num_turns)?)),
        _ => None,
    }
}

fn completed<'a>(item: &'a Item<'a>) -> Option<Said<'a>> {
    match &*item.kind {
        "UserMessage" => Some(Said::Prompt { id: &item.id, text: item.content.text(Block::said) }),
        "AgentMessage" => Some(Said::Text { id: &item.id, text: item.content.text(Block::said) }),
        "Reasoning" => {
            let parts = lenient::<Vec<String>>(item.summary_text)?;
            Some(Said::Thinking(parts.join("\n\n")))
        }
        _ => matches!(item.status.as_deref(), Some("failed" | "declined")).then_some(Said::Failed(&item.id)),
    }
}

fn response<'a>(payload: &'a Payload<'a>) -> Option<Said<'a>> {
    let id = payload.call_id.as_deref().or(payload.id.as_deref()).unwrap_or_default();
    let kind = &*payload.kind;
    if kind == "message" {
        let text = payload.content.text(Block::said);
        let typed = payload.role.as_deref() == Some("user") && text.starts_with("<user_shell_command>");
        return typed.then(|| Said::Prompt { id, text: format!("! {}", shell_command(&text)) });
    }
    if kind.ends_with("_call_output") || kind == "tool_search_output" {
        return Some(Said::Output { id, output: payload.output });
    }
    let name = kind.strip_suffix("_call")?;
    let raw = payload.arguments.or(payload.input).or(payload.action);
    let input = raw.map(|raw| lenient::<String>(Some(raw)).unwrap_or_else(|| raw.get().to_owned()));
    // What the model's side runs has no output here.
    let done = name == "web_search" && payload.status.as_deref() == Some("completed");
    Some(Said::Call { id, name: payload.name.as_deref().unwrap_or(name), input, done })
}

fn shell_command(text: &str) -> &str {
    let inner = text.split_once("<command>").and_then(|(_, rest)| rest.split_once("</command>"));
    inner.map_or("", |(command, _)| command.trim())
}
