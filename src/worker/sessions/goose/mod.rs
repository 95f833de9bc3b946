//! Goose: a database, and before 1.10 a log for each session. Written from its documents; not tried with the program.

mod log;
mod rows;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::{Draft, output_text};
use super::formats::lenient::{Content, Maybe};
use super::formats::{Home, Text};
use super::keepers::{Keeper, Keepers, Layout};
use super::store::Watched;
use super::talk::{Key, Millis, Span, Talk, key};
use crate::contract::sessions::{CodingAgent, MessageRole, ToolStatus};

pub use log::GooseLog;

/// The sessions of Goose 1.10 and later below a home.
pub fn store(home: &Home) -> Keepers {
    Keepers::new(Box::new(Goose { folder: folder(home) }))
}

/// Where both generations keep them.
fn folder(home: &Home) -> PathBuf {
    match home.environment.get("GOOSE_PATH_ROOT").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(root) => root.join("data/sessions"),
        None => home.folder_of("XDG_DATA_HOME", ".local/share").join("goose/sessions"),
    }
}

struct Goose {
    folder: PathBuf,
}

impl Layout for Goose {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Goose
    }

    fn watched(&self) -> Vec<Watched> {
        vec![Watched { root: self.folder.clone(), depth: 0, but: None }]
    }

    fn find(&self) -> Vec<PathBuf> {
        vec![self.folder.join("sessions.db")]
    }

    fn keeper(&self, path: &Path) -> Box<dyn Keeper> {
        Box::new(rows::Rows::new(path.to_owned()))
    }
}

/// A block of a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_call: Maybe<Call<'a>>,
    #[serde(borrow, default)]
    tool_result: Maybe<Outcome<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    value: Maybe<CallValue<'a>>,
}

#[derive(Deserialize)]
struct CallValue<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

type Blocks<'a> = Content<'a, Block<'a>>;

/// What a message adds to a conversation.
fn take(role: &str, content: &Blocks<'_>, name: Key, at: Millis, span: Span, talk: &mut Talk) {
    let of = |kind: &'static str| content.blocks().iter().filter(move |block| &*block.kind == kind);
    let call = |block: &Block<'_>| key(block.id.as_deref().unwrap_or_default());
    of("toolResponse").for_each(|block| talk.result(call(block), at, span, true));
    if role == "user" {
        if of("toolResponse").next().is_none() {
            talk.prompt(
                name,
                at,
                span,
                &content.text(|block| block.text.as_deref().filter(|_| &*block.kind == "text")),
            );
        }
        return;
    }
    let slot = talk.answer(name, at, span);
    of("toolRequest").for_each(|block| talk.call(slot, call(block)));
    if of("toolRequest").next().is_none() {
        talk.end();
    }
}

/// What a message adds to a draft.
fn fill(role: &str, content: &Blocks<'_>, id: &str, draft: &mut Draft) {
    for block in content.blocks().iter().filter(|block| &*block.kind == "toolResponse") {
        let (call, outcome) = (block.id.as_deref().unwrap_or_default(), block.tool_result.0.as_ref());
        let failed = outcome.and_then(|outcome| outcome.status.as_deref()) == Some("error");
        draft.outcome(call, if failed { ToolStatus::Error } else { ToolStatus::Ok });
        if let Some(value) = outcome.and_then(|outcome| outcome.value) {
            draft.output(call, &output_text(value));
        }
    }
    if (role == "user") != (draft.role() == MessageRole::User) {
        return;
    }
    draft.id(id);
    for block in content.blocks() {
        match &*block.kind {
            "text" => draft.text(block.text.as_deref().unwrap_or_default()),
            "thinking" => draft.thinking(block.thinking.as_deref().unwrap_or_default()),
            "toolRequest" => {
                let value = block.tool_call.0.as_ref().and_then(|call| call.value.0.as_ref());
                let name = value.and_then(|value| value.name.as_deref()).unwrap_or_default();
                let input = value.and_then(|value| value.arguments).map(RawValue::get);
                draft.call(block.id.as_deref().unwrap_or_default(), name, input);
            }
            _ => {}
        }
    }
}
