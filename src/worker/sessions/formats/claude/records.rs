//! What a record of Claude Code's says.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::worker::sessions::formats::lenient::{Content, Maybe};
use crate::worker::sessions::formats::{Text, lenient, millis};
use crate::worker::sessions::talk::Millis;

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
/// What a record says.
pub(super) enum Said<'r, 'a> {
    Prompt { id: &'r str, text: String, at: Millis },
    Answer { message: &'r Spoken<'a>, failed: bool },
    Results(&'r Spoken<'a>),
    Interrupted,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) uuid: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) parent_uuid: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) cwd: Option<Text<'a>>,
    pub(super) is_sidechain: Option<bool>,
    pub(super) is_meta: Option<bool>,
    pub(super) is_compact_summary: Option<bool>,
    pub(super) is_visible_in_transcript_only: Option<bool>,
    pub(super) is_api_error_message: Option<bool>,
    #[serde(borrow, default)]
    pub(super) origin: Maybe<Origin<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Maybe<Spoken<'a>>,
    #[serde(borrow, default)]
    pub(super) attachment: Maybe<Attachment<'a>>,
    #[serde(borrow)]
    pub(super) subtype: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) custom_title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ai_title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) summary: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) leaf_uuid: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Spoken<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) content: Content<'a, Block<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) tool_use_id: Text<'a>,
    pub(super) is_error: Option<bool>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Origin<'a> {
    #[serde(borrow)]
    pub(super) kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) command_mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) origin: Maybe<Origin<'a>>,
    #[serde(borrow, default)]
    pub(super) prompt: Content<'a, Block<'a>>,
    #[serde(borrow)]
    pub(super) timestamp: Option<Text<'a>>,
}

impl<'a> Spoken<'a> {
    pub(super) fn results(&self) -> impl Iterator<Item = &Block<'a>> {
        self.content.blocks().iter().filter(|block| &*block.kind == "tool_result")
    }
}

impl<'a> Record<'a> {
    pub(super) fn said(&self) -> Option<Said<'_, 'a>> {
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
        let text = message.content.text(Block::said);
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
        let text = attachment.prompt.text(Block::said);
        Some(Said::Prompt { id: self.uuid.as_ref()?, text, at: millis(attachment.timestamp.as_ref()) })
    }
}

impl Block<'_> {
    fn said(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| &*self.kind == "text")
    }
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
