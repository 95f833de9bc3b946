//! GitHub Copilot CLI: a log of events beside a `workspace.yaml`. Written from its documents; not tried with the program.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lenient::{Content, Maybe};
use super::{Asides, Fold, Format, Home, Place, Text, millis};
use crate::contract::sessions::{CodingAgent, MessageRole, ToolStatus};
use crate::worker::sessions::draft::{Draft, output_text};
use crate::worker::sessions::talk::{Span, Talk, key};

/// Copilot CLI.
pub struct Copilot;

impl Format for Copilot {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Copilot
    }

    fn root(&self, home: &Home) -> PathBuf {
        home.folder_of("COPILOT_HOME", ".copilot").join("session-state")
    }

    fn depth(&self) -> usize {
        1
    }

    fn place(&self, path: &Path) -> Place {
        match (path.parent().and_then(Path::to_str), path.file_name().and_then(|name| name.to_str())) {
            (Some(id), Some("events.jsonl")) if !id.is_empty() => Place::log(id, id),
            (Some(id), Some("workspace.yaml")) if !id.is_empty() => Place::Aside,
            _ => Place::Nothing,
        }
    }

    fn aside(&self, path: &Path, content: &[u8], asides: &mut Asides) {
        let Some(folder) = path.parent() else { return };
        let Ok(beside) = serde_saphyr::from_slice::<Beside>(content) else { return };
        if let Some(title) = beside.name.or(beside.summary) {
            asides.names.insert(folder.to_string_lossy().into_owned(), title);
        }
        if let Some(cwd) = beside.cwd {
            asides.folders.insert(folder.to_owned(), cwd);
        }
    }

    super::followed_by!(Following);

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(record) else { return };
        let Some(data) = event.data.0.as_ref() else { return };
        let id = event.id.as_deref().unwrap_or_default();
        match &*event.kind {
            "user.message" if draft.role() == MessageRole::User => {
                draft.id(id);
                draft.text(&data.text());
            }
            "assistant.message" => {
                draft.id(data.message_id.as_deref().unwrap_or(id));
                draft.text(&data.text());
                draft.thinking(data.reasoning_text.as_deref().unwrap_or_default());
                for call in data.tool_requests.blocks() {
                    draft.call(&call.tool_call_id, &call.name, call.arguments.map(RawValue::get));
                }
            }
            "tool.execution_complete" => {
                let call = data.tool_call_id.as_deref().unwrap_or_default();
                draft.outcome(call, if data.success == Some(false) { ToolStatus::Error } else { ToolStatus::Ok });
                if let Some(result) = data.result {
                    draft.output(call, &output_text(result));
                }
            }
            _ => {}
        }
    }
}

/// What is in `workspace.yaml`.
#[derive(Deserialize)]
struct Beside {
    name: Option<String>,
    /// What 1.0 calls the name.
    summary: Option<String>,
    cwd: Option<String>,
}

/// Nothing has to be remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Following;

impl Fold for Following {
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk) {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(record) else { return };
        talk.understand();
        let Some(data) = event.data.0.as_ref() else { return };
        let (at, id) = (millis(event.timestamp.as_ref()), event.id.as_deref().unwrap_or_default());
        match &*event.kind {
            "session.start" => {
                talk.facts.cwd =
                    data.context.0.as_ref().and_then(|context| context.cwd.as_ref()).map(|cwd| cwd.to_string());
            }
            "user.message" => talk.prompt(key(id), at, span, &data.text()),
            "assistant.message" => {
                let slot = talk.answer(key(data.message_id.as_deref().unwrap_or(id)), at, span);
                data.tool_requests.blocks().iter().for_each(|call| talk.call(slot, key(&call.tool_call_id)));
            }
            "tool.execution_complete" => {
                talk.result(key(data.tool_call_id.as_deref().unwrap_or_default()), at, span, true);
            }
            "assistant.turn_end" if !talk.is_calling() => talk.end(),
            _ => {}
        }
    }

    super::saved_by_value!();
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Maybe<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow, default)]
    content: Content<'a, Block<'a>>,
    #[serde(borrow)]
    message_id: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_text: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_requests: Content<'a, Request<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    success: Option<bool>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Maybe<Context<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    tool_call_id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    cwd: Option<Text<'a>>,
}

impl Data<'_> {
    fn text(&self) -> String {
        self.content.text(|block| block.text.as_deref())
    }
}
