//! Gemini CLI: a log of entries that are written anew when they change, and of patches; before 0.39 one document that is
//! written anew for each change, which is taken as one record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lenient::{Content, Maybe};
use super::{Asides, Fold, Format, Home, Place, Text, lenient, millis, part};
use crate::contract::sessions::{CodingAgent, MessageRole, ToolStatus};
use crate::worker::sessions::draft::Draft;
use crate::worker::sessions::talk::{Key, Span, Talk, key};

/// Gemini CLI, both generations.
pub struct Gemini;

/// How the answer to a compression's summary begins, which nobody gave.
const ACKNOWLEDGED: &str = "Got it. Thanks for the additional context!";

impl Format for Gemini {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Gemini
    }

    fn root(&self, home: &Home) -> PathBuf {
        home.folder_of("GEMINI_CLI_HOME", "").join(".gemini/tmp")
    }

    fn depth(&self) -> usize {
        2
    }

    fn place(&self, path: &Path) -> Place {
        let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
        match names[..] {
            [_, ".project_root"] => Place::Aside,
            [_, "chats", file] if file.ends_with(".jsonl") => Place::log(&names.join("/"), ""),
            [_, "chats", file] if file.ends_with(".json") => Place::Document { unit: names.join("/") },
            _ => Place::Nothing,
        }
    }

    fn aside(&self, path: &Path, content: &[u8], asides: &mut Asides) {
        if let Some((folder, text)) = path.parent().zip(str::from_utf8(content).ok()) {
            asides.folders.insert(folder.join("chats"), text.trim().to_owned());
        }
    }

    super::followed_by!(Following);

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        for (entry, _) in line.entries(record) {
            // A patch of the list repeats what is known, and less of it.
            let repeats = line.set.0.is_some() && draft.has_begun();
            if entry.key() == draft.key && !repeats {
                fill_entry(&entry, draft);
            }
            for response in entry.responses() {
                draft.output(response.id.as_deref().unwrap_or_default(), &response.output());
            }
        }
    }
}

fn fill_entry(entry: &Entry<'_>, draft: &mut Draft) {
    // The latest one counts.
    draft.restart();
    draft.id(&entry.id);
    draft.text(&entry.text());
    if draft.role() == MessageRole::User {
        return;
    }
    let thoughts = entry.thoughts.and_then(part::<Vec<Thought<'_>>>).unwrap_or_default();
    for thought in thoughts {
        let parts = [thought.subject.as_deref(), thought.description.as_deref()];
        let parts: Vec<_> = parts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        draft.thinking(&parts.join("\n"));
    }
    for call in entry.calls() {
        let id = call.id.as_deref().unwrap_or_default();
        draft.call(id, call.name.as_deref().unwrap_or_default(), call.args.map(RawValue::get));
        draft.outcome(id, call.outcome());
        for part in call.result.and_then(part::<Vec<Part<'_>>>).unwrap_or_default() {
            if let Some(response) = part.function_response.0 {
                draft.output(id, &response.output());
            }
        }
    }
}

/// The state of a log's reading.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Following {
    /// Messages there were before each entry, by its id and by its key.
    places: HashMap<Key, u32>,
}

impl Fold for Following {
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        if let Some(id) = line.session_id.as_ref().filter(|_| talk.facts.id.is_none()) {
            talk.facts.id = Some(id.to_string());
        }
        talk.facts.child |= line.kind.as_deref() == Some("subagent");
        let set = line.set.0.as_ref();
        if let Some(summary) = set.and_then(|set| set.summary.as_ref()).or(line.summary.as_ref()) {
            talk.facts.generated = Some(summary.to_string());
        }
        if line.session_id.is_some() || set.is_some() || line.rewind_to.is_some() || line.entry.is_some() {
            talk.understand();
        }
        if let Some(id) = &line.rewind_to {
            self.rewind(key(id), talk);
        }
        let repeats = set.is_some();
        let entries = line.entries(record);
        let acknowledged = |at: usize| entries.get(at).is_some_and(|(entry, _)| entry.text().starts_with(ACKNOWLEDGED));
        for (at, (entry, version)) in entries.iter().enumerate() {
            let place = talk.len();
            let known = self.places.contains_key(&entry.key());
            self.places.entry(key(&entry.id)).or_insert(place);
            self.places.entry(entry.key()).or_insert(place);
            let compression = acknowledged(at) || (&*entry.kind == "user" && acknowledged(at + 1));
            if !(compression || repeats && known) {
                heed(entry, *version, span, talk);
            }
        }
    }

    super::saved_by_value!();

    fn footprint(&self) -> usize {
        self.places.capacity() * 24 + 256
    }
}

