//! What OpenCode's records mean, whether they are rows or files.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::contract::sessions::{MessageRole, ToolDetail, ToolStatus};
use crate::worker::sessions::draft::Draft;
use crate::worker::sessions::formats::lenient::Maybe;
use crate::worker::sessions::formats::{Text, lenient};
use crate::worker::sessions::talk::{Millis, Slot, Span, Talk, key};

/// A message, without its parts.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) role: MessageRole,
    pub(super) created: Millis,
    pub(super) completed: Option<Millis>,
    /// It is the summary of a compaction, of the message of that id.
    pub(super) summarises: Option<String>,
    pub(super) error: Option<String>,
    /// The turn goes on after it.
    pub(super) goes_on: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(default)]
    time: Maybe<Time>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow, rename = "parentID")]
    parent: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Maybe<Failure<'a>>,
    #[serde(borrow)]
    finish: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Time {
    created: Option<f64>,
    completed: Option<f64>,
    start: Option<f64>,
    end: Option<f64>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Maybe<FailureData<'a>>,
}

#[derive(Deserialize)]
struct FailureData<'a> {
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

/// Times are whole milliseconds; a number out of all measure is the nearest that there is.
#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
fn whole(time: f64) -> Millis {
    time as Millis
}

impl Message {
    /// Reads one; `None` where it is none that counts by itself.
    pub(super) fn read(id: Option<&str>, data: &str) -> Option<Self> {
        let data: Data<'_> = serde_json::from_str(data).ok()?;
        let role = match &*data.role {
            "user" => MessageRole::User,
            "assistant" => MessageRole::Assistant,
            _ => return None,
        };
        let time = data.time.0;
        let summary = lenient::<bool>(data.summary) == Some(true) && role == MessageRole::Assistant;
        let error = data.error.0.map(|error| {
            let message = error.data.0.and_then(|data| data.message).or(error.name);
            message.map_or_else(|| "failed".to_owned(), |message| message.to_string())
        });
        Some(Self {
            id: id.map(str::to_owned).or_else(|| data.id.map(|id| id.to_string()))?,
            role,
            created: time.as_ref().and_then(|time| time.created).map_or(0, whole),
            completed: time.and_then(|time| time.completed).map(whole),
            summarises: summary.then(|| data.parent.map(|parent| parent.to_string()).unwrap_or_default()),
            error,
            goes_on: data.finish.is_some_and(|finish| &*finish == "tool-calls"),
        })
    }
}

#[derive(Deserialize)]
struct PartData<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    synthetic: Option<bool>,
    ignored: Option<bool>,
    #[serde(borrow)]
    tool: Option<Text<'a>>,
    #[serde(borrow, rename = "callID")]
    call: Option<Text<'a>>,
    #[serde(borrow, default)]
    state: Maybe<State<'a>>,
}

#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(default)]
    time: Maybe<Time>,
}

/// What the parts of a message tell of it as a whole.
#[derive(Debug, Default)]
pub(super) struct Parts {
    texts: usize,
    typed: Option<String>,
    compaction: bool,
    /// A tool was called and has not answered.
    pub(super) calling: bool,
    latest: Millis,
    size: usize,
}

impl Parts {
    /// Takes the next part.
    pub(super) fn take(&mut self, data: &str) {
        self.size += data.len();
        let Ok(part) = serde_json::from_str::<PartData<'_>>(data) else { return };
        match &*part.kind {
            "text" => {
                self.texts += 1;
                if part.is_said() && self.typed.is_none() {
                    self.typed = part.text.map(|text| text.to_string());
                }
            }
            "compaction" => self.compaction = true,
            "tool" => {
                let Some(state) = part.state.0 else { return };
                self.calling |= matches!(state.status.as_deref(), Some("pending" | "running"));
                let time = state.time.0.and_then(|time| time.end.or(time.start)).map_or(0, whole);
                self.latest = self.latest.max(time);
            }
            _ => {}
        }
    }

