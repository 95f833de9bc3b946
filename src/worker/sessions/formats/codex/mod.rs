//! Codex CLI: everything is written twice, once as an event and once as what goes to the model. Messages are taken from the
//! events, tools from the items. An answer is what the model says between two of prompt, tool output and end of a turn.

mod records;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Asides, Files, Fold, Format, Home, Part, Place, Text, millis};
use crate::contract::sessions::{CodingAgent, MessageRole, ToolStatus};
use records::{Line, Payload, Said, said};

use crate::worker::sessions::draft::{Draft, output_text};
use crate::worker::sessions::talk::{Key, Span, Talk, key};

/// Codex CLI, 0.21 and later.
pub struct Codex;

impl Format for Codex {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Codex
    }

    fn root(&self, home: &Home) -> PathBuf {
        home.folder_of("CODEX_HOME", ".codex")
    }

    fn depth(&self) -> usize {
        4
    }

    fn place(&self, path: &Path) -> Place {
        if path == Path::new("session_index.jsonl") {
            return Place::Aside;
        }
        match Name::of(path).filter(|_| path.starts_with("sessions")) {
            Some(name) => Place::log(name.thread, name.thread),
            None => Place::Nothing,
        }
    }

    fn parts(&self, unit: &[&Path], files: &dyn Files) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut next = newest(unit).map(|path| Part { path: path.to_path_buf(), end: None });
        while let Some(part) = next.filter(|_| parts.len() < BASES) {
            let base = head(&files.first_line(&part.path)).base;
            parts.push(part);
            next = base.map(|base| {
                let named = |path: &&&Path| Name::of(path).is_some_and(|name| name.last == base.file);
                let found: Vec<&Path> = files.all().iter().filter(named).copied().collect();
                let path = newest(&found).map(Path::to_path_buf).unwrap_or_default();
                Part { path, end: Some(base.end) }
            });
        }
        parts.reverse();
        parts
    }

    fn aside(&self, _path: &Path, content: &[u8], asides: &mut Asides) {
        for line in content.split(|byte| *byte == b'\n') {
            if let Ok(named) = serde_json::from_slice::<Named>(line) {
                asides.names.insert(named.id, named.thread_name);
            }
        }
    }

    super::followed_by!(Following);

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        let Some(payload) = line.payload.0.as_ref() else { return };
        match said(&line.kind, payload) {
            Some(Said::Prompt { id, text }) if draft.role() == MessageRole::User => {
                draft.id(id);
                draft.text(&text);
            }
            Some(Said::Text { id, text }) => {
                draft.id(id);
                draft.text(&text);
            }
            Some(Said::Thinking(text)) => draft.thinking(&text),
            Some(Said::Call { id, name, input, done }) => {
                draft.call(id, name, input.as_deref());
                if done {
                    draft.outcome(id, ToolStatus::Ok);
                }
            }
            Some(Said::Output { id, output }) => fill_output(id, output, draft),
            Some(Said::Failed(id)) => draft.outcome(id, ToolStatus::Error),
            Some(Said::End { error: Some(error) }) => {
                draft.text(&error);
                draft.error();
            }
            _ => {}
        }
    }
}

/// How many logs one may stand on.
const BASES: usize = 1000;

/// The latest log; a plain copy of a compressed one is the one that goes on.
fn newest<'a>(logs: &[&'a Path]) -> Option<&'a Path> {
    let plain = |path: &Path| path.extension().is_none_or(|extension| extension != "zst");
    logs.iter().copied().max_by_key(|path| (Name::sorted(path), plain(path)))
}

/// A line of the file of names.
#[derive(Deserialize)]
struct Named {
    id: String,
    thread_name: String,
}

/// What the name of a log tells: `rollout-<time>-<thread>[_<segment>].jsonl[.zst]`.
struct Name<'a> {
    thread: &'a str,
    /// The segment, else the thread.
    last: &'a str,
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let name = Self::sorted(path)?.strip_prefix("rollout-")?;
        // The time is `2026-11-22T17-48-53`.
        let ids = name.get(19..)?.strip_prefix('-')?;
        let (thread, last) = ids.split_once('_').unwrap_or((ids, ids));
        Some(Self { thread, last })
    }

    /// What names are in order of: the time comes first.
    fn sorted(path: &'a Path) -> Option<&'a str> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".jsonl")
    }
}

/// The base of a log that goes on where another one was taken back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The last id in the name of the file that it stands on.
    pub file: String,
    /// How much of that counts, in bytes.
    pub end: u64,
}

/// What the first line of a log says of where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The thread: the id of the session.
    pub thread: Option<String>,
    /// What comes before.
    pub base: Option<Base>,
}