impl Following {
    fn rewind(&mut self, entry: Key, talk: &mut Talk) {
        let len = self.places.get(&entry).copied().unwrap_or(0);
        talk.truncate(len);
        self.places.retain(|_, place| *place < len);
    }
}

fn heed(entry: &Entry<'_>, version: Option<u32>, span: Span, talk: &mut Talk) {
    let at = millis(entry.timestamp.as_ref());
    for response in entry.responses() {
        talk.result(key(response.id.as_deref().unwrap_or_default()), at, span, true);
    }
    let text = entry.text();
    let slot = match &*entry.kind {
        "user" if text.trim().is_empty() || text.starts_with("<session_context>") => return,
        "user" if talk.find(entry.key()).is_none() => {
            talk.prompt(entry.key(), at, span, &text);
            talk.len() - 1
        }
        "user" | "gemini" => talk.answer(entry.key(), at, span),
        _ => return,
    };
    if let Some(version) = version {
        talk.stamp(slot, version);
    }
    if &*entry.kind == "gemini" {
        let calls = entry.calls();
        for call in &calls {
            let name = key(call.id.as_deref().unwrap_or_default());
            talk.call(slot, name);
            if call.outcome() != ToolStatus::Pending {
                talk.close(name);
            }
        }
        if calls.is_empty() {
            talk.end();
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow)]
    session_id: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    summary: Option<Text<'a>>,
    #[serde(borrow, rename = "$set", default)]
    set: Maybe<Set<'a>>,
    #[serde(borrow, rename = "$rewindTo")]
    rewind_to: Option<Text<'a>>,
    /// Of a document.
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    /// Where the line is an entry itself.
    #[serde(borrow, rename = "type")]
    entry: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    summary: Option<Text<'a>>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    content: Content<'a, Part<'a>>,
    #[serde(borrow)]
    thoughts: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    function_call: Maybe<Call<'a>>,
    #[serde(borrow, default)]
    function_response: Maybe<Response<'a>>,
}

#[derive(Deserialize, Clone)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize, Clone)]
struct Response<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Thought<'a> {
    #[serde(borrow)]
    subject: Option<Text<'a>>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
}

impl Call<'_> {
    fn outcome(&self) -> ToolStatus {
        match self.status.as_deref() {
            Some("success") => ToolStatus::Ok,
            Some("error" | "cancelled") => ToolStatus::Error,
            _ => ToolStatus::Pending,
        }
    }
}

impl Response<'_> {
    fn output(&self) -> String {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            output: Option<Text<'a>>,
            #[serde(borrow)]
            error: Option<Text<'a>>,
        }
        let text = lenient::<Answer<'_>>(self.response).and_then(|answer| answer.output.or(answer.error));
        let raw = || self.response.map_or("", RawValue::get).to_owned();
        text.map_or_else(raw, |text| text.to_string())
    }
}

impl<'a> Line<'a> {
    /// The entries that it, which is this record, tells of, with a version where it tells of all there are.
    fn entries(&self, record: &'a [u8]) -> Vec<(Entry<'a>, Option<u32>)> {
        let document = self.messages.is_some();
        let list = self.messages.or(self.set.0.as_ref().and_then(|set| set.messages));
        if let Some(list) = list {
            let all = part::<Vec<&RawValue>>(list).unwrap_or_default();
            let version = |raw: &RawValue| document.then(|| u32::try_from(key(raw.get()) >> 32).unwrap_or(0));
            return all.into_iter().filter_map(|raw| Some((part::<Entry<'a>>(raw)?, version(raw)))).collect();
        }
        let itself = self.entry.as_ref().and_then(|_| serde_json::from_slice::<Entry<'a>>(record).ok());
        itself.filter(|entry| !entry.id.is_empty()).map(|entry| (entry, None)).into_iter().collect()
    }
}

impl<'a> Entry<'a> {
    /// A tool's result repeats the id of its call, with another type.
    fn key(&self) -> Key {
        key(&format!("{}/{}", &*self.kind, &*self.id))
    }

    fn text(&self) -> String {
        self.content.joined("", |part| part.text.as_deref())
    }

    fn responses(&self) -> impl Iterator<Item = &Response<'a>> {
        self.content.blocks().iter().filter_map(|part| part.function_response.0.as_ref())
    }

    fn calls(&self) -> Vec<Call<'a>> {
        match self.tool_calls.and_then(part::<Vec<Call<'a>>>) {
            Some(calls) if !calls.is_empty() => calls,
            _ => self.content.blocks().iter().filter_map(|part| part.function_call.0.clone()).collect(),
        }
    }
}
