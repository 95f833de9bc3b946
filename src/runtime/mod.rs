//! Runtimes: the doors to where workspaces run. [`Runtime`] is for the controller alone; [`Attach`] reaches into a
//! running workspace.

pub mod docker;
pub mod executable;
pub mod fake;
pub mod folder;
pub mod hints;
pub mod image;
pub mod link;
pub mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use async_trait::async_trait;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::contract::sessions::{Message, MessagesAsked, SessionChange};
use crate::contract::terminals::TerminalRequest;
use crate::contract::usage::Measured;
use crate::contract::worker::{ExecRequest, ExecResponse};
use crate::contract::{LogLine, LogSource};
use crate::model::observed::{EngineSeen, FileFault, Seen, VolumeSeen};
use crate::model::{Action, Desired, DiskUsage, Name, Observed, Uid, Variant};

/// Where progress goes, one line at a time. An alias, because `async_trait` would give the `&str` inside a lifetime of
/// the call, and no line of its own could be told.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync + 'a);

/// Looks at and changes the engine.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Looks at everything of one workspace. Never fails: what could not be looked at is `Unknown`.
    async fn observe(&self, desired: &Desired) -> Observed;

    /// Does one action. Progress goes to `progress`, one line at a time, at most a few a second.
    ///
    /// # Errors
    /// What went wrong; whether the action had its effect is then only known by looking again.
    async fn apply(&self, action: &Action, progress: Progress<'_>) -> Result<(), RuntimeError>;

    /// Reasons to look again, without end: reconnects are the runtime's affair. May be called once.
    fn events(&self) -> Pin<Box<dyn Stream<Item = Hint> + Send>>;

    /// What the engine says of itself.
    async fn engine(&self) -> Seen<EngineSeen>;

    /// Builds a variant of the agent's own image under this name, also when there is one; containers of the old one stay
    /// as they are. Progress as for [`apply`](Self::apply).
    ///
    /// # Errors
    /// What went wrong; an image that was there still is.
    async fn build_image(&self, image: &str, variant: Variant, progress: Progress<'_>) -> Result<(), RuntimeError>;

    /// What a workspace occupies on disk. May take as long as counting its files does.
    ///
    /// # Errors
    /// Nobody could look, or not within half a minute.
    async fn disk(&self, desired: &Desired) -> Result<DiskUsage, RuntimeError>;

    /// Brings the files of a workspace into its running container, whatever it has; what could not be read or written.
    ///
    /// # Errors
    /// It does not run, or its worker does not answer.
    async fn sync(&self, desired: &Desired) -> Result<Vec<FileFault>, RuntimeError>;

    /// Ports of the engine's machine that somebody listens on; none where nobody can look.
    async fn ports_in_use(&self) -> BTreeSet<u16>;

    /// Everything that bears this agent's id but belongs to none of these workspaces.
    ///
    /// # Errors
    /// Nobody could look.
    async fn orphans(&self, known: &BTreeSet<Uid>) -> Result<Orphans, RuntimeError>;
}

/// A reason to look again. It says nothing of what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Something about this workspace may have changed.
    Workspace(Name),
    /// Events may have been missed: look at everything.
    Everything,
}

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not answer.
    #[error("the engine does not answer: {0}")]
    Unreachable(String),
    /// What the action was to touch is not what was seen any more (404, 409): look again.
    #[error("the engine's objects have changed meanwhile: {0}")]
    Changed(String),
    /// The engine refused it and will refuse it again as it stands (400, unknown image).
    #[error("{0}")]
    Refused(String),
    /// Anything else, as the engine said it; trying again may help.
    #[error("{0}")]
    Failed(String),
    /// It took longer than its deadline; it may still happen.
    #[error("no answer within {0} s; it may still happen")]
    Timeout(u64),
}

/// A two-way byte stream into a workspace.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Lines of a log as they come.
pub type LogLines = Pin<Box<dyn Stream<Item = Result<LogLine, RuntimeError>> + Send>>;

/// What is told of sessions, as it comes.
pub type SessionChanges = Pin<Box<dyn Stream<Item = Result<SessionChange, RuntimeError>> + Send>>;

/// Which lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogsWanted {
    /// Where from.
    pub source: LogSource,
    /// So many from the end.
    pub tail: u32,
    /// And then those that follow.
    pub follow: bool,
}

/// Reaches into a workspace.
#[async_trait]
pub trait Attach: Send + Sync {
    /// Opens a connection to the worker of a workspace: a Unix socket where engine and agent share a machine, else an
    /// `exec` bridged to it.
    ///
    /// # Errors
    /// The workspace is not running or its worker does not listen.
    async fn dial(&self, uid: &Uid) -> Result<Box<dyn Duplex>, RuntimeError>;

    /// A connection to the terminals of a workspace, on which this was asked: see [`terminals`](crate::contract::terminals).
    ///
    /// # Errors
    /// The workspace is not running or its worker does not listen.
    async fn terminals(&self, uid: &Uid, request: TerminalRequest) -> Result<Box<dyn Duplex>, RuntimeError>;

    /// Lines of a workspace's log. The container's own, and what is kept of a container that does not run, are read through
    /// the engine; the rest is told by the worker. Ends with what there is, with `follow` when the container ends.
    ///
    /// # Errors
    /// There is no container (`Changed`), or nobody answers.
    async fn logs(&self, uid: &Uid, wanted: LogsWanted) -> Result<LogLines, RuntimeError>;

    /// What a running workspace uses now.
    ///
    /// # Errors
    /// It does not run, or its worker does not answer.
    async fn usage(&self, uid: &Uid) -> Result<Measured, RuntimeError>;

    /// What a running workspace tells of coding agents' sessions, from a reset on. Ends with the link.
    ///
    /// # Errors
    /// It does not run, or its worker does not answer.
    async fn sessions(&self, uid: &Uid) -> Result<SessionChanges, RuntimeError>;

    /// Messages of a session, in order; fewer than asked for where they are long.
    ///
    /// # Errors
    /// There is no such session (`Changed`), it cannot be read (`Refused`), or nobody answers.
    async fn messages(&self, uid: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, RuntimeError>;

    /// Runs a command in a workspace through its worker, over the link that is there already.
    ///
    /// # Errors
    /// The workspace is not running or its worker does not answer (`Failed`, `Unreachable`); the worker refuses the
    /// command (`Refused`). A command that fails is no error.
    async fn exec(&self, uid: &Uid, request: ExecRequest) -> Result<ExecResponse, RuntimeError>;
}

/// Containers and volumes that bear this agent's id but belong to no known workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Containers, by name.
    pub containers: BTreeMap<String, OrphanedContainer>,
    /// Volumes, by name.
    pub volumes: BTreeMap<String, VolumeSeen>,
}

/// A container that belongs to no known workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanedContainer {
    /// Its id.
    pub id: String,
    /// The workspace that it says it belongs to.
    pub uid: Option<Uid>,
}
