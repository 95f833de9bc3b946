//! Inputs and outputs of the procedures. The `Workspace` of the API is [`View`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use super::{ApiError, LogSource};
use crate::model::observed::EngineSeen;
use crate::model::workspace::{CloneSpec, PortSpec};
use crate::model::{Document, Issue, Issues, Name, Shown, Variant, manifest};

/// No input. Left out or `{}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct NoInput {}

/// Which workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NameInput {
    /// Its name.
    pub name: Name,
}

/// A new workspace, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CreateInput {
    /// Its name, unique on this agent.
    pub name: Name,
    /// A git repository to clone: its URL, or URL, branch and path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneInput>,
    /// The container image; left out: the agent's `imageTag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Environment of everything inside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub env: BTreeMap<String, String>,
    /// Ports that are reached from the host, besides ssh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub ports: Vec<PortSpec>,
}

/// A workspace to start; what is given besides `name` must be so already, or is so where it is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct StartInput {
    /// Its name.
    pub name: Name,
    /// Create it where it does not exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub create: bool,
    /// A git repository to clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneInput>,
    /// The container image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Environment of everything inside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub env: BTreeMap<String, String>,
    /// Ports that are reached from the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub ports: Vec<PortSpec>,
}

/// A workspace to restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct RestartInput {
    /// Its name.
    pub name: Name,
    /// Make its container anew, of the newest image and with the newest worker. What is in no volume is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub upgrade: bool,
}

impl StartInput {
    /// Just the start of a workspace that is there.
    pub fn of(name: Name) -> Self {
        Self { name, create: false, clone: None, image: None, env: BTreeMap::new(), ports: Vec::new() }
    }
}

/// A repository by its URL alone or in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(untagged, expecting = "a repository is its URL, or an object with url, branch and path")]
pub enum CloneInput {
    /// Its URL.
    Url(String),
    /// URL, branch, path.
    Full(CloneSpec),
}

impl From<CloneInput> for CloneSpec {
    fn from(input: CloneInput) -> Self {
        match input {
            CloneInput::Url(url) => Self { url, branch: None, path: None },
            CloneInput::Full(spec) => spec,
        }
    }
}

/// What to apply or to plan: `manifest` or `workspace`, not both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ApplyInput {
    /// Manifests as text, YAML or JSON; several documents are applied all or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// One manifest as an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Document>")]
    #[ts(as = "Option<Document>", optional)]
    pub workspace: Option<Value>,
    /// Say what would be done, and change nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub dry_run: bool,
    /// Refuse (CONFLICT `staleGeneration`) unless the workspace has this generation; 0: unless it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    /// Accept that a running container is replaced and work in it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub allow_replace: bool,
}

impl ApplyInput {
    /// The documents that it holds.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] with all that is wrong in them.
    pub fn documents(&self) -> Result<Vec<Document>, ApiError> {
        let documents = match (&self.manifest, &self.workspace) {
            (Some(text), None) => manifest::parse_text(text).map_err(ApiError::BadRequest)?,
            (None, Some(object)) => vec![object_document(object).map_err(ApiError::BadRequest)?],
            _ => return Err(ApiError::bad_request("", "give either `manifest` or `workspace`")),
        };
        if self.if_generation.is_some() && documents.len() > 1 {
            let message = "goes with a single document: generations are counted for each workspace";
            return Err(ApiError::bad_request("ifGeneration", message));
        }
        Ok(documents)
    }
}

/// JSON is YAML; the lines that it is written on here are nobody's business.
fn object_document(object: &Value) -> Result<Document, Issues> {
    let under = |mut issue: Issue| {
        issue.path.insert(0, "workspace".to_owned());
        issue
    };
    match manifest::parse("workspace", object.to_string().as_bytes()) {
        Ok(mut documents) if documents.len() == 1 => Ok(documents.remove(0).document),
        Ok(_) => Err(Issues(vec![Issue::new("workspace", "is one object")])),
        Err(bad) => Err(Issues(bad.faults.into_iter().map(|fault| under(fault.issue)).collect())),
    }
}

/// What became, or would become, of each document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ApplyOutput {
    /// In the order of the documents.
    pub results: Vec<Applied>,
}

/// What became, or would become, of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Applied {
    /// The workspace's name.
    pub name: Name,
    /// What happened to the intent.
    pub change: Change,
    /// What is done now to get there; more may follow once these are done.
    pub actions: Vec<PlannedAction>,
    /// Why nothing can be done at present, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// A running container is replaced: work in it ends. Left out where that may be so and cannot be told now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<bool>,
    /// The workspace afterwards; with `dryRun` as it is now, absent where it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Arc<Shown>>,
    /// What was accepted but may not be meant.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What happened to the intent of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Created,
    /// It was changed.
    Configured,
    /// It was so already.
    Unchanged,
}

/// One step of a plan, for people and for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PlannedAction {
    /// One word, as in `startup.steps`.
    pub step: String,
    /// In words, such as `create volume workspace-a-home`.
    pub text: String,
    /// It ends something that a person may be using, or keeps.
    #[serde(default)]
    pub disruptive: bool,
}

/// Why nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Blocked {
    /// One CamelCase word for programs.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The deletion was accepted; watch for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct DeleteOutput {
    /// Always true: failure is an error.
    pub success: bool,
}

/// One frame of a watch. Its event id, where it has one, is the cursor to resume from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct WatchFrame {
    /// What it says.
    #[serde(rename = "type")]
    pub kind: WatchKind,
    /// The whole workspace; absent for `reset` and `bookmark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Arc<Shown>>,
}

/// What a [`WatchFrame`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum WatchKind {
    /// Forget everything: every workspace follows as `added`, then a `bookmark`.
    Reset,
    /// New to the watcher.
    Added,
    /// Known, and now this.
    Modified,
    /// Gone; this is what it was at last.
    Deleted,
    /// Nothing changed: everything up to this event id has been sent.
    Bookmark,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct EventsInput {
    /// Of one workspace; left out: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Go on with new ones as they happen, without end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub follow: bool,
}

/// A command to run in a workspace, without a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ExecInput {
    /// The workspace.
    pub name: Name,
    /// Program and arguments; not empty.
    pub command: Vec<String>,
    /// Seconds after which it and its children are killed, 1 to 86400; left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// Which lines of a workspace's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct LogsInput {
    /// The workspace.
    pub name: Name,
    /// Where from; left out: from everywhere, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<LogSource>,
    /// So many lines from the end of each program's log, at most 10000; left out: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Go on with new ones as they come, until the container ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub follow: bool,
}

/// Which image to build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct BuildInput {
    /// The variant; left out: what `imageTag` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
}

/// A line of a build's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct BuildProgress {
    /// Without line break.
    pub line: String,
}

/// What the agent says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct AgentInfo {
    /// Its id, a UUID made once.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The machine's name.
    pub hostname: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
    /// For how long it has run, in seconds.
    pub uptime: f64,
    /// How many workspaces it has.
    pub workspaces_count: u64,
    /// The image of workspaces that name none.
    pub image: String,
    /// The engine; absent when it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<EngineSeen>,
    /// Why it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_error: Option<String>,
    /// How many containers and volumes bear this agent's id and belong to no workspace; absent where nobody could look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<u64>,
    /// What a person should know of the agent's files, such as a `state.json` that does not parse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub warnings: Vec<AgentWarning>,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct AgentWarning {
    /// Since when.
    pub since: Timestamp,
    /// What, and what to do about it.
    pub message: String,
}