    /// Whether what a person would have said was put there by OpenCode.
    fn is_injected(&self) -> bool {
        self.compaction || (self.texts > 0 && self.typed.is_none())
    }
}

impl PartData<'_> {
    fn is_said(&self) -> bool {
        self.synthetic != Some(true) && self.ignored != Some(true)
    }
}

/// Puts a conversation together of its messages, in order. What its parts are is asked for prompts, and for answers that
/// have not ended: those alone can still change.
pub(super) fn talk(messages: &[Message], reverted: Option<&str>, mut parts: impl FnMut(&str) -> Parts) -> Talk {
    let mut talk = Talk::default();
    talk.understand();
    let until = messages.iter().position(|message| Some(message.id.as_str()) == reverted).unwrap_or(messages.len());
    let summarised: Vec<&str> = messages.iter().filter_map(|message| message.summarises.as_deref()).collect();
    for message in &messages[..until] {
        if message.summarises.is_some() || summarised.contains(&message.id.as_str()) {
            continue;
        }
        // Which message a span is of is all that is kept of it: nothing is read by place here.
        let (name, span) = (key(&message.id), Span { at: 0, len: 0 });
        if message.role == MessageRole::User {
            let parts = parts(&message.id);
            if !parts.is_injected() {
                talk.prompt(name, message.created, span, parts.typed.as_deref().unwrap_or_default());
                // Its parts are written after it.
                talk.stamp(talk.len() - 1, u32::try_from(parts.size).unwrap_or(u32::MAX));
            }
            continue;
        }
        let slot = talk.answer(name, message.created, span);
        let version = match message.completed {
            Some(completed) => {
                talk.answer(name, completed, span);
                completed
            }
            None => {
                let parts = parts(&message.id);
                talk.answer(name, parts.latest, span);
                if parts.calling {
                    talk.call(slot, name);
                }
                i64::try_from(parts.size).unwrap_or(0)
            }
        };
        talk.stamp(slot, u32::try_from(version & 0xFFFF_FFFF).unwrap_or(0));
        if message.error.is_some() || (message.completed.is_some() && !message.goes_on) {
            talk.end();
        }
    }
    talk
}

/// A message to be filled.
pub(super) fn draft(index: u32, slot: &Slot, message: &Message, tools: ToolDetail) -> Draft {
    let mut draft = Draft::new(index, slot, tools);
    draft.id(&message.id);
    draft
}

/// Adds a part.
pub(super) fn fill(data: &str, draft: &mut Draft) {
    let Ok(part) = serde_json::from_str::<PartData<'_>>(data) else { return };
    match &*part.kind {
        "text" if part.is_said() => draft.text(part.text.as_deref().unwrap_or_default()),
        "reasoning" => draft.thinking(part.text.as_deref().unwrap_or_default()),
        "tool" => {
            let (call, state) = (part.call.as_deref().unwrap_or_default(), part.state.0);
            let input = state.as_ref().and_then(|state| state.input).map(RawValue::get);
            draft.call(call, part.tool.as_deref().unwrap_or_default(), input);
            let Some(state) = state else { return };
            match state.status.as_deref() {
                Some("completed") => draft.outcome(call, ToolStatus::Ok),
                Some("error") => draft.outcome(call, ToolStatus::Error),
                _ => {}
            }
            if let Some(output) = state.output.or(state.error) {
                draft.output(call, &output);
            }
        }
        _ => {}
    }
}

/// The end of a message.
pub(super) fn finish(message: &Message, draft: &mut Draft) {
    if let Some(error) = &message.error {
        draft.text(error);
        draft.error();
    }
}

/// A title that OpenCode gives as long as it knows none.
pub(super) fn is_placeholder(title: &str) -> bool {
    ["New session - ", "Child session - "]
        .iter()
        .any(|start| title.strip_prefix(start).is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()))
}