/// Reads the first line of a log.
pub fn head(line: &[u8]) -> Head {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Head::default() };
    let Some(payload) = line.payload.0.filter(|_| &*line.kind == "session_meta") else { return Head::default() };
    let base = payload.history_base.0.map(|base| Base { file: base.thread_id.to_string(), end: base.end_byte_offset });
    Head { thread: payload.id.map(|id| id.to_string()), base }
}

fn fill_output(id: &str, output: Option<&RawValue>, draft: &mut Draft) {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        output: Option<Text<'a>>,
        metadata: Option<Metadata>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        exit_code: Option<i64>,
    }
    let text = output.map(output_text).unwrap_or_default();
    let wrapped = serde_json::from_str::<Wrapped<'_>>(&text).ok();
    let code = wrapped.as_ref().and_then(|wrapped| wrapped.metadata.as_ref()?.exit_code);
    let failed = code.is_some_and(|code| code != 0)
        || exit_code(&text).is_some_and(|code| code != "0")
        || text.trim_end().ends_with("aborted by user");
    draft.outcome(id, if failed { ToolStatus::Error } else { ToolStatus::Ok });
    let inner = wrapped.and_then(|wrapped| wrapped.output).map(|output| output.to_string());
    draft.output(id, inner.as_deref().unwrap_or(&text));
}

fn exit_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("Process exited with code ")?;
    rest.split_whitespace().next()
}

/// The state of a log's reading.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Following {
    met: bool,
    /// Each event is told in the newer way; else in the older one.
    paginated: bool,
    /// Ends of turns are told.
    tells_turns: bool,
    /// The answer that goes on.
    current: Option<Key>,
}

impl Fold for Following {
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        let Some(payload) = line.payload.0.as_ref() else { return };
        talk.understand();
        if &*line.kind == "session_meta" {
            self.meet(payload, talk);
            return;
        }
        if &*line.kind == "event_msg" && &*payload.kind == "task_started" {
            self.tells_turns = true;
        }
        // One way of telling is enough, where a log has both.
        let newer = &*payload.kind == "item_completed";
        let older = ["user_message", "agent_message", "agent_reasoning"].contains(&&*payload.kind);
        let Some(said) = said(&line.kind, payload) else { return };
        if (older && self.paginated) || (newer && !self.paginated && !matches!(said, Said::Failed(_))) {
            return;
        }
        self.heed(said, millis(line.timestamp.as_ref()), span, talk);
    }

    fn next_file(&mut self) {
        self.met = false;
    }

    super::saved_by_value!();
}

impl Following {
    fn meet(&mut self, payload: &Payload<'_>, talk: &mut Talk) {
        // Further ones are copied from the session that this one was forked of, or belong to a base.
        if !std::mem::replace(&mut self.met, true) {
            talk.facts.id = payload.id.as_ref().map(|id| id.to_string());
            talk.facts.cwd = payload.cwd.as_ref().map(|cwd| cwd.to_string());
            talk.facts.child = payload.source.0.as_ref().is_some_and(|source| source.subagent.is_some());
        }
        self.paginated = payload.history_mode.as_deref() == Some("paginated");
        self.current = None;
    }

    fn heed(&mut self, said: Said<'_>, at: i64, span: Span, talk: &mut Talk) {
        match said {
            Said::Prompt { text, .. } => {
                self.current = None;
                talk.prompt(span.at, at, span, &text);
            }
            Said::Text { .. } => {
                self.answer(at, span, talk);
                if !self.tells_turns {
                    talk.end();
                }
            }
            Said::Thinking(_) => drop(self.answer(at, span, talk)),
            Said::Call { id, done, .. } => {
                let slot = self.answer(at, span, talk);
                talk.call(slot, key(id));
                if done {
                    talk.close(key(id));
                }
            }
            Said::Output { id, .. } => {
                self.current = None;
                talk.result(key(id), at, span, true);
            }
            Said::Failed(id) => talk.result(key(id), at, span, false),
            Said::End { error } => {
                self.current = None;
                if error.is_some() {
                    talk.answer(span.at, at, span);
                }
                talk.end();
            }
            Said::TakenBack(turns) => {
                self.current = None;
                let prompts = talk.slots().iter().enumerate().filter(|(_, slot)| slot.role == MessageRole::User);
                let last = prompts.rev().take(turns).last().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX));
                talk.truncate(last.filter(|_| turns > 0).unwrap_or(talk.len()));
            }
        }
    }

    fn answer(&mut self, at: i64, span: Span, talk: &mut Talk) -> u32 {
        let name = *self.current.get_or_insert(span.at);
        talk.answer(name, at, span)
    }
}
