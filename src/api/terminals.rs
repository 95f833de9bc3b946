//! The terminals of a workspace: the procedures, and the way to one for who looks at it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::Api;
use crate::contract::terminal::{Create, FRAME_MAX, Hello, Size};
use crate::contract::terminals::{Refusal, TerminalAnswer, TerminalRequest};
use crate::contract::{
    ApiError, Call, CloseTerminalInput, Conflict, ConflictReason, CreateTerminalInput, RenameTerminalInput,
    TerminalInfo,
};
use crate::model::{Name, Phase, Role, Workspace};
use crate::runtime::{Duplex, RuntimeError};

/// How long a worker has for an answer; a program that is to end has some time of its own.
const ANSWER: Duration = Duration::from_secs(15);
/// How long an agent that has just begun has to look at a workspace, and how often one asks whether it has.
const LOOKED_AT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The way to a terminal, for who looks at it.
#[async_trait]
pub trait Terminals: Send + Sync {
    /// Attaches to a terminal of a workspace: frames of [`terminal`](crate::contract::terminal) follow, each behind its length.
    ///
    /// # Errors
    /// The caller may not, there is no such workspace, or it does not run.
    async fn attach(&self, call: &Call, name: &Name, hello: Hello) -> Result<Box<dyn Duplex>, ApiError>;

    /// Whether a workspace runs, as far as one knows.
    fn is_running(&self, name: &Name) -> bool;
}

#[async_trait]
impl Terminals for Api {
    async fn attach(&self, call: &Call, name: &Name, hello: Hello) -> Result<Box<dyn Duplex>, ApiError> {
        let read_only = call.caller.role < Role::User;
        let intent = self.seen_running(name).await?;
        if !read_only {
            self.host_right(call).await.enter(&intent)?;
        }
        let request = TerminalRequest::Attach { hello: Box::new(hello), read_only };
        // It runs, so that its worker will answer in a moment where it does not yet.
        let stream = self.parts.attach.terminals(&intent.metadata.uid, request).await;
        stream.map_err(|error| ApiError::Unavailable(format!("workspace {name}: {error}")))
    }

    fn is_running(&self, name: &Name) -> bool {
        self.running(name).is_ok()
    }
}

impl Api {
    /// What is wanted of a workspace that runs. One that was not looked at yet, since the agent has just begun, is waited for.
    async fn seen_running(&self, name: &Name) -> Result<Arc<Workspace>, ApiError> {
        let until = self.parts.clock.monotonic() + LOOKED_AT;
        while self.parts.clock.monotonic() < until && self.get(name)?.status == Phase::Unknown {
            sleep(LOOK_AGAIN).await;
        }
        if self.get(name)?.status == Phase::Unknown {
            return Err(ApiError::Unavailable(format!("whether workspace {name} runs is not known yet")));
        }
        self.running(name)
    }

    pub(super) async fn terminals_of(&self, name: &Name) -> Result<Vec<TerminalInfo>, ApiError> {
        match self.ask(name, TerminalRequest::List).await? {
            TerminalAnswer::List(all) => Ok(all),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn begin_terminal(
        &self,
        call: &Call,
        input: CreateTerminalInput,
    ) -> Result<TerminalInfo, ApiError> {
        let CreateTerminalInput { name, terminal, command, cwd, cols, rows } = input;
        self.host_right(call).await.enter(&*self.running(&name)?)?;
        let Size { cols, rows } =
            Size { cols: cols.unwrap_or(Size::USUAL.cols), rows: rows.unwrap_or(Size::USUAL.rows) };
        let request = TerminalRequest::Create { terminal, create: Create { command, cwd }, cols, rows };
        self.ask_for_one(&name, request).await
    }

    pub(super) async fn name_terminal(&self, input: RenameTerminalInput) -> Result<TerminalInfo, ApiError> {
        let RenameTerminalInput { name, terminal, to } = input;
        self.ask_for_one(&name, TerminalRequest::Rename { terminal, to }).await
    }

    pub(super) async fn end_terminal(&self, input: CloseTerminalInput) -> Result<(), ApiError> {
        match self.ask(&input.name, TerminalRequest::Close { terminal: input.terminal }).await? {
            TerminalAnswer::Closed => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask_for_one(&self, name: &Name, request: TerminalRequest) -> Result<TerminalInfo, ApiError> {
        match self.ask(name, request).await? {
            TerminalAnswer::One(info) => Ok(info),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the worker of a running workspace.
    async fn ask(&self, name: &Name, request: TerminalRequest) -> Result<TerminalAnswer, ApiError> {
        let intent = self.running(name)?;
        let stream = self.parts.attach.terminals(&intent.metadata.uid, request).await;
        let stream = stream.map_err(|error| unreachable(name, error))?;
        let failed = |what: String| ApiError::Unavailable(format!("workspace {name}: {what}"));
        match tokio::time::timeout(ANSWER, read(stream)).await {
            Ok(Ok(TerminalAnswer::Refused(refusal))) => Err(refused(name, refusal)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failed(format!("the terminals do not answer: {error}"))),
            Err(_) => Err(failed(format!("the terminals did not answer within {} s", ANSWER.as_secs()))),
        }
    }
}

async fn read(mut stream: Box<dyn Duplex>) -> std::io::Result<TerminalAnswer> {
    let length = stream.read_u32_le().await? as usize;
    if length > FRAME_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}

fn unreachable(name: &Name, error: RuntimeError) -> ApiError {
    match error {
        RuntimeError::Failed(message) => {
            ApiError::PreconditionFailed { name: name.clone(), message: format!("workspace {name}: {message}") }
        }
        other => ApiError::Unavailable(format!("workspace {name}: {other}")),
    }
}

fn refused(name: &Name, refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::NotFound(terminal) => ApiError::NoTerminal { name: name.clone(), terminal },
        Refusal::Exists(terminal) => {
            let message = format!("workspace {name} has a terminal {terminal} already");
            Conflict::new(ConflictReason::Exists, &terminal, message).into()
        }
        Refusal::TooMany(message) => ApiError::TooManyRequests(format!("workspace {name}: {message}")),
        Refusal::Invalid(message) => ApiError::bad_request("command", message),
        Refusal::Failed(message) => ApiError::Unavailable(format!("workspace {name}: {message}")),
    }
}

fn unexpected(answer: &TerminalAnswer) -> ApiError {
    ApiError::Internal(format!("the worker answered something else: {answer:?}"))
}
