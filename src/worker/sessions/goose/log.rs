//! Goose before 1.10: a log for each session, its first line about the session as a whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Blocks;
use crate::contract::sessions::CodingAgent;
use crate::worker::sessions::draft::Draft;
use crate::worker::sessions::formats::{Fold, Format, Home, Place, Text, followed_by, saved_by_value};
use crate::worker::sessions::talk::{Span, Talk};

/// Goose's logs.
pub struct GooseLog;

impl Format for GooseLog {
    fn agent(&self) -> CodingAgent {
        CodingAgent::Goose
    }

    fn root(&self, home: &Home) -> PathBuf {
        super::folder(home)
    }

    fn depth(&self) -> usize {
        0
    }

    fn place(&self, path: &Path) -> Place {
        match path.to_str().and_then(|name| name.strip_suffix(".jsonl")) {
            Some(id) if !id.contains('/') => Place::log(id, id),
            _ => Place::Nothing,
        }
    }

    followed_by!(Following);

    fn fill(&self, record: &[u8], draft: &mut Draft) {
        if let Ok(Line { role: Some(role), content, id, .. }) = serde_json::from_slice(record) {
            super::fill(&role, &content, id.as_deref().unwrap_or_default(), draft);
        }
    }
}

/// Nothing has to be remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Following;

impl Fold for Following {
    fn take(&mut self, record: &[u8], span: Span, talk: &mut Talk) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(record) else { return };
        if let Some(folder) = &line.working_dir {
            talk.understand();
            talk.facts.cwd = Some(folder.to_string());
            talk.facts.generated = line.description.as_ref().map(|text| text.to_string());
        }
        if let Some(role) = &line.role {
            talk.understand();
            // Where a message has no name its place is one.
            let at = line.created.unwrap_or(0).saturating_mul(1000);
            super::take(role, &line.content, span.at, at, span, talk);
        }
    }

    saved_by_value!();
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    working_dir: Option<Text<'a>>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    role: Option<Text<'a>>,
    created: Option<i64>,
    #[serde(borrow, default)]
    content: Blocks<'a>,
}
